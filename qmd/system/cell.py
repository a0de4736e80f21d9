"""Cells: lattice vectors in rows, a row of zeros for a direction that is not periodic."""

import math

import numpy as np

from qmd.errors import InputError
from qmd.typing import Array

ISOLATED = np.zeros((3, 3))
"""Cell of a system that is not periodic."""
ISOLATED.flags.writeable = False
SHORTEST_A, LONGEST_A = 0.5, 1e5
"""Bounds of lattice vectors (angstrom): shorter ones are fractions, longer ones other units."""
FLATTEST = 1e-3
"""Least volume of a cell beside that of a box with the same edges."""


def checked_cell(cell: object, name: str) -> Array:
    """Return lattice vectors, shape (3, 3), as a read-only array.

    Parameters
    ----------
    cell : array, shape (3, 3)
        Lattice vectors (angstrom) in rows.
    name : str
        Name of the system, for messages.

    Raises
    ------
    InputError
        If the shape is wrong, a value is not finite, a vector is too short or too long, the vectors
        lie in a plane or on a line, or three vectors form a left-handed system.
    """
    vectors = np.array(cell, dtype=np.float64, order="C")
    if vectors.shape != (3, 3):
        raise InputError(f"{name}: a cell of shape {vectors.shape}, expected (3, 3)")
    if not np.isfinite(vectors).all():
        raise InputError(f"{name}: the cell is not finite")
    for axis in np.flatnonzero(vectors.any(axis=1)):
        length = math.hypot(*vectors[axis])  # the norm of NumPy overflows with a warning
        if not SHORTEST_A <= length <= LONGEST_A:
            raise InputError(
                f"{name}: lattice vector {axis + 1} is {length:.4g} angstrom long; expected "
                f"{SHORTEST_A:g} to {LONGEST_A:g}",
                hint="qmd reads angstrom",
            )
    if not _flatness(vectors) >= FLATTEST:
        raise InputError(
            f"{name}: the cell is singular: its lattice vectors lie in one plane, or on one line",
            hint="give linearly independent lattice vectors",
        )
    if is_full(vectors) and np.linalg.det(vectors) < 0:
        raise InputError(
            f"{name}: the cell is left-handed: its volume is {np.linalg.det(vectors):.4g} A^3",
            hint="exchange two lattice vectors, which describes the same crystal",
        )
    vectors.setflags(write=False)
    return vectors


def _flatness(vectors: Array) -> float:
    """Return the volume of the periodic directions over the product of their lengths."""
    rows = vectors[vectors.any(axis=1)]
    if not len(rows):
        return 1.0
    unit = rows / np.linalg.norm(rows, axis=1)[:, None]
    return float(np.sqrt(max(0.0, np.linalg.det(unit @ unit.T))))


def periodic(cell: Array) -> tuple[bool, bool, bool]:
    """Return for each lattice vector if the system is periodic along it."""
    a, b, c = (bool(row.any()) for row in cell)
    return a, b, c


def is_full(cell: Array) -> bool:
    """Return True if the cell is periodic in all three directions."""
    return all(periodic(cell))


def volume(cell: Array) -> float:
    """Return the volume (A^3) of a cell that is periodic in all directions."""
    return float(abs(np.linalg.det(cell)))


def completed(cell: Array) -> Array:
    """Return the cell with unit vectors, at right angles to the others, for its rows of zeros."""
    vectors = np.array(cell)
    for axis in np.flatnonzero(~vectors.any(axis=1)):
        rows = vectors[vectors.any(axis=1)]
        # The last right singular vector of fewer than three rows is at right angles to all.
        normal = np.eye(3)[axis] if not len(rows) else np.linalg.svd(rows)[2][-1]
        vectors[axis] = normal
    if np.linalg.det(vectors) < 0:
        vectors[periodic(cell).index(False)] *= -1
    return vectors


def heights(cell: Array) -> Array:
    """Return the distances (angstrom) of opposite faces; infinite where it is not periodic."""
    inverse = np.linalg.inv(completed(cell))
    found = 1 / np.linalg.norm(inverse, axis=0)
    return np.where(periodic(cell), found, np.inf)


def lengths_and_angles(cell: Array) -> tuple[Array, Array]:
    """Return lengths (angstrom) of a, b, c and the angles (degrees) alpha, beta, gamma.

    A direction that is not periodic has length 0 and right angles.
    """
    lengths = np.linalg.norm(cell, axis=-1)
    unit = cell / np.where(lengths > 0, lengths, 1.0)[..., None]
    cosines = np.stack([(unit[..., i, :] * unit[..., j, :]).sum(-1) for i, j in _ANGLES], axis=-1)
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


_ANGLES = (1, 2), (0, 2), (0, 1)


def lattice_vectors(lengths: Array, angles: Array) -> Array:
    """Return cells in the standard orientation, shape (..., 3, 3), from lengths and angles.

    Parameters
    ----------
    lengths : array, shape (..., 3)
        Lengths (angstrom) of a, b, c; 0 for a direction that is not periodic.
    angles : array, shape (..., 3)
        Angles alpha, beta, gamma (degrees).
    """
    cosines = np.where(angles == 90.0, 0.0, np.cos(np.radians(angles)))
    alpha, beta, gamma = np.moveaxis(cosines, -1, 0)
    sine = np.sqrt(1 - gamma**2)
    along = (alpha - beta * gamma) / sine
    up = np.sqrt(np.maximum(0.0, 1 - beta**2 - along**2))
    unit = np.zeros((*np.shape(gamma), 3, 3))
    unit[..., 0, 0], unit[..., 1, 0], unit[..., 1, 1] = 1.0, gamma, sine
    unit[..., 2, 0], unit[..., 2, 1], unit[..., 2, 2] = beta, along, up
    return np.asarray(lengths[..., None] * unit)


def turned(cell: Array, *vectors: Array) -> tuple[Array, ...]:
    """Return a cell in the standard orientation, and vectors turned with it.

    There a lies along x and b in the plane of x and y, as formats with lengths and angles have it.

    Parameters
    ----------
    cell : array, shape (3, 3)
        Lattice vectors (angstrom) in rows.
    *vectors : array, shape (n, 3)
        Positions, velocities and so on.
    """
    if not np.triu(cell, 1).any() and np.all(np.diag(cell) >= 0):
        return (cell, *vectors)
    q, r = np.linalg.qr(completed(cell).T)
    q = q * np.sign(np.diag(r))  # the columns of q are the new x, y, z
    standard = np.tril(np.where(np.asarray(cell.any(axis=1))[:, None], cell @ q, 0.0))
    return (standard, *(each @ q for each in vectors))


def minimum_image(arms: Array, cell: Array) -> Array:
    """Return displacements, shape (n, 3), each as its shortest periodic image (angstrom).

    In a tilted cell the shortest of 27 images is taken. It is exact for displacements shorter than
    half of the smallest height of the cell, such as those of bonds.
    """
    if not cell.any():
        return arms
    whole, along = completed(cell), np.array(periodic(cell))
    fractions = arms @ np.linalg.inv(whole)
    near = arms - np.round(np.where(along, fractions, 0.0)) @ whole
    if not _is_tilted(cell):
        return np.asarray(near)
    steps = np.array(list(np.ndindex(3, 3, 3))) - 1
    shifts = steps[(steps[:, ~along] == 0).all(axis=1)] @ whole
    found = np.empty_like(near)
    for begin in range(0, len(near), _AT_ONCE):  # 27 images of each take memory
        images = near[begin : begin + _AT_ONCE, None] + shifts
        shortest = (images**2).sum(axis=2).argmin(axis=1)
        found[begin : begin + _AT_ONCE] = images[np.arange(len(images)), shortest]
    return found


_AT_ONCE = 2**16


def _is_tilted(cell: Array) -> bool:
    gram = cell @ cell.T
    return bool(np.abs(gram - np.diag(np.diag(gram))).max() > 1e-12 * np.abs(gram).max())
