"""Thermal velocities, degrees of freedom and the kinetic temperature."""

from collections.abc import Sequence

import numpy as np

from qmd import units
from qmd.system.system import System
from qmd.typing import Array


def thermal_velocities(
    system: System,
    temperature_K: float,
    normals: Array,
    *,
    exact: bool = False,
    remove_rotation: bool = False,
    fixed: Sequence[int] = (),
) -> Array:
    """Return Maxwell-Boltzmann velocities without overall translation.

    ``v = sqrt(kT/m) xi``; then the velocity of the centre of mass is subtracted, which leaves the
    exact distribution at fixed total momentum, and on request the rotation as well.

    Parameters
    ----------
    system : System
    temperature_K : float
        Temperature (K).
    normals : array, shape (n_atoms, 3)
        Unit normal deviates xi.
    exact : bool
        Rescale so that the kinetic temperature equals `temperature_K` up to rounding.
    remove_rotation : bool
        Also set the angular momentum to zero.
    fixed : sequence of int
        Atoms at rest. With one of them the total momentum of the others stays as it is drawn.

    Returns
    -------
    array, shape (n_atoms, 3)
        Internal units.
    """
    if normals.shape != system.positions.shape:
        raise ValueError(f"normals have shape {normals.shape}, not {system.positions.shape}")
    masses = system.masses[:, None]
    velocities = np.sqrt(temperature_K * units.kB / masses) * normals
    if len(fixed):
        velocities[list(fixed)] = 0.0
    else:
        velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    if remove_rotation:
        velocities -= _rigid_rotation(system, velocities)
    if exact:
        rotations = n_rotations(system) if remove_rotation else 0
        dof = degrees_of_freedom(system.n_atoms, rotations)
        if len(fixed):
            dof = 3 * (system.n_atoms - len(fixed))
        now = kinetic_temperature(0.5 * float((masses * velocities**2).sum()), dof)
        velocities *= np.sqrt(temperature_K / now) if now > 0 else 0.0
    return velocities


def degrees_of_freedom(n_atoms: int, n_rotations: int = 0) -> int:
    """Return the number of kinetic degrees of freedom of thermal start velocities: 3N-3.

    Parameters
    ----------
    n_atoms : int
    n_rotations : int
        Overall rotations that were removed, see `n_rotations`: 3N-6, or 3N-5 for a linear molecule.
    """
    return 3 * n_atoms - 3 - n_rotations


def kinetic_temperature(kinetic_energy: float, dof: int) -> float:
    """Return ``2 K / (dof k)`` in K for a kinetic energy in eV; 0 without degrees of freedom."""
    return 2 * kinetic_energy / (dof * units.kB) if dof > 0 else 0.0


def n_rotations(system: System) -> int:
    """Return the number of overall rotations: 3, or 2 for a linear molecule, or 0 for an atom."""
    if system.n_atoms == 1:  # its arms are the rounding of its place
        return 0
    return int(np.count_nonzero(_inertia(system)[2]))


def _inertia(system: System) -> tuple[Array, Array, Array]:
    """Return arms from the centre of mass, principal axes (columns) and inverse moments of inertia.

    The inverse is 0 about the axis of a linear molecule (within 1e-4 rad) and for an atom.
    """
    masses = system.masses[:, None]
    arms = system.positions - (masses * system.positions).sum(axis=0) / masses.sum()
    second = (masses * arms).T @ arms
    moments, axes = np.linalg.eigh(np.trace(second) * np.eye(3) - second)
    turns = moments > 1e-8 * moments.max()
    return arms, axes, np.where(turns, 1 / np.where(turns, moments, 1.0), 0.0)


def _rigid_rotation(system: System, velocities: Array) -> Array:
    """Return the part ``omega x r`` of `velocities` that carries the angular momentum."""
    arms, axes, inverse_moments = _inertia(system)
    angular_momentum = np.cross(arms, system.masses[:, None] * velocities).sum(axis=0)
    omega = axes @ (inverse_moments * (axes.T @ angular_momentum))
    return np.cross(omega, arms)
