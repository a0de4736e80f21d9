"""The JAX interpreter of a tree of potentials.

Importing this module makes the tree a pytree: its leaves are the trained arrays.
"""

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from . import vqc, vqlm_jax
from .classical import COULOMB, R6, PairBaseline, ShortRangeWall, SphericalWall
from .tree import ManyBody, Model, OnAtoms, Quantum, Sum, Switched
from .vqlm import Vqlm

_TRAINED: dict[type[Any], tuple[list[str], list[str]]] = {
    Quantum: (["parameters"], ["architecture"]),
    Vqlm: (["parameters"], ["coordinates", "ranges", "n_layers"]),
    PairBaseline: (["parameters"], ["pairs", "kinds", "products"]),
    ShortRangeWall: ([], ["pairs", "onsets", "stiffness"]),
    SphericalWall: ([], ["n_atoms", "radius", "stiffness"]),
    OnAtoms: (["model"], ["atoms"]),
    Switched: (["model"], ["between", "inner", "outer"]),
    Sum: (["terms"], []),
    ManyBody: (["monomer", "pair"], ["n_molecules"]),
}
"""Fields that hold arrays or models, and those that are fixed."""

for _kind, (_data, _fixed) in _TRAINED.items():
    jax.tree_util.register_dataclass(_kind, _data, _fixed)


def energy(model: Model, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
    match model:
        case Quantum():
            return vqc.energy(model.architecture, model.parameters, positions)
        case Vqlm():
            return vqlm_jax.energy(model, positions)
        case PairBaseline():
            return _baseline(model, positions)
        case ShortRangeWall():
            return _wall(model, positions)
        case SphericalWall():
            outside = jnp.linalg.norm(positions, axis=-1) - model.radius
            return model.stiffness * jnp.sum(jnp.maximum(outside, 0.0) ** 3)
        case OnAtoms():
            return energy(model.model, positions[np.array(model.atoms)])
        case Switched():
            i, j = model.between
            r = jnp.linalg.norm(positions[i] - positions[j])
            return switch(r, model.inner, model.outer) * energy(model.model, positions)
        case Sum():
            return reduce(jnp.add, [energy(t, positions[: t.n_atoms]) for t in model.terms])
        case ManyBody():
            one = jax.vmap(lambda x: energy(model.monomer, x))(positions[model.molecules])
            two = jax.vmap(lambda x: energy(model.pair, x))(positions[model.pairs])
            return jnp.sum(one) + jnp.sum(two)


def switch(r: Float[Array, ""], inner: float, outer: float) -> Float[Array, ""]:
    """1 below `inner`, 0 beyond `outer`, with a continuous second derivative."""
    t = jnp.clip((r - inner) / (outer - inner), 0.0, 1.0)
    return 1 - t**3 * (10 - t * (15 - 6 * t))


def _distances(pairs: Any, positions: Float[Array, "atoms 3"]) -> Float[Array, " pairs"]:
    i, j = np.array(pairs).T
    distances: Array = jnp.linalg.norm(positions[i] - positions[j], axis=-1)
    return distances


def _baseline(model: PairBaseline, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    p, kinds = model.parameters, np.array(model.kinds)
    r = _distances(model.pairs, positions)
    charges = COULOMB * p.charge**2 * np.array(model.products)[kinds]
    coulomb = charges * (1 - jnp.exp(-((r / p.damping) ** 3))) / r
    repulsion = jnp.exp(jnp.asarray(p.repulsion)[kinds] - jnp.asarray(p.decay)[kinds] * r)
    dispersion = jnp.asarray(p.dispersion)[kinds] / (r**6 + R6)
    return jnp.sum(coulomb + repulsion - dispersion)


def _wall(model: ShortRangeWall, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    inside = np.array(model.onsets) - _distances(model.pairs, positions)
    return model.stiffness * jnp.sum(jnp.maximum(inside, 0.0) ** 3)
