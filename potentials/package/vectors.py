"""The test vectors of a package: geometries with their energies and forces."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .limits import MAX_AMPLITUDES, amplitudes_written
from .package import Package, PackageError

ENERGY_TOLERANCE, FORCE_TOLERANCE = 1e-10, 1e-8
"""eV, eV/angstrom: rounding of another processor is 1e-13; a miscompilation is not."""


def vectors_of(
    prefix: str,
    evaluate: Callable[..., tuple[float, np.ndarray]],
    positions: np.ndarray,
    cells: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return positions with their energies and forces, by the names of the arrays in a package."""
    each: Any = zip(positions) if cells is None else zip(positions, cells, strict=True)
    results = [evaluate(*geometry) for geometry in each]
    return {
        f"{prefix}positions": np.ascontiguousarray(positions, float),
        f"{prefix}energies": np.array([e for e, _ in results], float),
        f"{prefix}forces": np.array([f for _, f in results], float),
    }


def check(package: Package, vectors: dict[str, np.ndarray], prefix: str) -> None:
    """Raise PackageError where the package does not give the energies and forces of its vectors."""
    energies, forces = vectors[f"{prefix}energies"], vectors[f"{prefix}forces"]
    shape = package.test_positions.shape
    if not (shape[0] > 0 and energies.shape == shape[:1] and forces.shape == shape):
        raise PackageError("its test vectors are missing, or do not match each other")
    if not all(array.dtype == np.float64 for array in vectors.values()):
        raise PackageError("its test vectors are not float64")
    for i, (energy, found) in enumerate(_evaluate(package)):
        if not abs(energy - energies[i]) <= ENERGY_TOLERANCE:
            raise PackageError(f"test vector {i} gives {energy} eV, stored {energies[i]}")
        if not np.abs(found - forces[i]).max() <= FORCE_TOLERANCE:
            raise PackageError(f"test vector {i} gives other forces than the stored ones")


def _evaluate(package: Package) -> list[tuple[float, np.ndarray]]:
    """Energies and forces at the test positions: native, or by JAX for what is beyond that."""
    from ..contract import evaluate

    if package.test_cells is not None:
        return _evaluate_in_cells(package, package.test_cells)
    try:
        kernel = package.native()
    except ValueError as error:
        if amplitudes_written(package.model) > MAX_AMPLITUDES:
            raise PackageError(f"its model is too large to check: {error}") from None
    else:
        return [evaluate(kernel, x) for x in package.test_positions]
    import jax

    from ..tree.potential import compiled

    with jax.enable_x64(True):
        results = map(compiled(package.potential()), package.test_positions)
        return [(float(energy), np.asarray(forces)) for energy, forces in results]


def _evaluate_in_cells(package: Package, cells: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Energies and forces at the test positions in their cells: native, or by JAX."""
    from ..contract import evaluate

    each = list(zip(package.test_positions, cells, strict=True))
    try:
        kernel = package.native()
    except ValueError:
        kernel = None
    if kernel is not None and kernel.periodic:
        return [evaluate(kernel, x, cell) for x, cell in each]
    import jax

    from ..tree.potential import compiled_in_cell

    with jax.enable_x64(True):
        function = compiled_in_cell(package.model)
        return [function(x, cell)[:2] for x, cell in each]
