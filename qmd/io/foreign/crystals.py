"""Physics that files of crystals state (POSCAR, CIF, coord): honoured, or refused by name."""

from typing import Any

import numpy as np
from ase.data import chemical_symbols

from qmd.errors import InputError
from qmd.system.isotopes import HEAVY_HYDROGEN_U
from qmd.typing import Array

_PERIODIC_BLOCKS = "$periodic", "$cell", "$lattice"


def check_coord(lines: list[str], name: str) -> None:
    """Refuse a Turbomole file with a cell, which ASE does not read.

    Raises
    ------
    InputError
        By the name of the block.
    """
    for line in lines:
        block = line.strip().lower().split(" ")[0]
        if block in _PERIODIC_BLOCKS:
            raise InputError(
                f"{name} has the block {block}, which would be dropped",
                hint="write the crystal as extended XYZ, POSCAR or CIF",
            )


def count_poscar(lines: list[str], name: str) -> list[int]:
    """Return the number of atoms, alone in a list.

    Files are refused without symbols, or with velocities that ASE drops or reads wrongly.

    Without symbols ASE looks for them in other files of the folder.

    Raises
    ------
    InputError
        By the line, counted from 1.
    """
    symbols = lines[5].split() if len(lines) > 8 else []
    if not symbols or not all(symbol in chemical_symbols[1:] for symbol in symbols):
        raise InputError(
            f"{name}: expected the symbols of the elements on line 6",
            hint="write it in the format of VASP 5, or as extended XYZ",
        )
    counts = lines[6].split()
    whole = all(count.isdecimal() and len(count) < 9 for count in counts)
    n_atoms = sum(map(int, counts)) if whole else 0
    if len(counts) != len(symbols) or not 0 < n_atoms <= len(lines):
        raise InputError(f"{name}: expected the number of atoms of each element on line 7")
    first = 9 if lines[7].strip().lower().startswith("s") else 8
    after = lines[first + n_atoms : first + n_atoms + 1]
    mode = after[0].strip().lower() if after else ""
    if mode.startswith("l"):
        raise InputError(
            f"{name}: the velocities of the lattice would be dropped (line {first + n_atoms + 1})",
            hint="remove this block",
        )
    if mode.startswith("d"):
        raise InputError(
            f"{name}: the velocities are in direct coordinates (line {first + n_atoms + 1})",
            hint="write them in A/fs, below a blank line, or as momenta in extended XYZ",
        )
    return [n_atoms]


def settle_crystal(atoms: Any, kind: str, name: str) -> None:
    """Set masses of heavy hydrogen in what ASE has read from a CIF file; refuse mixed sites.

    Parameters
    ----------
    atoms : ase.Atoms
        Changed in place.
    kind : str
        ASE's name of the format; others than cif are left alone.
    name : str
        Name of the file, for messages.

    Raises
    ------
    InputError
        If a site is not wholly occupied by one element.
    """
    if kind != "cif":
        return
    for site, occupants in atoms.info.get("occupancy", {}).items():
        if len(occupants) != 1 or not all(part == 1 for part in occupants.values()):
            shares = ", ".join(f"{part:g} {symbol}" for symbol, part in sorted(occupants.items()))
            raise InputError(
                f"{name}: site {int(site) + 1} is occupied by {shares}; expected one whole atom",
                hint="choose one of the ordered structures, and write it to a file of its own",
            )
    if atoms.has("masses"):
        atoms.set_masses(_with_heavy_hydrogen(atoms.numbers, atoms.get_masses()))


def _with_heavy_hydrogen(numbers: Any, masses: Array) -> Array:
    """ASE takes the bare nucleus for D; isotopes have one mass in all formats."""
    masses, hydrogen = np.array(masses), np.asarray(numbers) == 1
    for mass in HEAVY_HYDROGEN_U.values():
        masses[hydrogen & (np.abs(masses - mass) < 0.1)] = mass
    return masses
