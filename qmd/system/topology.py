"""Bonds, residues and the topology file that goes with a trajectory.

The PDB text is written here: importing MDAnalysis for it would cost `qmd run` 0.8 s, and its writer
adds a meaningless 1 angstrom unit cell. ASE's writer puts a whole cluster into one residue.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols, covalent_radii

from qmd.errors import InputError
from qmd.io.files import write_text

BOND_FACTOR = 1.3
"""Bonded if closer than this times the sum of the covalent radii: O-H below 1.26 angstrom, Li-H
below 2.07, C-C below 1.98. Hydrogen bonds (1.8) and second neighbours (2.4, C-C-C) are outside."""

MAX_PDB_ATOMS = 99_999
MAX_PDB_RESIDUES = 9_999
MAX_PDB_COORDINATE = 999.0
"""Angstrom; the columns hold no more, with a sign."""

_RESIDUES = {("H", "H", "O"): "HOH", ("H", "Li"): "LIH"}

Integers = npt.NDArray[np.integer]
Array = npt.NDArray[np.float64]


class Atom(NamedTuple):
    """Names of one atom in the topology; `residue` counts from 1."""

    name: str
    symbol: str
    residue_name: str
    residue: int


def bonds(numbers: Integers, positions: Array) -> Integers:
    """Covalent bonds, by distance [1]_.

    Parameters
    ----------
    numbers : int array, shape (n_atoms,)
        Atomic numbers.
    positions : float array, shape (n_atoms, 3)
        Angstrom.

    Returns
    -------
    int array, shape (n_bonds, 2)
        Atom indices, smaller first, sorted.

    References
    ----------
    .. [1] Radii: B. Cordero et al., Dalton Trans. 2832 (2008).
    """
    radii = covalent_radii[numbers]
    pairs = []
    for i in range(len(numbers) - 1):  # row by row: memory grows with n_atoms, not its square
        distances = np.linalg.norm(positions[i + 1 :] - positions[i], axis=1)
        bonded = distances < BOND_FACTOR * (radii[i + 1 :] + radii[i])
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(bonded)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def fragments(n_atoms: int, bonds: Integers) -> list[list[int]]:
    """Molecules: atoms connected by `bonds`, each list and the lists in ascending order."""
    neighbours = _neighbours(n_atoms, bonds)
    found: list[list[int]] = []
    seen: set[int] = set()
    for start in range(n_atoms):
        if start in seen:
            continue
        seen.add(start)
        members = [start]
        for atom in members:  # grows while it is walked: breadth first
            new = [other for other in neighbours[atom] if other not in seen]
            seen.update(new)
            members += new
        found.append(sorted(members))
    return found


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


def write_pdb(path: Path, numbers: Integers, positions: Array, bonds: Integers) -> None:
    """Write `topology.pdb`: HETATM records with elements, CONECT records with all bonds.

    The order of atoms is that of the trajectory. If molecules are interleaved in it (O O H H H H),
    readers show each run of atoms as a residue of its own; fragments and bonds stay right.

    Parameters
    ----------
    path : Path
        Replaced in one step.
    numbers, positions, bonds
        As for, and from, the function `bonds`.

    Raises
    ------
    InputError
        If the system does not fit the columns of the format.
    OutputError
        If the file cannot be written.
    """
    atoms = name_atoms(numbers, bonds)
    n_residues = max((atom.residue for atom in atoms), default=0)
    if not (len(atoms) <= MAX_PDB_ATOMS and n_residues <= MAX_PDB_RESIDUES):
        raise InputError(
            f"A PDB topology holds {MAX_PDB_ATOMS} atoms in {MAX_PDB_RESIDUES} molecules, "
            f"but the system has {len(atoms)} in {n_residues}."
        )
    if not np.abs(positions).max(initial=0) <= MAX_PDB_COORDINATE:
        raise InputError(
            f"A PDB topology holds coordinates up to {MAX_PDB_COORDINATE} angstrom, "
            f"but the system reaches {np.abs(positions).max():.6g}.",
            "Move its centre to the origin, and check the length unit of the structure file.",
        )
    rows = zip(atoms, positions, strict=True)
    lines = [_hetatm(serial, atom, xyz) for serial, (atom, xyz) in enumerate(rows, start=1)]
    lines += _conect(len(atoms), bonds)
    write_text(path, "\n".join([*lines, "END", ""]))


def _neighbours(n_atoms: int, bonds: Integers) -> list[list[int]]:
    neighbours: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in bonds.tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    return neighbours


def _unique_names(symbols: Sequence[str]) -> list[str]:
    total, count = Counter(symbols), Counter[str]()
    names = []
    for symbol in symbols:
        count[symbol] += 1
        name = symbol.upper() + (str(count[symbol]) if total[symbol] > 1 else "")
        names.append(name[:4])  # four columns; from C1000 on the names repeat
    return names


def _hetatm(serial: int, atom: Atom, xyz: Array) -> str:
    # Element symbols end in column 14 of the name field, so CA is calcium and " CA " a carbon.
    name = atom.name if len(atom.symbol) == 2 or len(atom.name) == 4 else f" {atom.name}"
    x, y, z = (round(float(v), 3) + 0.0 for v in xyz)  # + 0.0: no "-0.000"
    return (
        f"HETATM{serial:5d} {name:<4s} {atom.residue_name:>3s} A{atom.residue:4d}    "
        f"{x:8.3f}{y:8.3f}{z:8.3f}{1:6.2f}{0:6.2f}          {atom.symbol.upper():>2s}"
    )


def _conect(n_atoms: int, bonds: Integers) -> list[str]:
    lines = []
    for i, bonded in enumerate(_neighbours(n_atoms, bonds), start=1):
        serials = [j + 1 for j in sorted(bonded)]
        for k in range(0, len(serials), 4):  # four partners a line
            lines.append(f"CONECT{i:5d}" + "".join(f"{j:5d}" for j in serials[k : k + 4]))
    return lines
