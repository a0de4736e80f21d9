"""Langevin dynamics in the BAOAB splitting."""

import math
from dataclasses import dataclass

import numba
import numpy as np

from ..batch import Batch, IntArray, put, replica_state
from ..compiled import inner
from ..forces.force import ForcePointer, compute
from ..kernels import copy_into, drift, kick, ou
from ..limits import Limits, Status, check, require_valid
from ..noise import Stream, checked_stream, gaussian
from ..state import FloatArray, State
from .base import AbstractIntegrator, LoopEnd


@dataclass(frozen=True, slots=True)
class LangevinBAOAB(AbstractIntegrator):
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
    kT : float
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
    kT: float
    friction: float

    def __post_init__(self) -> None:
        if not 0 < self.dt < math.inf:
            raise ValueError(f"`dt` must be positive and finite, but dt={self.dt}.")
        for name, value in (("kT", self.kT), ("friction", self.friction)):
            if not 0 <= value < math.inf:
                raise ValueError(f"`{name}` must be finite and not negative, but {name}={value}.")

    def _loop(
        self,
        state: State,
        inv_masses: FloatArray,
        force: ForcePointer,
        stream: Stream,
        limits: Limits,
        n_steps: int,
    ) -> LoopEnd:
        return _advance(
            state,
            inv_masses,
            float(self.dt),
            float(self.kT),
            float(self.friction),
            force,
            checked_stream(stream),
            limits,
            n_steps,
        )

    def _loop_each(
        self,
        batch: Batch,
        ended: IntArray,
        inv_masses: FloatArray,
        force: ForcePointer,
        seed: int,
        limits: Limits,
        n_steps: int,
    ) -> None:
        parameters = float(self.dt), float(self.kT), float(self.friction)
        _advance_each(batch, ended, inv_masses, parameters, force, seed, limits, n_steps)


@numba.njit(cache=True)
def _advance(state, inv_masses, dt, kT, friction, force, stream, limits, n_steps):
    x, v, f = state.positions, state.velocities, state.forces
    energy, step, warned = state.energy, state.step, 0
    previous, noise = np.empty_like(x), np.empty_like(x)
    require_valid(limits, x.shape[0])
    for _ in range(n_steps):
        copy_into(previous, x)
        gaussian(noise, stream, step)
        energy = baoab_step(x, v, f, noise, inv_masses, dt, kT, friction, force)
        step += 1
        status, outside = check(x, previous, f, energy, limits)
        warned += outside
        if status != Status.OK:
            return energy, step, status, warned
    return energy, step, Status.OK, warned


@numba.njit(cache=True, nogil=True)
def _advance_each(batch, ended, inv_masses, parameters, force, seed, limits, n_steps):
    dt, kT, friction = parameters
    for r in range(batch.replicas.size):
        state, stream = replica_state(batch, r), Stream(seed, batch.replicas[r])
        finished = _advance(state, inv_masses, dt, kT, friction, force, stream, limits, n_steps)
        put(batch, ended, r, finished)


@inner
def baoab_step(x, v, f, noise, inv_masses, dt, kT, friction, force):
    """One step, in place in `x`, `v`, `f`, under the given `noise`; returns the energy (eV)."""
    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt / 2)  # A
    ou(v, noise, inv_masses, friction, kT, dt)  # O
    drift(x, v, dt / 2)  # A
    energy = compute(force, x, f)
    kick(v, f, inv_masses, dt / 2)  # B
    return energy
