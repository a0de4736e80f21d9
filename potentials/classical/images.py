"""Shortest images of pairs of atoms in a cell, and virials, for the classical kernels."""

import math

from qmd.integrators import neighbours

from ..compilation import inner

completed, invert, is_periodic = neighbours.completed, neighbours.invert, neighbours.is_periodic

CELL, INVERSE, VECTORS, SCRATCH = 0, 9, 18, 24
"""Places in the scratch of a bonded term, from its begin: cell, its inverse, two vectors."""


@inner
def write_inverse(cell, w, scratch):
    """Write a cell, completed where it is not periodic, and its inverse to the scratch."""
    if is_periodic(cell, 0) or is_periodic(cell, 1) or is_periodic(cell, 2):
        completed(cell, w[scratch + CELL : scratch + CELL + 9])
        invert(w[scratch + CELL : scratch + CELL + 9], w[scratch + INVERSE : scratch + INVERSE + 9])


@inner
def write_nearest(positions, i, j, cell, w, inverse, out):
    """Write the vector (angstrom) from atom `i` to the nearest image of `j`; return its length.

    It is the nearest one if it is shorter than half of the smallest height of the cell.
    """
    x = positions[j, 0] - positions[i, 0]
    y = positions[j, 1] - positions[i, 1]
    z = positions[j, 2] - positions[i, 2]
    a, b, c = x, y, z
    for d in range(3):
        if is_periodic(cell, d):
            along = a * w[inverse + d] + b * w[inverse + 3 + d] + c * w[inverse + 6 + d]
            turns = math.floor(along + 0.5)
            x -= turns * cell[d, 0]
            y -= turns * cell[d, 1]
            z -= turns * cell[d, 2]
    w[out], w[out + 1], w[out + 2] = x, y, z
    return math.sqrt(x * x + y * y + z * z)


@inner
def add_to_virial(virial, xx, yy, zz, yz, xz, xy):
    """Add a symmetric matrix to the virial, if anybody asks for it."""
    if virial.shape[0] == 3:
        virial[0, 0] += xx
        virial[1, 1] += yy
        virial[2, 2] += zz
        virial[1, 2] += yz
        virial[2, 1] += yz
        virial[0, 2] += xz
        virial[2, 0] += xz
        virial[0, 1] += xy
        virial[1, 0] += xy


@inner
def push_along(forces, virial, i, j, w, at, factor):
    """Forces of dE/dr = factor r along the vector at a place of the workspace; adds the virial."""
    x, y, z = w[at], w[at + 1], w[at + 2]
    for axis in range(3):
        force = factor * w[at + axis]
        forces[i, axis] += force
        forces[j, axis] -= force
    add_to_virial(
        virial, -factor * x * x, -factor * y * y, -factor * z * z,
        -factor * y * z, -factor * x * z, -factor * x * y,
    )  # fmt: skip
