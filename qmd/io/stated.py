"""Physics that a structure file states: it is honoured, or refused by name, never dropped."""

from typing import Any

import numpy as np
from ase.data import chemical_symbols

from qmd.errors import InputError, quoted
from qmd.system.isotopes import HEAVY_HYDROGEN_U

_TOTALS = {
    "charge": 0, "total_charge": 0, "net_charge": 0, "spin": 0, "uhf": 0, "multiplicity": 1,
    "spin_multiplicity": 1,
}  # fmt: skip
"""Entries of a comment line, with the value of the neutral closed shells that qmd treats."""
_COLUMNS = {
    "mass": "give the masses (u) in a column named masses",
    "isotope": "give the masses (u) in a column named masses",
    "isotopes": "give the masses (u) in a column named masses",
}
_MOMENTS = {"initial_charges": "charges of atoms", "initial_magmoms": "magnetic moments of atoms"}


def read_heavy_hydrogen(lines: list[str], name: str) -> tuple[list[str], dict[int, float]]:
    """Return the lines of an XYZ file with D and T as H, and the masses (u) of these atoms.

    Raises
    ------
    InputError
        If a symbol is that of no element; the line names symbol and atom.
    """
    lines, masses = list(lines), {}
    for atom in range(len(lines) - 2):
        symbol, _, rest = lines[atom + 2].strip().partition(" ")
        if symbol in HEAVY_HYDROGEN_U:
            lines[atom + 2], masses[atom] = f"H {rest}", HEAVY_HYDROGEN_U[symbol]
        elif symbol.isalpha() and symbol.capitalize() not in chemical_symbols[1:]:
            raise InputError(f"{name}: atom {atom + 1} is of an unknown element, {quoted(symbol)}")
    return lines, masses


def check_stated(atoms: Any, name: str) -> None:
    """Refuse charges, spins and isotopes in forms that would be dropped.

    Parameters
    ----------
    atoms : ase.Atoms

    Raises
    ------
    InputError
        By the name of the entry.
    """
    info = atoms.info | getattr(atoms.calc, "results", {})
    for key, neutral in _TOTALS.items():
        if key in info and not np.all(np.asarray(info[key]) == neutral):
            raise InputError(
                f"{name} states {key} {quoted(str(info[key]))}; qmd treats neutral closed shells",
                hint=f"remove {key} if the molecule is neutral with paired electrons",
            )
    for column, advice in _COLUMNS.items():
        if column in atoms.arrays:
            raise InputError(f"{name} has a column {column}, which would be dropped", advice)
    for column, what in _MOMENTS.items():
        if column in atoms.arrays and np.any(atoms.arrays[column]):
            raise InputError(f"{name} states {what}, which would be dropped", "remove the column")


def check_mol(lines: list[str], name: str) -> None:
    """Refuse charges, radicals and isotopes of a MOL file, which ASE does not read.

    Raises
    ------
    InputError
        By the name of the property.
    """
    n_atoms = int(lines[3][:3]) if len(lines) > 3 and lines[3][:3].strip().isdecimal() else 0
    for number, line in enumerate(lines[4 : 4 + n_atoms], 1):
        difference, charge = line[34:36].strip(), line[36:39].strip()
        if difference not in ("", "0"):
            raise InputError(f"{name}: atom {number} has a mass difference, which would be dropped")
        if charge not in ("", "0"):
            raise InputError(f"{name}: atom {number} has a charge, which would be dropped")
    for key, what in (("M  CHG", "charges"), ("M  ISO", "isotopes"), ("M  RAD", "radicals")):
        if any(line.startswith(key) for line in lines):
            raise InputError(f"{name} states {what} ({key}), which would be dropped")


def check_pdb(lines: list[str], name: str) -> None:
    """Refuse PDB atoms without an element, with a charge, or in several alternate places.

    Elements are never guessed from the names of atoms: ` CA ` is a carbon, `CA  ` calcium.

    Raises
    ------
    InputError
        By the serial number of the first such atom.
    """
    atoms = [line for line in lines if line.startswith(("ATOM  ", "HETATM"))]
    bare = [line[6:11].strip() for line in atoms if not line[76:78].strip()]
    if bare:
        raise InputError(
            f"{name}: {len(bare)} atoms have no element in columns 77-78, the first is {bare[0]}",
            hint="write the elements; they are not guessed from the names of atoms",
        )
    for line in atoms:
        serial = line[6:11].strip()
        if line[16:17].strip():
            raise InputError(
                f"{name}: atom {serial} is in the alternate location {line[16]}",
                hint="keep one conformer, with column 17 blank",
            )
        if line[78:80].strip(" 0+-"):
            raise InputError(f"{name}: atom {serial} has a charge, which would be dropped")
