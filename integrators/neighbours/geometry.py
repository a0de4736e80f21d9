"""Cells, of which some directions may not be periodic, as the lists need them."""

import math

from ..compiled import quiet


@quiet
def completed(cell, out):
    """Write `cell` (3, 3) to the nine numbers `out`, with a unit vector for each row of zeros.

    The unit vectors are orthogonal to all other rows, so that the inverse exists.
    """
    for d in range(3):
        for k in range(3):
            out[3 * d + k] = cell[d, k]
    given = 0
    for d in range(3):
        given += is_periodic(cell, d)
    if given == 0:
        for d in range(3):
            out[3 * d + d] = 1.0
    elif given == 1:
        _complete_two(cell, out)
    elif given == 2:
        d = 0
        while is_periodic(cell, d):
            d += 1
        _unit_normal(out, d, (d + 1) % 3, (d + 2) % 3)


@quiet
def _complete_two(cell, out):
    p = 0
    while not is_periodic(cell, p):
        p += 1
    least = 0  # the axis that the vector runs along least gives the second one
    for k in range(3):
        if abs(cell[p, k]) < abs(cell[p, least]):
            least = k
    q, r = (p + 1) % 3, (p + 2) % 3
    for k in range(3):
        out[3 * r + k] = 1.0 if k == least else 0.0
    _unit_normal(out, q, r, p)
    _unit_normal(out, r, p, q)


@quiet
def _unit_normal(m, row, a, b):
    """Write the normal of the rows `a` and `b` of `m` to `row`."""
    x, y, z = _cross(m, a, b)
    norm = math.sqrt(x * x + y * y + z * z)
    m[3 * row], m[3 * row + 1], m[3 * row + 2] = x / norm, y / norm, z / norm


@quiet
def _cross(m, a, b):
    a, b = 3 * a, 3 * b
    return (
        m[a + 1] * m[b + 2] - m[a + 2] * m[b + 1],
        m[a + 2] * m[b] - m[a] * m[b + 2],
        m[a] * m[b + 1] - m[a + 1] * m[b],
    )


@quiet
def is_periodic(cell, d):
    """Return True unless row `d` of `cell` is zero."""
    return cell[d, 0] != 0.0 or cell[d, 1] != 0.0 or cell[d, 2] != 0.0


@quiet
def invert(m, out):
    """Write the inverse of the nine numbers `m` to `out`; columns are reciprocal vectors."""
    x, y, z = _cross(m, 1, 2)
    volume = m[0] * x + m[1] * y + m[2] * z
    for d in range(3):
        x, y, z = _cross(m, (d + 1) % 3, (d + 2) % 3)
        out[d], out[3 + d], out[6 + d] = x / volume, y / volume, z / volume


@quiet
def height(inverse, d):
    """Distance (angstrom) of the two faces of the cell along direction `d`."""
    x, y, z = inverse[d], inverse[3 + d], inverse[6 + d]
    return 1.0 / math.sqrt(x * x + y * y + z * z)


@quiet
def fraction(positions, i, inverse, d):
    """Coordinate of atom `i` along lattice vector `d`."""
    return (
        positions[i, 0] * inverse[d]
        + positions[i, 1] * inverse[3 + d]
        + positions[i, 2] * inverse[6 + d]
    )
