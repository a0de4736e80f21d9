"""Guards that every step passes.

Each is written ``not (x <= limit)``, never ``x > limit``: comparisons with NaN are false, so that
only the first form stops on NaN.
"""

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .compiled import inner
from .neighbours import alarm
from .neighbours.lists import neighbour_pairs
from .state import FloatArray

_NO_KINDS, _NO_LEAST = np.zeros(0, np.int64), np.zeros((0, 0, 2))


class Status(IntEnum):
    """Why `advance` ended: `OK` after all its steps, otherwise the first limit broken."""

    OK = 0
    NOT_FINITE = 1
    """The energy, a force or a position is NaN or infinite."""
    FORCE = 2
    """The force on some atom exceeds `Limits.max_force`."""
    DISPLACEMENT = 3
    """Some atom moved more than `Limits.max_displacement` in one step."""
    DOMAIN = 4
    """Some pair distance is outside `Limits.stop`."""
    NOISE = 5
    """The noise of the forces is more than the bath can make up for."""
    LOST_PAIR = 6
    """An audit has found a neighbour list without one of its pairs."""
    CELL = 7
    """A barostat changed the cell by more than a tenth in one step."""


class Limits(NamedTuple):
    """Bounds that a trajectory must not leave; `unlimited` gives those that only stop on NaN.

    Parameters
    ----------
    max_force : float
        Largest norm of the force on one atom (eV/angstrom).
    max_displacement : float
        Largest move of one atom in one step (angstrom).
    pairs : int64 array, shape (n_pairs, 2)
        Atoms whose distances are watched, such as the domain a potential was trained on.
    warn, stop : float64 array, shape (n_pairs, 2)
        Lower and upper distance (angstrom) of each pair: outside `warn` a step is counted,
        outside `stop` it ends the run.
    kinds : int64 array, shape (n_atoms,)
        In a periodic cell: kind of each atom, such as its element. Then the distances of `pairs`
        are those of nearest images, and those of all atoms and their images are watched, too. The
        force must be `neighbours.watched`. Empty for an isolated system.
    least : float64 array, shape (n_kinds, n_kinds, 2)
        Least distances (angstrom) of two kinds: below the first number a step is counted, below
        the second it ends the run. Symmetric; 0 does neither.
    """

    max_force: float
    max_displacement: float
    pairs: npt.NDArray[np.int64]
    warn: FloatArray
    stop: FloatArray
    kinds: npt.NDArray[np.int64] = _NO_KINDS
    least: FloatArray = _NO_LEAST


class Stray(NamedTuple):
    """Two atoms, or an atom and an image, whose distance ends a run."""

    i: int
    j: int
    distance: float
    low: float
    high: float


def stray(limits: Limits, positions: FloatArray, cell: FloatArray) -> Stray | None:
    """Return the first distance (angstrom) outside `Limits.stop`, or below `Limits.least`; or None.

    Parameters
    ----------
    limits : Limits
    positions : float64 array, shape (n_atoms, 3)
        In angstrom.
    cell : float64 array, shape (3, 3)
        Lattice vectors (angstrom) in rows.
    """
    i, j = limits.pairs.T
    if limits.kinds.size:
        between = alarm.nearest_of_all(positions, limits.pairs, cell)
    else:
        between = np.linalg.norm(positions[i] - positions[j], axis=1)
    low, high = limits.stop.T
    for k in np.flatnonzero(~((low <= between) & (between <= high)))[:1]:
        return Stray(int(i[k]), int(j[k]), float(between[k]), float(low[k]), float(high[k]))
    lows = limits.least[..., 1]
    if not (limits.kinds.size and lows.max() > 0):
        return None
    i, j, shifts = neighbour_pairs(positions, cell, float(lows.max()))
    between = np.linalg.norm(positions[j] - positions[i] + shifts @ cell, axis=1)
    low = lows[limits.kinds[i], limits.kinds[j]]
    for k in np.flatnonzero(between < low)[:1]:
        return Stray(int(i[k]), int(j[k]), float(between[k]), float(low[k]), np.inf)
    return None


def unlimited() -> Limits:
    """Limits that stop on nothing but NaN and infinity."""
    empty = np.empty((0, 2))
    return Limits(np.inf, np.inf, np.empty((0, 2), dtype=np.int64), empty, empty)


def owned(limits: Limits) -> Limits:
    """Return `limits` with arrays as compiled loops take them: writable and C-contiguous."""
    arrays: Any = limits[2:]
    if all([array.flags.carray for array in arrays]):
        return limits
    return Limits(*limits[:2], *[np.require(array, None, ["C", "W"]) for array in arrays])


@inner
def require_valid(limits, n_atoms, list_address):
    """Raise ValueError unless the arrays of `limits` fit each other, `n_atoms`, and the force.

    Kernels do not check bounds: a wrong index would read foreign memory.
    """
    shape = limits.pairs.shape
    if shape[1] != 2 or limits.warn.shape != shape or limits.stop.shape != shape:
        raise ValueError("`pairs`, `warn` and `stop` of the limits must have shape (n_pairs, 2).")
    for p in range(shape[0]):
        if not (0 <= limits.pairs[p, 0] < n_atoms and 0 <= limits.pairs[p, 1] < n_atoms):
            raise ValueError("`pairs` of the limits must hold atom indices below n_atoms.")
    n_kinds = limits.least.shape[0]
    if limits.least.shape != (n_kinds, n_kinds, 2):
        raise ValueError("`least` of the limits must have shape (n_kinds, n_kinds, 2).")
    if limits.kinds.size == 0:
        return
    if limits.kinds.size != n_atoms:
        raise ValueError("`kinds` of the limits must have shape (n_atoms,), or be empty.")
    for i in range(n_atoms):
        if not 0 <= limits.kinds[i] < n_kinds:
            raise ValueError("`kinds` of the limits must lie in 0 ... n_kinds - 1.")
    if list_address == 0:
        raise ValueError("Limits with `kinds` need a force that is `neighbours.watched`.")


@inner
def check(positions, previous, forces, energy, limits):
    """Judge the state after one step, but for distances in a cell; see `check_images`.

    Parameters
    ----------
    positions, previous, forces : float64 array, shape (n_atoms, 3)
        Now, one step before, and now.
    energy : float
        Potential energy (eV).
    limits : Limits

    Returns
    -------
    status : Status
        The first limit broken, in the order of `Status`.
    warned : bool
        Whether some pair distance is outside ``limits.warn``.
    """
    warned, stopped = False, False
    if limits.kinds.size == 0:
        warned, stopped = _outside(positions, limits)
    if not (abs(energy) < np.inf and _all_finite(forces) and _all_finite(positions)):
        return Status.NOT_FINITE, warned
    largest = limits.max_force * limits.max_force  # squares: a root costs as much as ten products
    for i in range(forces.shape[0]):
        if not (_square(forces[i, 0], forces[i, 1], forces[i, 2]) <= largest):
            return Status.FORCE, warned
    farthest = limits.max_displacement * limits.max_displacement
    for i in range(positions.shape[0]):
        if not (_square_distance(positions, i, previous, i) <= farthest):
            return Status.DISPLACEMENT, warned
    if stopped:
        return Status.DOMAIN, warned
    return Status.OK, warned


@inner
def check_images(status, warned, positions, cell, limits, list_address):
    """Judge the distances in a cell, after `check`; the same two results.

    A list without room has no answer, as a force has none then: `Status.NOT_FINITE`, upon which the
    list grows and the steps are made again.
    """
    if limits.kinds.size == 0 or status == Status.NOT_FINITE:
        return status, warned
    found = alarm.images(
        list_address, positions, cell, limits.kinds, limits.least, limits.pairs, limits.warn,
        limits.stop,
    )  # fmt: skip
    if found == alarm.NO_ANSWER:
        return Status.NOT_FINITE, warned
    if found == alarm.STOPPED and status == Status.OK:
        status = Status.DOMAIN
    return status, warned or found != alarm.INSIDE


@inner
def _all_finite(array):
    for i in range(array.shape[0]):
        for k in range(3):
            if not (abs(array[i, k]) < np.inf):
                return False
    return True


@inner
def _outside(positions, limits):
    """Tell if any watched distance is outside `warn`, and if any is outside `stop`."""
    warned, stopped = False, False
    for p in range(limits.pairs.shape[0]):
        square = _square_distance(positions, limits.pairs[p, 0], positions, limits.pairs[p, 1])
        distance = math.sqrt(square)
        warned |= not (limits.warn[p, 0] <= distance <= limits.warn[p, 1])
        stopped |= not (limits.stop[p, 0] <= distance <= limits.stop[p, 1])
    return warned, stopped


@inner
def _square_distance(a, i, b, j):
    return _square(a[i, 0] - b[j, 0], a[i, 1] - b[j, 1], a[i, 2] - b[j, 2])


@inner
def _square(x, y, z):
    return x * x + y * y + z * z
