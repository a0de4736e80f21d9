"""Bonds, residues and the topology file that goes with a trajectory.

The PDB text is written here: importing MDAnalysis for it would cost `qmd run` 0.8 s, and its writer
adds a meaningless 1 angstrom unit cell. ASE's writer puts a whole cluster into one residue.
"""

from collections import Counter
from collections.abc import Sequence

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


def formula(symbols: Sequence[str]) -> str:
    """Return the formula of a molecule in the order of Hill, e.g. "H2O" or "CH4O"."""
    counts = Counter(symbols)
    first = [symbol for symbol in ("C", "H") if "C" in counts and symbol in counts]
    order = first + sorted(symbol for symbol in counts if symbol not in first)
    return "".join(s + (str(counts[s]) if counts[s] > 1 else "") for s in order)


def alike_pairs(numbers: Integers, bonds: Integers) -> Integers:
    """Return the class of each pair of atoms: pairs that the bonds do not tell apart share one.

    Pairs that an exchange of like atoms takes into each other, such as the hydrogens of a methyl
    group, are always in one class. The classes are the stable ones of the Weisfeiler-Leman
    refinement of pairs [1]_.

    Parameters
    ----------
    numbers : int array, shape (n_atoms,)
        Atomic numbers.
    bonds : int array, shape (n_bonds, 2)

    Returns
    -------
    int array, shape (n_atoms, n_atoms)
        Symmetric.

    References
    ----------
    .. [1] B. Weisfeiler and A. Leman, Nauchno-Technicheskaya Informatsia 2 (9), 12 (1968).
    """
    n = len(numbers)
    bonded = np.zeros((n, n), np.int64)
    bonded[bonds[:, 0], bonds[:, 1]] = bonded[bonds[:, 1], bonds[:, 0]] = 1
    own = np.broadcast_to(np.asarray(numbers, np.int64)[:, None], (n, n))
    first = np.stack([own, own.T, bonded, np.eye(n, dtype=np.int64)], axis=2)
    classes = _numbered(first)
    while True:
        refined = _refined(classes)
        if refined.max(initial=0) == classes.max(initial=0):
            return np.minimum(classes, classes.T)
        classes = refined


def _refined(classes: Integers) -> Integers:
    """Tell pairs apart whose atoms see different pairs of classes over the other atoms."""
    n = len(classes)
    rows = np.empty((n, n, n + 1), np.int64)
    rows[:, :, 0] = classes
    for i in range(n):  # row by row: memory grows with one cube of n_atoms, not several
        seen = classes[i, :, None] * n * n + classes  # over k, j
        rows[i, :, 1:] = np.sort(seen, axis=0).T
    return _numbered(rows)


def _numbered(rows: Integers) -> Integers:
    """Number the different rows of the last axis."""
    found = np.unique(rows.reshape(-1, rows.shape[-1]), axis=0, return_inverse=True)[1]
    numbered: Integers = found.reshape(rows.shape[:-1])
    return numbered
