"""Velocity Verlet."""

import math
from dataclasses import dataclass

import numba
import numpy as np

from ..batch import Batch, IntArray, put, replica_state
from ..forces.force import ForcePointer, compute
from ..kernels import copy_into, drift, kick
from ..limits import Limits, Status, check, require_valid
from ..noise import Stream
from ..state import FloatArray, State
from .base import AbstractIntegrator, LoopEnd


@dataclass(frozen=True, slots=True)
class VelocityVerlet(AbstractIntegrator):
    """Velocity Verlet [1]_: Newton's equations, constant energy.

    One step is B A B::

        v += dt/2 F(x)/m    B, kick
        x += dt v           A, drift
        v += dt/2 F(x)/m    B, kick

    Symplectic and time-reversible. Second order: the error of a trajectory and the fluctuation
    of the energy fall as dt^2. A harmonic mode of frequency omega is stable for dt < 2/omega.

    Parameters
    ----------
    dt : float
        Time step (angstrom sqrt(u/eV)).

    Raises
    ------
    ValueError
        If `dt` is not positive and finite.

    References
    ----------
    .. [1] W. C. Swope, H. C. Andersen, P. H. Berens and K. R. Wilson, J. Chem. Phys. 76, 637
       (1982), https://doi.org/10.1063/1.442716.
    """

    dt: float

    def __post_init__(self) -> None:
        if not 0 < self.dt < math.inf:
            raise ValueError(f"`dt` must be positive and finite, but dt={self.dt}.")

    def _loop(
        self,
        state: State,
        inv_masses: FloatArray,
        force: ForcePointer,
        stream: Stream,
        limits: Limits,
        n_steps: int,
    ) -> LoopEnd:
        return _advance(state, inv_masses, float(self.dt), force, limits, n_steps)

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
        _advance_each(batch, ended, inv_masses, float(self.dt), force, limits, n_steps)


@numba.njit(cache=True)
def _advance(state, inv_masses, dt, force, limits, n_steps):
    x, v, f = state.positions, state.velocities, state.forces
    energy, step, warned = state.energy, state.step, 0
    previous = np.empty_like(x)
    require_valid(limits, x.shape[0])
    for _ in range(n_steps):
        copy_into(previous, x)
        kick(v, f, inv_masses, dt / 2)  # B
        drift(x, v, dt)  # A
        energy = compute(force, x, f)
        kick(v, f, inv_masses, dt / 2)  # B
        step += 1
        status, outside = check(x, previous, f, energy, limits)
        warned += outside
        if status != Status.OK:
            return energy, step, status, warned
    return energy, step, Status.OK, warned


@numba.njit(cache=True, nogil=True)
def _advance_each(batch, ended, inv_masses, dt, force, limits, n_steps):
    for r in range(batch.replicas.size):
        state = replica_state(batch, r)
        put(batch, ended, r, _advance(state, inv_masses, dt, force, limits, n_steps))
