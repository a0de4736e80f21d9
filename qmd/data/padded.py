"""Frames of different atoms in arrays of one shape: rows of zeros follow the atoms of a frame.

Atomic numbers of such frames have the shape (n_frames, n_atoms), with the largest number of atoms
of any frame, and 0 where a frame has no atom. Positions and forces are zero there. Pairs of atoms
are filled up in the same way, to the number of the frame with the most.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qmd.errors import InputError
from qmd.integrators import neighbour_pairs
from qmd.typing import Array

Integers = npt.NDArray[np.int64]


def pad_numbers(rows: Sequence[npt.NDArray[np.integer]]) -> Integers:
    """Return atomic numbers of all frames, of shape (n_frames, n_atoms), from those of each."""
    most = max(map(len, rows))
    numbers = np.zeros((len(rows), most), np.int64)
    for frame, row in enumerate(rows):
        numbers[frame, : len(row)] = row
    return numbers


def pad_vectors(rows: Sequence[Array], most: int) -> Array:
    """Return vectors of all frames, of shape (n_frames, most, 3), from those of each frame."""
    vectors = np.zeros((len(rows), most, 3))
    for frame, row in enumerate(rows):
        vectors[frame, : len(row)] = row
    return vectors


def counts(numbers: Integers) -> Integers:
    """Return the number of atoms of each frame, (n_frames,), from padded atomic numbers."""
    found: Integers = (numbers != 0).sum(axis=-1).astype(np.int64)
    return found


def check_padding(numbers: Integers, vectors: Array, what: str, name: str) -> None:
    """Refuse padded arrays in which zeros do not follow the atoms.

    Parameters
    ----------
    numbers : (n_frames, n_atoms)
    vectors : (n_frames, n_atoms, 3)
        Positions or forces.
    what, name : str
        Name of the vectors and of the file, for the message.

    Raises
    ------
    InputError
        If a frame has no atoms, an atom after a missing one, or a vector of a missing atom.
    """
    present = numbers != 0
    empty = np.flatnonzero(~present.any(axis=1))
    if len(empty):
        raise InputError(f"{name}: frame {empty[0] + 1} has no atoms")
    late = np.flatnonzero((present[:, 1:] & ~present[:, :-1]).any(axis=1))
    if len(late):
        raise InputError(
            f"{name}: frame {late[0] + 1} has an atomic number 0 before an atom",
            hint="zeros stand after the atoms of a frame, and only there",
        )
    stray = np.flatnonzero((~present[..., None] & (vectors != 0)).any(axis=(1, 2)))
    if len(stray):
        raise InputError(
            f"{name}: frame {stray[0] + 1} has {what} beyond its {int(present[stray[0]].sum())} "
            "atoms"
        )


def pairs_of(
    positions: Array, cells: Array, cutoff: float, n_atoms: Integers | None = None
) -> tuple[Array, Array, Array]:
    """Return the pairs of all frames, filled up with empty places to one number.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3)
    cells : (n_frames, 3, 3)
    cutoff : float
        In angstrom.
    n_atoms : (n_frames,), optional
        Number of atoms of each frame, the first ones; default: all are there.

    Returns
    -------
    i, j : (n_frames, n_pairs)
    shifts : (n_frames, n_pairs, 3)
        As of `qmd.integrators.neighbour_pairs`. All pairs of a frame are counted before the number
        is fixed: none is left out. A pair of atom 0 with itself fills an empty place.
    """
    n_frames, most = positions.shape[:2]
    sizes = np.full(n_frames, most) if n_atoms is None else n_atoms
    found = [
        neighbour_pairs(x[:n], cell, cutoff)
        for x, cell, n in zip(positions, cells, sizes, strict=True)
    ]
    size = max(len(i) for i, _, _ in found)
    filled = [
        (np.pad(i, (0, size - len(i))), np.pad(j, (0, size - len(i))),
         np.pad(shifts.astype(float), ((0, size - len(i)), (0, 0))))
        for i, j, shifts in found
    ]  # fmt: skip
    i, j, shifts = (np.stack(part) for part in zip(*filled, strict=True))
    return i, j, shifts
