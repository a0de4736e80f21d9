"""Labelled geometries of many compositions, with energies alone or with forces and stresses.

Arrays of all frames have the shape of the largest one, see `qmd.data.padded`. Files are:

=====================================  ==========================================================
`.npz` with Z (frames, atoms), R, E    eV, angstrom; 0 in Z, and zeros in R and F, after the atoms
                                       of a frame; as `qmd label` writes
`.xyz`, `.extxyz`, `.db`, `.json`      eV, angstrom (ASE)
folder, `.tar`, `.tar.bz2` and others  QM9, see `qmd.data.qm9`
=====================================  ==========================================================

Total energies of different compositions differ by the energies of their atoms, which hide what a
model has to learn. `reference_energies` fits one energy for each element.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from qmd.data import datasets, qm9
from qmd.data.cells import cells_of_arrays, checked_cells, checked_stresses
from qmd.data.datasets import ENERGY_UNITS, LARGEST, LAST_ELEMENT, LENGTH_UNITS, Dataset, Labels
from qmd.data.padded import check_padding, counts, pad_numbers, pad_vectors
from qmd.errors import InputError, one_line, quoted
from qmd.io.files import read_regular_file
from qmd.io.structure import check_overlap, periodic_cell
from qmd.system.cell import ISOLATED
from qmd.system.system import System
from qmd.typing import Array

Integers = npt.NDArray[np.int64]

QM9_ENERGY = "U0"
"""Energy that is read from QM9 unless another is named."""


@dataclass(frozen=True, eq=False)
class Compositions:
    """Labelled geometries of different atoms."""

    numbers: Integers
    """Atomic numbers, (n_frames, n_atoms), 0 after the atoms of a frame."""
    positions: Array
    """Positions, angstrom, (n_frames, n_atoms, 3)."""
    energies: Array
    """Energies, eV, (n_frames,)."""
    forces: Array | None
    """Forces, eV/angstrom, (n_frames, n_atoms, 3); None if the file has none."""
    sha256: str
    """SHA-256 of the file."""
    name: str
    """Name of the file."""
    cells: Array | None = None
    """Lattice vectors, angstrom, (n_frames, 3, 3); None if the frames are isolated."""
    stresses: Array | None = None
    """Stress, eV/angstrom^3, (n_frames, 6), as in `qmd.data.datasets.Dataset`; None without."""
    places: Integers | None = None
    """Index in the file of each frame, from 0; None if all its frames are here, in their order."""

    def __len__(self) -> int:
        return len(self.energies)

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of all elements, by atomic number."""
        return tuple(chemical_symbols[z] for z in np.unique(self.numbers) if z)

    @property
    def n_atoms(self) -> Integers:
        """Number of atoms of each frame, (n_frames,)."""
        return counts(self.numbers)

    def take(self, index: Integers) -> "Compositions":
        """Return the frames at `index`, in arrays of the same number of atoms."""

        def rows(array: Any) -> Any:
            return None if array is None else array[index]

        return replace(
            self, numbers=self.numbers[index], positions=self.positions[index],
            energies=self.energies[index], forces=rows(self.forces), cells=rows(self.cells),
            stresses=rows(self.stresses),
            places=index if self.places is None else self.places[index],
        )  # fmt: skip

    def by_atoms(self) -> Iterator[tuple[Integers, Dataset]]:
        """Yield the frames of the same atoms in the same order together, with their indices."""
        _, group = np.unique(self.numbers, axis=0, return_inverse=True)
        group = group.reshape(-1)
        for k in range(group.max() + 1):
            index = np.flatnonzero(group == k)
            numbers = self.numbers[index[0]]
            numbers = numbers[numbers != 0]
            n = len(numbers)
            part = self.take(index)
            forces = None if part.forces is None else part.forces[:, :n]
            yield (
                index,
                Dataset(
                    numbers, part.positions[:, :n], part.energies, forces, self.sha256, self.name,
                    places=part.places, cells=part.cells, stresses=part.stresses,
                ),
            )  # fmt: skip


def read(path: Path, labels: Labels = Labels()) -> Compositions:  # noqa: B008  (frozen)
    """Read labelled geometries of many compositions.

    Parameters
    ----------
    path : Path
        A file in one of the formats above, or a folder with the files of QM9.
    labels : Labels
        Names and units of the labels. The energy of QM9 is one of `qmd.data.qm9.ENERGIES`.

    Raises
    ------
    InputError
        In one line, if the file cannot be read, lacks a label, or holds what cannot be right.
    """
    suffix, name = path.suffix.lower(), quoted(path.name)
    if qm9.is_archive(path):
        found = _of_qm9(path, labels, name)
    elif suffix == ".npz":
        found = _of_arrays(path, labels, name)
    elif suffix in (".xyz", ".extxyz", ".db", ".json"):
        found = _of_frames(path, labels, name)
    else:
        raise InputError(
            f"dataset {name}: expected a file that ends in .npz, .xyz, .extxyz, .db or .json, or "
            "an archive of QM9",
            hint="`ase convert FILE labels.extxyz` converts others",
        )
    _check(found, f"dataset {name}")
    return found


def _of_qm9(path: Path, labels: Labels, name: str) -> Compositions:
    key = labels.energy_key or QM9_ENERGY
    if key not in qm9.ENERGIES:
        raise InputError(
            f"dataset {name} has no energy {quoted(key)}; expected {', '.join(qm9.ENERGIES)}"
        )
    if labels.forces_key or labels.stress_key:
        raise InputError(f"dataset {name} has energies alone; forces or stresses are asked for")
    molecules, sha256 = qm9.read_archive(path)
    numbers = pad_numbers([molecule.numbers for molecule in molecules])
    positions = pad_vectors([molecule.positions for molecule in molecules], numbers.shape[1])
    energies = np.array([molecule.energy(key) for molecule in molecules])
    return Compositions(numbers, positions, energies, None, sha256, one_line(path.name))


def _of_arrays(path: Path, labels: Labels, name: str) -> Compositions:
    content = read_regular_file(path, datasets.MAX_BYTES)
    arrays = datasets.load_npz(content, name)
    energy_key, forces_key = labels.energy_key or "E", labels.forces_key or "F"
    wanted = {"Z", "R", energy_key} | ({forces_key} if labels.forces_key else set())
    if missing := wanted - arrays.keys():
        raise InputError(
            f"dataset {name} has no array {', '.join(sorted(map(quoted, missing)))}",
            hint=f"it has {', '.join(sorted(map(quoted, arrays)))}",
        )
    if arrays["Z"].dtype.kind not in "iu" or arrays["R"].ndim != 3:
        raise InputError(f"dataset {name}: expected whole numbers in Z, and R (frames, atoms, 3)")
    numbers = arrays["Z"].astype(np.int64)
    if numbers.ndim == 1:
        numbers = np.repeat(numbers[None], len(arrays["R"]), axis=0)
    found = _Found(
        numbers, _floats(arrays["R"], "R", name), _floats(arrays[energy_key], energy_key, name),
        None if forces_key not in arrays else _floats(arrays[forces_key], forces_key, name),
        cells_of_arrays(arrays, len(arrays["R"]), f"dataset {name}"),
        arrays.get(labels.stress_key or "stress"),
    )  # fmt: skip
    return _in_units(found, labels, content, path)


def _of_frames(path: Path, labels: Labels, name: str) -> Compositions:
    content = read_regular_file(path, datasets.MAX_BYTES)
    text = path.suffix.lower() in (".xyz", ".extxyz")
    frames = (datasets.frames_of_text if text else datasets.frames_of_database)(path, content)
    if not frames:
        raise InputError(f"dataset {name} has no frames")
    numbers = pad_numbers([np.asarray(frame.atoms.numbers) for frame in frames])
    most = numbers.shape[1]
    energies = datasets.column(frames, labels.energy_key, ("REF_energy", "energy"), name)
    if energies is None:
        raise InputError(
            f"dataset {name} has no energies (no {quoted(labels.energy_key or 'energy')})",
            hint="name them with labels.energy_key",
        )
    place = f"dataset {name}, frame"
    cells = [periodic_cell(frame.atoms, f"{place} {i}") for i, frame in enumerate(frames)]
    found = _Found(
        numbers, pad_vectors([frame.atoms.positions for frame in frames], most), energies,
        _vectors(frames, labels, name, most),
        checked_cells(cells, len(frames), f"dataset {name}"),
        datasets.column(frames, labels.stress_key, ("REF_stress", "stress"), name),
    )  # fmt: skip
    return _in_units(found, labels, content, path)


def _vectors(
    frames: list[datasets.Frame], labels: Labels, name: str, most: int
) -> npt.NDArray[np.float64] | None:
    """Forces of frames of different atoms, (n_frames, most, 3); None if no frame has any."""
    names = (labels.forces_key,) if labels.forces_key else ("REF_forces", "forces")
    key = next((n for n in names if any(n in frame.labels for frame in frames)), None)
    if key is None:
        if labels.forces_key:
            raise InputError(f"dataset {name} has no {quoted(labels.forces_key)}")
        return None
    rows = []
    for number, frame in enumerate(frames, 1):
        row = np.asarray(frame.labels.get(key, ()))
        if row.dtype.kind not in "fiu" or row.shape != (len(frame.atoms), 3):
            raise InputError(
                f"dataset {name}: frame {number} has no {quoted(key)}, three numbers for each atom"
            )
        rows.append(row.astype(float))
    return pad_vectors(rows, most)


@dataclass(frozen=True, eq=False)
class _Found:
    """Arrays in the units of the file."""

    numbers: Integers
    positions: Any
    energies: Any
    forces: Any
    cells: Any
    stresses: Any


def _floats(values: Any, key: str, name: str) -> Any:
    if values.dtype.kind not in "fiu":
        raise InputError(f"dataset {name}: {key} is of type {values.dtype}; expected numbers")
    return values.astype(float)


def _in_units(found: _Found, labels: Labels, content: bytes, path: Path) -> Compositions:
    """Check the shapes, and convert to eV and angstrom."""
    name = f"dataset {quoted(path.name)}"
    shape = found.positions.shape
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or found.numbers.shape != shape[:2]:
        raise InputError(
            f"{name}: expected Z (frames, atoms) and R (frames, atoms, 3), but they have the "
            f"shapes {found.numbers.shape} and {shape}"
        )
    if found.energies.size != shape[0]:
        raise InputError(
            f"{name}: energies have shape {found.energies.shape}; expected one for each of "
            f"{shape[0]} frames"
        )
    if found.forces is not None and found.forces.shape != shape:
        raise InputError(f"{name}: forces have shape {found.forces.shape}; expected {shape}")
    stresses = checked_stresses(found.stresses, found.cells, shape[0], quoted(path.name))
    energy = ENERGY_UNITS[labels.energy_unit or "eV"]
    length = LENGTH_UNITS[labels.length_unit or "angstrom"]
    force = energy / length
    if labels.forces_unit:
        above, _, below = labels.forces_unit.rpartition("/")
        force = ENERGY_UNITS[above] / LENGTH_UNITS[below]
    return Compositions(
        found.numbers, found.positions * length, found.energies.reshape(-1) * energy,
        None if found.forces is None else found.forces * force,
        hashlib.sha256(content).hexdigest(), one_line(path.name),
        None if found.cells is None else found.cells * length,
        None if stresses is None else stresses * energy / length**3,
    )  # fmt: skip


def _check(found: Compositions, name: str) -> None:
    """Refuse what cannot be labelled molecules or cells."""
    if not ((found.numbers >= 0) & (found.numbers <= LAST_ELEMENT)).all():
        raise InputError(f"{name} has atomic numbers that no element has")
    check_padding(found.numbers, found.positions, "positions", name)
    if found.forces is not None:
        check_padding(found.numbers, found.forces, "forces", name)
    for what in ("positions", "energies", "forces"):
        values = getattr(found, what)
        if values is None:
            continue
        fits = (np.abs(values.reshape(len(found), -1)) <= LARGEST).all(axis=1)
        if not fits.all():
            raise InputError(
                f"{name}: {what} of frame {int(fits.argmin()) + 1} are not finite, or beyond "
                f"{LARGEST:g} ({int((~fits).sum())} such frames)",
                hint="remove these frames",
            )
    for frame in range(len(found)):
        check_overlap(_system(found, frame, f"{name}, frame {frame + 1}"))
    _check_repeats(found, name)


def _system(found: Compositions, frame: int, name: str) -> System:
    numbers = found.numbers[frame][found.numbers[frame] != 0]
    cell = ISOLATED if found.cells is None else found.cells[frame]
    positions = found.positions[frame, : len(numbers)]
    return System(numbers, positions, atomic_masses[numbers], None, name, cell=cell)


def _check_repeats(found: Compositions, name: str) -> None:
    """Refuse the same atoms at the same distances twice: a test frame could be one of training."""
    seen: dict[bytes, int] = {}
    for frame in range(len(found)):
        key = _fingerprint(found, frame)
        if key in seen:
            raise InputError(
                f"{name}: frames {seen[key] + 1} and {frame + 1} are the same geometry: a test "
                "frame could be one of training",
                hint="keep one of each",
            )
        seen[key] = frame


def _fingerprint(found: Compositions, frame: int) -> bytes:
    """Atomic numbers, and distances or positions in the cell, rounded."""
    numbers = found.numbers[frame][found.numbers[frame] != 0]
    x = found.positions[frame, : len(numbers)]
    if found.cells is None:
        i, j = np.triu_indices(len(x), 1)
        geometry = np.linalg.norm(x[i] - x[j], axis=1)
    else:
        geometry = np.concatenate([(x - x[0]).ravel(), found.cells[frame].ravel()])
    rounded: Array = np.round(geometry, 7) + 0.0  # + 0.0: no -0.0
    return bytes(numbers.tobytes() + rounded.tobytes())


@dataclass(frozen=True)
class ReferenceEnergies:
    """One energy (eV) for each element, to be taken from total energies."""

    energies: tuple[tuple[str, float], ...]
    """Symbol and energy, eV, by atomic number."""

    def of(self, numbers: Integers) -> Array:
        """Return the sums (eV), (n_frames,), over the atoms of frames.

        Parameters
        ----------
        numbers : (n_frames, n_atoms)
            Atomic numbers, with 0 after the atoms of a frame.

        Raises
        ------
        InputError
            If an element has no energy.
        """
        table = np.full(LAST_ELEMENT + 1, np.nan)
        table[0] = 0.0
        for symbol, energy in self.energies:
            table[atomic_numbers[symbol]] = energy
        sums: Array = table[numbers].sum(axis=-1)
        if np.isnan(sums).any():
            absent = sorted({chemical_symbols[z] for z in np.unique(numbers) if np.isnan(table[z])})
            raise InputError(
                f"no reference energy of {', '.join(absent)}, which no training frame has"
            )
        return sums


def reference_energies(numbers: Integers, energies: Array) -> ReferenceEnergies:
    """Fit one energy for each element to total energies by least squares.

    Where frames do not tell elements apart, such as molecules of one composition, the smallest of
    all solutions is taken; what it leaves is the same.

    Parameters
    ----------
    numbers : (n_frames, n_atoms)
        Atomic numbers, with 0 after the atoms of a frame.
    energies : (n_frames,)
        In eV.
    """
    present = [int(z) for z in np.unique(numbers) if z]
    amounts = np.stack([(numbers == z).sum(axis=1) for z in present], axis=1).astype(float)
    fitted = np.linalg.lstsq(amounts, energies, rcond=None)[0]
    pairs = zip(present, fitted.tolist(), strict=True)
    return ReferenceEnergies(tuple((chemical_symbols[z], energy) for z, energy in pairs))
