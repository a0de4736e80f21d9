"""Minimum of a potential, and its normal modes."""

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
    flat = positions.reshape(-1)
    hessian = np.empty((flat.size, flat.size))
    for i in range(flat.size):
        shift = np.zeros(flat.size)
        shift[i] = STEP
        plus, minus = (method((flat + s * shift).reshape(positions.shape))[1] for s in (1, -1))
        hessian[i] = (minus - plus).reshape(-1) / (2 * STEP)
    root = np.sqrt(np.repeat(masses, 3))
    weighted = (hessian + hessian.T) / 2 / np.outer(root, root)
    rigid = rigid_modes(positions, masses)
    outside = np.eye(flat.size) - rigid @ rigid.T
    values, vectors = np.linalg.eigh(outside @ weighted @ outside)
    is_rigid = np.argsort(-np.linalg.norm(rigid.T @ vectors, axis=0))[: rigid.shape[1]]
    vibrations = np.delete(values, is_rigid)
    angular = np.sign(vibrations) * np.sqrt(np.abs(vibrations)) * units.ps  # 1/ps
    return np.sort(angular / (2 * np.pi * SPEED_OF_LIGHT_CM_PER_PS))


def rigid_modes(positions: Array, masses: Array) -> Array:
    """Return orthonormal mass-weighted translations and rotations, (3 n_atoms, 6), 5 if linear."""
    x = positions - masses @ positions / masses.sum()
    moves = [np.tile(axis, (len(x), 1)) for axis in np.eye(3)]
    moves += [np.cross(axis, x) for axis in np.eye(3)]
    weighted = np.stack([(np.sqrt(masses)[:, None] * m).reshape(-1) for m in moves], axis=1)
    vectors, sizes, _ = np.linalg.svd(weighted, full_matrices=False)
    return np.asarray(vectors[:, sizes > 1e-6 * sizes[0]])
