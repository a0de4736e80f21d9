"""Langevin dynamics on forces with a known noise, which takes the place of a part of the bath."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ..compiled import inner
from ..forces.force import Force, ForcePointer, compute, pointer
from ..kernels import drift, kick, ou
from ..limits import Status
from ..noise import SHOTS, Stream, checked_stream, gaussian
from ..state import ISOLATED, FloatArray, State, owned_copy
from .base import AbstractIntegrator, begin_of, step_of

_SINGULAR = 1e-12
"""A pivot this small, relative to the largest element of the diagonal, is rounding."""


class _Parameters(NamedTuple):
    dt: float
    kT: float
    friction: float
    covariance: ForcePointer
    compensate: bool
    noise: FloatArray
    matrix: FloatArray
    root: FloatArray
    bath: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class NoisyLangevinBAOAB(AbstractIntegrator):
    """BAOAB [1]_ on forces ``F + eta``, eta normal with a known covariance C(x).

    C changes along the way, eta is drawn anew at every step. Two half kicks with one eta add
    ``dt^2 M^-1 C M^-1`` to the covariance of the velocities. The O step gives so much less [2]_
    [3]_, that friction and both noises together keep the temperature::

        v = c v + M^-1/2 B^1/2 R          O;  c = exp(-gamma dt)
        B = (1 - c^2) kT - ((1 + c)/2)^2 dt^2 M^-1/2 C M^-1/2

    In a harmonic well of frequency omega, with a constant C, the variance of the positions is
    kT/(m omega^2) times ``1 + s t/(1 - t)``, with ``t = (omega dt)^2/4`` and s the `share` of the
    noise: t differs from mode to mode, and cannot be put into B. Second order, as the method.
    Without noise this is `LangevinBAOAB`.

    The energy of a state is exact; its forces hold their noise, `with_noise` adds it to the first.

    Parameters
    ----------
    dt, kT, friction : float
        As those of `LangevinBAOAB`; a bath at 0, or without friction, cannot take up noise.
    covariance : Force
        Writes C (eV^2/angstrom^2), shape (3 n_atoms, 3 n_atoms), where a force writes forces.
    compensate : bool
        False: a bath of full strength, and a temperature that is too high.

    Raises
    ------
    ValueError
        If one of the numbers is not positive and finite.

    References
    ----------
    .. [1] B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34,
       https://doi.org/10.1093/amrx/abs010.
    .. [2] F. R. Krajewski and M. Parrinello, Phys. Rev. B 73, 041105 (2006),
       https://doi.org/10.1103/PhysRevB.73.041105.
    .. [3] C. Attaccalite and S. Sorella, Phys. Rev. Lett. 100, 114501 (2008),
       https://doi.org/10.1103/PhysRevLett.100.114501.
    """

    dt: float
    kT: float
    friction: float
    covariance: Force
    compensate: bool = True

    conserves_energy: ClassVar = False
    reaches_all_momenta: ClassVar = True
    is_random: ClassVar = True

    @property
    def target_kT(self) -> float:
        """Thermal energy (eV) of the bath."""
        return self.kT

    @property
    def damping(self) -> float:
        """Rate at which the bath damps every momentum (sqrt(eV/u)/angstrom)."""
        return self.friction

    def __post_init__(self) -> None:
        for name, value in (("dt", self.dt), ("kT", self.kT), ("friction", self.friction)):
            if not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be positive and finite, but {name}={value}.")

    def noise(self, positions: npt.ArrayLike) -> FloatArray:
        """C (eV^2/angstrom^2), shape (3 n_atoms, 3 n_atoms), at `positions` (angstrom)."""
        x = np.array(positions, dtype=np.float64, order="C")
        covariance = np.empty((x.size, x.size))
        compute(pointer(self.covariance), x, np.array(ISOLATED), covariance)
        return covariance

    def share(self, positions: npt.ArrayLike, inv_masses: npt.ArrayLike) -> float:
        """Part of the bath's power that the noise takes over, in the direction of the largest.

        Above 1 it cannot be compensated. It falls as 1/C, and nearly as 1/friction and dt.

        Parameters
        ----------
        positions : array, shape (n_atoms, 3)
            In angstrom.
        inv_masses : array, shape (n_atoms,)
            In 1/u.
        """
        weights = np.repeat(np.sqrt(np.asarray(inv_masses, dtype=np.float64)), 3)
        largest = np.linalg.eigvalsh(weights[:, None] * self.noise(positions) * weights).max()
        taken, given = _powers(self.dt, self.kT, self.friction)
        return float(taken * largest / given)

    def start(self, state: State, stream: Stream, force: Force | None = None) -> State:
        """Return `state`, whose forces are exact, with the noise of its step in them."""
        return with_noise(state, self.covariance, stream)

    def for_thread(self) -> Self:
        """Return an equal integrator whose covariance has a workspace of its own."""
        return replace(self, covariance=self.covariance.for_thread())

    def _parameters(self, n_atoms: int) -> _Parameters:
        n = 3 * n_atoms
        matrix, root, bath = np.empty((3, n, n))
        return _Parameters(
            float(self.dt), float(self.kT), float(self.friction), pointer(self.covariance),
            bool(self.compensate), np.empty((n_atoms, 3)), matrix, root, bath,
        )  # fmt: skip


def with_noise(state: State, covariance: Force, stream: Stream) -> State:
    """Copy of a state with exact forces, with the noise of its step in them."""
    own = owned_copy(state)
    n = own.positions.size
    matrix, root = np.empty((n, n)), np.empty((n, n))
    compute(pointer(covariance), own.positions, own.cell, matrix)
    add_noise(own.forces, matrix, root, np.empty_like(own.forces), checked_stream(stream), own.step)
    return own


@begin_of(_Parameters)
def _begin(parameters, state, inv_masses):
    # A function of the positions, and so no part of the state.
    compute(parameters.covariance, state.positions, state.cell, parameters.matrix)
    return _bath_status(parameters, inv_masses)


@step_of(_Parameters)
def _step(parameters, state, inv_masses, force, stream, now):
    dt, kT, friction, covariance, compensate, noise, matrix, root, bath = parameters
    x, v, f = state.positions, state.velocities, state.forces
    kick(v, f, inv_masses, dt / 2)  # B
    drift(x, v, dt / 2)  # A
    gaussian(noise, stream, now)
    if compensate:
        reduced_ou(v, noise, bath, inv_masses, friction, dt)  # O
    else:
        ou(v, noise, inv_masses, friction, kT, dt)  # O
    drift(x, v, dt / 2)  # A
    energy = compute(force, x, state.cell, f)
    compute(covariance, x, state.cell, matrix)
    add_noise(f, matrix, root, noise, stream, now + 1)
    kick(v, f, inv_masses, dt / 2)  # B
    return energy, _bath_status(parameters, inv_masses)


@inner
def _bath_status(parameters, inv_masses):
    """Find B^1/2 for the next step; `Status.NOISE` if there is none."""
    dt, kT, friction = parameters.dt, parameters.kT, parameters.friction
    if parameters.compensate and not bath_root(
        parameters.bath, parameters.matrix, inv_masses, dt, kT, friction
    ):
        return Status.NOISE
    return Status.OK


@inner
def _powers(dt, kT, friction):
    """Factors of the noise and of the bath in a step: ``((1 + c)/2)^2 dt^2, (1 - c^2) kT``."""
    decay = math.exp(-friction * dt)
    return 0.25 * (1.0 + decay) ** 2 * dt * dt, -math.expm1(-2.0 * friction * dt) * kT


@inner
def bath_root(root, covariance, inv_masses, dt, kT, friction):
    """root = B^1/2 of the O step, lower triangular; False if B is not positive."""
    taken, given = _powers(dt, kT, friction)
    for i in range(root.shape[0]):
        for j in range(i + 1):
            weight = taken * math.sqrt(inv_masses[i // 3] * inv_masses[j // 3])
            root[i, j] = (given if i == j else 0.0) - weight * covariance[i, j]
    return lower_root(root, given)


@inner
def lower_root(matrix, scale):
    """Cholesky's factor of a symmetric matrix >= 0, in place of its lower triangle.

    A pivot below `_SINGULAR` times `scale` leaves a column of zeros. Returns False if one is below
    minus that: the matrix is not >= 0.
    """
    for j in range(matrix.shape[0]):
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= matrix[j, k] * matrix[j, k]
        if not pivot >= -_SINGULAR * scale:
            return False
        inverse = 0.0 if pivot <= _SINGULAR * scale else 1.0 / math.sqrt(pivot)
        matrix[j, j] = pivot * inverse
        for i in range(j + 1, matrix.shape[0]):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total * inverse
    return True


@inner
def reduced_ou(velocities, noise, root, inv_masses, friction, dt):
    """O: ``v <- c v + M^-1/2 B^1/2 R``, B^1/2 the lower triangle of `root`."""
    decay = math.exp(-friction * dt)
    v, r = velocities.reshape(velocities.size), noise.reshape(noise.size)
    for i in range(v.size):
        total = 0.0
        for j in range(i + 1):
            total += root[i, j] * r[j]
        v[i] = decay * v[i] + math.sqrt(inv_masses[i // 3]) * total


@inner
def add_noise(forces, covariance, root, noise, stream, step):
    """``F += C^1/2 R`` with the numbers of `step`; `root` and `noise` are scratch."""
    largest = 0.0
    for i in range(root.shape[0]):
        largest = max(largest, covariance[i, i])
        for j in range(i + 1):
            root[i, j] = covariance[i, j]
    gaussian(noise, stream, step, SHOTS)
    f, r = forces.reshape(forces.size), noise.reshape(noise.size)
    if not lower_root(root, largest):  # no covariance: not finite, or not made by squares
        f[0] = np.nan
        return
    for i in range(f.size):
        for j in range(i + 1):
            f[i] += root[i, j] * r[j]
