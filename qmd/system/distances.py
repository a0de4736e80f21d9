"""Distances between atoms, periodic images included, for checks of structures."""

import numpy as np

from qmd.system.cell import completed, minimum_image, periodic
from qmd.typing import Array, Integers

MAX_MATRIX = 1000
"""Atoms up to which all distances are computed at once."""
FARTHEST = 4.0
"""Distance (angstrom) beyond which a neighbour is not looked for among more atoms."""


def close_pairs(positions: Array, cell: Array, cutoff: float) -> tuple[Integers, Integers, Array]:
    """Return pairs of atoms that are closer than `cutoff`, each at least once.

    Parameters
    ----------
    positions : array, shape (n_atoms, 3)
        In angstrom.
    cell : array, shape (3, 3)
        Lattice vectors (angstrom) in rows; a row of zeros for a direction that is not periodic.
    cutoff : float
        In angstrom; at most half of the smallest height of the cell counts images of other atoms
        rightly, and images of an atom itself are not looked for.

    Returns
    -------
    i, j : int array, shape (n_pairs,)
        Indices of the atoms, i < j.
    distances : array, shape (n_pairs,)
        Their distances (angstrom).
    """
    i: Integers
    j: Integers
    if len(positions) <= MAX_MATRIX:
        i, j = np.triu_indices(len(positions), 1)
    else:
        i, j = _candidates(positions, cell, cutoff)
    distances = np.linalg.norm(minimum_image(positions[j] - positions[i], cell), axis=1)
    near = distances < cutoff
    return i[near], j[near], distances[near]


def nearest_of(
    positions: Array, cell: Array, atoms: Integers, others: Integers
) -> tuple[Integers, Array]:
    """Return for each of `atoms` the nearest of the `others`, and its distance (angstrom).

    Among more than `MAX_MATRIX` atoms the distance is infinite if there is none within `FARTHEST`.
    """
    found, nearest = np.full(len(positions), np.inf), np.full(len(positions), others[0])
    if len(positions) <= MAX_MATRIX:
        i, j = (index.ravel() for index in np.meshgrid(atoms, others, indexing="ij"))
    else:
        i, j = _candidates(positions, cell, FARTHEST)
        i, j = np.concatenate([i, j]), np.concatenate([j, i])
        asked = np.isin(i, atoms) & np.isin(j, others)
        i, j = i[asked], j[asked]
    distances = np.linalg.norm(minimum_image(positions[j] - positions[i], cell), axis=1)
    order = np.argsort(-distances, kind="stable")  # the nearest is written last
    found[i[order]], nearest[i[order]] = distances[order], j[order]
    return nearest[atoms], found[atoms]


def _candidates(positions: Array, cell: Array, cutoff: float) -> tuple[Integers, Integers]:
    """Return all pairs i < j that are closer than `cutoff`."""
    from ase.neighborlist import primitive_neighbor_list  # 0.3 s that small systems do not need

    found = primitive_neighbor_list("ij", periodic(cell), completed(cell), positions, cutoff)
    i, j = found[0], found[1]
    once = i < j
    return i[once], j[once]
