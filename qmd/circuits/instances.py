"""The circuits within a model, with the atoms they act on and how often each is evaluated."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from qmd.errors import InputError, MismatchError, quoted
from qmd.potentials import (
    AtomCentredNetwork,
    Circuit,
    Model,
    Package,
    Quantum,
    Vqlm,
    flatten,
    leaves,
)


class CircuitInstance(NamedTuple):
    """One circuit of a model."""

    name: str
    """Where it stands in the model, e.g. ``monomer``; the name of the package if it is all."""
    model: Quantum | AtomCentredNetwork | Vqlm
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
            case AtomCentredNetwork():
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
        if isinstance(self.model, AtomCentredNetwork):
            couplings = couplings[0]  # of one element
        return reference.qnode(circuit), (couplings[:n_layers], angles)


def circuits(package: Package) -> list[CircuitInstance]:
    """Every trained circuit in the model of `package`, in the order of the tree."""
    return of_model(package.model, package.name)


def of_model(model: Model, whole: str) -> list[CircuitInstance]:
    """Every trained circuit in a tree, in its order; one that is all of it is called `whole`."""
    terms, found = flatten(model), []
    for name, leaf in leaves(model):
        if isinstance(leaf, Quantum | AtomCentredNetwork | Vqlm):
            uses = [term.atoms for term in terms if term.leaf is leaf]
            circuits_each = leaf.n_atoms if isinstance(leaf, AtomCentredNetwork) else 1
            found.append(CircuitInstance(name or whole, leaf, uses[0], len(uses) * circuits_each))
    return found


def circuits_or_error(package: Package) -> list[CircuitInstance]:
    """As `circuits`, but raise MismatchError if there is none."""
    found = circuits(package)
    if not found:
        raise MismatchError(f"{package.name} has no circuit", "all its terms are classical")
    return found


def find_circuit(package: Package, name: str | None = None) -> CircuitInstance:
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
