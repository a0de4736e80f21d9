"""Trained packages on molecules of their elements that they were not trained on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from qmd.potentials import Domain, Package
from qmd.system import topology
from qmd.system.cell import ISOLATED
from qmd.typing import Array, Integers

BROKEN_MARGIN_A = 0.2
"""Margin (angstrom) from a length that is no longer that of a bond to one that ends a run: that of
packages of one molecule, whose longest bonds at 500 K are 1.24 times the sum of the radii."""


def on_atoms(
    package: Package, numbers: Integers, positions: Array, cell: Array = ISOLATED
) -> Package:
    """Return a package on atoms that it serves, with a bound for bonds where it knows none.

    The ranges of several molecules do not fit another one: its atoms may be farther apart. Its
    least distances are those of the training; its bonds, which are those of `positions`, must not
    break, since no bond of the training did.

    Parameters
    ----------
    package : Package
        That serves the elements of `numbers`.
    numbers : int array, shape (n_atoms,)
        Atomic numbers.
    positions : float array, shape (n_atoms, 3)
        In angstrom.
    cell : float array, shape (3, 3)
        Lattice vectors (angstrom) in rows.
    """
    found = package.on(tuple(chemical_symbols[number] for number in numbers))
    if package.elements or not found.trained_on:
        return found
    bonds = topology.bonds(numbers, positions, cell)
    return replace(found, domain=with_bonds(found.domain, numbers, bonds))


def with_bonds(domain: Domain, numbers: Integers, bonds: Integers) -> Domain:
    """Return a domain of least distances, with largest ones for `bonds` (n_bonds, 2).

    Beyond `BOND_FACTOR` sums of the covalent radii a step is counted, `BROKEN_MARGIN_A` beyond that
    a run ends.
    """
    kinds, least = domain.least([chemical_symbols[number] for number in numbers])
    i, j = bonds.T
    warn, stop = (least[kinds[i], kinds[j], k] for k in (0, 1))
    longest = topology.BOND_FACTOR * (covalent_radii[numbers[i]] + covalent_radii[numbers[j]])
    place = np.array([len(numbers), 1])
    others = ~np.isin(domain.pairs @ place, bonds @ place)
    return Domain(
        np.concatenate([bonds, domain.pairs[others]]),
        np.concatenate([np.stack([warn, longest], axis=1), domain.warn[others]]),
        np.concatenate([np.stack([stop, longest + BROKEN_MARGIN_A], axis=1), domain.stop[others]]),
    )


def warning(package: Package) -> str:
    """Return one line about atoms that a package was not trained on; otherwise nothing."""
    if not package.trained_on:
        return ""
    trained = list(dict.fromkeys(map(topology.formula, package.trained_on)))
    own = topology.formula(package.species)
    if own in trained:
        orders = [",".join(s) for s in package.trained_on if topology.formula(s) == own]
        return (
            f"{package.name} was trained on {own} with its atoms as {' or '.join(orders)}, but "
            f"these are {','.join(package.species)}: unless they are that molecule in another "
            "order, their errors are not known"
        )
    return (
        f"{package.name} was not trained on {own}, but on {_listed(trained)}: the errors of its "
        "energies and forces are not known"
    )


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
