"""Geometries without labels, from a file."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_masses

from qmd.data import datasets
from qmd.errors import InputError, quoted
from qmd.io.files import read_regular_file
from qmd.io.stated import check_mol, check_pdb, check_stated
from qmd.io.structure import check_isolated, check_overlap, check_units
from qmd.system.system import System
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
    numbers = numbers.astype(np.int64)
    _check_molecules(numbers, positions, name)
    return numbers, positions


def _check_molecules(numbers: npt.NDArray[np.int64], positions: Array, name: str) -> None:
    """Refuse overlapping atoms in any frame, and bonds too long by a unit in all of them."""
    systems = [
        System(numbers, x, atomic_masses[numbers], None, f"{name}, frame {n}")
        for n, x in enumerate(positions)
    ]
    for system in systems:
        check_overlap(system)
    refusals = []
    for system in systems:
        try:
            check_units(system)
        except InputError as error:
            refusals.append(error)
    if len(refusals) == len(systems):  # a few may be stretched on purpose
        raise refusals[0]


_STATED_IN_LINES = {"mol": check_mol, "proteindatabank": check_pdb}
"""Checks of what ASE does not read of a format."""


def _by_ase(path: Path, name: str) -> tuple[npt.NDArray[np.int64], Array]:
    import ase.io
    from ase.io.formats import filetype

    frames: Any
    try:
        kind, frames = filetype(str(path)), ase.io.read(path, index=":")
    except Exception as error:  # each parser of ASE fails in its own way
        raise InputError(f"{name} cannot be read by ASE ({type(error).__name__})") from None
    if not frames:
        raise InputError(f"{name} has no frames")
    for n, atoms in enumerate(frames):
        check_isolated(atoms, f"{name}, frame {n}")
        check_stated(atoms, f"{name}, frame {n}")
    if kind in _STATED_IN_LINES:
        _STATED_IN_LINES[kind](path.read_text(errors="replace").splitlines(), name)
    numbers = frames[0].numbers
    if not all(np.array_equal(atoms.numbers, numbers) for atoms in frames):
        raise InputError(f"the frames of {name} do not have the same atoms in the same order")
    return np.asarray(numbers), np.array([atoms.positions for atoms in frames])
