"""Stochastic velocity rescaling, the thermostat of Bussi, Donadio and Parrinello."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np

from ..batch import Batch
from ..compiled import inner
from ..forces.force import compute
from ..kernels import centre_velocity, drift, kick, scale_about, twice_kinetic
from ..limits import Status
from ..noise import THERMOSTAT, normal_and_squares
from ..ramp import Ramp, kT_at, ramp
from ..state import FloatArray
from .base import step_of
from .thermostat import AbstractThermostat

HEAT = 0
"""Place in the bath."""


class _Parameters(NamedTuple):
    dt: float
    kT: Ramp
    decay: float
    dof: int
    about_centre: bool
    centre: FloatArray


@dataclass(frozen=True, slots=True)
class VelocityRescaling(AbstractThermostat):
    """Stochastic velocity rescaling [1]_: the canonical ensemble, with dynamics little disturbed.

    All velocities get one random factor, such that the kinetic energy K of f degrees of freedom
    follows ``dK = (f kT/2 - K) dt/tau + 2 sqrt(K kT/2 dt/tau) R``. One step is B A T A B::

        v += dt/2 F(x)/m                           B, kick
        x += dt/2 v                                A, drift
        v  = alpha v                               T, exact solution for K over dt
        x += dt/2 v                                A, drift
        v += dt/2 F(x)/m                           B, kick

        alpha^2 = (sqrt(c) + s R)^2 + s^2 S,  c = exp(-dt/tau),  s^2 = (1 - c) kT / (2 K)

    alpha has the sign of ``sqrt(c) + s R``; R is normal, and S the sum of the squares of f - 1
    normal numbers, see `qmd.integrators.noise.normal_and_squares`. K and v are those about the
    centre of mass, whose motion the thermostat leaves alone.

    ======== ========== ================================================
    paper    here       meaning
    ======== ========== ================================================
    tau      relaxation time in which K forgets its value
    N_f      dof        f, degrees of freedom
    K bar    dof kT / 2 mean kinetic energy
    R_1      normal     R
    H tilde  conserved  ``K + U + heat``; the bath holds `heat`, the sum of -(change of K) in T
    ======== ========== ================================================

    Second order. T has the canonical distribution of K exactly, so that the change of the
    conserved energy is the error of the time step alone.

    Parameters
    ----------
    dt : float
        Time step (angstrom sqrt(u/eV)).
    kT : float or Ramp
        Boltzmann's constant times temperature (eV).
    relaxation : float
        tau, in the unit of `dt`.
    dof : int, optional
        Degrees of freedom; default: ``3 n_atoms - 3``.
    about_centre : bool
        True if they are those of the motion about the centre of mass.

    Raises
    ------
    ValueError
        If `dt` or `relaxation` is not positive and finite, or `kT` is not valid.

    References
    ----------
    .. [1] G. Bussi, D. Donadio and M. Parrinello, J. Chem. Phys. 126, 014101 (2007),
       https://doi.org/10.1063/1.2408420. The sign of alpha: G. Bussi and M. Parrinello, Comput.
       Phys. Commun. 179, 26 (2008), https://doi.org/10.1016/j.cpc.2008.01.006.
    """

    dt: float
    kT: float | Ramp
    relaxation: float
    dof: int | None = None
    about_centre: bool = True

    conserves_energy: ClassVar = False
    reaches_all_momenta: ClassVar = False
    is_random: ClassVar = True
    has_conserved_energy: ClassVar = True

    def __post_init__(self) -> None:
        require_positive(dt=self.dt, relaxation=self.relaxation)
        ramp(self.kT)

    @property
    def bath_variables(self) -> tuple[str, ...]:
        """Energy (eV) that the bath has taken from the atoms."""
        return ("heat_eV",)

    def conserved_energies(self, batch: Batch, kinetic: FloatArray) -> FloatArray:
        """Return ``K + U + heat`` (eV), shape (n,)."""
        return batch.energies + kinetic + batch.baths[:, HEAT]

    def of_motion(self, dof: int, about_centre: bool) -> Self:
        """Return this method for a system with `dof` degrees of freedom."""
        return replace(self, dof=require_motion(dof), about_centre=about_centre)

    def _parameters(self, n_atoms: int) -> _Parameters:
        dof = require_motion(3 * n_atoms - 3 if self.dof is None else self.dof)
        decay = math.exp(-self.dt / self.relaxation)
        return _Parameters(
            float(self.dt), ramp(self.kT), decay, dof, bool(self.about_centre), np.empty(3)
        )


def require_positive(**values: float) -> None:
    """Raise ValueError unless all `values` are positive and finite."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"`{name}` must be positive and finite, but {name}={value}.")


def require_motion(dof: int) -> int:
    """Return `dof`; raise ValueError if there is none, and so no temperature."""
    if dof < 1:
        raise ValueError(f"A thermostat needs motion to act on, but dof={dof}.")
    return int(dof)


@step_of(_Parameters)
def _step(parameters, state, inv_masses, force, stream, now):
    x, v, f, dt = state.positions, state.velocities, state.forces, parameters.dt
    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt / 2)  # A
    centre_velocity(v, inv_masses, parameters.about_centre, parameters.centre)
    state.bath[HEAT] -= rescale(
        v, inv_masses, parameters.centre, parameters.dof, kT_at(parameters.kT, now),
        parameters.decay, stream, now, THERMOSTAT,
    )  # T  # fmt: skip
    drift(x, v, dt / 2)  # A
    energy = compute(force, x, state.cell, f)
    kick(v, f, inv_masses, dt / 2)  # B
    return energy, Status.OK


@inner
def rescale(velocities, inv_masses, centre, dof, kT, decay, stream, now, purpose):
    """T: scale `velocities` about that of the `centre`; return the change of energy (eV)."""
    twice = twice_kinetic(velocities, inv_masses, centre)
    if not twice > 0.0:  # nothing moves: no factor gives it a direction
        return 0.0
    normal, squares = normal_and_squares(dof - 1, stream, now, purpose)
    spread = math.sqrt((1.0 - decay) * kT / twice)
    along = math.sqrt(decay) + spread * normal
    factor = math.copysign(math.sqrt(along * along + spread * spread * squares), along)
    scale_about(velocities, inv_masses, centre, factor)
    return 0.5 * twice * (factor * factor - 1.0)
