"""Measures of a potential at given geometries: errors, symmetry, quantum resources."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qmd.audit.findings import random_rotations
from qmd.benchmark.config import ErrorsConfig, PathConfig, SymmetryConfig
from qmd.errors import InputError, NumericalError
from qmd.forces.runnable import RunnablePotential
from qmd.io import files
from qmd.system.system import System
from qmd.typing import Array, EnergyAndForces

Measured = dict[str, float | int | str | None]
"""Results of a measurement, with units in the keys."""
WIDTH_A = 0.05
"""Standard deviation of the random distortions on which symmetries are tested."""
SHIFT_A = 10.0


class LabelledFrames(NamedTuple):
    """Labelled geometries of one system."""

    symbols: tuple[str, ...]
    positions: Array
    """Positions, angstrom, (n_frames, n_atoms, 3)."""
    energies: Array
    """Energies, eV, (n_frames,)."""
    forces: Array | None
    """Forces, eV/angstrom, (n_frames, n_atoms, 3)."""
    sha256: str
    energy_key: str | None = None
    """Name of the energies, where the file has two that differ."""


def read_frames(config: ErrorsConfig, folder: Path) -> LabelledFrames:
    """Read the frames of the measure.

    Raises
    ------
    InputError, MismatchError
        If they cannot be read, or fewer than two are left.
    """
    found = _test_frames(config, folder) if config.test_frames_of else _dataset(config, folder)
    keep = np.arange(len(found.energies))
    if config.below_eV is not None:
        keep = keep[found.energies < found.energies.min() + config.below_eV]
    keep = keep[: config.frames]
    if len(keep) < 2:
        raise InputError(f"{config.name or config.kind}: fewer than two frames are left")
    forces = None if found.forces is None else found.forces[keep]
    return found._replace(
        positions=found.positions[keep], energies=found.energies[keep], forces=forces
    )


def _dataset(config: ErrorsConfig, folder: Path) -> LabelledFrames:
    from ase.data import chemical_symbols

    from qmd.data.datasets import Labels, read

    path = files.find_data(str(config.dataset), folder, "dataset", also_here=False)
    found = read(path, Labels())
    if found.numbers is None:
        raise InputError(f"{path} does not name its atoms; expected an array Z")
    symbols = tuple(chemical_symbols[z] for z in found.numbers)
    return LabelledFrames(
        symbols, found.positions, found.energies, found.forces, found.sha256, found.energy_key
    )


def _test_frames(config: ErrorsConfig, folder: Path) -> LabelledFrames:
    from qmd.config import load as inputs
    from qmd.train import data as train_data
    from qmd.train.config import TrainConfig

    path = folder / str(config.test_frames_of)
    loaded = inputs.load(path, TrainConfig).config
    species = loaded.model.traits(path.parent).species
    data = train_data.load(loaded, path.parent, species)
    sha256 = "".join(data.sha256.values())
    return LabelledFrames(
        species, data.test.positions, data.test.energies, data.test.forces, sha256, data.energy_key
    )


def errors(method: EnergyAndForces, labels: LabelledFrames) -> Measured:
    """Return RMSE and MAE, after subtraction of the mean difference of the energies.

    Raises
    ------
    NumericalError
        If an energy or a force is not finite.
    """
    energies, forces = evaluated(method, labels.positions)
    difference = energies - labels.energies
    found: Measured = {"frames": len(energies)} | _sizes(difference - difference.mean(), "energy")
    if labels.forces is not None:
        found |= _sizes(forces - labels.forces, "forces")
    if labels.energy_key is not None:
        found["energy_key"] = labels.energy_key
    return found


def _sizes(residuals: Array, what: str) -> Measured:
    unit = "meV" if what == "energy" else "meV_per_A"
    return {
        f"{what}_rmse_{unit}": 1000 * float(np.sqrt(np.mean(residuals**2))),
        f"{what}_mae_{unit}": 1000 * float(np.mean(np.abs(residuals))),
    }


def along_path(method: EnergyAndForces, config: PathConfig, folder: Path) -> Measured:
    """Return the errors along a reference trajectory."""
    from qmd.analysis import series

    run = series.read(folder / config.reference)
    rows = slice(None, None, config.every)
    energies, forces = evaluated(method, run.positions[rows])
    difference = energies - run.potential[rows]
    found: Measured = {"frames": len(energies)}
    found |= _sizes(difference - difference.mean(), "energy")
    return found | _sizes(forces - run.forces[rows], "forces")


def evaluated(method: EnergyAndForces, positions: Array) -> tuple[Array, Array]:
    """Return energies (n,) and forces (n, n_atoms, 3).

    Raises
    ------
    NumericalError
        If a value is not finite.
    """
    results = [method(np.ascontiguousarray(x)) for x in positions]
    energies = np.array([energy for energy, _ in results])
    forces = np.array([f for _, f in results])
    if not (np.isfinite(energies).all() and np.isfinite(forces).all()):
        raise NumericalError("energies or forces are not finite")
    return energies, forces


def symmetry(method: EnergyAndForces, config: SymmetryConfig, atoms: System) -> Measured:
    """Return the largest changes under shifts, rotations, reflections and exchanges of atoms."""
    from qmd.audit.symmetry import exchanges

    rng, n = np.random.default_rng(0), config.geometries
    positions = atoms.positions + WIDTH_A * rng.standard_normal((n, *atoms.positions.shape))
    energies, forces = evaluated(method, positions)
    turns = random_rotations(rng, n)
    mirrors = turns.transpose(0, 2, 1) @ np.diag([1.0, 1.0, -1.0]) @ turns
    shifts = SHIFT_A * rng.uniform(-1, 1, (n, 1, 3))
    moved = {
        "rotation": (positions @ turns.transpose(0, 2, 1) + shifts, _turn(forces, turns)),
        "reflection": (positions @ mirrors.transpose(0, 2, 1) + shifts, _turn(forces, mirrors)),
    }
    found: Measured = {}
    for name, (x, expected) in moved.items():
        found |= _changes(name, evaluated(method, x), energies, expected)
    swaps = [exchange.order for exchange in exchanges(atoms.symbols, atoms.positions)]
    changes = [
        _changes("exchange", evaluated(method, positions[:, list(o)]), energies, forces[:, list(o)])
        for o in swaps
    ]
    for key in changes[0] if changes else ():
        found[key] = max(float(change[key] or 0.0) for change in changes)
    return found


def _turn(vectors: Array, matrices: Array) -> Array:
    return np.asarray(vectors @ matrices.transpose(0, 2, 1))


def _changes(
    name: str, found: tuple[Array, Array], energies: Array, forces: Array
) -> dict[str, float | int | str | None]:
    return {
        f"{name}_energy_meV": 1000 * float(np.abs(found[0] - energies).max()),
        f"{name}_forces_meV_per_A": 1000 * float(np.abs(found[1] - forces).max()),
    }


def resources(potential: RunnablePotential) -> Measured:
    """Count the resources of all circuits of a potential; empty if it has none."""
    from qmd.circuits.instances import circuits_of_model
    from qmd.circuits.resources import resources as circuit_resources

    if potential.model is None:
        return {}
    found = [
        circuit_resources(instance)
        for instance in circuits_of_model(potential.model, potential.source.name)
    ]
    if not found:
        return {}
    return {
        "circuits": sum(r.copies for r in found),
        "qubits": max(r.n_qubits for r in found),
        "layers": max(r.n_layers for r in found),
        "cnots": max(r.cnots_at_most for r in found),
        "evaluations_per_energy": sum(r.copies * r.evaluations_per_energy for r in found),
        "evaluations_per_forces": sum(r.copies * r.evaluations_per_forces for r in found),
    }


def n_parameters(potential: RunnablePotential) -> int | None:
    """Count the parameters of a tree, fitted or chosen; None for a function."""
    from dataclasses import fields

    from qmd.potentials import leaves

    if potential.model is None:
        return None
    total = 0
    for _, leaf in leaves(potential.model):
        values: Any = getattr(leaf, "parameters", None)
        if values is None:
            values = [v for f in fields(leaf) if isinstance(v := getattr(leaf, f.name), float)]
        total += sum(np.size(value) for value in values)
    return total
