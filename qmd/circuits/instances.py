"""The circuits within a model, with the atoms they act on and how often each is evaluated."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple, cast

import numpy as np

from qmd.errors import InputError, MismatchError, quoted
from qmd.potentials import (
    AtomCentred,
    Circuit,
    Committee,
    Model,
    Network,
    Package,
    Perceptron,
    Quantum,
    RotationZ,
    Sum,
    Switch,
    VectorDensities,
    Vqlm,
    flatten,
    leaves,
)


class Part(NamedTuple):
    """One circuit of a model."""

    name: str
    """Where it stands in the model, e.g. ``monomer``; the name of the package if it is all."""
    model: Quantum | Network | Vqlm
    atoms: tuple[int, ...]
    """Atoms of its first use."""
    copies: int
    """Uses in one energy."""

    @property
    def circuit(self) -> Circuit | None:
        """The circuit on spins; None for the generic one."""
        match self.model:
            case Quantum():
                return self.model.architecture.circuit
            case Network():
                return self.model.circuit
            case Vqlm():
                return None

    @property
    def n_qubits(self) -> int:
        return self._sized.n_qubits

    @property
    def n_layers(self) -> int:
        return self._sized.n_layers

    @property
    def _sized(self) -> Circuit | Vqlm:
        return self.model if isinstance(self.model, Vqlm) else cast(Circuit, self.circuit)

    @property
    def n_parameters(self) -> int:
        """Trained numbers."""
        return sum(np.asarray(values).size for values in self.model.parameters)

    def node(self, n_layers: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """PennyLane QNode of the first `n_layers` layers, and arguments for it (angles of 1)."""
        if isinstance(self.model, Vqlm):
            from qmd.potentials import vqlm_reference

            fewer = replace(self.model, n_layers=n_layers)
            return vqlm_reference.qnode(fewer), (fewer.parameters, np.ones(self.n_qubits))
        from qmd.potentials import reference

        circuit = replace(cast(Circuit, self.circuit), n_layers=n_layers)
        angles = np.ones((n_layers + 1, circuit.n_vectors, 3))
        couplings = self.model.parameters.couplings
        if isinstance(self.model, Network):
            couplings = couplings[0]  # of one element
        return reference.qnode(circuit), (couplings[:n_layers], angles)


def circuits(package: Package) -> list[Part]:
    """Every trained circuit in the model of `package`, in the order of the tree."""
    return of_model(package.model, package.name)


def of_model(model: Model, whole: str) -> list[Part]:
    """Every trained circuit in a tree, in its order; one that is all of it is called `whole`."""
    terms, found = flatten(model), []
    for name, leaf in leaves(model):
        if isinstance(leaf, Quantum | Network | Vqlm):
            uses = [term.atoms for term in terms if term.leaf is leaf]
            circuits_each = leaf.n_atoms if isinstance(leaf, Network) else 1
            found.append(Part(name or whole, leaf, uses[0], len(uses) * circuits_each))
    return found


def circuits_or_error(package: Package) -> list[Part]:
    """As `circuits`, but raise MismatchError if there is none."""
    found = circuits(package)
    if not found:
        raise MismatchError(f"{package.name} has no circuit", "all its terms are classical")
    return found


def find_circuit(package: Package, name: str | None = None) -> Part:
    """The circuit called `name`, or the first one.

    Raises
    ------
    InputError
        If there is no circuit of that name; the message lists the names.
    MismatchError
        If there is no circuit at all.
    """
    found = {part.name: part for part in circuits_or_error(package)}
    if name is None:
        return next(iter(found.values()))
    if name not in found:
        raise InputError(
            f"{package.name} has no circuit {quoted(name)}", f"Circuits: {', '.join(found)}."
        )
    return found[name]


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
        case AtomCentred() | Network():
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
        case Network() | Perceptron():
            yield from ((i, j, leaf.cutoff) for i, j in combinations(range(leaf.n_atoms), 2))
