"""Structures: built-in molecules and files, read with suspicion.

A structure file is data: it is read into memory first, and only by ASE's text parsers listed
below, because other formats open further files, databases or pickles.
"""

import difflib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols, covalent_radii

from qmd.errors import InputError, one_line, quoted
from qmd.io.bounds import FORMATS, KNOWN, ONE, check_text, other_format, without_end
from qmd.io.boxes import BUILT_IN_BOXES, Box, make_box
from qmd.io.files import read_regular_file
from qmd.io.foreign.ase_database import read_json, read_sqlite
from qmd.io.foreign.crystals import check_coord, settle_crystal
from qmd.io.stated import (
    Stated,
    check_columns,
    read_heavy_hydrogen,
    read_heavy_hydrogen_of_pdb,
    read_mol,
    read_pdb,
    read_stated,
    require_neutral,
    unreadable,
)
from qmd.system.cell import checked_cell, turned
from qmd.system.distances import close_pairs, nearest_of
from qmd.system.system import System
from qmd.typing import Array

MAX_FILE_BYTES = 32 << 20
MAX_LINE = 10_000
DATABASES = frozenset({".db", ".json"})
"""Endings of databases of ASE, SQLite and JSON."""
MAX_ATOMS = 99_999
"""Number that a topology holds, see `qmd.io.pdb`."""

CRYSTAL_FORMATS = frozenset(
    {
        "castep-cell", "cfg", "crystal", "espresso-in", "res", "struct", "struct_out",
        "vasp-out", "vasp-xdatcar", "vasp-xml", "xsf",
    }
)  # fmt: skip
"""ASE's names of further formats whose files always have a cell."""
WITHOUT_CELL = (
    "if it is one molecule, in one piece, drop its cell: `ase convert -o xyz FILE molecule.xyz`"
)
"""Advice where a cell is not taken."""

# H2O and its dimer: minima of RPBE-D3(0)/def2-TZVPD, forces below 5 meV/angstrom, rounded.
BUILT_IN: dict[str, tuple[tuple[str, ...], list[list[float]]]] = {
    "h2o": (
        ("O", "H", "H"),  # r_OH 0.972 angstrom, HOH 104.0 degrees
        [[0.0, 0.0, 0.0], [0.766, 0.5985, 0.0], [-0.766, 0.5985, 0.0]],
    ),
    "lih": (("Li", "H"), [[0.0, 0.0, 0.0], [0.0, 0.0, 1.6]]),
    "h2o-dimer": (
        ("O", "H", "H", "O", "H", "H"),  # the first molecule donates the hydrogen bond
        [
            [-1.5746, -0.1196, 0.0],
            [-1.9948, 0.7564, 0.0],
            [-0.6147, 0.0741, 0.0],
            [1.4232, 0.1359, 0.0],
            [1.6936, -0.3970, -0.7680],
            [1.6936, -0.3970, 0.7680],
        ],
    ),
}

MIN_DISTANCE, MIN_DISTANCE_HH = 0.5, 0.3
"""Closest approach (angstrom) of two atoms, and of two hydrogens."""

# A bond X-H is as long as the covalent radii say within 10 %. Thermal and stretched bonds stay
# within these factors; all of them beyond says that the file is not in angstrom. Hydrides of
# metals, with wells from 0.9 to 4.5 angstrom, say nothing.
NONMETALS = [5, 6, 7, 8, 9, 14, 15, 16, 17, 34, 35, 53]
SHORTEST, LONGEST = 0.6, 1.7
WRONG_UNITS = {
    1 / 0.529: "the file seems to be in bohr",
    0.529: "the file seems to have been converted from bohr though it was in angstrom",
    0.1: "the file seems to be in nm",
    10.0: "the file seems to have been converted from nm though it was in angstrom",
    100.0: "the file seems to be in pm",
}
"""Guess for each ratio of the distances found to those expected; rough values will do."""


def load_system(
    structure: str, base_dir: str | Path, *, charged: bool = False, periodic: bool = False
) -> System:
    """Return a built-in system, or the one in a structure file.

    Parameters
    ----------
    structure : str
        A name in `BUILT_IN`, or the path of a file with one structure. Write ``./h2o`` for a file
        whose name is that of a built-in one, and ``water.db@id=3`` for a row of a database of ASE.
    base_dir : str or Path
        Folder that a relative path starts from.
    charged : bool
        True if the caller honours a charge and a multiplicity; otherwise they are refused.
    periodic : bool
        True if the caller honours a cell; otherwise it is refused.

    Raises
    ------
    InputError
        If there is no such file, ASE cannot read it, its cell cannot be one, or its coordinates
        cannot be those of atoms in angstrom.
    """
    if structure in BUILT_IN_BOXES:
        return load_box(BUILT_IN_BOXES[structure], base_dir, periodic=periodic)
    if structure in BUILT_IN:
        symbols, positions = BUILT_IN[structure]
        numbers = np.array([atomic_numbers[symbol] for symbol in symbols])
        return System(numbers, np.array(positions), atomic_masses[numbers], None, structure)
    path, row = _path_and_row(Path(base_dir, structure))
    if not os.path.exists(path):
        built_in = [*BUILT_IN, *BUILT_IN_BOXES]
        close = difflib.get_close_matches(structure, built_in, n=1)
        raise InputError(
            f"structure {quoted(structure)}: neither a built-in name nor a file",
            hint=f"did you mean {close[0]}?" if close else f"built in: {', '.join(built_in)}",
        )
    is_database = path.suffix.lower() in DATABASES
    atoms, stated = _read_row(path, row) if is_database else _read_atoms(path)
    if not charged:
        require_neutral(stated, quoted(path.name))
    if not periodic:
        check_isolated(atoms, quoted(path.name))
    system = _system(atoms, stated, one_line(path.name))
    check_units(system)
    check_overlap(system)
    return system


def load_box(box: Box, base_dir: str | Path, *, periodic: bool = True) -> System:
    """Return a box of molecules.

    Parameters
    ----------
    box : Box
    base_dir : str or Path
        Folder that the path of a molecule starts from.
    periodic : bool
        True if the caller honours a cell; otherwise it is refused.

    Raises
    ------
    InputError
        If the molecule cannot be read, or the box not be made.
    """
    name = f"{box.count} {box.molecule}"
    if not periodic:
        raise InputError(f"{name} is periodic; potentials are for isolated molecules", WITHOUT_CELL)
    system = make_box(box, lambda molecule: load_system(molecule, base_dir))
    check_overlap(system)
    return system


def _read_atoms(path: Path) -> tuple[Any, Stated]:
    """Return the one `ase.Atoms` in a text file, and what the file states beside them."""
    import ase.io  # 0.8 s that the built-in molecules do not need
    from ase.io.formats import filetype

    name = quoted(path.name)
    content = read_regular_file(path, MAX_FILE_BYTES)
    try:
        text, kind = content.decode(), filetype(str(path))
    except Exception:  # not text, or nothing that the name or the first bytes tell
        text, kind = "", ""
    if kind not in FORMATS:
        raise _other_format(name, kind)
    lines = text.splitlines()
    if not text.strip():
        raise InputError(f"{name} is empty")
    if max(map(len, lines)) > MAX_LINE:
        raise InputError(f"{name} has a line of more than {MAX_LINE} characters")
    masses: dict[int, float] = {}
    stated = Stated()
    if kind in ("xyz", "extxyz"):
        _check_xyz_lines(lines, name)
        check_columns(lines, name)
    if kind == "proteindatabank":
        lines = without_end(lines)
    check_text(lines, kind, name, max_frames=1, max_atoms=MAX_ATOMS)
    if kind in ("xyz", "extxyz"):
        lines, masses = read_heavy_hydrogen(lines, name)
        text = "\n".join([*lines, ""])
    elif kind == "turbomole":
        check_coord(lines, name)
    elif kind == "mol":
        stated = read_mol(lines, name)
    elif kind == "proteindatabank":
        stated = read_pdb(lines, name)
        lines, masses = read_heavy_hydrogen_of_pdb(lines, name)
        text = "\n".join([*lines, ""])
    try:
        frames: Any = ase.io.read(io.StringIO(text), index=slice(0, 2), format=kind)
    except Exception as error:  # each parser of ASE fails in its own way
        raise unreadable(f"{name} is not a valid {kind} file", error, text) from None
    if len(frames) != 1:
        raise InputError(f"{name} has {'more than one frame' if frames else 'no atoms'}", ONE)
    if kind == "proteindatabank" and np.array_equal(frames[0].cell, np.eye(3)):
        frames[0].pbc = False  # PDB files of molecules carry a unit cube, by convention
    settle_crystal(frames[0], kind, name)
    in_comment = read_stated(frames[0], name)
    stated = stated if kind in ("mol", "proteindatabank") else in_comment
    if masses and not frames[0].has("masses"):
        all_masses = frames[0].get_masses()
        all_masses[list(masses)] = list(masses.values())
        frames[0].set_masses(all_masses)
    return frames[0], stated


def _path_and_row(path: Path) -> tuple[Path, int | None]:
    """Return the path of a database and the row that is asked for, as in ``water.db@id=3``."""
    before, separator, number = path.name.rpartition("@id=")
    if separator and number.isascii() and number.isdecimal() and len(number) < 10:
        database = path.with_name(before)
        if database.suffix.lower() in DATABASES:
            return database, int(number)
    return path, None


def _read_row(path: Path, number: int | None) -> tuple[Any, Stated]:
    """Return the atoms of a row of a database, and what it states beside them."""
    from ase import Atoms

    name = quoted(path.name)
    content = read_regular_file(path, MAX_FILE_BYTES)
    rows = (read_sqlite if path.suffix.lower() == ".db" else read_json)(content, name)
    found = [row for row in rows if number in (None, row.number)]
    if len(found) != 1:
        raise InputError(
            f"{name} has {len(rows)} rows" + (f", none with id {number}" if number else ""),
            hint=f"name one by its id: `{path.name}@id={rows[0].number}`" if rows else None,
        )
    (row,) = found
    what = f"{name}, row {row.number}"
    if row.is_constrained:
        raise InputError(f"{what}: constraints (fixed atoms) are not supported; remove them")
    if not ((row.numbers > 0) & (row.numbers < len(chemical_symbols))).all():
        raise InputError(f"{what} has an atom that is of no element")
    atoms = Atoms(row.numbers, row.positions, cell=row.cell, pbc=row.cell.any(axis=1))
    for key in ("masses", "momenta", "initial_magmoms", "initial_charges"):
        values = row.labels.get(key)
        if values is None:
            continue
        shape = (len(atoms), 3) if key == "momenta" else (len(atoms),)
        if np.shape(values) != shape:
            raise InputError(f"{what}: {key} of shape {np.shape(values)}, expected {shape}")
        atoms.set_array(key, np.asarray(values, float))
    atoms.info.update(row.notes)
    return atoms, read_stated(atoms, what)


def _other_format(name: str, kind: str) -> InputError:
    """Return the error of a file in a format of ASE, or in an unknown one, that is not read."""
    if kind in CRYSTAL_FORMATS:
        return InputError(
            f"{name} is a crystal in a format that qmd does not read ({kind}); expected {KNOWN}",
            hint="`ase convert FILE crystal.extxyz` converts it",
        )
    return other_format(kind, name)


def check_isolated(atoms: Any, name: str) -> None:
    """Refuse `atoms` of ASE that have a periodic cell."""
    if atoms.pbc.any() and atoms.cell.rank > 0:
        raise InputError(
            f"{name} is periodic; potentials are for isolated molecules",
            hint=WITHOUT_CELL,
        )


def _check_xyz_lines(lines: list[str], name: str) -> None:
    """One frame of as many atoms as it says; ASE spends 37 s on a file that promises 1e9."""
    n_lines = 1 + max((i for i, line in enumerate(lines) if line.strip()), default=0)
    count = lines[0].strip()
    if not count.isdecimal() or len(count) > 9 or int(count) == 0:
        raise InputError(f"{name}: expected the number of atoms on line 1, got {quoted(count)}")
    if int(count) + 2 < n_lines:
        raise InputError(f"{name} goes on after {count} atoms; expected one frame", ONE)
    if int(count) + 2 > n_lines:
        raise InputError(f"{name} promises {count} atoms, but has {max(n_lines - 2, 0)}")


def _system(atoms: Any, stated: Stated, name: str) -> System:
    if not 1 <= len(atoms) <= MAX_ATOMS:
        raise InputError(f"{name} has {len(atoms)} atoms; expected 1 to {MAX_ATOMS}")
    if not (atoms.numbers > 0).all():
        atom = int(np.argmin(atoms.numbers > 0)) + 1
        raise InputError(f"{name}: atom {atom} is of an unknown element")
    if any(len(getattr(constraint, "index", (0,))) for constraint in atoms.constraints):
        raise InputError(f"{name}: constraints (fixed atoms) are not supported; remove them")
    velocities = atoms.get_velocities() if atoms.has("momenta") else None
    cell = checked_cell(periodic_cell(atoms, name), name)
    cell, positions, *moving = turned(
        cell, atoms.positions, *([] if velocities is None else [velocities])
    )
    velocities = moving[0] if moving else None
    return System(
        atoms.numbers, positions, atoms.get_masses(), velocities, name, *stated, cell=cell
    )


def periodic_cell(atoms: Any, name: str) -> Array:
    """Return lattice vectors of the directions in which `atoms` of ASE are periodic; else zeros.

    Raises
    ------
    InputError
        If such a vector is missing or zero.
    """
    vectors, along = np.array(atoms.cell), np.array(atoms.pbc)
    bare = np.flatnonzero(along & ~vectors.any(axis=1))
    if len(bare):
        raise InputError(
            f"{name} is periodic along lattice vector {bare[0] + 1}, which is missing or zero",
            hint='give it (Lattice="..."), or state that it is isolated (pbc="F F F")',
        )
    return np.where(along[:, None], vectors, 0.0)


def check_overlap(system: System) -> None:
    """Raise InputError if two atoms, or an atom and a periodic image, are too close to be apart."""
    i, j, distances = close_pairs(system.positions, system.cell, MIN_DISTANCE)
    hydrogen = system.numbers == 1
    limits = np.where(hydrogen[i] & hydrogen[j], MIN_DISTANCE_HH, MIN_DISTANCE)
    worst = int(np.argmin(distances / limits)) if len(i) else -1
    if worst >= 0 and not distances[worst] >= limits[worst]:
        first, second = (f"{system.symbols[k]} {k + 1}" for k in (i[worst], j[worst]))
        raise InputError(
            f"{system.name}: overlapping atoms: {first} and {second} are {distances[worst]:.3f} "
            f"angstrom apart; expected at least {limits[worst]}",
            hint="check the lattice vectors, and their unit" if system.is_periodic else None,
        )


def check_units(system: System) -> None:
    """Refuse atoms all of whose X-H bonds are too long, or too short, by a unit."""
    hydrogens = np.flatnonzero(system.numbers == 1)
    heavy = np.flatnonzero(np.isin(system.numbers, NONMETALS))
    if len(hydrogens) == 0 or len(heavy) == 0:
        return
    nearest, found = nearest_of(system.positions, system.cell, hydrogens, heavy)
    expected = covalent_radii[1] + covalent_radii[system.numbers[nearest]]
    ratios = found / expected
    if ratios.min() <= LONGEST and ratios.max() >= SHORTEST:
        return
    ratio = max(float(np.median(ratios)), 1e-9)
    factor = min(WRONG_UNITS, key=lambda f: abs(np.log(ratio / f)))
    fits = abs(np.log(ratio / factor)) < 0.25
    if ratio < 1 and not fits:
        return  # too close for any unit: overlapping atoms
    element = chemical_symbols[system.numbers[nearest[0]]]
    raise InputError(
        f"{system.name}: the {element}-H distance is {found[0]:.3f} angstrom; "
        f"expected about {expected[0]:.2f}",
        hint=f"{WRONG_UNITS[factor]}; qmd reads angstrom" if fits else "qmd reads angstrom",
    )
