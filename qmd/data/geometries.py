"""Geometries without labels, from a file."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import atomic_masses

from qmd.data import datasets
from qmd.data.cells import cells_of_arrays, checked_cells
from qmd.data.padded import check_padding, pad_numbers, pad_vectors
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
    """Geometries of the same atoms, or of different ones."""

    numbers: npt.NDArray[np.int64]
    """Atomic numbers, (n_atoms,); (n_frames, n_atoms) if the frames have different atoms, with 0
    after the atoms of a frame."""
    positions: Array
    """Positions, angstrom, (n_frames, n_atoms, 3); zeros after the atoms of a frame."""
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
        If the file cannot be read, or holds what cannot be geometries.
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
    of_each = numbers.ndim == 2 and positions.shape == (*numbers.shape, 3)
    of_all = positions.ndim == 3 and positions.shape[1:] == (*numbers.shape, 3)
    if not (of_each or of_all):
        raise InputError(
            f"{name}: expected Z (n_atoms,) or (n_frames, n_atoms), and R (n_frames, n_atoms, 3), "
            f"but they have the shapes {numbers.shape} and {positions.shape}"
        )
    if not (len(positions) and (np.abs(positions) <= LARGEST).all()):
        raise InputError(
            f"{name} has no frames, or positions that are not finite or beyond {LARGEST:g}"
        )
    if not ((numbers >= of_all) & (numbers <= 118)).all():
        raise InputError(f"{name} has atomic numbers that no element has")
    numbers = numbers.astype(np.int64)
    if of_each:
        check_padding(numbers, positions, "positions", name)
        if (numbers == numbers[0]).all() and numbers[0].all():
            numbers = numbers[0]
    _check_molecules(numbers, positions, cells, name)
    return Geometries(numbers, positions, stated, cells)


def _check_molecules(
    numbers: npt.NDArray[np.int64], positions: Array, cells: Array | None, name: str
) -> None:
    """Refuse overlapping atoms in any frame, and bonds too long by a unit in all of them."""
    systems = []
    for n, x in enumerate(positions):
        row = numbers if numbers.ndim == 1 else numbers[n][numbers[n] != 0]
        cell = ISOLATED if cells is None else cells[n]
        masses = atomic_masses[row]
        systems.append(System(row, x[: len(row)], masses, None, f"{name}, frame {n}", cell=cell))
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
    rows = [np.asarray(atoms.numbers) for atoms in frames]
    same = all(np.array_equal(row, rows[0]) for row in rows)
    numbers = rows[0] if same else pad_numbers(rows)
    positions = pad_vectors([atoms.positions for atoms in frames], numbers.shape[-1])
    found = [periodic_cell(atoms, f"{name}, frame {n}") for n, atoms in enumerate(frames)]
    cells = checked_cells(found, len(frames), name)
    return Geometries(numbers, positions, stated[0], cells)
