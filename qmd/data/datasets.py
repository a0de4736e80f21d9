"""Labelled geometries from a file: `.npz`, extended XYZ, ASE databases.

A file is data: it is read without pickle, its sizes are checked first, and the result is in eV and
angstrom. Labels that cannot be right are refused by `qmd.data.checks`.

=====================================  ==========================================================
format                                 units unless stated
=====================================  ==========================================================
`.npz` with Z, R, E, F                 eV, angstrom
`.npz` with r, E, F (a diatomic)       eV, angstrom; F = -dE/dr
`.npz` with nuclear_charges, coords,   kcal/mol, angstrom (rMD17)
energies, forces
`.npz` with z, R, E, F (MD17, sGDML)   e_unit and r_unit of the file; else they must be stated
`.xyz`, `.extxyz`, `.db`, `.json`      eV, angstrom (ASE)
=====================================  ==========================================================
"""

import hashlib
import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from qmd import units
from qmd.data.cells import cells_of_arrays, checked_cells, checked_stresses, require_isolated
from qmd.errors import InputError, decimal_comma, one_line, quoted
from qmd.io.bounds import MAX_FRAMES, check_text
from qmd.io.files import read_regular_file
from qmd.io.foreign.ase_database import read_json, read_sqlite
from qmd.io.stated import hydrogen_by_element, unreadable
from qmd.io.structure import periodic_cell
from qmd.typing import Array

Integers = npt.NDArray[np.int64]

MAX_BYTES = 2**31
"""Largest size of a file, and of its arrays together."""
MAX_RATIO = 1100
"""Largest size unpacked, relative to the size packed: the method of .npz files reaches 1032."""
MAX_ARRAYS, MAX_DIMENSIONS = 1000, 8
LARGEST = 1e12
"""Largest position, energy or force in a file, in its units."""
ENERGY_UNITS = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": units.hartree,
    "kcal/mol": units.kcal_per_mol,
    "kJ/mol": units.kJ_per_mol,
}
SAME_EV = 1e-6
"""Energies that differ less are one, with other digits."""
LENGTH_UNITS = {"angstrom": 1.0, "bohr": units.bohr, "nm": units.nm}


@dataclass(frozen=True)
class Labels:
    """Names and units of the labels in a file; None means the convention of the format."""

    energy_key: str | None = None
    forces_key: str | None = None
    energy_unit: str | None = None
    length_unit: str | None = None
    forces_unit: str | None = None
    """Unit of the forces, ``energy/length``, such as Hartree/bohr; default: from the other two."""
    stress_key: str | None = None
    groups_key: str | None = None
    """Name of the group of each frame, an integer; None: groups are not read."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled geometries of one molecule."""

    numbers: Integers | None
    """Atomic numbers, (n_atoms,); None if the file has none."""
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
    places: Integers | None = None
    """Index in the file of each frame, from 0; None if all its frames are here, in their order."""
    energy_key: str | None = None
    """Name of the energies where the file has two that differ; None where it has one."""
    notes: tuple[str, ...] = ()
    """Lines for the user about choices that were made."""
    cells: Array | None = None
    """Lattice vectors, angstrom, (n_frames, 3, 3); None if the frames are isolated."""
    stresses: Array | None = None
    """Stress, eV/angstrom^3, (n_frames, 6), in the order xx, yy, zz, yz, xz, xy and with the sign
    of ASE (positive under tension); None if the file has none."""
    groups: Integers | None = None
    """Group of each frame, (n_frames,); None unless asked for."""

    def __len__(self) -> int:
        return len(self.energies)

    def take(self, index: Integers) -> "Dataset":
        """Return the frames at `index`."""
        forces = None if self.forces is None else self.forces[index]
        return replace(
            self, positions=self.positions[index], energies=self.energies[index], forces=forces,
            places=index if self.places is None else self.places[index],
            cells=None if self.cells is None else self.cells[index],
            stresses=None if self.stresses is None else self.stresses[index],
            groups=None if self.groups is None else self.groups[index],
        )  # fmt: skip


def read(
    path: Path,
    labels: Labels = Labels(),  # noqa: B008  (frozen)
    *,
    periodic: bool = False,
) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    path : Path
        The format follows from its suffix.
    labels : Labels
        Names and units of the labels.
    periodic : bool
        True if the caller honours cells; otherwise they are refused.

    Raises
    ------
    InputError
        In one line, if the file cannot be read, lacks a label, or has arrays that do not fit
        together.
    """
    readers = {".npz": _read_npz, ".xyz": _read_xyz, ".extxyz": _read_xyz}
    readers |= {".db": _read_database, ".json": _read_database}
    reader = readers.get(path.suffix.lower())
    name = quoted(path.name)
    if reader is None:
        raise InputError(
            f"dataset {name}: expected a file that ends in {', '.join(readers)}",
            hint="`ase convert FILE labels.extxyz` converts others",
        )
    content = read_regular_file(path, MAX_BYTES)
    raw = reader(path, content, labels)
    _check_shapes(raw, name)
    raw = replace(
        raw, stresses=checked_stresses(raw.stresses, raw.cells, len(raw.positions), name),
        groups=_checked_groups(raw.groups, len(raw.positions), name),
    )  # fmt: skip
    energy, length, force = _factors(raw, labels, name)
    if not periodic:
        require_isolated(raw.cells, f"dataset {name}")
    return Dataset(
        numbers=raw.numbers,
        positions=raw.positions * length,
        energies=raw.energies.reshape(-1) * energy,
        forces=None if raw.forces is None else raw.forces * force,
        sha256=hashlib.sha256(content).hexdigest(),
        name=one_line(path.name),
        energy_key=raw.energy_key,
        notes=raw.notes,
        cells=None if raw.cells is None else raw.cells * length,
        stresses=None if raw.stresses is None else raw.stresses * energy / length**3,
        groups=raw.groups,
    )


@dataclass(frozen=True, eq=False)
class _Raw:
    """Arrays as they stand in the file."""

    numbers: Any
    positions: Any
    energies: Any
    forces: Any
    energy_unit: str | None
    length_unit: str | None
    energy_key: str | None = None
    notes: tuple[str, ...] = ()
    cells: Any = None
    stresses: Any = None
    groups: Any = None


def _read_npz(path: Path, content: bytes, labels: Labels) -> _Raw:
    name = quoted(path.name)
    arrays = load_npz(content, name)
    layout = next((k for k in _LAYOUTS if set(k) <= arrays.keys()), None)
    if layout is None:
        raise InputError(
            f"dataset {name} has the arrays {', '.join(map(quoted, arrays)) or 'of no name'}; "
            "expected Z, R, E, F",
            hint="or those of rMD17 (nuclear_charges, coords, energies, forces), of MD17 "
            "(z, R, E, F), or r, E, F of a diatomic",
        )
    names = _LAYOUTS[layout]
    energies = arrays.get(labels.energy_key or names.energies)
    forces = arrays.get(labels.forces_key or names.forces)
    _check_found(name, labels, energies, forces, arrays, names.energies)
    assert energies is not None
    if names.numbers is None:
        distances = _floats(arrays["r"], "r", name)
        along = None if forces is None else _floats(forces, names.forces, name)
        return _diatomic(distances, _floats(energies, names.energies, name), along, names)
    return _Raw(
        _numbers(arrays[names.numbers], name),
        _floats(arrays[names.positions], names.positions, name),
        _floats(energies, labels.energy_key or names.energies, name),
        None if forces is None else _floats(forces, labels.forces_key or names.forces, name),
        _text(arrays.get("e_unit"), names.energy_unit),
        _text(arrays.get("r_unit"), names.length_unit),
        cells=cells_of_arrays(arrays, len(arrays[names.positions]), f"dataset {name}"),
        stresses=_asked(arrays, labels.stress_key, "stress", name),
        groups=_asked(arrays, labels.groups_key, None, name),
    )


def _asked(arrays: Mapping[str, Any], key: str | None, usual: str | None, name: str) -> Any:
    """Return an array that need not be there unless the user names it."""
    if key is not None and key not in arrays:
        raise InputError(
            f"dataset {name} has no {quoted(key)}",
            hint=f"it has {', '.join(sorted(map(quoted, arrays)))}",
        )
    found = key or usual
    return None if found is None else arrays.get(found)


@dataclass(frozen=True)
class _Names:
    numbers: str | None
    positions: str
    energies: str
    forces: str
    energy_unit: str | None
    length_unit: str | None


_LAYOUTS = {
    ("Z", "R"): _Names("Z", "R", "E", "F", "eV", "angstrom"),
    ("nuclear_charges", "coords"): _Names(
        "nuclear_charges", "coords", "energies", "forces", "kcal/mol", "angstrom"
    ),
    ("z", "R"): _Names("z", "R", "E", "F", None, "angstrom"),
    ("r", "E"): _Names(None, "r", "E", "F", "eV", "angstrom"),
}


def load_npz(content: bytes, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file; refuse pickled objects and oversized files.

    What the file declares is compared with its own size before memory is asked for.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = _check_declared(archive, len(content), name)
        with np.load(io.BytesIO(content), allow_pickle=False) as data:
            return {key: data[key] for key in names}
    except (*_DAMAGED, RecursionError, MemoryError) as error:
        reason = "it has arrays of objects" if "allow_pickle" in str(error) else "damaged"
        if not content.startswith(b"PK"):
            reason = "it is no archive of arrays, as np.savez writes"
        raise InputError(f"dataset {name} is not a usable .npz file: {reason}") from None


_DAMAGED = (
    ValueError, OSError, EOFError, KeyError, TypeError, OverflowError, SyntaxError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError,
)  # fmt: skip
"""Errors of zipfile and NumPy for archives that are not whole."""


def _check_declared(archive: zipfile.ZipFile, size: int, name: str) -> list[str]:
    """Return the names of the arrays; refuse sizes and shapes that the file cannot hold."""
    entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
    declared = sum(entry.file_size for entry in archive.infolist())
    if declared > MAX_BYTES:
        raise InputError(f"dataset {name} unpacks to {declared} bytes; at most {MAX_BYTES}")
    if declared > MAX_RATIO * size:
        raise InputError(f"dataset {name} declares {declared} bytes, but has only {size} packed")
    if len(entries) > MAX_ARRAYS:
        raise InputError(f"dataset {name} has {len(entries)} arrays; at most {MAX_ARRAYS}")
    for entry in entries:
        with archive.open(entry) as file:
            shape, dtype = _header(file)
            left = entry.file_size - file.tell()
        n_bytes = math.prod(shape) * dtype.itemsize
        if len(shape) > MAX_DIMENSIONS or n_bytes > left:
            raise InputError(
                f"dataset {name}: {quoted(entry.filename)} declares {len(shape)} dimensions and "
                f"{n_bytes:.6g} bytes, but has {left} bytes; at most "
                f"{MAX_DIMENSIONS} dimensions"
            )
    return [entry.filename.removesuffix(".npy") for entry in entries]


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and type of an array; raises ValueError for other files and for objects."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("another version of the format")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("objects need allow_pickle")
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("no shape")
    return shape, dtype


def _diatomic(distances: Array, energies: Any, forces: Any, names: _Names) -> _Raw:
    """Put two atoms on the z axis; `forces` act along the bond, on the second atom."""
    n = distances.size
    positions = np.zeros((n, 2, 3))
    positions[:, 1, 2] = distances.reshape(-1)
    vectors = None
    if forces is not None:
        along = np.asarray(forces, float).reshape(-1)
        vectors = np.zeros((len(along), 2, 3))
        vectors[:, 0, 2], vectors[:, 1, 2] = -along, along
    return _Raw(
        None, positions, np.asarray(energies, float), vectors, names.energy_unit, names.length_unit
    )


def _read_xyz(path: Path, content: bytes, labels: Labels) -> _Raw:
    name = quoted(path.name)
    try:
        raw = _from_atoms(frames_of_text(path, content), labels, name)
        _check_shapes(raw, name)
    except InputError as error:  # energy=-1,5 is an array of two numbers for ASE
        advice = decimal_comma(content.decode(errors="replace"))
        raise InputError(error.message, advice or error.hint) from None
    return raw


def _read_database(path: Path, content: bytes, labels: Labels) -> _Raw:
    return _from_atoms(frames_of_database(path, content), labels, quoted(path.name))


def frames_of_text(path: Path, content: bytes) -> "list[Frame]":
    """Return the frames of an extended XYZ file.

    Raises
    ------
    InputError
        If it is not valid, or holds less than it declares.
    """
    import ase.io

    name = quoted(path.name)
    try:
        whole = content.decode()
        check_text(whole.splitlines(), "extxyz", name, max_frames=MAX_FRAMES)
        text = io.StringIO(hydrogen_by_element(whole, name))
        frames: Any = ase.io.read(text, index=slice(None), format="extxyz")
    except InputError as error:
        raise InputError(f"dataset {error.message}", error.hint) from None
    except Exception as error:  # each parser of ASE fails in its own way
        what = f"dataset {name} is not a valid extended XYZ file"
        raise unreadable(what, error, content.decode(errors="replace")) from None
    return [Frame.read(atoms) for atoms in frames]


def frames_of_database(path: Path, content: bytes) -> "list[Frame]":
    """Return the rows of an ASE database, as SQLite or JSON.

    Raises
    ------
    InputError
        If it is not valid, or too large.
    """
    from ase import Atoms

    name = f"dataset {quoted(path.name)}"
    read = read_sqlite if path.suffix.lower() == ".db" else read_json
    frames = []
    for row in read(content, name):
        _check_numbers(row.numbers, quoted(path.name))
        pbc = row.cell.any(axis=1)
        frames.append(Frame(Atoms(row.numbers, row.positions, cell=row.cell, pbc=pbc), row.labels))
    return frames


@dataclass(frozen=True, eq=False)
class Frame:
    """Frame of ASE: atoms, and labels by name."""

    atoms: Any
    labels: Mapping[str, Any]

    @classmethod
    def read(cls, atoms: Any) -> "Frame":
        """Return atoms of ASE with the labels of their calculator, comment line and arrays."""
        found = dict(atoms.calc.results) if atoms.calc is not None else {}
        return cls(atoms, {**found, **atoms.info, **atoms.arrays})


def _from_atoms(frames: list[Frame], labels: Labels, name: str) -> _Raw:
    if not frames:
        raise InputError(f"dataset {name} has no frames")
    numbers = frames[0].atoms.numbers
    for i, frame in enumerate(frames):
        _check_numbers(frame.atoms.numbers, name)
        if not np.array_equal(frame.atoms.numbers, numbers):
            raise InputError(
                f"dataset {name}: frame {i + 1} has other atoms than frame 1 "
                f"({frame.atoms.get_chemical_formula()}, "
                f"{frames[0].atoms.get_chemical_formula()}), or another order"
            )
    _refuse_mixed_electrons(frames, name)
    energies = column(frames, labels.energy_key, ("REF_energy", "energy"), name)
    forces = column(frames, labels.forces_key, ("REF_forces", "forces"), name)
    _check_found(name, labels, energies, forces, frames[0].labels, "energy")
    energy_key, notes = _of_forces(frames, labels.energy_key, energies, name)
    if energy_key == "free_energy":
        energies = column(frames, energy_key, (), name)
    positions = np.array([frame.atoms.positions for frame in frames])
    place = f"dataset {name}, frame"
    found = [periodic_cell(each.atoms, f"{place} {i}") for i, each in enumerate(frames)]
    return _Raw(
        np.asarray(numbers, np.int64), positions, energies, forces, "eV", "angstrom", energy_key,
        notes, checked_cells(found, len(frames), f"dataset {name}"),
        column(frames, labels.stress_key, ("REF_stress", "stress"), name),
        column(frames, labels.groups_key, (), name) if labels.groups_key else None,
    )  # fmt: skip


def _of_forces(
    frames: list[Frame], asked: str | None, energies: Any, name: str
) -> tuple[str | None, tuple[str, ...]]:
    """Return which of `energy` and `free_energy` is taken, if they differ, and a note.

    Forces are slopes of the free energy. With smeared occupations `energy` is another one:
    extrapolated to zero width.
    """
    if asked not in (None, "energy") or any("REF_energy" in frame.labels for frame in frames):
        return None, ()
    if not any("free_energy" in frame.labels for frame in frames):
        return None, ()
    free = column(frames, "free_energy", (), name)
    largest = float(np.abs(np.asarray(energies) - free).max()) if len(frames) else 0.0
    if largest <= SAME_EV:
        return None, ()
    differ = f"dataset {name}: `energy` and `free_energy` differ by up to {largest:.3g} eV"
    if asked:
        return "energy", (f"{differ}; `energy` is taken as asked, not the one of the forces",)
    return "free_energy", (
        f"{differ}; `free_energy` is taken, whose slopes the forces are (`labels.energy_key: "
        "energy` takes the other)",
    )


_ELECTRONS = "charge", "total_charge", "net_charge", "spin", "multiplicity", "spin_multiplicity"


def _refuse_mixed_electrons(frames: list[Frame], name: str) -> None:
    """Refuse frames of several charges or spins: their energies are not one function."""
    for key in _ELECTRONS:
        values = [str(frame.atoms.info.get(key)) for frame in frames]
        other = next((i for i, value in enumerate(values) if value != values[0]), None)
        if other is not None:
            raise InputError(
                f"dataset {name}: frame {other + 1} states {key} {quoted(values[other])}, frame 1 "
                f"{quoted(values[0])}; one potential has one {key}",
                hint="write frames of one kind to a file of their own",
            )


def column(
    frames: list[Frame], key: str | None, usual: tuple[str, ...], name: str
) -> np.ndarray | None:
    """Return one label of all frames; None if no frame has it.

    Parameters
    ----------
    frames : list of Frame
    key : str or None
        Name of the label; None for the first of `usual` that a frame has.
    usual : tuple of str
    name : str
        Name of the file, for messages.

    Raises
    ------
    InputError
        If some frames have it and others do not, or it is not an array of numbers.
    """
    names = (key,) if key else usual
    found = next((n for n in names if any(n in frame.labels for frame in frames)), None)
    if found is None:
        return None
    missing = [i for i, frame in enumerate(frames) if found not in frame.labels]
    if missing:
        raise InputError(
            f"dataset {name}: frame {missing[0] + 1} has no {quoted(found)}, others have one"
        )
    try:
        values: np.ndarray = np.array([frame.labels[found] for frame in frames], float)
    except (TypeError, ValueError):
        raise InputError(f"dataset {name}: {quoted(found)} is not an array of numbers") from None
    return values


def _check_found(
    name: str,
    labels: Labels,
    energies: Any,
    forces: Any,
    known: Mapping[str, Any],
    usual: str,
) -> None:
    for key, found in ((labels.energy_key, energies), (labels.forces_key, forces)):
        if key and found is None:
            names = ", ".join(sorted(map(quoted, known)))
            raise InputError(f"dataset {name} has no {quoted(key)}", hint=f"it has {names}")
    if energies is None:
        raise InputError(
            f"dataset {name} has no energies (no {quoted(usual)})",
            hint="name them with labels.energy_key",
        )


def _numbers(values: np.ndarray, name: str) -> Integers:
    """Return the atomic numbers of all frames, which the file may repeat for each."""
    if values.dtype.kind not in "iu":
        raise InputError(f"dataset {name}: atomic numbers must be integers, not {values.dtype}")
    if not values.size:
        raise InputError(f"dataset {name} has no atomic numbers")
    _check_numbers(values, name)
    rows = values.reshape(-1, values.shape[-1]) if values.ndim == 2 else values[None]
    if rows.ndim != 2 or len(rows) == 0 or not (rows == rows[0]).all():
        raise InputError(f"dataset {name}: all frames must have the same atoms in the same order")
    return np.asarray(rows[0], np.int64)


def _check_numbers(values: np.ndarray, name: str) -> None:
    """Raise InputError unless all are atomic numbers of elements."""
    wrong = values[(values < 1) | (values > LAST_ELEMENT)]
    if wrong.size:
        raise InputError(
            f"dataset {name}: {int(wrong[0])} is no atomic number; expected 1 to {LAST_ELEMENT}"
        )


LAST_ELEMENT = 118


def _floats(values: np.ndarray, key: str, name: str) -> Array:
    if values.dtype.kind not in "fiu":
        first = _text(values, None) if values.dtype.kind in "SU" else None
        raise InputError(
            f"dataset {name}: {key} is of type {values.dtype}; expected numbers",
            hint=decimal_comma(first or ""),
        )
    return values.astype(np.float64)


def _text(value: np.ndarray | None, default: str | None) -> str | None:
    """Return the text of an array of one text, of characters or, as in files of sGDML, of bytes."""
    if value is None:
        return default
    text: Any = value.reshape(-1)[0] if value.size else ""
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)


def _check_shapes(raw: _Raw, name: str) -> None:
    """Raise InputError unless there is one energy and one set of forces for each frame."""
    shape = raw.positions.shape
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise InputError(
            f"dataset {name}: positions have shape {shape}; expected (frames, atoms, 3)"
        )
    if raw.numbers is not None:
        _check_numbers(raw.numbers, name)
    if raw.numbers is not None and len(raw.numbers) != shape[1]:
        raise InputError(
            f"dataset {name}: {len(raw.numbers)} atomic numbers, but positions of {shape[1]} atoms"
        )
    if raw.energies.size != shape[0] or raw.energies.ndim > 2:
        raise InputError(
            f"dataset {name}: energies have shape {raw.energies.shape}; expected one for each of "
            f"{shape[0]} frames"
        )
    if raw.forces is not None and raw.forces.shape != shape:
        raise InputError(
            f"dataset {name}: forces have shape {raw.forces.shape}, positions {shape}; expected "
            "the same"
        )
    for what in ("positions", "energies", "forces"):
        values = getattr(raw, what)
        if values is not None and not np.abs(values).max() <= LARGEST:
            bad = ~(np.abs(values.reshape(shape[0], -1)) <= LARGEST).all(axis=1)
            raise InputError(
                f"dataset {name}: {what} of frame {int(bad.argmax()) + 1} are not finite, or "
                f"beyond {LARGEST:g} ({int(bad.sum())} such frames)",
                hint="remove these frames",
            )


def _checked_groups(groups: Any, n_frames: int, name: str) -> Integers | None:
    if groups is None:
        return None
    found = np.asarray(groups)
    whole = found.dtype.kind in "iuf" and bool((found == np.round(found)).all())
    if found.shape != (n_frames,) or not whole:
        raise InputError(f"dataset {name}: expected groups as {n_frames} whole numbers")
    return found.astype(np.int64)


def _factors(raw: _Raw, labels: Labels, name: str) -> tuple[float, float, float]:
    """Return the factors that convert energies, lengths and forces to eV and angstrom."""
    energy_unit = labels.energy_unit or raw.energy_unit
    length_unit = labels.length_unit or raw.length_unit
    if energy_unit is None:
        raise InputError(
            f"dataset {name} does not say the unit of its energies",
            hint=f"set labels.energy_unit to one of {', '.join(ENERGY_UNITS)}",
        )
    energy = _factor(energy_unit, ENERGY_UNITS, name)
    length = _factor(length_unit or "angstrom", LENGTH_UNITS, name)
    if labels.forces_unit is None:
        return energy, length, energy / length
    energy_unit, _, length_unit = labels.forces_unit.rpartition("/")
    force = _factor(energy_unit, ENERGY_UNITS, name) / _factor(length_unit, LENGTH_UNITS, name)
    return energy, length, force


def _factor(unit: str, known: Mapping[str, float], name: str) -> float:
    lower = {key.lower(): value for key, value in known.items()} | {"ang": 1.0, "a": 1.0}
    try:
        return lower[unit.strip().lower()]
    except KeyError:
        raise InputError(
            f"dataset {name}: unknown unit {quoted(unit)}; expected one of {', '.join(known)}"
        ) from None
