"""Langevin dynamics in the BAOAB splitting."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ..compiled import inner
from ..forces.force import Force, compute
from ..kernels import drift, kick, ou, ou_factors
from ..limits import Status
from ..noise import Stream, gaussian
from ..ramp import Ramp, constant, kT_at, ramp
from ..state import FloatArray
from .base import step_of
from .beside import drift_all, moves_of
from .noisy_langevin import NoisyLangevinBAOAB
from .thermostat import AbstractThermostat


class _Parameters(NamedTuple):
    dt: float
    kT: Ramp
    friction: float
    noise: FloatArray


@dataclass(frozen=True, slots=True)
class LangevinBAOAB(AbstractThermostat):
    """Langevin dynamics [1]_: the canonical ensemble.

    The equation ``dv = F/m dt - gamma v dt + sqrt(2 gamma kT/m) dW`` is split into pieces that
    are solved exactly. One step is B A O A B, with one force evaluation::

        v += dt/2 F(x)/m                           B, kick
        x += dt/2 v                                A, drift
        v  = c v + sqrt((1 - c^2) kT/m) R          O, ou;  c = exp(-gamma dt)
        x += dt/2 v                                A, drift
        v += dt/2 F(x)/m                           B, kick

    ======== ========== ====================================
    paper    here       meaning
    ======== ========== ====================================
    q        positions
    p = m v  velocities
    h        dt         time step
    k_B T    kT         thermal energy
    gamma    friction   coupling to the bath
    R        noise      independent standard normal numbers
    ======== ========== ====================================

    Second order. In a harmonic well of frequency omega positions have the exact variance
    kT/(m omega^2) at any stable dt; velocities at the end of a step have kT/m times
    ``1 - (omega dt)^2/4``, so that a correct run shows a kinetic temperature below its target.

    Parameters
    ----------
    dt : float
        Time step (angstrom sqrt(u/eV)).
    kT : float or Ramp
        Boltzmann's constant times temperature (eV).
    friction : float
        In sqrt(eV/u)/angstrom; 0 gives velocity Verlet.

    Raises
    ------
    ValueError
        If `dt` is not positive or `kT` or `friction` is negative, or any is not finite.

    References
    ----------
    .. [1] B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34,
       https://doi.org/10.1093/amrx/abs010; J. Chem. Phys. 138, 174102 (2013),
       https://doi.org/10.1063/1.4802990.
    """

    dt: float
    kT: float | Ramp
    friction: float

    conserves_energy: ClassVar = False
    reaches_all_momenta: ClassVar = True
    is_random: ClassVar = True

    def __post_init__(self) -> None:
        if not 0 < self.dt < math.inf:
            raise ValueError(f"`dt` must be positive and finite, but dt={self.dt}.")
        ramp(self.kT)
        if not 0 <= self.friction < math.inf:
            raise ValueError(
                f"`friction` must be finite and not negative, but friction={self.friction}."
            )

    @property
    def damping(self) -> float:
        """Rate at which the bath damps every momentum (sqrt(eV/u)/angstrom)."""
        return self.friction

    def on_noisy_forces(self, covariance: Force, compensate: bool) -> NoisyLangevinBAOAB:
        """Return the method in which the noise of the forces takes the place of a part of O.

        Raises
        ------
        ValueError
            If the temperature changes: there is no such method for ramps.
        """
        kT = constant(self.kT)
        if kT is None:
            raise ValueError("Forces with noise need a temperature that does not change.")
        return NoisyLangevinBAOAB(self.dt, kT, self.friction, covariance, compensate)

    def _parameters(self, n_atoms: int) -> _Parameters:
        noise = np.empty((n_atoms, 3))
        return _Parameters(float(self.dt), ramp(self.kT), float(self.friction), noise)


@step_of(_Parameters)
def _step(parameters, state, inv_masses, force, stream, now):
    dt, kT, friction, noise = parameters
    gaussian(noise, stream, now)
    target = kT_at(kT, now)
    return baoab_step(state, noise, inv_masses, dt, target, friction, force), Status.OK


@moves_of(_Parameters)
def _move(parameters, now, seed, inv_masses, group):
    dt, kT, friction, noise = parameters
    width = group.energies.size
    for place in range(width):
        gaussian(noise, Stream(seed, group.replicas[place]), now)
        for i in range(noise.shape[0]):
            for k in range(3):
                group.noise[(3 * i + k) * width + place] = noise[i, k]
    drift_all(group.positions, group.velocities, dt / 2)  # A
    decay, variance = ou_factors(friction, kT_at(kT, now), dt)
    for i in range(noise.shape[0]):  # O
        spread = math.sqrt(variance * inv_masses[i])
        for at in range(3 * i * width, 3 * (i + 1) * width):
            group.velocities[at] = decay * group.velocities[at] + spread * group.noise[at]
    drift_all(group.positions, group.velocities, dt / 2)  # A


@inner
def baoab_step(state, noise, inv_masses, dt, kT, friction, force):
    """Make one step in place in the arrays of `state` under `noise`; return the energy (eV)."""
    x, v, f = state.positions, state.velocities, state.forces
    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt / 2)  # A
    ou(v, noise, inv_masses, friction, kT, dt)  # O
    drift(x, v, dt / 2)  # A
    energy = compute(force, x, state.cell, f)
    kick(v, f, inv_masses, dt / 2)  # B
    return energy
