"""Geometries without labels, from a file."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qmd.data import datasets
from qmd.errors import InputError, quoted
from qmd.io.files import read_regular_file
from qmd.typing import Array


def read(path: Path) -> tuple[npt.NDArray[np.int64], Array]:
    """Return atomic numbers (n_atoms,) and positions (n_frames, n_atoms, 3), angstrom.

    Parameters
    ----------
    path : Path
        An .npz file with Z and R, or any file with frames that ASE reads.

    Raises
    ------
    InputError
        If the file cannot be read, or if its frames have different atoms.
    """
    content = read_regular_file(path, datasets.MAX_BYTES)
    name = quoted(path.name)
    if path.suffix.lower() == ".npz":
        arrays = datasets.load_npz(content, name)
        if not {"Z", "R"} <= arrays.keys():
            raise InputError(f"{name} has the arrays {', '.join(arrays)}; expected Z and R")
        numbers, positions = np.asarray(arrays["Z"]), np.asarray(arrays["R"], float)
    else:
        numbers, positions = _by_ase(path, name)
    if numbers.ndim != 1 or positions.ndim != 3 or positions.shape[1:] != (len(numbers), 3):
        raise InputError(
            f"{name}: expected Z (n_atoms,) and R (n_frames, n_atoms, 3), but they have the shapes "
            f"{numbers.shape} and {positions.shape}"
        )
    if not (len(positions) and np.isfinite(positions).all()):
        raise InputError(f"{name} has no frames, or positions that are not finite")
    if not ((numbers >= 1) & (numbers <= 118)).all():
        raise InputError(f"{name} has atomic numbers that no element has")
    return numbers.astype(np.int64), positions


def _by_ase(path: Path, name: str) -> tuple[npt.NDArray[np.int64], Array]:
    import ase.io

    frames: Any
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:  # each parser of ASE fails in its own way
        raise InputError(f"{name} cannot be read by ASE ({type(error).__name__})") from None
    numbers = frames[0].numbers
    if not all(np.array_equal(atoms.numbers, numbers) for atoms in frames):
        raise InputError(f"the frames of {name} do not have the same atoms in the same order")
    return np.asarray(numbers), np.array([atoms.positions for atoms in frames])
