"""Bonds, residues and the topology file that goes with a trajectory.

The PDB text is written here: importing MDAnalysis for it would cost `qmd run` 0.8 s, and its writer
adds a meaningless 1 angstrom unit cell. ASE's writer puts a whole cluster into one residue.
"""

import numpy as np
from ase.data import covalent_radii

from qmd.system.cell import ISOLATED, minimum_image
from qmd.typing import Array, Integers

BOND_FACTOR = 1.3
"""Largest length of a bond, in sums of the covalent radii: 1.26 angstrom for O-H, 2.07 for Li-H,
1.98 for C-C. Hydrogen bonds (1.8) and second neighbours (2.4, C-C-C) are longer."""


def bonds(numbers: Integers, positions: Array, cell: Array = ISOLATED) -> Integers:
    """Return the covalent bonds, by distance [1]_.

    Parameters
    ----------
    numbers : int array, shape (n_atoms,)
        Atomic numbers.
    positions : float array, shape (n_atoms, 3)
        Angstrom.
    cell : float array, shape (3, 3)
        Lattice vectors (angstrom) in rows; bonds reach across the faces.

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
        arms = minimum_image(positions[i + 1 :] - positions[i], cell)
        distances = np.linalg.norm(arms, axis=1)
        bonded = distances < BOND_FACTOR * (radii[i + 1 :] + radii[i])
        pairs += [(i, i + 1 + int(j)) for j in np.flatnonzero(bonded)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def fragments(n_atoms: int, bonds: Integers) -> list[list[int]]:
    """Return the molecules: atoms connected by `bonds`, all lists in ascending order."""
    neighbours = bonded_neighbours(n_atoms, bonds)
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


def bonded_neighbours(n_atoms: int, bonds: Integers) -> list[list[int]]:
    """Return the bonded atoms of each atom; `bonds` has shape (n_bonds, 2)."""
    neighbours: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in bonds.tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    return neighbours
