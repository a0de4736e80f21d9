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
from ..circuit.architecture import Quantum
from ..classical.jax_energy import (
    angles_energy,
    charges_energy,
    distances,
    wall_energy,
    water_energy,
)
from ..classical.molecular import (
    HarmonicAngles,
    HarmonicBonds,
    LennardJones,
    MorseBonds,
    PointCharges,
)
from ..classical.walls import ShortRangeWall, SphericalWall
from ..classical.water import WaterBaseline
from ..network import jax_energy as network_energy
from ..network.network import AtomCentredNetwork
from ..network.perceptron import Perceptron
from ..polynomial.jax_energy import polynomial_energy
from ..polynomial.polynomial import InvariantPolynomial
from ..vqlm import jax_energy as vqlm_jax
from ..vqlm.vqlm import Vqlm
from .nodes import Committee, ManyBody, Model, OnAtoms, PerAtomSum, Scaled, Sum, Switched

_TRAINED: dict[type[Any], tuple[list[str], list[str]]] = {
    Quantum: (["parameters"], ["architecture"]),
    AtomCentredNetwork: (["parameters"], ["kinds", "circuit", "first", "cutoff"]),
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
    PerAtomSum: (["models"], ["kinds"]),
}
"""Fields that hold arrays or models, and those that are fixed."""

for _kind, (_data, _fixed) in _TRAINED.items():
    jax.tree_util.register_dataclass(_kind, _data, _fixed)


def energy(model: Model, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
    match model:
        case Quantum():
            return vqc.energy(model.architecture, model.parameters, positions)
        case AtomCentredNetwork():
            return network_energy.energy(model, positions)
        case Perceptron():
            return network_energy.perceptron_energy(model, positions)
        case Vqlm():
            return vqlm_jax.energy(model, positions)
        case InvariantPolynomial():
            return polynomial_energy(model, positions)
        case WaterBaseline():
            return water_energy(model, positions)
        case ShortRangeWall():
            return wall_energy(model, positions)
        case SphericalWall():
            outside = jnp.linalg.norm(positions, axis=-1) - model.radius
            return model.stiffness * jnp.sum(jnp.maximum(outside, 0.0) ** 3)
        case MorseBonds():
            stretch = distances(model.bonds, positions) - model.length
            return model.depth * jnp.sum((1 - jnp.exp(-model.steepness * stretch)) ** 2)
        case HarmonicBonds():
            stretch = distances(model.bonds, positions) - model.length
            return model.stiffness / 2 * jnp.sum(stretch**2)
        case HarmonicAngles():
            return angles_energy(model, positions)
        case LennardJones():
            pairs = list(combinations(model.atoms, 2))
            sixth = (model.diameter / distances(pairs, positions)) ** 6
            return 4 * model.depth * jnp.sum(sixth * (sixth - 1))
        case PointCharges():
            return charges_energy(model, positions)
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


def switch(r: Float[Array, ""], inner: float, outer: float) -> Float[Array, ""]:
    """1 below `inner`, 0 beyond `outer`, with a continuous second derivative."""
    t = jnp.clip((r - inner) / (outer - inner), 0.0, 1.0)
    return 1 - t**3 * (10 - t * (15 - 6 * t))
