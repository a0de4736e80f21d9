"""Geometries without labels, from a file."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import atomic_masses

from qmd.data import datasets
from qmd.data.cells import cells_of_arrays, checked_cells
from qmd.errors import InputError, quoted
from qmd.io.bounds import FORMATS, MAX_FRAMES, check_text, other_format, without_end
from qmd.io.files import read_regular_file
from qmd.io.stated import (
    Stated,
    hydrogen_by_element,
    read_heavy_hydrogen_of_pdb,
    read_mol,
    read_pdb,
    read_stated,
    unreadable,
)
from qmd.io.structure import check_overlap, check_units, periodic_cell
from qmd.system.cell import ISOLATED
from qmd.system.system import LARGEST, System
from qmd.typing import Array


class Geometries(NamedTuple):
    """Geometries of the same atoms."""

    numbers: npt.NDArray[np.int64]
    """Atomic numbers, (n_atoms,)."""
    positions: Array
    """Positions, angstrom, (n_frames, n_atoms, 3)."""
    stated: Stated
    """Charge and multiplicity that all frames state."""
    cells: Array | None = None
    """Lattice vectors, angstrom, (n_frames, 3, 3); None if the frames are isolated."""


def read(path: Path) -> Geometries:
    """Read geometries, with what the file states of them.

    Parameters
    ----------
    path : Path
        An .npz file with Z and R, perhaps cell and pbc, or a file with frames in one of
        `qmd.io.bounds.FORMATS`.

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
        if arrays["Z"].dtype.kind not in "iu" or arrays["R"].dtype.kind not in "fiu":
            raise InputError(f"{name}: expected integers in Z and numbers in R")
        numbers, positions = np.asarray(arrays["Z"]), np.asarray(arrays["R"], float)
        stated = Stated()
        cells = cells_of_arrays(arrays, len(positions), name)
    else:
        numbers, positions, stated, cells = _by_ase(path, content, name)
    if numbers.ndim != 1 or positions.ndim != 3 or positions.shape[1:] != (len(numbers), 3):
        raise InputError(
            f"{name}: expected Z (n_atoms,) and R (n_frames, n_atoms, 3), but they have the shapes "
            f"{numbers.shape} and {positions.shape}"
        )
    if not (len(positions) and (np.abs(positions) <= LARGEST).all()):
        raise InputError(
            f"{name} has no frames, or positions that are not finite or beyond {LARGEST:g}"
        )
    if not ((numbers >= 1) & (numbers <= 118)).all():
        raise InputError(f"{name} has atomic numbers that no element has")
    numbers = numbers.astype(np.int64)
    _check_molecules(numbers, positions, cells, name)
    return Geometries(numbers, positions, stated, cells)


def _check_molecules(
    numbers: npt.NDArray[np.int64], positions: Array, cells: Array | None, name: str
) -> None:
    """Refuse overlapping atoms in any frame, and bonds too long by a unit in all of them."""
    systems = [
        System(numbers, x, atomic_masses[numbers], None, f"{name}, frame {n}", cell=cell)
        for n, (x, cell) in enumerate(
            zip(positions, [ISOLATED] * len(positions) if cells is None else cells, strict=True)
        )
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


_STATED_IN_LINES = {"mol": read_mol, "proteindatabank": read_pdb}
"""Readers of what ASE does not read of a format."""


def _by_ase(path: Path, content: bytes, name: str) -> Geometries:
    import ase.io
    from ase.io.formats import filetype

    frames: Any
    try:
        text, kind = content.decode(), filetype(str(path))
    except Exception:  # not text, or nothing that the name or the first bytes tell
        text, kind = "", ""
    if kind not in FORMATS:
        raise other_format(kind, name)
    lines = text.splitlines()
    if kind == "proteindatabank":
        lines = without_end(lines)
    check_text(lines, kind, name, max_frames=MAX_FRAMES)
    try:
        if kind in ("xyz", "extxyz"):
            text = hydrogen_by_element(text, name)
        elif kind == "proteindatabank":
            read_pdb(lines, name)
            marked, _ = read_heavy_hydrogen_of_pdb(lines, name)
            text = "\n".join([*marked, ""])
        frames = ase.io.read(io.StringIO(text), index=":", format=kind)
    except InputError:
        raise
    except Exception as error:  # each parser of ASE fails in its own way
        raise unreadable(f"{name} cannot be read by ASE", error, text) from None
    if not frames:
        raise InputError(f"{name} has no frames")
    stated = []
    for n, atoms in enumerate(frames):
        stated.append(read_stated(atoms, f"{name}, frame {n}"))
    if len(set(stated)) > 1:
        other = next(n for n, each in enumerate(stated) if each != stated[0])
        raise InputError(
            f"{name}: frames 0 and {other} do not state the same charge and multiplicity",
            hint="write frames of one kind to a file of their own",
        )
    if kind in _STATED_IN_LINES:
        stated = [_STATED_IN_LINES[kind](lines, name)]
    numbers = frames[0].numbers
    if not all(np.array_equal(atoms.numbers, numbers) for atoms in frames):
        raise InputError(f"the frames of {name} do not have the same atoms in the same order")
    positions = np.array([atoms.positions for atoms in frames])
    found = [periodic_cell(atoms, f"{name}, frame {n}") for n, atoms in enumerate(frames)]
    cells = checked_cells(found, len(frames), name)
    return Geometries(np.asarray(numbers), positions, stated[0], cells)
