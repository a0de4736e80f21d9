"""Distances between atoms, periodic images included, for checks of structures."""

import numpy as np

from qmd.errors import InputError
from qmd.system.cell import completed, heights, minimum_image, periodic
from qmd.typing import Array, Integers

MAX_MATRIX = 1000
"""Atoms up to which all distances are computed at once."""
FARTHEST = 4.0
"""Distance (angstrom) beyond which a neighbour is not looked for among more atoms."""
MAX_CANDIDATES = 600
"""Largest number, for each atom, of atoms in the 27 boxes around it; diamond has 330."""


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
    _check_density(positions, cell, cutoff)
    from ase.neighborlist import primitive_neighbor_list  # 0.3 s that small systems do not need

    found = primitive_neighbor_list("ij", periodic(cell), completed(cell), positions, cutoff)
    i, j = found[0], found[1]
    once = i < j
    return i[once], j[once]


def _check_density(positions: Array, cell: Array, cutoff: float) -> None:
    """Refuse atoms so close to each other that a list of neighbours takes the whole memory.

    Raises
    ------
    InputError
        If the boxes of side `cutoff` hold too many pairs, images in small cells included.
    """
    whole, along = completed(cell), np.array(periodic(cell))
    fractions = positions @ np.linalg.inv(whole)
    inside = (fractions - np.where(along, np.floor(fractions), 0.0)) @ whole
    _, counts = np.unique(np.floor(inside / cutoff), axis=0, return_counts=True)
    images = float(np.prod(np.maximum(1.0, cutoff / heights(cell))))
    candidates = 27.0 * images * float((counts.astype(float) ** 2).sum())
    if not candidates <= MAX_CANDIDATES * len(positions):
        raise InputError(
            f"{len(positions)} atoms overlap: up to {int(counts.max())} are within {cutoff:g} "
            "angstrom of each other",
            hint="check the unit of length, and the cell; qmd reads angstrom",
        )
