"""Langevin dynamics on forces with a known noise, which takes the place of a part of the bath."""

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from ..batch import Batch, IntArray
from ..compiled import inner
from ..forces.force import Force, ForcePointer, compute, pointer
from ..kernels import copy_into, drift, kick, ou
from ..limits import Limits, Status, check, require_valid
from ..noise import SHOTS, Stream, checked_stream, gaussian
from ..state import FloatArray, State, owned_copy
from .base import AbstractIntegrator, LoopEnd

_SINGULAR = 1e-12
"""A pivot this small, relative to the largest element of the diagonal, is rounding."""


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

    def __post_init__(self) -> None:
        for name, value in (("dt", self.dt), ("kT", self.kT), ("friction", self.friction)):
            if not 0 < value < math.inf:
                raise ValueError(f"`{name}` must be positive and finite, but {name}={value}.")

    def noise(self, positions: npt.ArrayLike) -> FloatArray:
        """C (eV^2/angstrom^2), shape (3 n_atoms, 3 n_atoms), at `positions` (angstrom)."""
        x = np.array(positions, dtype=np.float64, order="C")
        covariance = np.empty((x.size, x.size))
        compute(pointer(self.covariance), x, covariance)
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
            pointer(self.covariance),
            bool(self.compensate),
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
        # The covariance has scratch of its own, which threads would have to have each.
        raise NotImplementedError("Forces with noise are for one trajectory at a time.")


def with_noise(state: State, covariance: Force, stream: Stream) -> State:
    """Copy of a state with exact forces, with the noise of its step in them."""
    own = owned_copy(state)
    n = own.positions.size
    matrix, root = np.empty((n, n)), np.empty((n, n))
    compute(pointer(covariance), own.positions, matrix)
    add_noise(own.forces, matrix, root, np.empty_like(own.forces), checked_stream(stream), own.step)
    return own


@numba.njit(cache=True)
def _advance(
    state, inv_masses, dt, kT, friction, force, covariance, compensate, stream, limits, n_steps
):
    x, v, f = state.positions, state.velocities, state.forces
    energy, step, warned = state.energy, state.step, 0
    previous, noise = np.empty_like(x), np.empty_like(x)
    matrix, root, bath = np.empty((x.size, x.size)), np.empty((x.size, x.size)), np.empty((0, 0))
    if compensate:
        bath = np.empty((x.size, x.size))
    require_valid(limits, x.shape[0])
    compute(covariance, x, matrix)  # a function of x, and so no part of the state
    if compensate and not bath_root(bath, matrix, inv_masses, dt, kT, friction):
        return energy, step, Status.NOISE, warned
    for _ in range(n_steps):
        copy_into(previous, x)
        kick(v, f, inv_masses, dt / 2)  # B
        drift(x, v, dt / 2)  # A
        gaussian(noise, stream, step)
        if compensate:
            reduced_ou(v, noise, bath, inv_masses, friction, dt)  # O
        else:
            ou(v, noise, inv_masses, friction, kT, dt)  # O
        drift(x, v, dt / 2)  # A
        energy = compute(force, x, f)
        compute(covariance, x, matrix)
        step += 1
        add_noise(f, matrix, root, noise, stream, step)
        kick(v, f, inv_masses, dt / 2)  # B
        status, outside = check(x, previous, f, energy, limits)
        warned += outside
        if status != Status.OK:
            return energy, step, status, warned
        if compensate and not bath_root(bath, matrix, inv_masses, dt, kT, friction):
            return energy, step, Status.NOISE, warned
    return energy, step, Status.OK, warned


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


@numba.njit(cache=True)
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
