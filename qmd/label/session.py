"""`qmd label`: energies and forces of given geometries; can be resumed frame by frame."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses

from qmd.config.load import LoadedConfig
from qmd.data import geometries
from qmd.data.cells import require_isolated
from qmd.errors import InputError, MismatchError, memory_errors, one_line
from qmd.forces.config import ASEConfig, DFTConfig, FCIConfig
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


@dataclass(frozen=True)
class Labeller:
    """Task that labels one geometry; it is sent to other processes, and builds its methods there.

    Methods are built again for each geometry, so a label does not depend on the frame before it.
    """

    method: LabelMethod
    numbers: tuple[int, ...]
    molecules: tuple[tuple[int, ...], ...] | None
    stated: Stated = NOTHING

    def __call__(self, geometry: Array | tuple[Array, Array]) -> dict[str, Array]:
        if isinstance(geometry, tuple):
            return _labels_in_cell(self.method, self.numbers, *geometry)
        positions = geometry
        energy, forces = _compute(self.method, self.numbers, positions, self.stated)
        labels = {"E": np.array(energy), "F": forces}
        if self.molecules is None:
            return labels
        single, energies = np.zeros_like(forces), []
        for atoms in self.molecules:
            numbers = tuple(self.numbers[i] for i in atoms)
            one, single[list(atoms)] = _compute(self.method, numbers, positions[list(atoms)])
            energies.append(one)
        each = np.array(energies)
        return labels | {
            "E1": each, "F1": single, "E2": np.array(energy - each.sum()), "F2": forces - single,
        }  # fmt: skip


def _compute(
    method: LabelMethod, numbers: tuple[int, ...], positions: Array, stated: Stated = NOTHING
) -> tuple[float, Array]:
    from qmd.forces.reference import reference_method

    masses = atomic_masses[list(numbers)]
    system = System(np.array(numbers), positions, masses, None, "the structures", *stated)
    return reference_method(method, system)[1](positions)


def _labels_in_cell(
    method: LabelMethod, numbers: tuple[int, ...], positions: Array, cell: Array
) -> dict[str, Array]:
    function, system = _in_cell(method, numbers, positions, cell)
    energy, forces, virial = function(positions, cell, is_full(cell))
    labels = {"E": np.array(energy), "F": forces}
    return labels if virial is None else labels | {"stress": -virial / volume(cell)}


def _in_cell(
    method: LabelMethod, numbers: tuple[int, ...], positions: Array, cell: Array
) -> tuple[EnergyInCell, System]:
    from qmd.forces.reference import ase_method

    if not isinstance(method, ASEConfig):
        raise MismatchError(
            f"`kind: {method.kind}` is for isolated molecules, but the structures are periodic",
            hint="use an ASE calculator that knows cells",
        )
    masses = atomic_masses[list(numbers)]
    system = System(np.array(numbers), positions, masses, None, "the structures", cell=cell)
    return ase_method(method, system)[1], system


@dataclass(frozen=True, eq=False)
class LabelJob:
    """A checked input with its geometries; nothing has been written yet."""

    system: System
    """The atoms, at the first geometry."""
    positions: Array
    """Geometries, angstrom, (n_frames, n_atoms, 3)."""
    molecules: tuple[tuple[int, ...], ...] | None
    """Atoms of each molecule, if they are labelled alone, too."""
    method: LabelMethod
    """Method of the input, with charge and multiplicity."""
    level_of_theory: str
    """Name of the method."""
    needs: tuple[str, ...]
    """Packages whose versions matter."""
    cells: Array | None = None
    """Lattice vectors, angstrom, (n_frames, 3, 3); None if the geometries are isolated."""


def prepare(loaded: LoadedConfig[LabelConfig]) -> LabelJob:
    """Check the whole input, read the geometries.

    Raises
    ------
    InputError, MismatchError
        In one line.
    """
    from qmd.forces.electrons import with_electrons
    from qmd.forces.reference import reference_method

    config = loaded.config
    path = files.find_data(config.structures, loaded.path.parent, "structures")
    numbers, positions, stated, cells = geometries.read(path)
    molecules = _molecules(config, len(numbers))
    masses = atomic_masses[numbers]
    cell = ISOLATED if cells is None else cells[0]
    system = System(numbers, positions[0], masses, None, one_line(path.name), *stated, cell=cell)
    method = with_electrons(config.method, system)
    if molecules is not None:
        _refuse_electrons(method)
        require_isolated(cells, f"{system.name}, labelled by `molecules`,")
    if cells is not None:
        _in_cell(method, tuple(numbers.tolist()), positions[0], cell)
        cells = cells[: config.first]
    name, _, needs = reference_method(method, system)
    return LabelJob(system, positions[: config.first], molecules, method, name, needs, cells)


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
    numbers, positions = job.system.numbers, job.positions
    stated = Stated(job.system.charge, job.system.multiplicity)
    labeller = Labeller(config.method, tuple(numbers.tolist()), job.molecules, stated)
    tasks, arrays = _of_cells(job) if job.cells is not None else (None, {})
    card = {
        "system": " ".join(job.system.symbols),
        "level_of_theory": job.level_of_theory,
        "method": job.method.model_dump(mode="json"),
        "molecules": config.molecules,
        "structures": config.structures,
        "arrays": _ARRAYS | (_OF_MOLECULES if job.molecules else {}) | (_OF_CELLS if tasks else {}),
        "versions": versions(*job.needs),
        "machine": machine(),
    }
    _check_same(target, card)
    if not target.exists() and job.cells is not None and is_full(job.cells[0]):
        _check_stress(job)

    def saved(done: int) -> None:
        files.write_text(
            target.with_suffix(".json"), json.dumps(card | {"frames": done}, indent=2) + "\n"
        )

    with RunLock(target.parent), files.output_errors(target):
        label_frames.label_frames(
            labeller, positions, target, {"Z": numbers}, arrays, tasks=tasks,
            workers=config.workers,
            executor=config.executor, save_every=config.save_every, log=lambda text: None,
            warn=log, on_progress=on_progress, saved=saved,
        )  # fmt: skip
    return target


def _of_cells(job: LabelJob) -> tuple[list[tuple[Array, Array]], dict[str, Array]]:
    """Tasks of a labeller, and arrays to save, of periodic geometries."""
    assert job.cells is not None
    return list(zip(job.positions, job.cells, strict=True)), {"cell": job.cells}


def _check_stress(job: LabelJob) -> None:
    """Compare the stress at the first geometry, if there is one, with differences of the energy."""
    assert job.cells is not None
    numbers, positions, cell = tuple(job.system.numbers.tolist()), job.positions[0], job.cells[0]
    function, _ = _in_cell(job.method, numbers, positions, cell)
    if function(positions, cell, True)[2] is not None:
        check_virial(function, positions, cell, job.level_of_theory)


_ARRAYS = {"Z": "atomic numbers", "R": "angstrom", "E, F": "eV and eV/angstrom"}
_OF_MOLECULES = {
    "E1, F1": "each molecule alone, in its own basis",
    "E2, F2": "interaction: E less the sum of E1, F less F1",
}


_OF_CELLS = {
    "cell": "lattice vectors in rows, angstrom; zeros along open directions",
    "stress": "eV/angstrom^3, derivative of the energy by a strain over the volume",
}


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
    for key in ("method", "molecules"):
        if before.get(key) != card[key]:
            raise MismatchError(
                f"{target} was labelled with another {key}: {before.get(key)}",
                hint="give another --output, or the input of then",
            )
