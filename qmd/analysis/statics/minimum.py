"""Minimum of a potential, and its normal modes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from qmd import units
from qmd.analysis.spectrum import SPEED_OF_LIGHT_CM_PER_PS
from qmd.errors import NumericalError
from qmd.typing import Array, EnergyAndForces

LARGEST_FORCE = 1e-3
"""Largest force at a minimum, eV/angstrom; with the grids of DFT, smaller forces are noise."""
STEP = 5e-3
"""Displacement of the central differences, angstrom."""


class Minimum(NamedTuple):
    """Stationary point and its vibrational frequencies."""

    positions: Array
    """Positions, angstrom, (n_atoms, 3)."""
    energy: float
    """Energy, eV."""
    wavenumbers: Array
    """Wavenumbers of the vibrations, 1/cm, ascending; imaginary ones are negative."""


def minimum(method: EnergyAndForces, start: Array, masses: Array) -> Minimum:
    """Minimise the energy from `start`, and compute the Hessian by differences of the forces.

    Raises
    ------
    NumericalError
        If no minimum is found.
    """

    def energy_and_gradient(flat: Array) -> tuple[float, Array]:
        energy, forces = method(flat.reshape(start.shape))
        return energy - zero, -forces.reshape(-1)

    zero = method(start)[0]
    options = {"gtol": LARGEST_FORCE / 4, "maxiter": 400}
    with np.errstate(all="ignore"):  # a slope without end leads to infinity, and is refused below
        found = minimize(
            energy_and_gradient, start.reshape(-1), jac=True, method="BFGS", options=options
        )
    positions = found.x.reshape(start.shape)
    energy, forces = method(positions)
    if not np.abs(forces).max() <= LARGEST_FORCE:
        raise NumericalError(
            f"no minimum was found: the largest force is still {np.abs(forces).max():.1e} eV/A"
        )
    return Minimum(positions, energy, normal_modes(method, positions, masses))


def normal_modes(method: EnergyAndForces, positions: Array, masses: Array) -> Array:
    """Return wavenumbers of the vibrations, 1/cm, ascending, imaginary ones negative.

    Translation and rotation are projected out.
    """
    return vibrations(hessian(method, positions), masses, rigid_modes(positions, masses))[0]


def hessian(
    method: EnergyAndForces,
    positions: Array,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Array:
    """Return second derivatives of the energy, eV/angstrom^2, by differences of the forces."""
    flat = positions.reshape(-1)
    found = np.empty((flat.size, flat.size))
    for i in range(flat.size):
        shift = np.zeros(flat.size)
        shift[i] = STEP
        plus, minus = (method((flat + s * shift).reshape(positions.shape))[1] for s in (1, -1))
        found[i] = (minus - plus).reshape(-1) / (2 * STEP)
        on_progress(i + 1, flat.size)
    return (found + found.T) / 2


def vibrations(hessian: Array, masses: Array, rigid: Array) -> tuple[Array, Array]:
    """Return wavenumbers, 1/cm, ascending, and the mass-weighted modes, (n_modes, 3 n_atoms).

    Parameters
    ----------
    hessian : array, shape (3 n_atoms, 3 n_atoms)
    masses : array, shape (n_atoms,)
    rigid : array, shape (3 n_atoms, n_rigid)
        Mass-weighted motions without a force, such as `rigid_modes`; they are projected out.
    """
    root = np.sqrt(np.repeat(masses, 3))
    weighted = hessian / np.outer(root, root)
    outside = np.eye(len(root)) - rigid @ rigid.T
    values, vectors = np.linalg.eigh(outside @ weighted @ outside)
    is_rigid = np.argsort(-np.linalg.norm(rigid.T @ vectors, axis=0))[: rigid.shape[1]]
    squares, modes = np.delete(values, is_rigid), np.delete(vectors, is_rigid, axis=1).T
    angular = np.sign(squares) * np.sqrt(np.abs(squares)) * units.ps  # 1/ps
    order = np.argsort(angular, kind="stable")
    return angular[order] / (2 * np.pi * SPEED_OF_LIGHT_CM_PER_PS), modes[order]


def rigid_modes(positions: Array, masses: Array) -> Array:
    """Return orthonormal mass-weighted translations and rotations, (3 n_atoms, 6), 5 if linear."""
    x = positions - masses @ positions / masses.sum()
    moves = [np.tile(axis, (len(x), 1)) for axis in np.eye(3)]
    moves += [np.cross(axis, x) for axis in np.eye(3)]
    weighted = np.stack([(np.sqrt(masses)[:, None] * m).reshape(-1) for m in moves], axis=1)
    vectors, sizes, _ = np.linalg.svd(weighted, full_matrices=False)
    return np.asarray(vectors[:, sizes > 1e-6 * sizes[0]])
