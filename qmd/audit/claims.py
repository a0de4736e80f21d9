"""Symmetries and smooth ends that a potential claims to have."""

from collections.abc import Iterator
from typing import Any

from qmd.potentials import Committee, Model, Package, PerAtomSum, Sum, Switch, families, flatten


def claims_rotation(package: Package) -> bool:
    """Return True if rotated atoms have the same energy in every term."""
    return all(family.keeps_rotations(leaf) for leaf, _, family in _terms(package))


def claims_reflection(package: Package) -> bool:
    """Return True if mirror images have the same energy in every term.

    This holds by the symmetry of the term, or if rotation implies it: a mirror image of up to three
    atoms is also a rotation of them.
    """
    rotations = claims_rotation(package)
    return all(
        family.keeps_reflections(leaf) or (rotations and len(atoms) <= 3)
        for leaf, atoms, family in _terms(package)
    )


def claims_exchange(package: Package) -> bool:
    """Return True if every term, and every sum over atoms, is symmetric in equal atoms."""
    species = package.species
    return _one_per_element(package.model, species) and all(
        family.keeps_exchanges(leaf, tuple(species[i] for i in atoms))
        for leaf, atoms, family in _terms(package)
    )


def _terms(
    package: Package,
) -> Iterator[tuple[families.Leaf, tuple[int, ...], families.Family[Any]]]:
    """Yield every leaf with its atoms and its family, as often as it acts."""
    for term in flatten(package.model):
        yield term.leaf, term.atoms, families.family_of(term.leaf)


def _one_per_element(model: Model, species: tuple[str, ...]) -> bool:
    """Return True if a sum over atoms has one model for each element."""
    match model:
        case PerAtomSum():
            return len(set(zip(species, model.kinds, strict=True))) == len(set(species))
        case Sum():
            return all(_one_per_element(term, species[: term.n_atoms]) for term in model.terms)
        case Committee():
            return all(_one_per_element(member, species) for member in model.members)
        case _:
            return True


def switches(package: Package) -> list[Switch]:
    """Return every switch in the model, each once."""
    found = [term.switch for term in flatten(package.model) if term.switch is not None]
    return list(dict.fromkeys(found))


def cutoffs(package: Package) -> list[Switch]:
    """Return pairs of atoms whose densities end at a cut-off, each once, as switches of width 0."""
    found = [
        Switch((atoms[i], atoms[j]), cutoff, cutoff)
        for leaf, atoms, family in _terms(package)
        for i, j, cutoff in family.ends(leaf)
    ]
    return list(dict.fromkeys(found))
