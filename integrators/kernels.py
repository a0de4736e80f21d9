"""The three moves of the splitting literature, B, A and O, and the kinetic energy.

All arrays are float64 of shape (n_atoms, 3), masses of shape (n_atoms,); the first argument (for
`drift` and `kick`, the moved quantity) is changed in place. Loops instead of array expressions:
those would allocate in each step.
"""

import math

import numpy as np

from .compiled import inner
from .kernel_cache import njit


@inner
def kick(velocities, forces, inv_masses, dt):
    """B: ``v += dt F/m``, the exact flow of the potential energy for a time `dt`."""
    for i in range(velocities.shape[0]):
        for k in range(3):
            velocities[i, k] += dt * inv_masses[i] * forces[i, k]


@inner
def drift(positions, velocities, dt):
    """A: ``x += dt v``, the exact flow of the kinetic energy for a time `dt`."""
    for i in range(positions.shape[0]):
        for k in range(3):
            positions[i, k] += dt * velocities[i, k]


@inner
def ou(velocities, noise, inv_masses, friction, kT, dt):
    """O: ``v <- c v + sqrt((1 - c^2) kT/m) R`` with ``c = exp(-friction dt)``.

    The exact solution of the Ornstein-Uhlenbeck process for a time `dt`; `noise` holds the
    independent standard normal numbers R.
    """
    decay, variance = ou_factors(friction, kT, dt)
    for i in range(velocities.shape[0]):
        spread = math.sqrt(variance * inv_masses[i])
        for k in range(3):
            velocities[i, k] = decay * velocities[i, k] + spread * noise[i, k]


@inner
def ou_factors(friction, kT, dt):
    """Return c of `ou`, and ``(1 - c^2) kT``."""
    variance = -math.expm1(-2.0 * friction * dt) * kT  # 1 - c^2 loses 12 digits at 1/ps, 0.5 fs
    return math.exp(-friction * dt), variance


@inner
def centre_velocity(velocities, inv_masses, about_centre, out):
    """Write the velocity of the centre of mass, or zeros unless `about_centre`, to `out`, (3,).

    A fixed atom has an inverse mass of 0, and no velocity.
    """
    total = 0.0
    for k in range(3):
        out[k] = 0.0
    if about_centre:
        for i in range(velocities.shape[0]):
            if inv_masses[i] > 0.0:
                total += 1.0 / inv_masses[i]
                for k in range(3):
                    out[k] += velocities[i, k] / inv_masses[i]
        for k in range(3):
            out[k] /= total


@inner
def twice_kinetic(velocities, inv_masses, centre):
    """Return ``sum m |v - centre|^2`` (eV) over the atoms that are not fixed."""
    total = 0.0
    for i in range(velocities.shape[0]):
        if inv_masses[i] > 0.0:
            for k in range(3):
                total += (velocities[i, k] - centre[k]) ** 2 / inv_masses[i]
    return total


@inner
def scale_about(velocities, inv_masses, centre, factor):
    """``v <- centre + factor (v - centre)`` for the atoms that are not fixed."""
    for i in range(velocities.shape[0]):
        if inv_masses[i] > 0.0:
            for k in range(3):
                velocities[i, k] = centre[k] + factor * (velocities[i, k] - centre[k])


@inner
def copy_into(target, source):
    """``target[:] = source``, which as such takes Numba 3 s to compile."""
    for i in range(source.shape[0]):
        for k in range(3):
            target[i, k] = source[i, k]


@njit()
def kinetic_energy(velocities, masses):
    """Kinetic energy ``sum m v^2 / 2`` (eV) of `velocities` with `masses` (u)."""
    return _kinetic_energy(velocities, masses)


@njit()
def kinetic_energies(velocities, masses):
    """`kinetic_energy` (eV) of each replica; `velocities` of shape (n, n_atoms, 3)."""
    energies = np.empty(velocities.shape[0])
    for r in range(velocities.shape[0]):
        energies[r] = _kinetic_energy(velocities[r], masses)
    return energies


@inner
def _kinetic_energy(velocities, masses):
    total = 0.0
    for i in range(velocities.shape[0]):
        for k in range(3):
            total += 0.5 * masses[i] * velocities[i, k] ** 2
    return total
