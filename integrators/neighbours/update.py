"""Update of a list: whether it still has all pairs, present positions, when to rebuild it."""

import functools
import math
from typing import Any

from numba import types
from numba.extending import intrinsic

from ..compiled import NO_REFERENCES, quiet
from ..forces.force import call_address
from ..kernel_cache import cfunc, njit
from . import layout as at
from .build import build, wrap, write_shifts
from .count import audit
from .geometry import completed, invert

_MATRIX = types.float64[:, ::1]
UPDATE_SIGNATURE = types.int64(types.int64[::1], _MATRIX, _MATRIX)
_OPTIONS: Any = NO_REFERENCES | {"error_model": "numpy"}
AUDIT_SIGNATURE = types.int64(types.int64[::1])


@functools.cache
def update_function() -> Any:
    """Return the compiled ``status = update(head, positions, cell)``; one serves all lists."""
    return cfunc(UPDATE_SIGNATURE, **_OPTIONS)(_update)


@functools.cache
def audit_function() -> Any:
    """Return the compiled ``status = audit(head)`` of the positions at the last update."""
    return cfunc(AUDIT_SIGNATURE, **_OPTIONS)(_audit)


def _audit(head):
    status = audit(head)
    head[at.LOSSES] += status == at.LOST
    return status


def _update(head, positions, cell):
    """Make the list of `head` cover all pairs at `positions`; return `OK` or why not."""
    n = positions.shape[0]
    if n > head[at.CAP_ATOMS]:
        head[at.NEED_ATOMS] = max(head[at.NEED_ATOMS], n)
        return at.ROOM
    numbers = at.floats(head[at.NUMBERS], at.N_NUMBERS)
    _take_cell(head, numbers, cell)
    if (
        head[at.VALID] != 0
        and head[at.ATOMS] == n
        and _covers(head, numbers, positions)
        and _wrap(head, numbers, positions, cell)
    ):
        return at.OK
    head[at.VALID] = 0
    status = build(head, numbers, positions, cell)
    if status == at.OK:
        head[at.VALID] = 1
        head[at.ATOMS] = n
        head[at.BUILDS] += 1
        if head[at.AUDIT_EVERY] > 0 and head[at.BUILDS] % head[at.AUDIT_EVERY] == 0:
            status = _call_audit(head[at.AUDIT], head)
    return status


@quiet
def _take_cell(head, numbers, cell):
    """Note the cell of now, with its inverse and the vectors of all shifts, if it is new."""
    same = head[at.VALID] != 0
    for d in range(3):
        for k in range(3):
            same = same and numbers[at.GIVEN + 3 * d + k] == cell[d, k]
            numbers[at.GIVEN + 3 * d + k] = cell[d, k]
    if same:
        return
    whole, inverse = numbers[at.CELL : at.CELL + 9], numbers[at.INVERSE : at.INVERSE + 9]
    completed(cell, whole)
    invert(whole, inverse)
    if head[at.VALID] != 0:
        write_shifts(head, cell)


@quiet
def _covers(head, numbers, positions):
    """Return True if no pair within the cut-off can have been beyond cut-off and skin at the build.

    With F the strain of the cell since then, a pair d is ``d0 F + u_j - u_i``, u the moves that
    are not that strain. So ``|d0| <= (|d| + |u_i| + |u_j|) / s``, s the smallest singular value
    of F, at least ``1 - |F - 1|``.
    """
    moved, still, strain = numbers[at.CELL :], numbers[at.HELD_INVERSE :], 0.0
    reference = at.floats(head[at.REFERENCE], 3 * head[at.CAP_ATOMS])
    n, cutoff, skin = positions.shape[0], numbers[at.CUTOFF], numbers[at.SKIN]
    equal = True
    for m in range(9):
        equal = equal and numbers[at.CELL + m] == numbers[at.HELD + m]
    if equal:
        return _largest_moves(positions, reference, n) <= skin
    f = _strain(still, moved)
    for m in range(9):
        one = 1.0 if m % 4 == 0 else 0.0
        strain += (f[m] - one) * (f[m] - one)
    strain = math.sqrt(strain)
    return _largest_moves_strained(positions, reference, n, f) <= (
        (cutoff + skin) * (1.0 - strain) - cutoff
    )


@quiet
def _strain(inverse, cell):
    """The product of two matrices of nine numbers, as a tuple."""
    return (
        inverse[0] * cell[0] + inverse[1] * cell[3] + inverse[2] * cell[6],
        inverse[0] * cell[1] + inverse[1] * cell[4] + inverse[2] * cell[7],
        inverse[0] * cell[2] + inverse[1] * cell[5] + inverse[2] * cell[8],
        inverse[3] * cell[0] + inverse[4] * cell[3] + inverse[5] * cell[6],
        inverse[3] * cell[1] + inverse[4] * cell[4] + inverse[5] * cell[7],
        inverse[3] * cell[2] + inverse[4] * cell[5] + inverse[5] * cell[8],
        inverse[6] * cell[0] + inverse[7] * cell[3] + inverse[8] * cell[6],
        inverse[6] * cell[1] + inverse[7] * cell[4] + inverse[8] * cell[7],
        inverse[6] * cell[2] + inverse[7] * cell[5] + inverse[8] * cell[8],
    )


@quiet
def _largest_moves(positions, reference, n):
    """Sum of the two largest moves since the build; infinite where a position is not finite."""
    first, second, total = 0.0, 0.0, 0.0
    for i in range(n):
        x = positions[i, 0] - reference[3 * i]
        y = positions[i, 1] - reference[3 * i + 1]
        z = positions[i, 2] - reference[3 * i + 2]
        square = x * x + y * y + z * z
        total += square
        second = max(second, min(first, square))
        first = max(first, square)
    return math.sqrt(first) + math.sqrt(second) if total < math.inf else math.inf


@quiet
def _largest_moves_strained(positions, reference, n, f):
    """The same for moves beside the strain `f` and beside their mean."""
    mean_x, mean_y, mean_z = 0.0, 0.0, 0.0
    first, second, total = 0.0, 0.0, 0.0
    for turn in range(2):
        for i in range(n):
            a, b, c = reference[3 * i], reference[3 * i + 1], reference[3 * i + 2]
            x = positions[i, 0] - (a * f[0] + b * f[3] + c * f[6])
            y = positions[i, 1] - (a * f[1] + b * f[4] + c * f[7])
            z = positions[i, 2] - (a * f[2] + b * f[5] + c * f[8])
            if turn == 0:
                mean_x += x / n
                mean_y += y / n
                mean_z += z / n
            else:
                x, y, z = x - mean_x, y - mean_y, z - mean_z
                square = x * x + y * y + z * z
                total += square
                second = max(second, min(first, square))
                first = max(first, square)
    return math.sqrt(first) + math.sqrt(second) if total < math.inf else math.inf


@quiet
def _wrap(head, numbers, positions, cell):
    """Write the wrapped positions and the offsets; False if an atom has moved by a whole cell.

    How an atom is wrapped depends on its position alone, not on the last build: else the last
    bits of the energy would tell when the list was built.
    """
    n = positions.shape[0]
    wrapped = at.floats(head[at.WRAPPED], 4 * n)
    offsets = at.integers(head[at.OFFSETS_OF], n)
    wraps = at.shorts(head[at.WRAPS], 3 * n)
    inverse = numbers[at.INVERSE : at.INVERSE + 9]
    side_2 = 2 * head[at.REACH + 2] + 1
    sides = ((2 * head[at.REACH + 1] + 1) * side_2, side_2, 1)
    for i in range(n):
        offset = 0
        turns = wrap(positions, i, inverse, cell, wrapped)
        for d in range(3):
            left = turns[d] - wraps[3 * i + d]
            if left < -1 or left > 1:
                return False
            offset += left * sides[d]
        offsets[i] = offset
    return True


@quiet
def update(near, positions, cell):
    """Bring `near` up to date with the positions; return False if the force has no answer.

    That is where the list has no room, where a position is not finite, or where an audit found a
    pair missing: then return NaN. The caller makes room and calls again; see `Force`.
    """
    return _call_update(near.head[at.UPDATE], near.head, positions, cell) == at.OK


def _call(typingctx, address, head, positions, cell):
    return types.int64(types.int64, *UPDATE_SIGNATURE.args), call_address


def _call_the_audit(typingctx, address, head):
    return types.int64(types.int64, *AUDIT_SIGNATURE.args), call_address


_call_update: Any = intrinsic(_call)
_call_audit: Any = intrinsic(_call_the_audit)


@njit()
def update_from_python(head, positions, cell):
    """Bring the list of `head` up to date; return `OK` or why not."""
    return _call_update(head[at.UPDATE], head, positions, cell)


@njit()
def audit_from_python(head):
    """Audit the list of `head` at the positions of its last update; return `OK` or `LOST`."""
    return _call_audit(head[at.AUDIT], head)
