"""Stochastic cell rescaling, the barostat of Bernetti and Bussi, with velocity rescaling."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np

from ..batch import Batch
from ..compiled import inner
from ..forces.evaluate import evaluate_virial
from ..forces.force import Force, compute_virial
from ..kernels import centre_velocity, drift, kick
from ..limits import Status
from ..noise import BAROSTAT, THERMOSTAT, THERMOSTAT_AGAIN, Stream, gaussian
from ..ramp import Ramp, kT_at, ramp
from ..state import FloatArray, State
from .base import step_of
from .thermostat import AbstractThermostat
from .velocity_rescaling import require_motion, require_positive, rescale

HEAT, VIRIAL = 0, 1
"""Places in the bath: the heat, and the first of the six elements of the virial."""
_VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")
_OFF_DIAGONAL = ((3, 1, 2), (4, 0, 2), (5, 0, 1))
_LARGEST_STRAIN = 0.1
_TERMS = 12
"""Of the exponential series: the next one, 0.3^13/13!, is below the rounding of 1."""


class _Parameters(NamedTuple):
    dt: float
    kT: Ramp
    decay: float
    dof: int
    missing: float
    pressure: float
    mobility: float
    anisotropic: bool
    centre: FloatArray
    noise: FloatArray
    push: FloatArray
    strain: FloatArray
    grow: FloatArray
    shrink: FloatArray
    scratch: FloatArray


@dataclass(frozen=True, slots=True)
class CellRescaling(AbstractThermostat):
    """Stochastic cell rescaling [1]_ [2]_: the ensemble of constant temperature and pressure.

    The cell h, lattice vectors in rows, changes by a symmetric strain e; positions and the
    velocities about the centre of mass follow, those of atoms and not of molecules. Scaling is
    about the origin::

        h <- h exp(e),    x <- x exp(e),    v <- v exp(-e)
        P = (W + sum m v v^T + kT c)/V

    Isotropic [1]_: e is a multiple of the unit matrix, such that the root of the volume, for which
    the random force does not depend on the state, moves by::

        beta sqrt(V)/(2 tau) (tr P/3 - P0 + kT/(2 V)) dt + sqrt(kT beta/(2 tau) dt) R

    Anisotropic [2]_: as well as this, the shape changes by a strain without a trace; R is now a
    symmetric matrix, and V the geometric mean of the volumes before and after::

        beta/(3 tau) (P - tr P/3) dt + sqrt(2 kT beta/(3 tau V) dt) R

    One step is B A T S T A B: B and A as in velocity Verlet, T the thermostat of
    `VelocityRescaling` for half a time step, S the strain. W belongs to the positions at the
    begin of the step, from which the bath keeps it, so that a step needs one evaluation.

    ============== ============= ==============================================================
    paper          here          meaning
    ============== ============= ==============================================================
    beta_T         beta          compressibility of the system; need not be accurate
    tau_p          tau           relaxation time of the volume
    P_0            pressure      P0
    P_int          P             inner pressure, a tensor
    Xi             W             virial, ``-dU/d(strain)``
    ..               c             (3 n_atoms - dof)/3: 1 where the total momentum is zero
    H tilde        conserved     ``K + U + P0 V + heat``
    ============== ============= ==============================================================

    Degrees of freedom: the centre of mass counts with kT though it is at rest. So the density of
    states is that of all n atoms in the volume, ``V^n``: an ideal gas has the distribution
    ``V^n exp(-P0 V/kT)`` and ``<P0 V> = (n + 1) kT``. The kinetic pressure of a log without that
    term is lower by kT/V on average.

    The bath holds the heat and the virial (six elements, xx yy zz yz xz xy). The heat is minus the
    energy that T gives, and kT times ``ln(forward/backward) - (1/2 + c) ln(V'/V)`` of S, where
    forward and backward are the probability densities of the step, of sqrt V, and of its reverse
    [1]_: the change of the conserved energy is the error of the time step, which sampling without
    rejection leaves. It falls as dt. The variance of the volume is too large by the fraction
    dt/(2 tau) if beta is right.

    Parameters
    ----------
    dt : float
        Time step (angstrom sqrt(u/eV)).
    kT : float or Ramp
        Boltzmann's constant times temperature (eV).
    relaxation : float
        tau of the thermostat, in the unit of `dt`.
    pressure : float
        P0 (eV/angstrom^3).
    barostat_relaxation : float
        tau of the volume, in the unit of `dt`.
    compressibility : float
        beta (angstrom^3/eV); only ``beta/tau`` enters.
    anisotropic : bool
        True if all lengths and angles of the cell change, False if only the volume does.
    dof : int, optional
        Degrees of freedom of the motion about the centre of mass; default: ``3 n_atoms - 3``.

    Raises
    ------
    ValueError
        If one of the numbers is not finite, or one but the pressure is not positive.

    References
    ----------
    .. [1] M. Bernetti and G. Bussi, J. Chem. Phys. 153, 114107 (2020),
       https://doi.org/10.1063/5.0020514.
    .. [2] V. Del Tatto, P. Raiteri, M. Bernetti and G. Bussi, Appl. Sci. 12, 1139 (2022),
       https://doi.org/10.3390/app12031139.
    """

    dt: float
    kT: float | Ramp
    relaxation: float
    pressure: float
    barostat_relaxation: float
    compressibility: float
    anisotropic: bool = False
    dof: int | None = None

    conserves_energy: ClassVar = False
    reaches_all_momenta: ClassVar = False
    is_random: ClassVar = True
    changes_cell: ClassVar = True
    has_conserved_energy: ClassVar = True

    def __post_init__(self) -> None:
        first, last, _ = ramp(self.kT)
        require_positive(
            dt=self.dt, relaxation=self.relaxation, kT=min(first, last),
            barostat_relaxation=self.barostat_relaxation, compressibility=self.compressibility,
        )  # fmt: skip
        if not abs(self.pressure) < math.inf:
            raise ValueError(f"`pressure` must be finite, but pressure={self.pressure}.")

    @property
    def bath_variables(self) -> tuple[str, ...]:
        """Energy (eV) that thermostat and barostat have taken, and the virial (eV)."""
        return ("heat_eV", *(f"virial_{pair}_eV" for pair in _VOIGT))

    def conserved_energies(self, batch: Batch, kinetic: FloatArray) -> FloatArray:
        """Return ``K + U + P0 V + heat`` (eV), shape (n,)."""
        volumes = np.abs(np.linalg.det(batch.cells))
        return np.asarray(batch.energies + kinetic + self.pressure * volumes + batch.baths[:, HEAT])

    def of_motion(self, dof: int, about_centre: bool) -> Self:
        """Return this method for a system with `dof` degrees of freedom.

        Raises
        ------
        ValueError
            If the motion is not that about the centre of mass: of atoms that are fixed, or held.
        """
        if not about_centre:
            raise ValueError("A barostat needs atoms of which none is fixed or held in place.")
        return replace(self, dof=require_motion(dof))

    def start(self, state: State, stream: Stream, force: Force | None = None) -> State:
        """Return `state` with the virial in its bath.

        Raises
        ------
        ValueError
            If the cell is not periodic in all directions, or the force has no virial.
        """
        if not abs(np.linalg.det(state.cell)) > 0:
            raise ValueError("A barostat needs a cell that is periodic in all three directions.")
        if force is None:
            raise ValueError("A barostat needs the force, for the virial of its first step.")
        bath = np.zeros(len(self.bath_variables))
        virial = evaluate_virial(force, state.positions, state.cell)[2]
        _keep(bath, virial)
        return state._replace(bath=bath)

    def _parameters(self, n_atoms: int) -> _Parameters:
        dof = require_motion(3 * n_atoms - 3 if self.dof is None else self.dof)
        dt, tau = float(self.dt), float(self.relaxation)
        mobility = float(self.compressibility) / (3.0 * float(self.barostat_relaxation))
        noise = np.empty((3 if self.anisotropic else 1, 3))
        push, strain, grow, shrink, scratch = np.zeros((5, 3, 3))
        return _Parameters(
            dt, ramp(self.kT), math.exp(-0.5 * dt / tau), dof, n_atoms - dof / 3,
            float(self.pressure), mobility, bool(self.anisotropic), np.empty(3), noise, push,
            strain, grow, shrink, scratch,
        )  # fmt: skip


@step_of(_Parameters)
def _step(parameters, state, inv_masses, force, stream, now):
    x, v, f, dt, bath = state.positions, state.velocities, state.forces, parameters.dt, state.bath
    centre, strain, push = parameters.centre, parameters.strain, parameters.push
    kT, decay, dof = kT_at(parameters.kT, now), parameters.decay, parameters.dof
    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt / 2)  # A
    centre_velocity(v, inv_masses, True, centre)
    bath[HEAT] -= rescale(v, inv_masses, centre, dof, kT, decay, stream, now, THERMOSTAT)  # T

    before, mobility = volume(state.cell), parameters.mobility
    kinetic_tensor(v, inv_masses, centre, kT * parameters.missing, parameters.scratch)
    surplus(push, parameters, parameters.scratch, bath, before)
    gaussian(parameters.noise, stream, now, BAROSTAT)
    root, move = math.sqrt(before), mean_move(push, before, kT, mobility, dt)
    spread = math.sqrt(1.5 * kT * mobility * dt)
    new_root = root + move + spread * parameters.noise[0, 0]
    if not new_root > 0.0:
        return state.energy, Status.CELL
    after, middle = new_root * new_root, root * new_root  # volumes
    growth, squares = math.log(after / before), parameters.noise[0, 0] ** 2
    shape_spread = math.sqrt(2.0 * kT * mobility / middle * dt)
    squares += draw(strain, push, parameters, mobility / middle * dt, shape_spread, growth / 3.0)
    if not is_small(strain):
        return state.energy, Status.CELL
    exponentials(strain, parameters.grow, parameters.shrink, parameters.scratch)
    apply_strain(state, centre, parameters.grow, parameters.shrink)  # S
    kinetic_tensor(v, inv_masses, centre, kT * parameters.missing, parameters.scratch)

    bath[HEAT] -= rescale(v, inv_masses, centre, dof, kT, decay, stream, now, THERMOSTAT_AGAIN)  # T
    drift(x, v, dt / 2)  # A
    energy = compute_virial(force, x, state.cell, f, push)
    _keep(bath, push)
    kick(v, f, inv_masses, dt / 2)  # B

    # The reverse: what random numbers would have led back, with the surplus of the new state?
    surplus(push, parameters, parameters.scratch, bath, after)
    move = mean_move(push, after, kT, mobility, dt)
    back = ((root - new_root - move) / spread) ** 2
    if parameters.anisotropic:
        away = squares_of_return(strain, push, mobility / middle * dt, growth / 3.0)
        back += away / shape_spread**2
    bath[HEAT] += 0.5 * kT * (back - squares - (1.0 + 2.0 * parameters.missing) * growth)
    return energy, Status.OK


@inner
def volume(cell):
    """Volume of the cell with these lattice vectors in rows."""
    return abs(
        cell[0, 0] * (cell[1, 1] * cell[2, 2] - cell[1, 2] * cell[2, 1])
        + cell[0, 1] * (cell[1, 2] * cell[2, 0] - cell[1, 0] * cell[2, 2])
        + cell[0, 2] * (cell[1, 0] * cell[2, 1] - cell[1, 1] * cell[2, 0])
    )


@inner
def kinetic_tensor(velocities, inv_masses, centre, missing, out):
    """Write ``sum m v v^T`` about the centre, plus `missing` on the diagonal (eV)."""
    for a in range(3):
        for b in range(3):
            out[a, b] = missing if a == b else 0.0
    for i in range(velocities.shape[0]):
        for a in range(3):
            momentum = (velocities[i, a] - centre[a]) / inv_masses[i]
            for b in range(3):
                out[a, b] += momentum * (velocities[i, b] - centre[b])


@inner
def surplus(out, parameters, kinetic, bath, volume):
    """Write ``V (P - P0)`` (eV), with the virial that the bath holds."""
    for i in range(3):
        out[i, i] = kinetic[i, i] + bath[VIRIAL + i] - parameters.pressure * volume
    for place, i, k in _OFF_DIAGONAL:
        out[i, k] = kinetic[i, k] + bath[VIRIAL + place]
        out[k, i] = out[i, k]


@inner
def mean_move(surplus, volume, kT, mobility, dt):
    """Mean change of the root of the volume: ``beta/(2 tau) sqrt V (tr P/3 - P0 + kT/2V) dt``."""
    trace = surplus[0, 0] + surplus[1, 1] + surplus[2, 2]
    return 1.5 * mobility * dt * (trace / 3.0 + 0.5 * kT) / math.sqrt(volume)


@inner
def draw(strain, surplus, parameters, factor, spread, growth):
    """Write the strain: `growth` on the diagonal, and a random shape if the cell has one.

    The shape is `factor` times the surplus plus `spread` times normal numbers, both without their
    trace. Returns the sum of the squares of these five numbers.
    """
    for i in range(3):
        for k in range(3):
            strain[i, k] = growth if i == k else 0.0
    if not parameters.anisotropic:
        return 0.0
    noise, squares = parameters.noise, 0.0
    mean = (surplus[0, 0] + surplus[1, 1] + surplus[2, 2]) / 3.0
    centre = (noise[1, 0] + noise[1, 1] + noise[1, 2]) / 3.0
    for i in range(3):
        strain[i, i] += factor * (surplus[i, i] - mean) + spread * (noise[1, i] - centre)
        squares += (noise[1, i] - centre) ** 2 + noise[2, i] ** 2
    for place, i, k in _OFF_DIAGONAL:
        strain[i, k] = factor * surplus[i, k] + spread * noise[2, place - 3] / math.sqrt(2.0)
        strain[k, i] = strain[i, k]
    return squares


@inner
def squares_of_return(strain, surplus, factor, growth):
    """Square of the shape that the reverse step draws beside its mean."""
    total = 0.0
    mean = (surplus[0, 0] + surplus[1, 1] + surplus[2, 2]) / 3.0
    for i in range(3):
        for k in range(3):
            shape = strain[i, k] - growth if i == k else strain[i, k]
            push = surplus[i, k] - mean if i == k else surplus[i, k]
            total += (shape + factor * push) ** 2
    return total


@inner
def is_small(strain):
    """Return True if no element is larger than `_LARGEST_STRAIN`, or NaN."""
    for i in range(3):
        for k in range(3):
            if not abs(strain[i, k]) <= _LARGEST_STRAIN:
                return False
    return True


@inner
def exponentials(strain, grow, shrink, term):
    """Write ``exp(strain)`` to `grow` and ``exp(-strain)`` to `shrink`, by the series."""
    for i in range(3):
        for k in range(3):
            unit = 1.0 if i == k else 0.0
            term[i, k], grow[i, k], shrink[i, k] = unit, unit, unit
    sign = 1.0
    for n in range(1, _TERMS + 1):
        sign = -sign
        for i in range(3):
            a, b, c = term[i, 0], term[i, 1], term[i, 2]
            for k in range(3):
                value = (a * strain[0, k] + b * strain[1, k] + c * strain[2, k]) * (1.0 / n)
                term[i, k] = value
                grow[i, k] += value
                shrink[i, k] += sign * value


@inner
def apply_strain(state, centre, grow, shrink):
    """S: cell and positions grow, and the velocities about the centre shrink."""
    x, v, cell = state.positions, state.velocities, state.cell
    multiply(cell, grow)
    multiply(x, grow)
    for i in range(v.shape[0]):
        for k in range(3):
            v[i, k] -= centre[k]
    multiply(v, shrink)
    for i in range(v.shape[0]):
        for k in range(3):
            v[i, k] += centre[k]


@inner
def multiply(rows, matrix):
    """Multiply each of `rows` by `matrix` from the right."""
    for i in range(rows.shape[0]):
        a, b, c = rows[i, 0], rows[i, 1], rows[i, 2]
        for k in range(3):
            rows[i, k] = a * matrix[0, k] + b * matrix[1, k] + c * matrix[2, k]


@inner
def _keep(bath, virial):
    """Keep the symmetric part of a virial in the bath."""
    for i in range(3):
        bath[VIRIAL + i] = virial[i, i]
    for place, i, k in _OFF_DIAGONAL:
        bath[VIRIAL + place] = 0.5 * (virial[i, k] + virial[k, i])
