"""JAX interpreter of atom-centred networks and their classical control, all centres at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..circuit import jax_energy as vqc
from .network import AtomCentredNetwork
from .perceptron import Perceptron


def energy(model: AtomCentredNetwork, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
    p, circuit, kinds = model.parameters, model.circuit, np.array(model.kinds)
    vectors, scalars = densities(model, positions)
    couplings = jnp.asarray(p.couplings)[kinds] + scalars[:, :-1]
    weights = jnp.asarray(p.weights)[kinds]
    if model.has_scalars:
        weights = weights + scalars[:, -1]
    values = jax.vmap(lambda j, v: vqc.expectations(circuit, j, v, dense=False))(couplings, vectors)
    return jnp.sum(weights * values) + jnp.sum(jnp.asarray(p.offsets)[kinds])


def densities(
    model: AtomCentredNetwork, positions: Float[Array, "atoms 3"]
) -> tuple[Float[Array, "atoms encodings vectors 3"], Float[Array, "atoms encodings couplings"]]:
    """Return encoding vectors (rad) of each centre, and additions to its couplings and weights."""
    p, n, rows = model.parameters, model.n_atoms, model.circuit.n_layers + 1
    gaussians, directions, of = _surroundings(model, model.n_radial, positions)
    radial = jnp.einsum("ijdqg,ijg->ijdq", jnp.asarray(p.vectors)[of], gaussians)
    vectors = jnp.einsum("ijdq,ija->idqa", radial, directions)
    if not model.has_scalars:
        return vectors, jnp.zeros((n, rows, model.circuit.n_couplings))
    return vectors, jnp.einsum("ijdkg,ijg->idk", jnp.asarray(p.scalars)[of], gaussians)


def perceptron_energy(model: Perceptron, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV) of the classical control, a scalar, at `positions` (angstrom)."""
    p, kinds = model.parameters, np.array(model.kinds)
    n_vectors, n_radial = p.vectors.shape[2:]
    gaussians, directions, of = _surroundings(model, n_radial, positions)
    radial = jnp.einsum("ijvg,ijg->ijv", jnp.asarray(p.vectors)[of], gaussians)
    vectors = jnp.einsum("ijv,ija->iva", radial, directions)
    scalars = jnp.einsum("ijsg,ijg->is", jnp.asarray(p.scalars)[of], gaussians)
    a, b = np.triu_indices(n_vectors)
    features = [jnp.sum(vectors[:, a] * vectors[:, b], axis=-1), scalars]
    x = jnp.concatenate(features, axis=-1)
    for weights, bias in ((p.first, p.first_bias), (p.second, p.second_bias)):
        here = jnp.einsum("if,ifh->ih", x, jnp.asarray(weights)[kinds])
        x = jnp.tanh(here + jnp.asarray(bias)[kinds])
    return jnp.sum(x * jnp.asarray(p.last)[kinds]) + jnp.sum(jnp.asarray(p.offsets)[kinds])


def _surroundings(
    model: AtomCentredNetwork | Perceptron, n_radial: int, positions: Float[Array, "atoms 3"]
) -> tuple[Array, Array, Any]:
    """Return Gaussians (atoms, others, n_radial), unit vectors, and elements of both atoms."""
    kinds, n = np.array(model.kinds), model.n_atoms
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], int).reshape(n, n - 1)
    apart = positions[others] - positions[:, None]
    r = jnp.sqrt(jnp.sum(apart**2, axis=-1))
    centres, spacing = np.linspace(model.first, model.cutoff, n_radial, retstep=True)
    gaussians = jnp.exp(-(((r[..., None] - centres[None, None]) / spacing) ** 2) / 2)
    gaussians = gaussians * vqc.envelope(r / model.cutoff)[..., None]
    return gaussians, apart / r[..., None], (kinds[:, None], kinds[others])
