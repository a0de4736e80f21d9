"""The audit: the pairs of a list counted again without it, over all pairs of atoms and images."""

import math

from ..compiled import quiet
from . import layout as at
from .geometry import height

_ROUNDING = 1e-9
"""Relative width about the cut-off within which the two may differ: a lattice has whole shells of
pairs at one distance, of which some are beyond it by the last bit only."""


@quiet
def vector(near, i, entry):
    """Neighbour j of atom `i` and the vector (angstrom) to it of the entry at a place of `near`."""
    word = near.entries[entry]
    j = word & at.SECOND
    shift = 4 * ((word >> at.ENTRY) + near.offsets[i] - near.offsets[j])
    return (
        j,
        near.wrapped[4 * j] - near.wrapped[4 * i] + near.shifts[shift],
        near.wrapped[4 * j + 1] - near.wrapped[4 * i + 1] + near.shifts[shift + 1],
        near.wrapped[4 * j + 2] - near.wrapped[4 * i + 2] + near.shifts[shift + 2],
    )


@quiet
def audit(head):
    """Return `OK` if the list has exactly the pairs within the cut-off, otherwise `LOST`."""
    near = at.opened_from(head)
    numbers = at.floats(head[at.NUMBERS], at.N_NUMBERS)
    square = numbers[at.CUTOFF] * numbers[at.CUTOFF]
    inner_count, inner_mark = _count_all(near, numbers, square * (1.0 - _ROUNDING))
    outer_count, outer_mark = _count_all(near, numbers, square * (1.0 + _ROUNDING))
    listed, mark = _count_listed(near, square)
    if inner_count == outer_count:
        return at.OK if listed == inner_count and mark == inner_mark else at.LOST
    return at.OK if inner_count <= listed <= outer_count else at.LOST


@quiet
def _mark(i, j):
    """A number that tells one pair from another; sums of it do not depend on their order."""
    return (i + 1) * 2654435761 + (j + 1) * 40503


@quiet
def _count_listed(near, square):
    """Number and mark of the pairs of the list."""
    count, mark, n = 0, 0, near.head[at.ATOMS]
    for i in range(n):
        own = 0
        for entry in range(near.starts[i], near.starts[i + 1]):
            j, x, y, z = vector(near, i, entry)
            if j >= i and x * x + y * y + z * z < square:  # a full list has the others as well
                if i == j:
                    own += 1
                else:
                    count += 1
                    mark += _mark(i, j)
        if near.head[at.FULL] != 0:
            own //= 2
        count += own
        mark += own * _mark(i, i)
    return count, mark


@quiet
def _count_all(near, numbers, square):
    """The same over all pairs of atoms and all images that may be near enough."""
    count, mark, n = 0, 0, near.head[at.ATOMS]
    whole, inverse = numbers[at.CELL : at.CELL + 9], numbers[at.INVERSE : at.INVERSE + 9]
    reach = math.sqrt(square)
    a, b, c = (
        _images(numbers, inverse, reach, 0),
        _images(numbers, inverse, reach, 1),
        _images(numbers, inverse, reach, 2),
    )
    for j in range(n):
        for i in range(j + 1):
            x = near.wrapped[4 * j] - near.wrapped[4 * i]
            y = near.wrapped[4 * j + 1] - near.wrapped[4 * i + 1]
            z = near.wrapped[4 * j + 2] - near.wrapped[4 * i + 2]
            u = _nearest(numbers, inverse, 0, x, y, z)
            v = _nearest(numbers, inverse, 1, x, y, z)
            w = _nearest(numbers, inverse, 2, x, y, z)
            x += u * whole[0] + v * whole[3] + w * whole[6]
            y += u * whole[1] + v * whole[4] + w * whole[7]
            z += u * whole[2] + v * whole[5] + w * whole[8]
            found = 0
            for p in range(-a, a + 1):
                for q in range(-b, b + 1):
                    for r in range(-c, c + 1):
                        dx = x + p * whole[0] + q * whole[3] + r * whole[6]
                        dy = y + p * whole[1] + q * whole[4] + r * whole[7]
                        dz = z + p * whole[2] + q * whole[5] + r * whole[8]
                        found += dx * dx + dy * dy + dz * dz < square
            if i == j:
                found = (found - 1) // 2  # not itself, and each image for two
            count += found
            mark += found * _mark(i, j)
    return count, mark


@quiet
def _images(numbers, inverse, reach, d):
    """Largest number of images beyond the nearest one that may be near enough."""
    if not is_given(numbers, d):
        return 0
    return int(math.floor(reach / height(inverse, d) + 0.5))


@quiet
def is_given(numbers, d):
    """Return True if direction `d` is periodic."""
    place = at.GIVEN + 3 * d
    return numbers[place] != 0.0 or numbers[place + 1] != 0.0 or numbers[place + 2] != 0.0


@quiet
def _nearest(numbers, inverse, d, x, y, z):
    """Shift along `d` that brings a vector nearest to zero."""
    if not is_given(numbers, d):
        return 0.0
    return -math.floor(x * inverse[d] + y * inverse[3 + d] + z * inverse[6 + d] + 0.5)
