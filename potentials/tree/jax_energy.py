"""JAX interpreter of a tree of potentials.

Importing this module makes the tree a pytree: its leaves are the trained arrays.
"""

from dataclasses import fields
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..families import FAMILIES, family_of
from .nodes import Committee, ManyBody, Model, OnAtoms, PerAtomSum, Scaled, Sum, Switched
from .walk import leaves

_BRANCHES: dict[type[Any], tuple[list[str], list[str]]] = {
    OnAtoms: (["model"], ["atoms"]),
    Switched: (["model"], ["between", "inner", "outer"]),
    Scaled: (["model"], ["factor"]),
    Sum: (["terms"], []),
    Committee: (["members"], []),
    ManyBody: (["monomer", "pair"], ["n_molecules"]),
    PerAtomSum: (["models"], ["kinds"]),
}
"""Fields of each branch that contain models, and fields that are fixed."""


def _register() -> None:
    for kind, (models, fixed) in _BRANCHES.items():
        jax.tree_util.register_dataclass(kind, models, fixed)
    for family in FAMILIES:
        names = [field.name for field in fields(family.leaf)]
        trained = [name for name in names if name == "parameters"]
        others = [name for name in names if name != "parameters"]
        jax.tree_util.register_dataclass(family.leaf, trained, others)


_register()


def energy(model: Model, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
    match model:
        case OnAtoms():
            return energy(model.model, positions[np.array(model.atoms)])
        case Switched():
            i, j = model.between
            r = jnp.linalg.norm(positions[i] - positions[j])
            return switch(r, model.inner, model.outer) * energy(model.model, positions)
        case Scaled():
            return model.factor * energy(model.model, positions)
        case Sum():
            return reduce(jnp.add, [energy(t, positions[: t.n_atoms]) for t in model.terms])
        case Committee():
            total = reduce(jnp.add, [energy(member, positions) for member in model.members])
            return total / len(model.members)
        case ManyBody():
            one = jax.vmap(lambda x: energy(model.monomer, x))(positions[model.molecules])
            two = jax.vmap(lambda x: energy(model.pair, x))(positions[model.pairs])
            return jnp.sum(one) + jnp.sum(two)
        case PerAtomSum():
            return reduce(jnp.add, [
                jnp.sum(jax.vmap(lambda x, one=one: energy(one, x))(positions[model.of_kind(kind)]))
                for kind, one in enumerate(model.models)
            ])  # fmt: skip
        case _:
            value: Array = family_of(model).jax_energy(model, positions)
            return value


Pairs = tuple[Array, ...]
"""Atoms i and j, and shifts (n, 3), of pairs: positions[j] - positions[i] + shifts @ cell. A fourth
array, (n_atoms, slots), may have the places of the pairs of each atom; n plus the place where it is
the second of a pair, and the place of an empty pair where there are no more."""


def energy_in_cell(
    model: Model, positions: Float[Array, "atoms 3"], cell: Float[Array, "3 3"], pairs: Pairs
) -> Float[Array, ""]:
    """Return the energy (eV) at `positions` in a cell, rows in angstrom, from its `pairs`.

    Raises
    ------
    ValueError
        If a part of the model is for isolated systems only.
    """
    match model:
        case OnAtoms():
            own = positions[np.array(model.atoms)]
            return energy_in_cell(model.model, own, cell, _among(model, positions.shape[0], pairs))
        case Scaled():
            return model.factor * energy_in_cell(model.model, positions, cell, pairs)
        case Sum():
            return reduce(jnp.add, [energy_in_cell(t, positions, cell, pairs) for t in model.terms])
        case Committee():
            parts = [energy_in_cell(member, positions, cell, pairs) for member in model.members]
            return reduce(jnp.add, parts) / len(parts)
        case Switched() | ManyBody() | PerAtomSum():
            raise ValueError(f"A {type(model).__name__} is for isolated systems, not for a cell.")
        case _:
            family = family_of(model)
            if family.jax_in_cell is None:
                raise ValueError(f"A {family.kind} is for isolated systems, not for a cell.")
            known = pairs if family.in_slots else pairs[:3]
            value: Array = family.jax_in_cell(model, positions, cell, known)
            return value


def energy_of_kinds(
    model: Model, kinds: Array, positions: Float[Array, "atoms 3"], cell: Array, pairs: Pairs
) -> Float[Array, ""]:
    """Return the energy (eV) of atoms of any composition, -1 in `kinds` for a missing atom.

    Raises
    ------
    ValueError
        If the model is for its own atoms only.
    """
    match model:
        case Committee():
            parts = [energy_of_kinds(m, kinds, positions, cell, pairs) for m in model.members]
            return reduce(jnp.add, parts) / len(parts)
        case OnAtoms() | Scaled() | Sum() | Switched() | ManyBody() | PerAtomSum():
            raise ValueError(f"A {type(model).__name__} is for its own atoms only.")
        case _:
            family = family_of(model)
            if family.jax_of_kinds is None:
                raise ValueError(f"A {family.kind} is for its own atoms only.")
            value: Array = family.jax_of_kinds(model, kinds, positions, cell, pairs)
            return value


def cutoff(model: Model) -> float:
    """Return the largest cut-off (angstrom) of the leaves: that of the pairs in a cell."""
    ends = [family_of(leaf).cutoff for _, leaf in leaves(model)]
    reaches = [(end, leaf) for end, (_, leaf) in zip(ends, leaves(model), strict=True)]
    return max((end(leaf) for end, leaf in reaches if end is not None), default=0.0)


def _among(model: OnAtoms, n_atoms: int, pairs: Pairs) -> Pairs:
    """Pairs of the atoms of a model, by their places in it; others become empty places."""
    places = np.full(n_atoms, -1)
    places[list(model.atoms)] = range(len(model.atoms))
    i, j = jnp.asarray(places)[pairs[0]], jnp.asarray(places)[pairs[1]]
    own = (i >= 0) & (j >= 0)
    return jnp.where(own, i, 0), jnp.where(own, j, 0), jnp.where(own[:, None], pairs[2], 0)


def switch(r: Float[Array, ""], inner: float, outer: float) -> Float[Array, ""]:
    """Return 1 below `inner`, 0 beyond `outer`, with a continuous second derivative."""
    t = jnp.clip((r - inner) / (outer - inner), 0.0, 1.0)
    return 1 - t**3 * (10 - t * (15 - 6 * t))
