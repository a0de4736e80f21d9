"""Building a list: all pairs closer than cut-off and skin, with the images of a periodic cell.

Atoms are sorted into boxes not smaller than that distance where the cell allows; where it does
not, a box has several images of itself among its neighbours, which is all that small cells need.
Atoms are taken by rising index, with partners of lower index: so the entries of each atom come out
by rising index, whatever box anything lies in.
"""

import math

import numpy as np

from ..compiled import quiet
from . import layout as at
from .geometry import fraction, height, is_periodic

_FARTHEST = 1e9
"""Largest number of cells between an atom and the origin: turns are 32-bit integers."""
_FIRST_GUESS = 16
"""Pairs of an atom, for which there is room before any have been counted."""
_MARGIN = 1e-8
"""What boxes are wider than the distance, relative, for the rounding of coordinates."""


@quiet
def wrap(positions, i, inverse, cell, wrapped):
    """Write atom `i`, moved into the cell, to `wrapped`; return how many times along each vector.

    A function of its position and the cell alone.
    """
    x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
    u = v = w = 0.0
    if is_periodic(cell, 0):
        u = -np.floor(fraction(positions, i, inverse, 0))
        x, y, z = x + u * cell[0, 0], y + u * cell[0, 1], z + u * cell[0, 2]
    if is_periodic(cell, 1):
        v = -np.floor(fraction(positions, i, inverse, 1))
        x, y, z = x + v * cell[1, 0], y + v * cell[1, 1], z + v * cell[1, 2]
    if is_periodic(cell, 2):
        w = -np.floor(fraction(positions, i, inverse, 2))
        x, y, z = x + w * cell[2, 0], y + w * cell[2, 1], z + w * cell[2, 2]
    wrapped[4 * i], wrapped[4 * i + 1], wrapped[4 * i + 2] = x, y, z
    return int(u), int(v), int(w)


@quiet
def write_shifts(head, cell):
    """Write the vector of every shift: code by code, the last direction fastest."""
    shifts = at.floats(head[at.SHIFTS], 4 * head[at.CAP_SHIFTS])
    a, b, c = head[at.REACH], head[at.REACH + 1], head[at.REACH + 2]
    place = 0
    for u in range(-a, a + 1):
        for v in range(-b, b + 1):
            for w in range(-c, c + 1):
                for k in range(3):
                    shifts[place + k] = u * cell[0, k] + v * cell[1, k] + w * cell[2, k]
                place += 4


@quiet
def build(head, numbers, positions, cell):
    """Build the list of `head` for `positions`; return `OK` or why not."""
    n = positions.shape[0]
    inverse = numbers[at.INVERSE : at.INVERSE + 9]
    wrapped = at.floats(head[at.WRAPPED], 4 * n)
    if not _place_atoms(head, positions, inverse, cell, wrapped):
        return at.NOT_FINITE
    for m in range(18):
        numbers[at.HELD + m] = numbers[at.CELL + m]
    reach = (1.0 + _MARGIN) * (numbers[at.CUTOFF] + numbers[at.SKIN])
    boxes, steps, lows, widths = _boxes(wrapped, inverse, cell, reach, n)
    n_shifts = 1
    reaches = (
        _reach(boxes[0], steps[0], is_periodic(cell, 0)),
        _reach(boxes[1], steps[1], is_periodic(cell, 1)),
        _reach(boxes[2], steps[2], is_periodic(cell, 2)),
    )
    for d in range(3):
        head[at.REACH + d] = reaches[d]
        n_shifts *= min(2 * reaches[d] + 1, 2 * at.MAX_SHIFTS)
        n_shifts = min(n_shifts, 2 * at.MAX_SHIFTS)
    if n_shifts > head[at.CAP_SHIFTS]:
        head[at.NEED_SHIFTS] = max(head[at.NEED_SHIFTS], n_shifts)
        return at.ROOM
    write_shifts(head, cell)
    _sort_into_boxes(head, wrapped, inverse, boxes, lows, widths, n)
    in_boxes = (
        reach / (widths[0] * height(inverse, 0)),
        reach / (widths[1] * height(inverse, 1)),
        reach / (widths[2] * height(inverse, 2)),
    )
    grid = (lows, widths, in_boxes, steps)
    periodic = (is_periodic(cell, 0), is_periodic(cell, 1), is_periodic(cell, 2))
    if head[at.CAP_PAIRS] == 0:
        head[at.NEED_PAIRS] = max(head[at.NEED_PAIRS], _FIRST_GUESS * n)
        return at.ROOM
    found = _search(head, wrapped, inverse, boxes, grid, periodic, reach * reach, n)
    head[at.PAIRS] = found
    if found > head[at.CAP_PAIRS]:
        head[at.NEED_PAIRS] = max(head[at.NEED_PAIRS], found)
        return at.ROOM
    if head[at.FULL] != 0:
        _write_full(head, found, n)
    else:
        _write_half(head, found, n)
    return at.OK


@quiet
def _place_atoms(head, positions, inverse, cell, wrapped):
    """Wrap all atoms and note where they are; False if one is nowhere."""
    n = positions.shape[0]
    offsets, wraps = at.integers(head[at.OFFSETS_OF], n), at.shorts(head[at.WRAPS], 3 * n)
    reference = at.floats(head[at.REFERENCE], 3 * n)
    for i in range(n):
        for d in range(3):
            reference[3 * i + d] = positions[i, d]
            if not abs(positions[i, d]) < math.inf:
                return False
            if is_periodic(cell, d) and not abs(fraction(positions, i, inverse, d)) < _FARTHEST:
                return False
        turns = wrap(positions, i, inverse, cell, wrapped)
        for d in range(3):
            wraps[3 * i + d] = turns[d]
        offsets[i] = 0
    return True


@quiet
def _boxes(wrapped, inverse, cell, reach, n):
    """Numbers of boxes, how many of them reach as far as a pair, where they begin, their widths.

    Begin and width are in fractions of a lattice vector.
    """
    low_0, long_0 = _extent(wrapped, inverse, cell, 0, n)
    low_1, long_1 = _extent(wrapped, inverse, cell, 1, n)
    low_2, long_2 = _extent(wrapped, inverse, cell, 2, n)
    high_0, high_1, high_2 = height(inverse, 0), height(inverse, 1), height(inverse, 2)
    a = max(1, int(min(long_0 * high_0 / reach, 1e6)))
    b = max(1, int(min(long_1 * high_1 / reach, 1e6)))
    c = max(1, int(min(long_2 * high_2 / reach, 1e6)))
    while a * b * c > max(n, 1):  # a gas: no more boxes than atoms
        if a >= b and a >= c:
            a = max(1, a * 3 // 4)
        elif b >= c:
            b = max(1, b * 3 // 4)
        else:
            c = max(1, c * 3 // 4)
    steps = (
        _steps(reach, long_0 * high_0 / a),
        _steps(reach, long_1 * high_1 / b),
        _steps(reach, long_2 * high_2 / c),
    )
    return (a, b, c), steps, (low_0, low_1, low_2), (long_0 / a, long_1 / b, long_2 / c)


@quiet
def _steps(reach, width):
    """Return how many boxes of `width` a pair may span."""
    return int(min(math.ceil(reach / width), 1e6))


@quiet
def _extent(wrapped, inverse, cell, d, n):
    """Begin and length of what has to be divided along `d`, in fractions."""
    if is_periodic(cell, d):
        return 0.0, 1.0
    low, high = math.inf, -math.inf
    for i in range(n):
        f = _along(wrapped, i, inverse, d)
        low, high = min(low, f), max(high, f)
    return low, max(high - low, 1e-3)


@quiet
def _along(wrapped, i, inverse, d):
    return (
        wrapped[4 * i] * inverse[d]
        + wrapped[4 * i + 1] * inverse[3 + d]
        + wrapped[4 * i + 2] * inverse[6 + d]
    )


@quiet
def _reach(boxes, steps, periodic):
    """Largest component of a shift: images of the boxes, and two atoms that may have turned."""
    return (steps + boxes - 1) // boxes + 2 if periodic else 0


@quiet
def _sort_into_boxes(head, wrapped, inverse, boxes, lows, widths, n):
    """Sort the atoms by boxes, within one by rising index."""
    place, order = at.shorts(head[at.PLACE], 3 * n), at.shorts(head[at.ORDER], n)
    first = at.shorts(head[at.FIRST], n + 2)
    ordered = at.floats(head[at.SORTED], 3 * n)
    n_boxes = boxes[0] * boxes[1] * boxes[2]
    for b in range(n_boxes + 1):
        first[b] = 0
    for i in range(n):
        for d in range(3):
            f = (_along(wrapped, i, inverse, d) - lows[d]) / widths[d]
            place[3 * i + d] = max(0, min(boxes[d] - 1, int(math.floor(f))))
        first[_box(place, i, boxes) + 1] += 1
    for b in range(n_boxes):
        first[b + 1] += first[b]
    for i in range(n - 1, -1, -1):  # backwards: `first` ends as the begin of each box
        box = _box(place, i, boxes)
        first[box + 1] -= 1
        p = first[box + 1]
        order[p] = i
        for k in range(3):
            ordered[3 * p + k] = wrapped[4 * i + k]
    for b in range(n_boxes):  # it holds the begin of box b at b + 1
        first[b] = first[b + 1]
    first[n_boxes] = n


@quiet
def _box(place, i, boxes):
    return (place[3 * i] * boxes[1] + place[3 * i + 1]) * boxes[2] + place[3 * i + 2]


@quiet
def _search(head, wrapped, inverse, boxes, grid, periodic, square, n):
    """Write the pairs to `found` as far as there is room; return their number.

    In the order of the second atom, then of the boxes of the first. `taken` says how far a box has
    been worked off: to the partners of lower index. What is too far is written too, and overwritten
    by the next; the place after the last that there is room for takes what does not fit.
    """
    place, order = at.shorts(head[at.PLACE], 3 * n), at.shorts(head[at.ORDER], n)
    first, ordered = at.shorts(head[at.FIRST], n + 2), at.floats(head[at.SORTED], 3 * n)
    taken, last = at.shorts(head[at.TAKEN], n + 2), head[at.CAP_PAIRS]
    found, shifts = at.integers(head[at.FOUND], last + 1), at.floats(head[at.SHIFTS], 0)
    a, b, c = head[at.REACH], head[at.REACH + 1], head[at.REACH + 2]
    side_b, side_c = 2 * b + 1, 2 * c + 1
    centre, count = (a * side_b + b) * side_c + c, 0
    for m in range(boxes[0] * boxes[1] * boxes[2]):
        taken[m] = first[m]
    for j in range(n):
        home_u, home_v, home_w = place[3 * j], place[3 * j + 1], place[3 * j + 2]
        home = (home_u * boxes[1] + home_v) * boxes[2] + home_w
        high_u, low_u = _span(wrapped, j, inverse, grid, 0, home_u)
        high_v, low_v = _span(wrapped, j, inverse, grid, 1, home_v)
        high_w, low_w = _span(wrapped, j, inverse, grid, 2, home_w)
        for u in range(home_u + high_u, home_u - low_u - 1, -1):
            u_turn = 0 if 0 <= u < boxes[0] else u // boxes[0]
            if u_turn != 0 and not periodic[0]:
                continue
            for v in range(home_v + high_v, home_v - low_v - 1, -1):
                v_turn = 0 if 0 <= v < boxes[1] else v // boxes[1]
                if v_turn != 0 and not periodic[1]:
                    continue
                row = ((u - u_turn * boxes[0]) * boxes[1] + v - v_turn * boxes[1]) * boxes[2]
                plane = ((a - u_turn) * side_b + b - v_turn) * side_c + c
                for w in range(home_w + high_w, home_w - low_w - 1, -1):
                    w_turn = 0 if 0 <= w < boxes[2] else w // boxes[2]
                    if w_turn != 0 and not periodic[2]:
                        continue
                    box, code = row + w - w_turn * boxes[2], plane - w_turn
                    dx, dy, dz = shifts[4 * code], shifts[4 * code + 1], shifts[4 * code + 2]
                    x, y, z = wrapped[4 * j] + dx, wrapped[4 * j + 1] + dy, wrapped[4 * j + 2] + dz
                    pair = (code << at.CODE) | j
                    for p in range(first[box], taken[box]):
                        u_x, u_y, u_z = ordered[3 * p], ordered[3 * p + 1], ordered[3 * p + 2]
                        far = (x - u_x) ** 2 + (y - u_y) ** 2 + (z - u_z) ** 2
                        found[min(count, last)] = pair | (order[p] << at.OWNER)
                        count += far < square
                    if box == home and code > centre:  # of two opposite images of j, one
                        found[min(count, last)] = pair | (j << at.OWNER)
                        count += dx * dx + dy * dy + dz * dz < square
        taken[home] += 1
    return count


@quiet
def _span(wrapped, j, inverse, grid, d, home):
    """Return how many boxes above and below its own an atom's partners may lie in, along `d`."""
    lows, widths, reaches, steps = grid
    f = (_along(wrapped, j, inverse, d) - lows[d]) / widths[d] - home
    above, below = math.floor(f + reaches[d]), math.floor(f - reaches[d])
    return min(steps[d], int(above)), min(steps[d], -int(below))


@quiet
def _owner(pair):
    return (pair >> at.OWNER) & (at.MAX_ATOMS - 1)


@quiet
def _other(pair):
    return pair & (at.MAX_ATOMS - 1)


@quiet
def _write_half(head, count, n):
    """Entries of each atom from the pairs in `found`: a sort by owners that keeps their order."""
    found, starts = at.integers(head[at.FOUND], count), at.integers(head[at.STARTS], n + 1)
    entries = at.integers(head[at.ENTRIES], count)
    _count_rows(found, starts, count, n, False)
    for m in range(count):
        pair = found[m]
        row = _owner(pair)
        entries[starts[row]] = ((pair >> at.CODE) << at.ENTRY) | _other(pair)
        starts[row] += 1
    _step_back(starts, n)


@quiet
def _write_full(head, count, n):
    """The same, with the pair as the second atom sees it in front of each row."""
    found, starts = at.integers(head[at.FOUND], count), at.integers(head[at.STARTS], n + 1)
    entries, sorted_pairs = (
        at.integers(head[at.ENTRIES], 2 * count),
        at.integers(head[at.MIRRORED], count),
    )
    a, b, c = head[at.REACH], head[at.REACH + 1], head[at.REACH + 2]
    twice_centre = 2 * ((a * (2 * b + 1) + b) * (2 * c + 1) + c)
    _count_rows(found, starts, count, n, False)
    for m in range(count):
        row = _owner(found[m])
        sorted_pairs[starts[row]] = found[m]
        starts[row] += 1
    _count_rows(found, starts, count, n, True)
    for m in range(count):  # owners rise, so the mirrored ones of each row do
        pair = sorted_pairs[m]
        row = _other(pair)
        entries[starts[row]] = ((twice_centre - (pair >> at.CODE)) << at.ENTRY) | _owner(pair)
        starts[row] += 1
    for m in range(count):
        pair = sorted_pairs[m]
        row = _owner(pair)
        entries[starts[row]] = ((pair >> at.CODE) << at.ENTRY) | _other(pair)
        starts[row] += 1
    _step_back(starts, n)


@quiet
def _count_rows(found, starts, count, n, both):
    """Set `starts` to the begin of each row."""
    for i in range(n + 1):
        starts[i] = 0
    for m in range(count):
        starts[_owner(found[m]) + 1] += 1
        if both:
            starts[_other(found[m]) + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]


@quiet
def _step_back(starts, n):
    """Turn the ends of the rows into their begins."""
    for i in range(n, 0, -1):
        starts[i] = starts[i - 1]
    starts[0] = 0
