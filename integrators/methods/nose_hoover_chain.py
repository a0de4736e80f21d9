"""Chains of thermostats of Nose and Hoover."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np

from ..batch import Batch
from ..compiled import inner
from ..forces.force import compute
from ..kernels import centre_velocity, drift, kick, scale_about, twice_kinetic
from ..limits import Status
from ..ramp import Ramp, kT_at, ramp
from ..state import FloatArray
from .base import step_of
from .thermostat import AbstractThermostat
from .velocity_rescaling import require_motion, require_positive

_OUTER = 1 / (2 - 2 ** (1 / 3))
WEIGHTS = (_OUTER, 1 - 2 * _OUTER, _OUTER)
"""Parts of a step of the chain, by Suzuki and Yoshida: fourth order."""
WORK = 0
"""Place in the bath; M positions and M velocities follow."""


class _Parameters(NamedTuple):
    dt: float
    kT: Ramp
    mass: float
    dof: int
    about_centre: bool
    centre: FloatArray


@dataclass(frozen=True, slots=True)
class NoseHooverChain(AbstractThermostat):
    """Nose-Hoover chain dynamics [1]_: the canonical ensemble, without random numbers.

    The friction u_1 follows the kinetic energy K of f degrees of freedom, and each further link
    u_k thermostats the one before::

        dv   = F/m dt - u_1 v dt
        dx_k = u_k dt                                         k = 1 ... M
        du_k = G_k dt - u_(k+1) u_k dt                        without the last term for k = M
        G_1  = (2 K - f kT)/Q_1,  G_k = (Q_(k-1) u_(k-1)^2 - kT)/Q_k
        Q_1  = f kT tau^2,        Q_k = kT tau^2

    One step is C B A B C: B and A are those of velocity Verlet, and C moves the chain and scales
    the velocities for half a time step, in three parts by Suzuki and Yoshida [2]_, each symmetric.
    Velocities are those about the centre of mass, whose motion the chain leaves alone.

    ======== ========== =====================================================================
    paper    here       meaning
    ======== ========== =====================================================================
    xi_k     x_k        position of a link
    v_xi_k   u_k        velocity of a link
    N_f      dof        f, degrees of freedom
    H'       conserved  ``K + U + sum Q_k u_k^2/2 + kT (f x_1 + x_2 + ... + x_M) + work``
    ======== ========== =====================================================================

    Second order, time-reversible. The bath holds `work`, the x_k and the u_k. The work is that of
    a changing temperature: minus the sum of ``(f x_1 + x_2 + ...)`` times the change of kT; the
    Q_k are those of the mean kT. Ergodic for most systems, but neither for a few harmonic
    oscillators nor for an ideal gas.

    Parameters
    ----------
    dt : float
        Time step (angstrom sqrt(u/eV)).
    kT : float or Ramp
        Boltzmann's constant times temperature (eV).
    relaxation : float
        tau, in the unit of `dt`; well above it.
    length : int
        Number of links M.
    dof : int, optional
        Degrees of freedom; default: ``3 n_atoms - 3``.
    about_centre : bool
        True if they are those of the motion about the centre of mass.

    Raises
    ------
    ValueError
        If `dt`, `relaxation` or a thermal energy is not positive and finite, or `length` is
        below 1.

    References
    ----------
    .. [1] G. J. Martyna, M. E. Tuckerman, D. J. Tobias and M. L. Klein, Mol. Phys. 87, 1117
       (1996), https://doi.org/10.1080/00268979600100761.
    .. [2] H. Yoshida, Phys. Lett. A 150, 262 (1990),
       https://doi.org/10.1016/0375-9601(90)90092-3.
    """

    dt: float
    kT: float | Ramp
    relaxation: float
    length: int = 3
    dof: int | None = None
    about_centre: bool = True

    conserves_energy: ClassVar = False
    reaches_all_momenta: ClassVar = False
    is_random: ClassVar = False
    has_conserved_energy: ClassVar = True

    def __post_init__(self) -> None:
        first, last, _ = ramp(self.kT)
        require_positive(dt=self.dt, relaxation=self.relaxation, kT=min(first, last))
        if not self.length >= 1:
            raise ValueError(f"`length` must be at least 1, but length={self.length}.")

    @property
    def bath_variables(self) -> tuple[str, ...]:
        """Work of a ramp (eV), positions and velocities (sqrt(eV/u)/angstrom) of the links."""
        links = range(1, self.length + 1)
        return ("work_eV", *(f"x_{k}" for k in links), *(f"u_{k}" for k in links))

    def conserved_energies(self, batch: Batch, kinetic: FloatArray) -> FloatArray:
        """Return the energy of atoms and chain with the work of a ramp (eV), shape (n,)."""
        motion, kT = self._parameters(batch.positions.shape[1]), ramp(self.kT)
        links = np.ones(self.length)
        links[0] = motion.dof
        work, x, u = np.split(batch.baths, [1, 1 + self.length], axis=1)
        chain = (0.5 * motion.mass * u**2 + kT_at(kT, batch.step) * x) @ links
        return np.asarray(batch.energies + kinetic + chain + work[:, 0])

    def of_motion(self, dof: int, about_centre: bool) -> Self:
        """Return this method for a system with `dof` degrees of freedom."""
        return replace(self, dof=require_motion(dof), about_centre=about_centre)

    def _parameters(self, n_atoms: int) -> _Parameters:
        dof = require_motion(3 * n_atoms - 3 if self.dof is None else self.dof)
        kT = ramp(self.kT)
        mass = kT.mean * float(self.relaxation) ** 2
        return _Parameters(float(self.dt), kT, mass, dof, bool(self.about_centre), np.empty(3))


@step_of(_Parameters)
def _step(parameters, state, inv_masses, force, stream, now):
    x, v, f, dt = state.positions, state.velocities, state.forces, parameters.dt
    kT = kT_at(parameters.kT, now)
    half_step_of_chain(parameters, state, inv_masses, kT)  # C
    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt)  # A
    energy = compute(force, x, state.cell, f)
    kick(v, f, inv_masses, dt / 2)  # B
    half_step_of_chain(parameters, state, inv_masses, kT)  # C
    length = state.bath.size // 2
    turned = parameters.dof * state.bath[1]
    for k in range(1, length):
        turned += state.bath[1 + k]
    state.bath[WORK] -= turned * (kT_at(parameters.kT, now + 1) - kT)
    return energy, Status.OK


@inner
def half_step_of_chain(parameters, state, inv_masses, kT):
    """C: move the links, and scale the velocities, for half a time step."""
    v, mass, dof, bath = state.velocities, parameters.mass, parameters.dof, state.bath
    length = bath.size // 2
    centre_velocity(v, inv_masses, parameters.about_centre, parameters.centre)
    twice, scale = twice_kinetic(v, inv_masses, parameters.centre), 1.0
    for weight in WEIGHTS:
        h = weight * parameters.dt / 2
        for k in range(length - 1, -1, -1):
            push_link(bath, length, k, h, twice * scale * scale, dof, kT, mass)
        scale *= math.exp(-bath[1 + length] * h)
        for k in range(length):
            bath[1 + k] += h * bath[1 + length + k]
        for k in range(length):
            push_link(bath, length, k, h, twice * scale * scale, dof, kT, mass)
    scale_about(v, inv_masses, parameters.centre, scale)


@inner
def push_link(bath, length, k, h, twice, dof, kT, mass):
    """Move u_k for a time h/2 under G_k and the friction of the next link."""
    u = 1 + length
    if k == 0:
        push = (twice - dof * kT) / (dof * mass)
    else:
        before = dof * mass if k == 1 else mass
        push = (before * bath[u + k - 1] ** 2 - kT) / mass
    damping = math.exp(-bath[u + k + 1] * h / 4) if k + 1 < length else 1.0
    bath[u + k] = (bath[u + k] * damping + push * h / 2) * damping
