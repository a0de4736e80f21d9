"""Circuits of a model, with the atoms they act on and the number of their evaluations."""

from collections.abc import Callable
from typing import Any, NamedTuple

from qmd.errors import InputError, MismatchError, quoted
from qmd.potentials import Circuit, Model, Package, families, flatten, leaves


class CircuitInstance(NamedTuple):
    """One circuit of a model."""

    name: str
    """Place in the model, e.g. ``monomer``; the name of the package if the circuit is all of it."""
    model: families.Leaf
    atoms: tuple[int, ...]
    """Atoms of its first use."""
    copies: int
    """Number of uses in one energy."""

    @property
    def form(self) -> families.LeafCircuit:
        """Circuit in the form in which its family describes it."""
        circuit = families.family_of(self.model).circuit
        if circuit is None:
            raise TypeError(f"{type(self.model).__name__} has no circuit.")
        form: families.LeafCircuit = circuit(self.model)
        return form

    @property
    def circuit(self) -> Circuit | None:
        """Circuit on spins; None for a circuit of another kind."""
        spins: Circuit | None = self.form.spins
        return spins

    @property
    def n_qubits(self) -> int:
        return self.form.n_qubits

    @property
    def n_layers(self) -> int:
        return self.form.n_layers

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return families.n_parameters(self.model)

    def node(self, n_layers: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return a PennyLane QNode of the first `n_layers` layers, and arguments (angles of 1)."""
        return self.form.node(n_layers)


def circuits(package: Package) -> list[CircuitInstance]:
    """Return every trained circuit in the model of `package`, in the order of the tree."""
    return circuits_of_model(package.model, package.name)


def circuits_of_model(model: Model, whole: str) -> list[CircuitInstance]:
    """Return every trained circuit in a tree, in its order; one that is all of it is `whole`."""
    terms, found = flatten(model), []
    for name, leaf in leaves(model):
        if families.family_of(leaf).circuit is None:
            continue
        uses = [term.atoms for term in terms if term.leaf is leaf]
        one = CircuitInstance(name or whole, leaf, uses[0], len(uses))
        found.append(one._replace(copies=len(uses) * one.form.copies))
    return found


def circuits_or_error(package: Package) -> list[CircuitInstance]:
    """Return every trained circuit in the model, or raise MismatchError if there is none."""
    found = circuits(package)
    if not found:
        raise MismatchError(f"{package.name} has no circuit", "all its terms are classical")
    return found


def find_circuit(package: Package, name: str | None = None) -> CircuitInstance:
    """Return the circuit called `name`, or the first one.

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
