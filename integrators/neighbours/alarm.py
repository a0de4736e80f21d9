"""Distances in a cell that a loop must watch: of the nearest images, by a list of their own.

The list reaches as far as the largest of the least distances. Its compiled function is called by
its address, as the function that updates a list is: loops are compiled once, and for an isolated
molecule they do not call it.
"""

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from ..compiled import NO_REFERENCES, quiet
from ..forces.force import ALARM, Force, call_address
from ..kernel_cache import cfunc
from ..state import FloatArray
from . import layout as at
from .count import vector
from .geometry import completed, fraction, invert, is_periodic
from .lists import NeighbourList
from .update import update

INSIDE, WARNED, STOPPED, NO_ANSWER = range(4)
"""What an alarm returns; without an answer, the list has no room or has lost a pair."""
SKIN_A = 1.0
_MATRIX = types.float64[:, ::1]
ALARM_SIGNATURE = types.int64(
    types.int64[::1], _MATRIX, _MATRIX, types.int64[::1], types.float64[:, :, ::1],
    types.int64[:, ::1], _MATRIX, _MATRIX,
)  # fmt: skip
_OPTIONS: Any = NO_REFERENCES | {"error_model": "numpy"}


class AlarmList(NeighbourList):
    """A list that can compare its distances with the least ones of each pair of kinds."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head[at.ALARM] = alarm_function().address


def watched(force: Force, farthest: float) -> Force:
    """Return `force` with the list that `Limits.kinds` need in a cell.

    Parameters
    ----------
    force : Force
    farthest : float
        Largest of the least distances in `Limits.least` (angstrom).

    Raises
    ------
    ValueError
        If it is not positive and finite.
    """
    held = AlarmList(farthest, SKIN_A)
    return force._replace(lists=(*force.lists, (ALARM, held)))


@functools.cache
def alarm_function() -> Any:
    """Return the compiled function of `ALARM_SIGNATURE`; one serves all lists."""
    return cfunc(ALARM_SIGNATURE, **_OPTIONS)(_alarm)


def _alarm(head, positions, cell, kinds, least, pairs, warn, stop):
    """Judge all images by their kinds, and `pairs` by their nearest image."""
    near = at.opened_from(head)
    if not update(near, positions, cell):
        return NO_ANSWER
    found = INSIDE
    for i in range(positions.shape[0]):
        for entry in range(near.starts[i], near.starts[i + 1]):
            j, x, y, z = vector(near, i, entry)
            square = x * x + y * y + z * z
            low, lowest = least[kinds[i], kinds[j], 0], least[kinds[i], kinds[j], 1]
            if not square >= low * low:
                found = max(found, WARNED)
            if not square >= lowest * lowest:
                found = STOPPED
    numbers = at.floats(head[at.NUMBERS], at.N_NUMBERS)
    inverse = numbers[at.INVERSE : at.INVERSE + 9]
    for p in range(pairs.shape[0]):
        distance = nearest(positions, pairs[p, 0], pairs[p, 1], cell, inverse)
        if not (warn[p, 0] <= distance <= warn[p, 1]):
            found = max(found, WARNED)
        if not (stop[p, 0] <= distance <= stop[p, 1]):
            found = STOPPED
    return found


@quiet
def nearest(positions, i, j, cell, inverse):
    """Distance (angstrom) from atom `i` to the nearest image of `j`; `inverse` is that of `cell`.

    Exact up to half of the least height of the cell, and beyond it where the cell is not so oblique
    that the nearest image is two cells from the one of the nearest fractions.
    """
    x = positions[j, 0] - positions[i, 0]
    y = positions[j, 1] - positions[i, 1]
    z = positions[j, 2] - positions[i, 2]
    a, b, c = _turns(positions, i, j, cell, inverse)
    reach_a, reach_b, reach_c = is_periodic(cell, 0), is_periodic(cell, 1), is_periodic(cell, 2)
    least = math.inf
    for u in range(a - reach_a, a + reach_a + 1):
        for v in range(b - reach_b, b + reach_b + 1):
            for w in range(c - reach_c, c + reach_c + 1):
                p = x + u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
                q = y + u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
                r = z + u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
                least = min(least, p * p + q * q + r * r)
    return math.sqrt(least)


def nearest_of_all(
    positions: FloatArray, pairs: npt.NDArray[np.int64], cell: FloatArray
) -> FloatArray:
    """Return `nearest` (angstrom) of each of `pairs` (n_pairs, 2)."""
    whole, inverse = np.empty(9), np.empty(9)
    completed(cell, whole)
    invert(whole, inverse)
    return np.array([nearest(positions, i, j, cell, inverse) for i, j in pairs])


@quiet
def _turns(positions, i, j, cell, inverse):
    """Cells by which `j` is to be moved, so that its fractions are nearest those of `i`."""
    a = b = c = 0
    if is_periodic(cell, 0):
        a = -round(fraction(positions, j, inverse, 0) - fraction(positions, i, inverse, 0))
    if is_periodic(cell, 1):
        b = -round(fraction(positions, j, inverse, 1) - fraction(positions, i, inverse, 1))
    if is_periodic(cell, 2):
        c = -round(fraction(positions, j, inverse, 2) - fraction(positions, i, inverse, 2))
    return a, b, c


@quiet
def images(address, positions, cell, kinds, least, pairs, warn, stop):
    """Call the alarm of the list whose head lies at `address`; return what it returns."""
    head = at.integers(address, at.HEAD)
    return _call_alarm(head[at.ALARM], head, positions, cell, kinds, least, pairs, warn, stop)


def _call(typingctx, address, head, positions, cell, kinds, least, pairs, warn, stop):
    return types.int64(types.int64, *ALARM_SIGNATURE.args), call_address


_call_alarm: Any = intrinsic(_call)
