"""Errors of the energies and forces of a potential on labelled geometries."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qmd.data.domains import outside
from qmd.errors import MismatchError, NumericalError
from qmd.forces.catalogue import load_package
from qmd.integrators import evaluate_virial
from qmd.potentials import Package, serves_cells_by_jax, spc_fw
from qmd.system.cell import is_full, volume
from qmd.system.system import System
from qmd.typing import Array, BatchedEnergyAndForces

if TYPE_CHECKING:
    from qmd.data.datasets import Dataset

CHUNK = 256
"""Number of geometries that are evaluated at once, which bounds the memory."""


@dataclass(frozen=True)
class Evaluation:
    """Errors over the frames of a data set (energies) and over components (forces)."""

    n: int
    """Number of frames."""
    n_outside_domain: int
    """Number of frames with a distance that the training data do not cover."""
    energy_offset_eV: float
    """Offset that was added to the energies of the model; 0 unless it was fitted."""
    mse_energy_eV2: float
    mse_forces_eV2_per_A2: float | None
    """Mean square error of the forces; None if there are no labels of forces."""
    mae_energy_meV: float
    mae_forces_meV_per_A: float | None
    n_atoms: int = 0
    """Number of atoms of a frame; 0 if they differ."""
    mse_stress_eV2_per_A6: float | None = None
    """Mean square error of the six components of the stress; None without labels of stress."""
    mae_stress_meV_per_A3: float | None = None


def load_labels(package: Package, path: Path, **labels: str | None) -> "Dataset":
    """Read labels for `package`, under the given keys, or else those that its training card names.

    Parameters
    ----------
    package : Package
    path : Path
    **labels
        Keys and units of `qmd.data.datasets.Labels`.
    """
    from qmd.data.datasets import Labels, read

    keys = package.training.get("labels_keys") or {}
    energy_key = labels.pop("energy_key", None) or keys.get("energy")
    forces_key = labels.pop("forces_key", None) or keys.get("forces")
    return read(path, Labels(energy_key, forces_key, **labels), periodic=bool(package.elements))


def evaluate(package: Package, labels: "Dataset", *, fit_offset: bool = False) -> Evaluation:
    """Compare the model with labels, in absolute energies.

    Parameters
    ----------
    labels : Dataset
        Labels, with or without forces.
    fit_offset : bool
        Remove the mean difference of the energies first, for labels with another zero.

    Raises
    ------
    MismatchError
        If the labels belong to other atoms, or to the same atoms in another order.
    NumericalError
        If an energy or a force of the model is not finite.
    """
    check_atoms(package, labels)
    stresses = None
    if labels.cells is None:
        energies, forces = batched(package)(labels.positions)
    else:
        energies, forces, stresses = in_cells(package, labels.positions, labels.cells)
    if not (np.isfinite(energies).all() and np.isfinite(forces).all()):
        raise NumericalError(f"{package.name} gives energies or forces that are not finite")
    difference = energies + _zero(package, fit_offset) - labels.energies
    offset = -float(difference.mean()) if fit_offset else 0.0
    mse_energy, mae_energy = mean_errors(difference + offset)
    mse_forces = mae_forces = None
    if labels.forces is not None:
        mse_forces, mae_forces = mean_errors(forces - labels.forces)
    mse_stress = mae_stress = None
    if stresses is not None and labels.stresses is not None:
        mse_stress, mae_stress = mean_errors(stresses - labels.stresses)
    isolated = labels.cells is None
    return Evaluation(
        n=len(energies),
        n_outside_domain=int(outside(package.domain, labels.positions).sum()) if isolated else 0,
        energy_offset_eV=offset,
        mse_energy_eV2=mse_energy,
        mse_forces_eV2_per_A2=mse_forces,
        mae_energy_meV=1000 * mae_energy,
        mae_forces_meV_per_A=None if mae_forces is None else 1000 * mae_forces,
        n_atoms=labels.positions.shape[1],
        mse_stress_eV2_per_A6=mse_stress,
        mae_stress_meV_per_A3=None if mae_stress is None else 1000 * mae_stress,
    )


def in_cells(package: Package, positions: Array, cells: Array) -> tuple[Array, Array, Array]:
    """Return energies, forces and stresses of geometries in cells, by the native kernel or by JAX.

    Parameters
    ----------
    package : Package
    positions : (n, n_atoms, 3)
        In angstrom.
    cells : (n, 3, 3)
        Lattice vectors in rows, angstrom.

    Returns
    -------
    energies : (n,)
        eV.
    forces : (n, n_atoms, 3)
        eV/angstrom.
    stresses : (n, 6)
        eV/angstrom^3, in the order xx, yy, zz, yz, xz, xy and with the sign of ASE; NaN where a
        cell is not periodic in all directions.

    Raises
    ------
    MismatchError
        If the potential is for isolated molecules.
    """
    function = _in_cell(package)
    found = zip(*(function(x, cell) for x, cell in zip(positions, cells, strict=True)), strict=True)
    energies, forces, virials = (np.array(part) for part in found)
    volumes = np.array([volume(cell) if is_full(cell) else np.nan for cell in cells])
    symmetric = (virials + np.swapaxes(virials, 1, 2)) / 2
    stresses = -symmetric[:, (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)] / volumes[:, None]
    return energies, forces, stresses


def _in_cell(package: Package) -> Callable[[Array, Array], tuple[float, Array, Array]]:
    """Return the function of positions and cell for energy, forces and virial."""
    try:
        kernel = package.native()
    except ValueError:
        kernel = None
    if kernel is not None and kernel.periodic:
        return lambda positions, cell: evaluate_virial(kernel, positions, cell)
    if kernel is not None or not serves_cells_by_jax(package.model):
        raise MismatchError(
            f"{package.name} has no native kernel in cells", "use labels of isolated molecules"
        )
    import jax

    from qmd.potentials import compiled_in_cell

    jax.config.update("jax_enable_x64", True)
    return compiled_in_cell(package.model)


def for_labels(package: Package, labels: "Dataset") -> Package:
    """Return a potential of several molecules for the molecule of the labels; any other unchanged.

    Raises
    ------
    MismatchError
        If a water potential is evaluated on labels of something else.
    """
    from ase.data import atomic_masses, atomic_numbers, chemical_symbols

    numbers = labels.numbers
    if package.name not in spc_fw.BY_NAME:
        species = () if numbers is None else tuple(chemical_symbols[z] for z in numbers)
        return package.on(species) if package.serves(species) else package
    if numbers is None:  # the file does not say
        waters = spc_fw.WATER * (labels.positions.shape[1] // 3)
        numbers = np.array([atomic_numbers[symbol] for symbol in waters])
    masses = atomic_masses[numbers]
    system = System(numbers, labels.positions[0], masses, None, labels.name)
    return load_package(package.name, Path(), system=system)


def _zero(package: Package, fit_offset: bool) -> float:
    """Return the energy (eV) of the labels at the zero of the model; 0 if unknown but fitted."""
    if not math.isnan(package.reference_energy_eV):
        return package.reference_energy_eV
    if fit_offset:
        return 0.0
    raise MismatchError(
        f"{package.name} has no absolute energies of these labels: it was trained on another "
        "composition",
        "Add --fit-offset, which compares energies up to a constant.",
    )


def mean_errors(residuals: Array) -> tuple[float, float]:
    """Return the mean square and the mean absolute value."""
    return float(np.mean(residuals**2)), float(np.mean(np.abs(residuals)))


def check_atoms(package: Package, labels: "Dataset") -> None:
    """Raise MismatchError unless the labels are for the atoms of the package, in its order."""
    from ase.data import chemical_symbols

    served, n_atoms = list(package.species), labels.positions.shape[1]
    if labels.numbers is None:  # the file does not say
        found = served if n_atoms == len(served) else [f"{n_atoms} atoms"]
    else:
        found = [chemical_symbols[z] for z in labels.numbers]
    if found == served:
        return
    listed = ", or ".join(" ".join(symbols) for symbols in package.served)
    what = f"{labels.name} is for {' '.join(found)}, but {package.name} serves {listed}"
    if sorted(found) == sorted(served):
        raise MismatchError(what, "reorder the atoms of the data set")
    raise MismatchError(what, "use labels of these atoms, or another potential")


def batched(package: Package) -> BatchedEnergyAndForces:
    """Return a function for energies and forces of many geometries, compiled once."""
    import jax

    jax.config.update("jax_enable_x64", True)
    program = in_chunks(jax.jit(jax.vmap(package.potential().energy_and_forces)))

    def evaluate(positions: Array) -> tuple[Array, Array]:
        energies, forces = program(positions)
        return energies, forces

    return evaluate


def in_chunks(program: Callable[..., Any]) -> Callable[..., list[Array]]:
    """Return `program` called with `CHUNK` rows at a time, so that it is compiled once."""

    def whole(*arrays: Array) -> list[Array]:
        n = len(arrays[0])
        chunks = []
        for start in range(0, n, CHUNK):
            rows = np.minimum(np.arange(start, start + CHUNK), n - 1)  # the last row fills up
            results = program(*(array[rows] for array in arrays))
            chunks.append([np.asarray(part)[: n - start] for part in results])
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    return whole


def as_json(result: Evaluation) -> str:
    """Return the errors as JSON, on one line."""
    return json.dumps(asdict(result), allow_nan=False)


def table(result: Evaluation) -> str:
    """Return the errors as text."""
    lines = [
        f"{result.n} frames, {result.n_outside_domain} of them outside the trained domain; "
        f"energy offset {result.energy_offset_eV:.6f} eV",
        f"{'':8}  {'RMSE':>16}  {'MAE':>16}  {'MSE':>20}",
        _row("energy", result.mse_energy_eV2, result.mae_energy_meV, ""),
    ]
    if result.mse_forces_eV2_per_A2 is None or result.mae_forces_meV_per_A is None:
        return "\n".join([*lines, "no labels of forces"])
    lines.append(_row("forces", result.mse_forces_eV2_per_A2, result.mae_forces_meV_per_A, "/A"))
    if result.mse_stress_eV2_per_A6 is not None and result.mae_stress_meV_per_A3 is not None:
        stress = 1000 * np.sqrt(result.mse_stress_eV2_per_A6)
        mae = f"{result.mae_stress_meV_per_A3:.4g} meV/A3"
        square = f"{result.mse_stress_eV2_per_A6:.3e} eV2/A6"
        lines.append(f"{'stress':8}  {f'{stress:.4g} meV/A3':>16}  {mae:>16}  {square:>20}")
    if result.n_atoms:
        per_atom = 1000 * np.sqrt(result.mse_energy_eV2) / result.n_atoms
        lines.append(f"energy, RMSE of an atom: {per_atom:.4g} meV")
    return "\n".join(lines)


def _row(name: str, mse: float, mae_meV: float, per: str) -> str:
    rmse = f"{1000 * np.sqrt(mse):.4g} meV{per}"
    square = f"{mse:.3e} eV2{per}{'2' if per else ''}"
    return f"{name:8}  {rmse:>16}  {f'{mae_meV:.4g} meV{per}':>16}  {square:>20}"
