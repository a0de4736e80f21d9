"""The arrays of a neighbour list, as Python makes them and as compiled code finds them.

A list lies in arrays of its own, not in those of its force: it grows, and the arrays of a force
may be parts of a larger one (a sum). The force's program holds one word, the address of the
list's `head`; the head holds the sizes and the addresses of the others.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ..compiled import quiet

# fmt: off
(LOSSES, UPDATE, FULL, ATOMS, VALID, BUILDS, AUDIT_EVERY, PAIRS,
 CAP_ATOMS, CAP_PAIRS, CAP_SHIFTS, NEED_ATOMS, NEED_PAIRS, NEED_SHIFTS,
 REACH, OFFSETS_OF, STARTS, ENTRIES, FOUND, MIRRORED, FIRST, ORDER, PLACE, WRAPS,
 REFERENCE, WRAPPED, SORTED, SHIFTS, NUMBERS, AUDIT, TAKEN, ALARM) = (
    *range(15), *range(17, 34))
HEAD = 34
"""Words of a head; `REACH` has three. From `OFFSETS_OF` on they are addresses."""
CUTOFF, SKIN, GIVEN, CELL, INVERSE, HELD, HELD_INVERSE, N_NUMBERS = 0, 1, 2, 11, 20, 29, 38, 47
"""Places in the numbers: cell of now, it completed, its inverse; the last two at the build."""
# fmt: on
OK, ROOM, LOST, NOT_FINITE = range(4)
"""What an update returns; all but `OK` leave the force without an answer (NaN). `LOSSES` counts the
audits that failed, and the words `NEED_...` keep the most that any call has needed: one call may
follow another before anyone looks."""
MAX_ATOMS, MAX_SHIFTS = 2**24, 2**15
"""What one word of `found` has bits for: two atoms, and a shift."""
CODE, OWNER = 48, 24
"""Bits of a word of `found` above which its shift and its owner lie; below is the other atom."""
ENTRY = 32
"""Bits of an entry above which its shift lies; below is the atom."""
SECOND = 2**ENTRY - 1


class Neighbours(NamedTuple):
    """A list in compiled code; `opened` makes it, `update` brings it up to date.

    Parameters
    ----------
    head : int64 array
    starts : int64 array, shape (n_atoms + 1,)
        The entries of atom i are those from ``starts[i]`` to ``starts[i + 1]``.
    entries : int64 array
        Neighbour and shift in one word each; `vector` reads it.
    wrapped : float64 array, shape (4 n_atoms,)
        Positions in the cell (angstrom), every fourth number free.
    offsets : int64 array, shape (n_atoms,)
        What an atom that has left the cell since the last build adds to the shifts of its entries.
    shifts : float64 array
        Vectors (angstrom) of the shifts, four numbers each.
    """

    head: Any
    starts: Any
    entries: Any
    wrapped: Any
    offsets: Any
    shifts: Any


def _view_of(kind: Any) -> Any:
    @intrinsic
    def view(typingctx, address, size):
        array = types.Array(kind, 1, "C")

        def codegen(context, builder, signature, args):
            made = context.make_array(array)(context, builder)
            item = context.get_abi_sizeof(context.get_data_type(kind))
            populate_array(
                made,
                data=builder.inttoptr(args[0], context.get_data_type(kind).as_pointer()),
                shape=[args[1]],
                strides=[context.get_constant(types.intp, item)],
                itemsize=context.get_constant(types.intp, item),
                meminfo=None,
            )
            return made._getvalue()

        return array(types.int64, types.intp), codegen

    return view


integers, shorts, floats = map(_view_of, (types.int64, types.int32, types.float64))
"""``view(address, size)`` of int64, int32 and float64 numbers in memory, in compiled code."""


@quiet
def opened(address):
    """Return the `Neighbours` whose head lies at `address`, a word of a force's program.

    Open a list at each call of the force, since it may have grown since the last one.
    """
    return opened_from(integers(address, HEAD))


@quiet
def opened_from(head):
    """Return the `Neighbours` of a head."""
    return Neighbours(
        head,
        integers(head[STARTS], head[CAP_ATOMS] + 1),
        integers(head[ENTRIES], head[CAP_PAIRS] * (1 + head[FULL])),
        floats(head[WRAPPED], 4 * head[CAP_ATOMS]),
        integers(head[OFFSETS_OF], head[CAP_ATOMS]),
        floats(head[SHIFTS], 4 * head[CAP_SHIFTS]),
    )


def arrays(n_atoms: int, n_pairs: int, n_shifts: int, full: bool) -> dict[int, np.ndarray]:
    """Make the arrays of a list by the words that hold their addresses; pages fill when used."""
    doubled = n_pairs if full else 0
    return {
        OFFSETS_OF: np.zeros(n_atoms, np.int64),
        STARTS: np.zeros(n_atoms + 1, np.int64),
        ENTRIES: np.empty(n_pairs + doubled, np.int64),
        FOUND: np.empty(n_pairs + 1, np.int64),
        MIRRORED: np.empty(doubled, np.int64),
        FIRST: np.zeros(n_atoms + 2, np.int32),
        TAKEN: np.zeros(n_atoms + 2, np.int32),
        ORDER: np.zeros(n_atoms, np.int32),
        PLACE: np.zeros(3 * n_atoms, np.int32),
        WRAPS: np.zeros(3 * n_atoms, np.int32),
        REFERENCE: np.zeros(3 * n_atoms),
        WRAPPED: np.zeros(4 * n_atoms),
        SORTED: np.zeros(3 * n_atoms),
        SHIFTS: np.zeros(4 * n_shifts),
    }
