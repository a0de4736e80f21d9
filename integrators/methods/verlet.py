"""Velocity Verlet."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from ..forces.force import compute
from ..kernels import drift, kick
from ..limits import Status
from .base import AbstractIntegrator, step_of
from .beside import drift_all, moves_of


class _Parameters(NamedTuple):
    dt: float


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

    conserves_energy: ClassVar = True
    reaches_all_momenta: ClassVar = False
    is_random: ClassVar = False
    target_kT: ClassVar = None

    def __post_init__(self) -> None:
        if not 0 < self.dt < math.inf:
            raise ValueError(f"`dt` must be positive and finite, but dt={self.dt}.")

    def _parameters(self, n_atoms: int) -> _Parameters:
        return _Parameters(float(self.dt))


@step_of(_Parameters)
def _step(parameters, state, inv_masses, force, stream, now):
    x, v, f, dt = state.positions, state.velocities, state.forces, parameters.dt
    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt)  # A
    energy = compute(force, x, state.cell, f)
    kick(v, f, inv_masses, dt / 2)  # B
    return energy, Status.OK


@moves_of(_Parameters)
def _move(parameters, now, seed, inv_masses, group):
    drift_all(group.positions, group.velocities, parameters.dt)  # A
