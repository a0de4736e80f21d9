"""Walks over a tree: its leaves with their atoms, its parameters by name."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..families import family_of, trained_arrays
from ..family import Leaf
from .nodes import Committee, ManyBody, Model, OnAtoms, PerAtomSum, Scaled, Sum, Switched


class Switch(NamedTuple):
    """Two atoms of the whole system, and the distances of their switch, angstrom."""

    between: tuple[int, int]
    inner: float
    outer: float


class Term(NamedTuple):
    """Leaf with its place in the whole system."""

    leaf: Leaf
    atoms: tuple[int, ...]
    switch: Switch | None
    factor: float = 1.0


def flatten(model: Model) -> list[Term]:
    """Return all leaves of a tree, each on its atoms of the whole system.

    Raises
    ------
    ValueError
        If a leaf lies under two switches.
    """
    return list(_flatten(model, tuple(range(model.n_atoms)), None, 1.0))


def _flatten(
    model: Model, atoms: tuple[int, ...], switch: Switch | None, factor: float
) -> Iterator[Term]:
    match model:
        case Sum():
            for term in model.terms:
                yield from _flatten(term, atoms[: term.n_atoms], switch, factor)
        case Committee():
            for member in model.members:
                yield from _flatten(member, atoms, switch, factor / len(model.members))
        case Scaled():
            yield from _flatten(model.model, atoms, switch, factor * model.factor)
        case OnAtoms():
            yield from _flatten(model.model, tuple(atoms[i] for i in model.atoms), switch, factor)
        case Switched():
            if switch is not None:
                raise ValueError("A model under two switches has no native kernel.")
            i, j = model.between
            here = Switch((atoms[i], atoms[j]), model.inner, model.outer)
            yield from _flatten(model.model, atoms, here, factor)
        case ManyBody():
            for members in model.molecules:
                own = tuple(atoms[i] for i in members)
                yield from _flatten(model.monomer, own, switch, factor)
            for members in model.pairs:
                own = tuple(atoms[i] for i in members)
                yield from _flatten(model.pair, own, switch, factor)
        case PerAtomSum():
            for order in model.surroundings:
                own = tuple(atoms[i] for i in order)
                yield from _flatten(model.models[model.kinds[order[0]]], own, switch, factor)
        case _:
            yield Term(model, atoms, switch, factor)


def leaves(model: Model) -> list[tuple[str, Leaf]]:
    """Yield the leaves as stored, each once, with their names: "" or e.g. "pair.model.terms.0"."""
    return list(_leaves(model, ""))


def _leaves(model: Model, name: str) -> Iterator[tuple[str, Leaf]]:
    prefix = f"{name}." if name else ""
    match model:
        case Sum():
            for i, term in enumerate(model.terms):
                yield from _leaves(term, f"{prefix}terms.{i}")
        case Committee():
            for i, member in enumerate(model.members):
                yield from _leaves(member, f"{prefix}members.{i}")
        case OnAtoms() | Switched() | Scaled():
            yield from _leaves(model.model, f"{prefix}model")
        case ManyBody():
            yield from _leaves(model.monomer, f"{prefix}monomer")
            yield from _leaves(model.pair, f"{prefix}pair")
        case PerAtomSum():
            for i, one in enumerate(model.models):
                yield from _leaves(one, f"{prefix}models.{i}")
        case _:
            yield name, model


def needs_jax(model: Model) -> bool:
    """Return True if a leaf has no native kernel, so that JAX alone interprets the tree."""
    return any(family_of(leaf).native is None for _, leaf in leaves(model))


def serves_cells_by_jax(model: Model) -> bool:
    """Return True if JAX interprets the tree in periodic cells."""
    match model:
        case Sum():
            return all(map(serves_cells_by_jax, model.terms))
        case Committee():
            return all(map(serves_cells_by_jax, model.members))
        case OnAtoms() | Scaled():
            return serves_cells_by_jax(model.model)
        case Switched() | ManyBody() | PerAtomSum():
            return False
        case _:
            return family_of(model).jax_in_cell is not None


def named_parameters(model: Model) -> dict[str, Any]:
    """Return all trained arrays by name, e.g. "scales" or "pair.model.terms.0.scales"."""
    return {
        f"{name}.{field}" if name else field: value
        for name, leaf in leaves(model)
        for field, value in trained_arrays(leaf).items()
    }


def kinds_of(model: Model) -> tuple[int, ...]:
    """Return the kind of each atom of a network, or of the mean of several; else nothing."""
    while isinstance(model, Committee):
        model = model.members[0]
    found: tuple[int, ...] = getattr(model, "kinds", ())
    return found


def on_atoms(model: Model, kinds: tuple[int, ...]) -> Model:
    """Return a network, or the mean of several, for another molecule with the given `kinds`.

    Raises
    ------
    ValueError
        If the model is anything else: its parameters belong to its own atoms.
    """
    match model:
        case Committee():
            return Committee(tuple(on_atoms(member, kinds) for member in model.members))
        case OnAtoms() | Switched() | Scaled() | Sum() | ManyBody() | PerAtomSum():
            moved = None
        case _:
            moved = family_of(model).on_kinds
    if moved is None:
        raise ValueError("Only atom-centred networks serve several molecules.")
    served: Model = moved(model, kinds)
    return served
