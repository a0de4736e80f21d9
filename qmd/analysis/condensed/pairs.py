"""Pairs of atoms in cells, by MDAnalysis; all of them, up to half of the smallest height."""

import numpy as np

from qmd.system.cell import completed, heights, periodic, turned
from qmd.typing import Array, Integers

MAX_ALL_PAIRS = 2000
"""Number of atoms up to which all distances are computed; a grid is slower there."""


def reach(cells: Array) -> float:
    """Return half of the smallest height (angstrom) of several cells, (n, 3, 3).

    Up to there an atom sees one image at most of any other. Infinite for isolated systems.
    """
    return 0.5 * min(float(heights(cell).min()) for cell in np.unique(cells, axis=0))


def wrapped(positions: Array, cell: Array) -> Array:
    """Return positions, (n_atoms, 3), moved into the cell along its periodic directions."""
    whole = completed(cell)
    fractions = positions @ np.linalg.inv(whole)
    return np.asarray(positions - np.where(periodic(cell), np.floor(fractions), 0.0) @ whole)


def near(positions: Array, cell: Array, cutoff: float) -> tuple[Integers, Integers, Array]:
    """Return the pairs i < j closer than `cutoff`, and their distances, in any order.

    Parameters
    ----------
    positions : array, shape (n_atoms, 3)
        In angstrom, wrapped or not.
    cell : array, shape (3, 3)
        Lattice vectors (angstrom) in rows; a row of zeros for a direction that is not periodic.
    cutoff : float
        In angstrom, at most `reach`.

    Returns
    -------
    i, j : int arrays, shape (n_pairs,)
    distances : array, shape (n_pairs,)
        In angstrom, with the rounding of single precision.

    Raises
    ------
    ValueError
        If the cut-off is longer than `reach`, where images would be lost.
    """
    from MDAnalysis.lib.distances import self_capped_distance
    from MDAnalysis.lib.mdamath import triclinic_box

    if not cutoff <= reach(cell[None]):
        raise ValueError(f"a cut-off of {cutoff} angstrom loses images in this cell")
    x, box = wrapped(positions, cell), None
    if cell.any():
        # A box of MDAnalysis is periodic in all directions: open ones get room for no image.
        room = np.ptp(x @ np.linalg.inv(completed(cell)), axis=0) + 2 * cutoff + 1
        whole = np.where(np.array(periodic(cell))[:, None], cell, completed(cell) * room[:, None])
        whole, x = turned(whole, x)
        box = triclinic_box(*whole)
    x = x.astype(np.float32)
    method = "bruteforce" if len(x) <= MAX_ALL_PAIRS else "nsgrid"
    # Its tree, which it may choose by itself, loses pairs in small cells.
    try:
        found, distances = self_capped_distance(x, cutoff, box=box, method=method)
    except ValueError:  # the grid refuses cut-offs close to half of a tilted cell
        found, distances = self_capped_distance(x, cutoff, box=box, method="bruteforce")
    low, high = np.sort(found.reshape(-1, 2), axis=1).T
    return low.astype(np.int64), high.astype(np.int64), np.asarray(distances, float)
