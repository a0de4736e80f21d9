"""Cells of frames in files: one for all frames, or one for each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qmd.errors import InputError
from qmd.system.cell import checked_cell
from qmd.typing import Array


def cells_of_arrays(arrays: Mapping[str, Any], n_frames: int, name: str) -> Array | None:
    """Return lattice vectors, shape (n_frames, 3, 3), from the arrays `cell` and `pbc` of a file.

    Parameters
    ----------
    arrays : mapping of str to array
        `cell`, shape (3, 3) or (n_frames, 3, 3), angstrom, rows; `pbc`, shape (3,) or none, for
        all directions that have a vector.
    n_frames : int
    name : str
        Name of the file, for messages.

    Raises
    ------
    InputError
        If shapes do not fit, or a cell is none, see `qmd.system.cell.checked_cell`.

    Returns
    -------
    array or None
        With rows of zeros for directions that are not periodic; None for isolated frames.
    """
    pbc = np.asarray(arrays.get("pbc", [True] * 3))
    if pbc.shape not in ((), (3,)) or pbc.dtype.kind not in ("b", "u", "i"):
        raise InputError(f"{name}: expected pbc as three times true or false, got {pbc.shape}")
    along = np.broadcast_to(pbc.astype(bool), 3)
    if "cell" not in arrays:
        if "pbc" in arrays and along.any():
            raise InputError(f"{name} says pbc, but has no array cell")
        return None
    cell = np.asarray(arrays["cell"])
    if cell.shape not in ((3, 3), (n_frames, 3, 3)) or cell.dtype.kind not in "fiu":
        raise InputError(
            f"{name}: expected cell of shape (3, 3) or ({n_frames}, 3, 3), got {cell.shape}"
        )
    bare = np.flatnonzero(("pbc" in arrays) & along & ~cell.any(axis=-1).reshape(-1, 3).all(axis=0))
    if len(bare):
        raise InputError(f"{name} is periodic along lattice vector {bare[0] + 1}, which is zero")
    return checked_cells([np.where(along[:, None], cell, 0.0)], n_frames, name)


def checked_cells(found: Sequence[Any], n_frames: int, name: str) -> Array | None:
    """Return cells of all frames, of shape (n_frames, 3, 3), or None if all are zero.

    Parameters
    ----------
    found : sequence of array
        One array, shape (3, 3) or (n_frames, 3, 3), or a cell of each frame.
    n_frames : int
    name : str

    Raises
    ------
    InputError
        If a cell is none, or some frames are periodic and others are not.
    """
    one = found[0] if len(found) == 1 else np.stack(list(found))
    cells = np.broadcast_to(np.asarray(one, float), (n_frames, 3, 3)).copy()
    if not cells.any():
        return None
    directions: npt.NDArray[np.bool_] = np.any(cells, axis=2)
    other = int((directions != directions[0]).any(axis=1).argmax())
    if other:
        raise InputError(f"{name}: frames 0 and {other} are periodic in other directions")
    for n, cell in enumerate(cells[:1] if (cells == cells[0]).all() else cells):
        checked_cell(cell, f"{name}, frame {n}")
    return cells


def checked_stresses(
    found: Any, cells: Array | None, n_frames: int, name: str
) -> npt.NDArray[np.float64] | None:
    """Return stresses in the order xx, yy, zz, yz, xz, xy, of shape (n_frames, 6), or None.

    Parameters
    ----------
    found : array or None
        Shape (n_frames, 6), or (n_frames, 3, 3) and symmetric.
    cells : array or None
        Without periodic frames there is no stress, whatever the file has.
    n_frames : int
    name : str

    Raises
    ------
    InputError
        If the shape is another, numbers are not finite, a matrix is not symmetric, or the cells are
        not periodic in all directions.
    """
    if found is None or cells is None:
        return None
    stresses = np.asarray(found)
    if stresses.dtype.kind not in "fiu" or stresses.shape not in ((n_frames, 6), (n_frames, 3, 3)):
        raise InputError(
            f"dataset {name}: stress has shape {stresses.shape}; expected ({n_frames}, 6), in the "
            f"order xx yy zz yz xz xy, or ({n_frames}, 3, 3)"
        )
    stresses = stresses.astype(float)
    if not np.isfinite(stresses).all():
        raise InputError(f"dataset {name}: a stress is not finite")
    if not cells.any(axis=2).all():
        raise InputError(
            f"dataset {name}: a stress needs a cell that is periodic in all directions"
        )
    if stresses.ndim == 2:
        return stresses
    if not np.allclose(stresses, np.swapaxes(stresses, 1, 2), rtol=1e-4, atol=1e-8):
        raise InputError(f"dataset {name}: a stress is not a symmetric matrix")
    both = (stresses + np.swapaxes(stresses, 1, 2)) / 2
    return np.asarray(both[:, (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)])


def require_isolated(cells: Array | None, name: str) -> None:
    """Raise InputError if frames are periodic, for what is for isolated molecules."""
    if cells is not None:
        raise InputError(
            f"{name} has periodic frames; expected isolated molecules",
            hint="drop the cells only if each frame is one molecule, in one piece",
        )
