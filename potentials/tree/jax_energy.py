"""The JAX interpreter of a tree of potentials.

Importing this module makes the tree a pytree: its leaves are the trained arrays.
"""

from functools import reduce
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..circuit import jax_energy as vqc
from ..classical.molecular import (
    HarmonicAngles,
    HarmonicBonds,
    LennardJones,
    MorseBonds,
    PointCharges,
)
from ..classical.water import (
    BOND,
    COULOMB,
    DAMPING,
    R6,
    WATER_KINDS,
    WATER_PAIRS,
    ShortRangeWall,
    SphericalWall,
    WaterBaseline,
)
from ..network import jax_energy as network_jax
from ..network.network import Network
from ..network.perceptron import Perceptron
from ..polynomial.polynomial import InvariantPolynomial
from ..vqlm import jax_energy as vqlm_jax
from ..vqlm.vqlm import Vqlm
from .nodes import AtomCentred, Committee, ManyBody, Model, OnAtoms, Quantum, Scaled, Sum, Switched

_TRAINED: dict[type[Any], tuple[list[str], list[str]]] = {
    Quantum: (["parameters"], ["architecture"]),
    Network: (["parameters"], ["kinds", "circuit", "first", "cutoff"]),
    Perceptron: (["parameters"], ["kinds", "first", "cutoff"]),
    Vqlm: (["parameters"], ["coordinates", "ranges", "n_layers"]),
    InvariantPolynomial: (["parameters"], ["like", "degree", "centres"]),
    WaterBaseline: (["parameters"], []),
    ShortRangeWall: ([], ["pairs", "onsets", "stiffness"]),
    SphericalWall: ([], ["n_atoms", "radius", "stiffness"]),
    MorseBonds: ([], ["n_atoms", "bonds", "depth", "steepness", "length"]),
    HarmonicBonds: ([], ["n_atoms", "bonds", "stiffness", "length"]),
    HarmonicAngles: ([], ["n_atoms", "angles", "stiffness", "angle"]),
    LennardJones: ([], ["n_atoms", "atoms", "depth", "diameter"]),
    PointCharges: ([], ["charges", "molecules"]),
    OnAtoms: (["model"], ["atoms"]),
    Switched: (["model"], ["between", "inner", "outer"]),
    Scaled: (["model"], ["factor"]),
    Sum: (["terms"], []),
    Committee: (["members"], []),
    ManyBody: (["monomer", "pair"], ["n_molecules"]),
    AtomCentred: (["models"], ["kinds"]),
}
"""Fields that hold arrays or models, and those that are fixed."""

for _kind, (_data, _fixed) in _TRAINED.items():
    jax.tree_util.register_dataclass(_kind, _data, _fixed)


def energy(model: Model, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
    match model:
        case Quantum():
            return vqc.energy(model.architecture, model.parameters, positions)
        case Network():
            return network_jax.energy(model, positions)
        case Perceptron():
            return network_jax.perceptron_energy(model, positions)
        case Vqlm():
            return vqlm_jax.energy(model, positions)
        case InvariantPolynomial():
            return _polynomial(model, positions)
        case WaterBaseline():
            return _baseline(model, positions)
        case ShortRangeWall():
            return _wall(model, positions)
        case SphericalWall():
            outside = jnp.linalg.norm(positions, axis=-1) - model.radius
            return model.stiffness * jnp.sum(jnp.maximum(outside, 0.0) ** 3)
        case MorseBonds():
            stretch = _distances(model.bonds, positions) - model.length
            return model.depth * jnp.sum((1 - jnp.exp(-model.steepness * stretch)) ** 2)
        case HarmonicBonds():
            stretch = _distances(model.bonds, positions) - model.length
            return model.stiffness / 2 * jnp.sum(stretch**2)
        case HarmonicAngles():
            return _angles(model, positions)
        case LennardJones():
            pairs = list(combinations(model.atoms, 2))
            sixth = (model.diameter / _distances(pairs, positions)) ** 6
            return 4 * model.depth * jnp.sum(sixth * (sixth - 1))
        case PointCharges():
            return _charges(model, positions)
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
        case AtomCentred():
            return reduce(jnp.add, [
                jnp.sum(jax.vmap(lambda x, one=one: energy(one, x))(positions[model.of_kind(kind)]))
                for kind, one in enumerate(model.models)
            ])  # fmt: skip


def switch(r: Float[Array, ""], inner: float, outer: float) -> Float[Array, ""]:
    """1 below `inner`, 0 beyond `outer`, with a continuous second derivative."""
    t = jnp.clip((r - inner) / (outer - inner), 0.0, 1.0)
    return 1 - t**3 * (10 - t * (15 - 6 * t))


def _distances(pairs: Any, positions: Float[Array, "atoms 3"]) -> Float[Array, " pairs"]:
    i, j = np.array(pairs).T
    distances: Array = jnp.linalg.norm(positions[i] - positions[j], axis=-1)
    return distances


def _polynomial(model: InvariantPolynomial, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    inside = np.array(model.centres) - _distances(model.pairs, positions)
    y = jnp.exp(inside / model.parameters.length) - 1
    powers = jnp.cumprod(jnp.stack([jnp.ones_like(y), *[y] * model.degree]), axis=0)
    exponents = np.array([monomial for orbit in model.orbits for monomial in orbit])
    term = np.repeat(np.arange(len(model.orbits)), [len(orbit) for orbit in model.orbits])
    monomials = jnp.prod(powers[exponents, np.arange(len(y))], axis=1)
    return jnp.dot(jnp.asarray(model.parameters.weights)[term], monomials)


def _angles(model: HarmonicAngles, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    i, vertex, k = np.array(model.angles).T
    u, v = positions[i] - positions[vertex], positions[k] - positions[vertex]
    sine = jnp.linalg.norm(jnp.cross(u, v), axis=-1)
    bend = jnp.arctan2(sine, jnp.sum(u * v, axis=-1)) - model.angle
    return model.stiffness / 2 * jnp.sum(bend**2)


def _charges(model: PointCharges, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    charges, molecules = np.array(model.charges), np.array(model.molecules)
    i, j = np.triu_indices(model.n_atoms, 1)
    apart = molecules[i] != molecules[j]
    i, j = i[apart], j[apart]
    r = _distances(np.stack([i, j], axis=1), positions)
    return COULOMB * jnp.sum(charges[i] * charges[j] / r)


def _baseline(model: WaterBaseline, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    p, kinds = model.parameters, np.array(WATER_KINDS)
    r = _distances(WATER_PAIRS, positions)
    repulsion = jnp.exp(jnp.asarray(p.repulsion)[kinds] - jnp.asarray(p.decay)[kinds] * r)
    dispersion = jnp.asarray(p.dispersion)[kinds] / (r**6 + R6)
    x1, q1 = _sites(model, positions[:3])
    x2, q2 = _sites(model, positions[3:])
    d = jnp.linalg.norm(x1[:, None] - x2[None], axis=-1)
    coulomb = COULOMB * q1[:, None] * q2[None] * (1 - jnp.exp(-((d / DAMPING) ** 3))) / d
    return jnp.sum(coulomb) + jnp.sum(repulsion - dispersion)


def _sites(
    model: WaterBaseline, positions: Float[Array, "3 3"]
) -> tuple[Float[Array, "3 3"], Float[Array, " 3"]]:
    """Positions and charges of H1, H2, M of one molecule."""
    p, (o, h1, h2) = model.parameters, positions
    d1, d2 = jnp.linalg.norm(h1 - o) - BOND, jnp.linalg.norm(h2 - o) - BOND
    q1, q2 = p.charge + p.stretch * d1 + p.cross * d2, p.charge + p.stretch * d2 + p.cross * d1
    m = o + p.site * ((h1 + h2) / 2 - o)
    return jnp.stack([h1, h2, m]), jnp.stack([q1, q2, -(q1 + q2)])


def _wall(model: ShortRangeWall, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    inside = np.array(model.onsets) - _distances(model.pairs, positions)
    return model.stiffness * jnp.sum(jnp.maximum(inside, 0.0) ** 3)
