"""Kinetic temperature of a run: which motion counts, and over how many degrees of freedom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmd import units
from qmd.system.system import System
from qmd.system.velocities import n_rotations
from qmd.typing import Array

AT_REST = 1e-6
"""A momentum, or angular momentum, below this fraction of the sum of its terms is zero: structure
files have eight digits or more."""


@dataclass(frozen=True, eq=False)
class Thermometer:
    """Kinetic temperature ``2 K / (dof k)`` of the motion that takes part in exchange of heat.

    Attributes
    ----------
    masses : array, shape (n_atoms,)
        Masses (u).
    dof : int
        Degrees of freedom.
    about_centre : bool
        True if K is that of the motion about the centre of mass: where nothing acts on the total
        momentum, its energy is constant and no heat.
    drift : float
        Speed (internal units) of the centre of mass at the start, if it does not count.
    """

    masses: Array
    dof: int
    about_centre: bool
    drift: float

    def temperatures(self, velocities: Array, kinetic: Array) -> Array:
        """Return temperatures (K), shape (n,); 0 without degrees of freedom.

        Parameters
        ----------
        velocities : array, shape (n, n_atoms, 3)
            Internal units.
        kinetic : array, shape (n,)
            Kinetic energies (eV) of all motion.
        """
        if self.about_centre:
            momenta = np.einsum("a,nax->nx", self.masses, velocities)
            kinetic = kinetic - (momenta**2).sum(axis=1) / (2 * self.masses.sum())
        return np.asarray(kinetic * self.kelvin_per_eV)

    @property
    def kelvin_per_eV(self) -> float:
        """Temperature (K) of a kinetic energy of 1 eV; 0 without degrees of freedom."""
        return 2 / (self.dof * units.kB) if self.dof > 0 else 0.0


def thermometer(
    system: System,
    velocities: Array,
    *,
    thermostatted: bool,
    confined: bool,
    fixed: Sequence[int] = (),
    driftless: bool = False,
) -> Thermometer:
    """Return the thermometer of a run that starts with `velocities`.

    Each constant of the motion that the start sets to zero takes a degree of freedom: the momentum
    in free space, and the angular momentum about the centre of mass, or about that of the sphere.

    Parameters
    ----------
    system : System
    velocities : array, shape (n_atoms, 3)
        Internal units.
    thermostatted : bool
        True if noise reaches all momenta: then nothing is constant.
    confined : bool
        True in a sphere about the origin, whose wall changes the total momentum.
    fixed : sequence of int
        Atoms that do not move; they hold the others, whose momenta are then no constants.
    driftless : bool
        True if the centre of mass is brought to rest again and again.
    """
    masses, n = system.masses, system.n_atoms
    if len(fixed):
        return Thermometer(masses, 3 * (n - len(fixed)), about_centre=False, drift=0.0)
    if thermostatted and driftless:
        return Thermometer(masses, 3 * n - 3, about_centre=True, drift=0.0)
    if thermostatted:
        return Thermometer(masses, 3 * n, about_centre=False, drift=0.0)
    momenta = masses[:, None] * velocities
    if confined:
        # A single atom without angular momentum moves along a line.
        turns = min(n + 1, 3) if _is_without_rotation(system.positions, momenta) else 0
        return Thermometer(masses, 3 * n - turns, about_centre=False, drift=0.0)
    centre, drift = (masses @ x / masses.sum() for x in (system.positions, velocities))
    still = _is_without_rotation(system.positions - centre, momenta - masses[:, None] * drift)
    # The images of a periodic system exert a torque: its angular momentum is no constant.
    turns = n_rotations(system) if still and not system.is_periodic else 0
    at_rest = driftless or _cancel(momenta, _lengths(momenta))
    speed = 0.0 if at_rest else float(np.linalg.norm(drift))
    return Thermometer(masses, 3 * n - 3 - turns, about_centre=True, drift=speed)


def _is_without_rotation(arms: Array, momenta: Array) -> bool:
    return _cancel(np.cross(arms, momenta), _lengths(arms) * _lengths(momenta))


def _cancel(terms: Array, sizes: Array) -> bool:
    """Return True if the sum of vectors, (n, 3), is zero beside the sum of `sizes`, (n,)."""
    return bool(np.linalg.norm(terms.sum(axis=0)) <= AT_REST * sizes.sum())


def _lengths(vectors: Array) -> Array:
    return np.asarray(np.linalg.norm(vectors, axis=1))
