"""The symmetries and smooth ends that a potential claims to have."""

from collections.abc import Iterator
from itertools import combinations

from qmd.circuits.instances import circuits
from qmd.potentials import (
    AtomCentredNetwork,
    Committee,
    Model,
    Package,
    PerAtomSum,
    Perceptron,
    Quantum,
    RotationZ,
    Sum,
    Switch,
    VectorDensities,
    flatten,
)


def claims_rotation(package: Package) -> bool:
    """Whether no circuit holds an RZ gate on a spin, which keeps rotations about z only."""
    return not any(
        isinstance(gate, RotationZ) and set(gate.qubits) - {part.circuit.ancilla}
        for part in circuits(package)
        if part.circuit is not None
        for gate in part.circuit.layer
    )


def claims_reflection(package: Package) -> bool:
    """Whether mirror images have the same energy in every circuit.

    They have by an ancilla, with internal coordinates, or if rotation does it: a mirror image of
    up to three atoms is a rotation of them.
    """
    return all(
        part.circuit is None
        or part.circuit.ancilla is not None
        or (claims_rotation(package) and len(part.atoms) <= 3)
        for part in circuits(package)
    )


def claims_exchange(package: Package) -> bool:
    """Whether like atoms are alike to the model; to the generic circuit they are not."""
    generic = any(part.circuit is None for part in circuits(package))
    return not generic and _treats_alike(package.model, package.species)


def _treats_alike(model: Model, species: tuple[str, ...]) -> bool:
    """Whether the atom-centred networks of a sum have one kind for each element."""
    match model:
        case PerAtomSum() | AtomCentredNetwork():
            return len(set(zip(species, model.kinds, strict=True))) == len(set(species))
        case Sum():
            return all(_treats_alike(term, species[: term.n_atoms]) for term in model.terms)
        case Committee():
            return all(_treats_alike(member, species) for member in model.members)
        case _:
            return True


def switches(package: Package) -> list[Switch]:
    """Every switch in the model, each once."""
    found = [term.switch for term in flatten(package.model) if term.switch is not None]
    return list(dict.fromkeys(found))


def cutoffs(package: Package) -> list[Switch]:
    """Pairs of atoms whose densities end at a cut-off, each once; both ends are the cut-off."""
    found = [
        Switch((term.atoms[i], term.atoms[j]), cutoff, cutoff)
        for term in flatten(package.model)
        for i, j, cutoff in _ends(term.leaf)
    ]
    return list(dict.fromkeys(found))


def _ends(leaf: Model) -> Iterator[tuple[int, int, float]]:
    """Pairs of atoms of a leaf, and where their densities end."""
    match leaf:
        case Quantum():
            features = leaf.architecture.features
            if isinstance(features, VectorDensities):
                pairs = ((e.centre, e.neighbour) for e in features.entries)
                yield from ((i, j, features.cutoff) for i, j in pairs if i < j)
        case AtomCentredNetwork() | Perceptron():
            yield from ((i, j, leaf.cutoff) for i, j in combinations(range(leaf.n_atoms), 2))
