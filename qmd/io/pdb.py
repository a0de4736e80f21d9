"""PDB files of the topology: names of atoms, bonds, limits of the format."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase.data import chemical_symbols

from qmd.errors import InputError
from qmd.io.files import write_text
from qmd.system.cell import ISOLATED, is_full, lengths_and_angles
from qmd.system.topology import bonded_neighbours, fragments
from qmd.typing import Array, Integers

MAX_PDB_ATOMS = 99_999


MAX_PDB_BYTES = 2**25
"""Room for `MAX_PDB_ATOMS` lines of atoms, and three times as many bonds."""


MAX_PDB_COORDINATE = 999.0
"""Angstrom; the columns hold no more, with a sign."""


_RESIDUES = {("H", "H", "O"): "HOH", ("H", "Li"): "LIH"}


class Atom(NamedTuple):
    """Names of one atom in the topology; `residue` counts from 1."""

    name: str
    symbol: str
    residue_name: str
    residue: int


def name_atoms(numbers: Integers, bonds: Integers) -> list[Atom]:
    """Residue and atom names, one residue for each fragment.

    Residues are called HOH, LIH or MOL; atoms O, H1, H2, unique within their residue.
    """
    symbols = [chemical_symbols[z] for z in numbers]
    atoms: dict[int, Atom] = {}
    for residue, members in enumerate(fragments(len(numbers), bonds), start=1):
        formula = tuple(sorted(symbols[i] for i in members))
        names = _unique_names([symbols[i] for i in members])
        for i, name in zip(members, names, strict=True):
            atoms[i] = Atom(name, symbols[i], _RESIDUES.get(formula, "MOL"), residue)
    return [atoms[i] for i in range(len(numbers))]


def write_pdb(
    path: Path, numbers: Integers, positions: Array, bonds: Integers, cell: Array = ISOLATED
) -> None:
    """Write the text of `render_pdb` to `path`, which is replaced in one step.

    Raises
    ------
    InputError
        As `render_pdb`.
    OutputError
        If the file cannot be written.
    """
    write_text(path, render_pdb(numbers, positions, bonds, cell))


def render_pdb(numbers: Integers, positions: Array, bonds: Integers, cell: Array = ISOLATED) -> str:
    """Return the text of topology.pdb: HETATM records with elements, CONECT with all bonds.

    A cell that is periodic in all directions is a CRYST1 record; residues are numbered from 1 to
    9,999 and again from 0, as other programs do.

    The order of atoms is that of the trajectory. If molecules are interleaved in it (O O H H H H),
    readers show each run of atoms as a residue of its own; fragments and bonds stay right.

    Parameters
    ----------
    numbers, positions, bonds, cell
        As for, and from, the function `bonds`.

    Raises
    ------
    InputError
        If the system does not fit the columns of the format.
    """
    atoms = name_atoms(numbers, bonds)
    if not len(atoms) <= MAX_PDB_ATOMS:
        raise InputError(
            f"A PDB topology holds {MAX_PDB_ATOMS} atoms, but the system has {len(atoms)}."
        )
    if not np.abs(positions).max(initial=0) <= MAX_PDB_COORDINATE:
        raise InputError(
            f"A PDB topology holds coordinates up to {MAX_PDB_COORDINATE} angstrom, "
            f"but the system reaches {np.abs(positions).max():.6g}.",
            "Move its centre to the origin, and check the length unit of the structure file.",
        )
    rows = zip(atoms, positions, strict=True)
    lines = [_cryst1(cell)] if is_full(cell) else []
    lines += [_hetatm(serial, atom, xyz) for serial, (atom, xyz) in enumerate(rows, start=1)]
    lines += _conect(len(atoms), bonds)
    return "\n".join([*lines, "END", ""])


def check_pdb(content: bytes) -> None:
    """Refuse what `render_pdb` does not write, before a parser of PDB files reads it.

    Raises
    ------
    ValueError
        With the line, counted from 1, and the reason.
    """
    if not content:
        raise ValueError("it is empty")
    if len(content) > MAX_PDB_BYTES:
        raise ValueError(f"it has more than {MAX_PDB_BYTES} bytes")
    *lines, last = content.decode("ascii", errors="replace").split("\n")
    if last or not lines or lines[-1] != "END":
        raise ValueError("it is truncated: its last line is not END")
    n_atoms = 0
    for number, line in enumerate(lines[:-1], start=1):
        if number == 1 and _CRYST1.fullmatch(line):
            continue
        if line.startswith("HETATM") and _is_atom(line, n_atoms + 1):
            n_atoms += 1
        elif not _is_bond(line, n_atoms):
            raise ValueError(f"line {number} is damaged")
    if not n_atoms:
        raise ValueError("it has no atoms")


_CRYST1 = re.compile(r"CRYST1(?: *\d+\.\d{3}){3}(?: *\d+\.\d{2}){3} P 1           1")
_ATOM = re.compile(
    r"HETATM([ \d]{5}) [ -~]{4} [ -~]{3} A *(\d+) {4}((?: *-?\d+\.\d{3}){3})  1\.00  0\.00"
    r" {10}([ A-Z][A-Z])"
)


def _is_atom(line: str, serial: int) -> bool:
    found = _ATOM.fullmatch(line)
    return (
        found is not None
        and len(line) == 78
        and found[1] == f"{serial:5d}"
        and line[22:26].strip().isdigit()
        and all(re.fullmatch(r" *-?\d+\.\d{3}", line[k : k + 8]) for k in (30, 38, 46))
        and found[4].strip().capitalize() in chemical_symbols[1:]
    )


def _is_bond(line: str, n_atoms: int) -> bool:
    serials = [line[k : k + 5] for k in range(6, len(line), 5)]
    return (
        line.startswith("CONECT")
        and 2 <= len(serials) <= 5
        and all(re.fullmatch(r" *\d+", s) and len(s) == 5 for s in serials)
        and all(1 <= int(s) <= n_atoms for s in serials)
    )


def _unique_names(symbols: Sequence[str]) -> list[str]:
    total, count = Counter(symbols), Counter[str]()
    names = []
    for symbol in symbols:
        count[symbol] += 1
        name = symbol.upper() + (str(count[symbol]) if total[symbol] > 1 else "")
        names.append(name[:4])  # four columns; from C1000 on the names repeat
    return names


def _cryst1(cell: Array) -> str:
    lengths, angles = lengths_and_angles(cell)
    sides = "".join(f"{length:9.3f}" for length in lengths)
    return f"CRYST1{sides}{''.join(f'{angle:7.2f}' for angle in angles)} P 1           1"


def _hetatm(serial: int, atom: Atom, xyz: Array) -> str:
    # Element symbols end in column 14 of the name field, so CA is calcium and " CA " a carbon.
    name = atom.name if len(atom.symbol) == 2 or len(atom.name) == 4 else f" {atom.name}"
    x, y, z = (round(float(v), 3) + 0.0 for v in xyz)  # + 0.0: no "-0.000"
    return (
        f"HETATM{serial:5d} {name:<4s} {atom.residue_name:>3s} A{atom.residue % 10_000:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{1:6.2f}{0:6.2f}          {atom.symbol.upper():>2s}"
    )


def _conect(n_atoms: int, bonds: Integers) -> list[str]:
    lines = []
    for i, bonded in enumerate(bonded_neighbours(n_atoms, bonds), start=1):
        serials = [j + 1 for j in sorted(bonded)]
        for k in range(0, len(serials), 4):  # four partners a line
            lines.append(f"CONECT{i:5d}" + "".join(f"{j:5d}" for j in serials[k : k + 4]))
    return lines
