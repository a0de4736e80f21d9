"""`qmd label`: energies and forces of given geometries; can be resumed frame by frame."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import atomic_masses, chemical_symbols

from qmd.config.load import LoadedConfig
from qmd.data import geometries
from qmd.data.cells import require_isolated
from qmd.data.geometries import Geometries
from qmd.errors import InputError, MismatchError, memory_errors, one_line
from qmd.forces.config import ASEConfig, DFTConfig, FCIConfig
from qmd.forces.electrons import with_electrons
from qmd.forces.reference import ase_method, reference_energy, reference_method
from qmd.forces.virial_check import check_virial
from qmd.io import files
from qmd.io.stated import NOTHING, Stated
from qmd.jobs.lock import RunLock
from qmd.jobs.provenance import machine, versions
from qmd.label import frames as label_frames
from qmd.label.config import LabelConfig
from qmd.system.cell import ISOLATED, is_full, volume
from qmd.system.system import System
from qmd.typing import Array, EnergyInCell

LabelMethod = DFTConfig | FCIConfig | ASEConfig


class Geometry(NamedTuple):
    """One geometry, which a `Labeller` labels."""

    numbers: npt.NDArray[np.int64]
    """Atomic numbers, (n_atoms,), with 0 after the atoms of a frame that has fewer than others."""
    positions: Array
    """Positions, angstrom, (n_atoms, 3)."""
    cell: Array = ISOLATED
    """Lattice vectors, angstrom, (3, 3); zeros if the geometry is isolated."""


@dataclass(frozen=True)
class Labeller:
    """Task that labels one geometry; it is sent to other processes, and builds its methods there.

    Methods are built again for each geometry, so a label does not depend on the frame before it.
    """

    method: LabelMethod
    molecules: tuple[tuple[int, ...], ...] | None
    stated: Stated = NOTHING
    forces: bool = True
    """False for energies alone."""

    def __call__(self, geometry: Geometry) -> dict[str, Array]:
        system = _system(geometry, self.stated)
        if not self.forces:
            labels = {"E": np.array(reference_energy(self.method, system))}
        elif geometry.cell.any():
            labels = _labels_in_cell(self.method, system)
        else:
            energy, forces = reference_method(self.method, system)[1](system.positions)
            labels = {"E": np.array(energy), "F": forces}
        if self.molecules is not None:
            labels |= self._alone(labels, geometry)
        return _padded(labels, len(geometry.numbers))

    def _alone(self, whole: dict[str, Array], geometry: Geometry) -> dict[str, Array]:
        """Labels of each molecule by itself, and the rest of those of the whole."""
        assert self.molecules is not None
        alone = Labeller(self.method, None, forces=self.forces)
        parts = [
            alone(Geometry(geometry.numbers[list(atoms)], geometry.positions[list(atoms)]))
            for atoms in self.molecules
        ]
        each = np.array([part["E"] for part in parts])
        labels = {"E1": each, "E2": np.array(whole["E"] - each.sum())}
        if not self.forces:
            return labels
        single = np.zeros_like(whole["F"])
        for atoms, part in zip(self.molecules, parts, strict=True):
            single[list(atoms)] = part["F"]
        return labels | {"F1": single, "F2": whole["F"] - single}


def _system(geometry: Geometry, stated: Stated, name: str = "the structures") -> System:
    numbers = geometry.numbers[geometry.numbers != 0]
    positions, masses = geometry.positions[: len(numbers)], atomic_masses[numbers]
    return System(numbers, positions, masses, None, name, *stated, cell=geometry.cell)


def _labels_in_cell(method: LabelMethod, system: System) -> dict[str, Array]:
    energy, forces, virial = _in_cell(method, system)(
        system.positions, system.cell, is_full(system.cell)
    )
    labels = {"E": np.array(energy), "F": forces}
    return labels if virial is None else labels | {"stress": -virial / volume(system.cell)}


def _in_cell(method: LabelMethod, system: System) -> EnergyInCell:
    if not isinstance(method, ASEConfig):
        raise MismatchError(
            f"`kind: {method.kind}` is for isolated molecules, but the structures are periodic",
            hint="use an ASE calculator that knows cells",
        )
    return ase_method(method, system)[1]


def _padded(labels: dict[str, Array], n_atoms: int) -> dict[str, Array]:
    """Let zeros follow the forces of a frame that has fewer atoms than others."""
    missing = n_atoms - len(labels.get("F", range(n_atoms)))
    if not missing:
        return labels
    return labels | {"F": np.pad(labels["F"], ((0, missing), (0, 0)))}


@dataclass(frozen=True, eq=False)
class LabelJob:
    """A checked input with its geometries; nothing has been written yet."""

    system: System
    """The atoms, at the first geometry."""
    geometries: Geometries
    """Geometries to label."""
    molecules: tuple[tuple[int, ...], ...] | None
    """Atoms of each molecule, if they are labelled alone, too."""
    method: LabelMethod
    """Method of the input, with charge and multiplicity."""
    level_of_theory: str
    """Name of the method."""
    needs: tuple[str, ...]
    """Packages whose versions matter."""

    @property
    def tasks(self) -> list[Geometry]:
        """Geometries, one by one."""
        return _one_by_one(self.geometries)

    @property
    def atoms(self) -> str:
        """Symbols of the atoms, or the elements of frames with different ones."""
        if self.geometries.numbers.ndim == 1:
            return " ".join(self.system.symbols)
        found = np.unique(self.geometries.numbers)
        return f"different atoms: {', '.join(chemical_symbols[z] for z in found if z)}"


def _one_by_one(found: Geometries) -> list[Geometry]:
    frames = range(len(found.positions))
    rows = [found.numbers if found.numbers.ndim == 1 else found.numbers[n] for n in frames]
    cells = [ISOLATED] * len(frames) if found.cells is None else list(found.cells)
    return list(map(Geometry, rows, found.positions, cells))


def prepare(loaded: LoadedConfig[LabelConfig]) -> LabelJob:
    """Check the whole input, read the geometries.

    Raises
    ------
    InputError, MismatchError
        In one line.
    """
    config = loaded.config
    path = files.find_data(config.structures, loaded.path.parent, "structures")
    found = geometries.read(path)
    name = one_line(path.name)
    system = _system(_one_by_one(found)[0], found.stated, name)
    method = with_electrons(config.method, system)
    molecules = None
    if config.molecules is not None:
        if found.numbers.ndim > 1:
            raise InputError(f"{name}, labelled by `molecules`, has frames of different atoms")
        molecules = _molecules(config, len(found.numbers))
        _refuse_electrons(method)
        require_isolated(found.cells, f"{system.name}, labelled by `molecules`,")
    if found.cells is not None:
        _in_cell(method, system)
    _check_electrons(config.method, found, name)
    level, _, needs = reference_method(method, system)
    return LabelJob(system, _first(found, config.first), molecules, method, level, needs)


def _check_electrons(method: LabelMethod, found: Geometries, name: str) -> None:
    """Refuse frames whose electrons the method does not treat, before any is labelled."""
    if found.numbers.ndim == 1:
        return
    _, frames = np.unique(found.numbers, axis=0, return_index=True)
    every = _one_by_one(found)
    for n in sorted(frames.tolist()):
        with_electrons(method, _system(every[n], found.stated, f"{name}, frame {n}"))


def _first(found: Geometries, number: int | None) -> Geometries:
    numbers = found.numbers if found.numbers.ndim == 1 else found.numbers[:number]
    cells = None if found.cells is None else found.cells[:number]
    return Geometries(numbers, found.positions[:number], found.stated, cells)


@memory_errors()
def run(
    loaded: LoadedConfig[LabelConfig],
    output: Path | None = None,
    *,
    log: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Path:
    """Label the geometries that have no labels yet, and return the path of the .npz file.

    Parameters
    ----------
    loaded : LoadedConfig
    output : Path, optional
        The .npz file; default: `labels.npz` beside the input. A card, .json, is written beside it.
    log, on_progress : callable
        Called with lines for the user, and with the frames done and their number.

    Raises
    ------
    QmdError
        If the input, the structures, the method or an earlier file cannot be used, or if a frame
        cannot be labelled; all earlier frames have been saved by then.
    """
    config, folder = loaded.config, loaded.path.parent
    target = output or folder / "labels.npz"
    if target.suffix != ".npz":
        raise InputError(f"--output {target}: expected a file that ends in .npz")
    job = prepare(loaded)  # refused before anything is written
    stated = Stated(job.system.charge, job.system.multiplicity)
    labeller = Labeller(config.method, job.molecules, stated, config.forces)
    fixed, arrays = _arrays(job.geometries)
    card = {
        "system": job.atoms,
        "level_of_theory": job.level_of_theory,
        "method": job.method.model_dump(mode="json"),
        "molecules": config.molecules,
        "forces": config.forces,
        "structures": config.structures,
        "arrays": _described(job, config.forces),
        "versions": versions(*job.needs),
        "machine": machine(),
    }
    _check_same(target, card)
    if config.forces and not target.exists() and is_full(job.system.cell):
        _check_stress(job)

    def saved(done: int) -> None:
        files.write_text(
            target.with_suffix(".json"), json.dumps(card | {"frames": done}, indent=2) + "\n"
        )

    with RunLock(target.parent), files.output_errors(target):
        label_frames.label_frames(
            labeller, job.geometries.positions, target, fixed, arrays, tasks=job.tasks,
            workers=config.workers,
            executor=config.executor, save_every=config.save_every, log=lambda text: None,
            warn=log, on_progress=on_progress, saved=saved,
        )  # fmt: skip
    return target


def _arrays(found: Geometries) -> tuple[dict[str, Array], dict[str, Array]]:
    """Arrays to save beside positions and labels: of all frames together, and of each."""
    numbers: dict[str, Any] = {"Z": found.numbers}
    cells = {} if found.cells is None else {"cell": found.cells}
    return (numbers, cells) if found.numbers.ndim == 1 else ({}, numbers | cells)


def _check_stress(job: LabelJob) -> None:
    """Compare the stress at the first geometry, if there is one, with differences of the energy."""
    positions, cell = job.system.positions, job.system.cell
    function = _in_cell(job.method, job.system)
    if function(positions, cell, True)[2] is not None:
        check_virial(function, positions, cell, job.level_of_theory)


def _described(job: LabelJob, forces: bool) -> dict[str, str]:
    """Descriptions of the arrays, for the card."""
    arrays = {"Z": "atomic numbers", "R": "angstrom"}
    arrays |= {"E, F": "eV and eV/angstrom"} if forces else {"E": "eV"}
    if job.geometries.numbers.ndim > 1:
        arrays["Z"] += ", (frames, atoms); zeros, in all arrays, after the atoms of a frame"
    if job.molecules:
        rest = ", F less F1" if forces else ""
        arrays["E1, F1" if forces else "E1"] = "each molecule alone, in its own basis"
        arrays["E2, F2" if forces else "E2"] = f"interaction: E less the sum of E1{rest}"
    if job.geometries.cells is not None:
        arrays["cell"] = "lattice vectors in rows, angstrom; zeros along open directions"
        if forces:
            arrays["stress"] = "eV/angstrom^3, derivative of the energy by a strain over the volume"
    return arrays


_NEUTRAL = {"charge": 0, "multiplicity": 1}


def _refuse_electrons(method: LabelMethod) -> None:
    """Refuse labels of single molecules where one of them has a charge or a spin."""
    given = method.model_dump(mode="json")
    given |= given.get("arguments", {})
    for what, neutral in _NEUTRAL.items():
        if given.get(what) not in (None, neutral):
            raise InputError(
                f"`molecules` are neutral closed shells, but the whole has {what} {given[what]}",
                hint="leave out `molecules`: it is not known which one has the charge or the spin",
            )


def _molecules(config: LabelConfig, n_atoms: int) -> tuple[tuple[int, ...], ...] | None:
    if config.molecules is None:
        return None
    named = [i for atoms in config.molecules for i in atoms]
    if sorted(named) != list(range(n_atoms)):
        raise InputError(
            f"molecules must name each of the atoms 0 to {n_atoms - 1} once, but names "
            f"{', '.join(map(str, sorted(named)))}"
        )
    return tuple(tuple(atoms) for atoms in config.molecules)


def _check_same(target: Path, card: dict[str, Any]) -> None:
    """Refuse to resume an earlier file with another method."""
    path = target.with_suffix(".json")
    if not (os.path.exists(target) and os.path.exists(path)):
        return
    before = files.read_json(path)
    if isinstance(before.get("method"), dict) and "arguments" not in card["method"]:
        before["method"] = _NEUTRAL | before["method"]  # version 0.1 had no other electrons
    before = {"forces": True} | before  # version 0.1 knew no others
    for key in ("method", "molecules", "forces"):
        if before.get(key) != card[key]:
            raise MismatchError(
                f"{target} was labelled with another {key}: {before.get(key)}",
                hint="give another --output, or the input of then",
            )
