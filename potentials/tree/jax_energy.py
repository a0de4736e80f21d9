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


def switch(r: Float[Array, ""], inner: float, outer: float) -> Float[Array, ""]:
    """Return 1 below `inner`, 0 beyond `outer`, with a continuous second derivative."""
    t = jnp.clip((r - inner) / (outer - inner), 0.0, 1.0)
    return 1 - t**3 * (10 - t * (15 - 6 * t))
