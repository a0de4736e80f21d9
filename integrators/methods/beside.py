"""Replicas side by side: one call of the force for as many as a vector has numbers.

All arrays of a group have the replica as their last index. A method takes part if it begins and
ends with a kick and has registered by `moves_of` what it does between the first kick and the force.
Operations on a replica, and their order, are those of its step alone, and so are the bits. Guards
look at all replicas of a group at once; where one does not pass without a warning, each is judged
as it is alone.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic, overload

from ..batch import Batch, IntArray
from ..compiled import INNER, NO_REFERENCES, inner, quiet
from ..forces.force import BESIDE_SIGNATURE, Force, ForcePointer, call_address, pointer
from ..kernel_cache import njit
from ..limits import Limits, Status, check, require_valid
from ..state import FloatArray
from ..vector_width import VECTOR_WIDTH

LEAST = VECTOR_WIDTH // 2 + 1
"""Replicas from which on a group, filled up with copies, takes less time than one after another."""


class Group(NamedTuple):
    """Scratch for replicas side by side: (3 n_atoms, replicas) as matrices, and flat."""

    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray
    previous: FloatArray
    noise: FloatArray
    matrices: tuple[FloatArray, FloatArray]
    """Positions and forces, as the force takes them."""
    energies: FloatArray
    half_kick: FloatArray
    """Half of a time step over the mass, flat."""
    replicas: IntArray
    rows: IntArray
    """Row of each place in the batch."""
    going: npt.NDArray[np.bool_]
    before: FloatArray
    """Previous positions, and noise, of one replica, (n_atoms, 3)."""


def scratch(n_atoms: int) -> Group:
    """Return the scratch of a group."""
    shape = 3 * n_atoms, VECTOR_WIDTH
    x, v, f, previous, noise, half_kick = (np.zeros(shape) for _ in range(6))
    energies, going = np.zeros(VECTOR_WIDTH), np.zeros(VECTOR_WIDTH, np.bool_)
    replicas, rows = (np.zeros(VECTOR_WIDTH, np.int64) for _ in range(2))
    return Group(
        x.reshape(-1), v.reshape(-1), f.reshape(-1), previous.reshape(-1), noise.reshape(-1),
        (x, f), energies, half_kick.reshape(-1), replicas, rows, going, np.zeros((n_atoms, 3)),
    )  # fmt: skip


def move(parameters, now, seed, inv_masses, group):
    """Do what a method does between the first kick of step `now` and the force, in place."""
    raise NotImplementedError("Compiled code only.")


_moves: dict[type, Callable[..., Any]] = {}


def moves_of(parameters: type) -> Callable[[Any], Any]:
    """Register the decorated function as `move` of a type of parameters, which have a `dt`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        return _moves.setdefault(parameters, function)

    return register


@overload(move, jit_options=INNER)
def _move_of(parameters, now, seed, inv_masses, group):
    return _moves[parameters.instance_class]


def in_groups(parameters: NamedTuple, force: ForcePointer, limits: Limits, n: int) -> int:
    """Return how many of `n` replicas are computed side by side: the first ones."""
    if force.beside == 0 or type(parameters) not in _moves or limits.kinds.size:
        return 0
    rest = n % VECTOR_WIDTH
    return n if rest == 0 or rest >= LEAST else n - rest


@inner
def kick_all(velocities, forces, half_kick):
    """B of all replicas."""
    for i in range(velocities.size):
        velocities[i] += half_kick[i] * forces[i]


@inner
def drift_all(positions, velocities, dt):
    """A of all replicas."""
    for i in range(positions.size):
        positions[i] += dt * velocities[i]


def _at_address(typingctx, address, positions, forces, energies, program, workspace):
    return BESIDE_SIGNATURE.return_type(types.int64, *BESIDE_SIGNATURE.args), call_address


_call: Any = intrinsic(_at_address)


def call_once(
    force: Force, positions: FloatArray, forces_out: FloatArray, energies_out: FloatArray
) -> None:
    """Write energies and forces of `VECTOR_WIDTH` geometries, the last index of all arrays.

    Raises
    ------
    ValueError
        If the force has no function for them.
    """
    if force.beside is None:
        raise ValueError("The force has no function for geometries side by side.")
    _call_once(pointer(force, beside=True), positions, forces_out, energies_out)


@njit()
def _call_once(force, positions, forces_out, energies_out):
    _call(force.beside, positions, forces_out, energies_out, force.program, force.workspace)


@inner
def _gather(batch, row, place, inv_masses, dt, to):
    """Copy a replica of the batch to a place of the group."""
    width = to.energies.size
    to.rows[place], to.replicas[place] = row, batch.replicas[row]
    for i in range(batch.positions.shape[1]):
        for k in range(3):
            at = (3 * i + k) * width + place
            to.positions[at] = batch.positions[row, i, k]
            to.velocities[at] = batch.velocities[row, i, k]
            to.forces[at] = batch.forces[row, i, k]
            to.half_kick[at] = dt / 2 * inv_masses[i]


@inner
def _scatter(place, group, batch):
    """Copy a place of the group to its replica of the batch."""
    width, row = group.energies.size, group.rows[place]
    for i in range(batch.positions.shape[1]):
        for k in range(3):
            at = (3 * i + k) * width + place
            batch.positions[row, i, k] = group.positions[at]
            batch.velocities[row, i, k] = group.velocities[at]
            batch.forces[row, i, k] = group.forces[at]
    batch.energies[row] = group.energies[place]


@quiet
def _all_pass(group, n_atoms, limits):
    """Tell if all replicas of a group pass `limits.check` without a warning."""
    width, x, f = group.energies.size, group.positions, group.forces
    largest = limits.max_force * limits.max_force
    farthest = limits.max_displacement * limits.max_displacement
    failed = 0
    for n in range(width):
        failed += not (abs(group.energies[n]) < math.inf)
    for i in range(n_atoms):
        a, b, c = 3 * i * width, (3 * i + 1) * width, (3 * i + 2) * width
        for n in range(width):
            square = f[a + n] * f[a + n] + f[b + n] * f[b + n] + f[c + n] * f[c + n]
            failed += not (square <= largest and square < math.inf)
        for n in range(width):
            dx = x[a + n] - group.previous[a + n]
            dy = x[b + n] - group.previous[b + n]
            dz = x[c + n] - group.previous[c + n]
            square = dx * dx + dy * dy + dz * dz
            failed += not (square <= farthest and square < math.inf)
    for p in range(limits.pairs.shape[0]):
        i, j = 3 * limits.pairs[p, 0] * width, 3 * limits.pairs[p, 1] * width
        low = max(limits.warn[p, 0], limits.stop[p, 0])
        high = min(limits.warn[p, 1], limits.stop[p, 1])
        for n in range(width):
            dx = x[i + n] - x[j + n]
            dy = x[i + width + n] - x[j + width + n]
            dz = x[i + 2 * width + n] - x[j + 2 * width + n]
            distance = math.sqrt(dx * dx + dy * dy + dz * dz)
            failed += not (low <= distance <= high)
    return failed == 0


@inner
def _judge(group, batch, ended, now, limits):
    """Judge each replica as it is alone; end those that break a limit. Returns how many go on."""
    width, going = group.energies.size, 0
    for place in range(width):
        if not group.going[place]:
            continue
        _scatter(place, group, batch)
        for i in range(group.before.shape[0]):
            for k in range(3):
                group.before[i, k] = group.previous[(3 * i + k) * width + place]
        row = group.rows[place]
        status, outside = check(
            batch.positions[row], group.before, batch.forces[row], batch.energies[row], limits
        )
        ended[row, 2] += outside
        if status == Status.OK:
            going += 1
        else:
            group.going[place] = False
            ended[row, 0], ended[row, 1] = now, status
    return going


@njit(nogil=True, **NO_REFERENCES)
def advance_beside(batch, ended, inv_masses, parameters, force, seed, limits, n_steps, group):
    """Make the steps of all replicas of a batch, group after group."""
    require_valid(limits, batch.positions.shape[1], force.alarm)
    n, width, dt = batch.replicas.size, group.energies.size, parameters.dt
    for r in range(n):
        if not 0 <= batch.replicas[r] < 4294967296:
            raise ValueError("`replicas` must lie in 0 ... 2**32 - 1.")
    for first in range(0, n, width):
        going = min(width, n - first)
        for place in range(width):
            group.going[place] = place < going
            _gather(batch, first + min(place, going - 1), place, inv_masses, dt, group)
            row = group.rows[place]
            ended[row, 0], ended[row, 1], ended[row, 2] = batch.step + n_steps, Status.OK, 0
        now = batch.step
        while going > 0 and now < batch.step + n_steps:
            for i in range(group.positions.size):
                group.previous[i] = group.positions[i]
            kick_all(group.velocities, group.forces, group.half_kick)  # B
            move(parameters, now, seed, inv_masses, group)
            positions, forces = group.matrices
            _call(force.beside, positions, forces, group.energies, force.program, force.workspace)
            kick_all(group.velocities, group.forces, group.half_kick)  # B
            now += 1
            if not _all_pass(group, batch.positions.shape[1], limits):
                going = _judge(group, batch, ended, now, limits)
        for place in range(width):
            if group.going[place]:
                _scatter(place, group, batch)


def advance_in_groups(
    batch: Batch, ended: IntArray, inv_masses: FloatArray, parameters: Any, force: ForcePointer,
    seed: int, limits: Limits, n_steps: int,
) -> None:  # fmt: skip
    """Do the work of `AbstractIntegrator.advance_each` on groups of replicas side by side."""
    own = scratch(batch.positions.shape[1])
    advance_beside(batch, ended, inv_masses, parameters, force, seed, limits, n_steps, own)
