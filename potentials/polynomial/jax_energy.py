"""JAX energy of an invariant polynomial."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..classical.jax_energy import distances
from .polynomial import InvariantPolynomial


def polynomial_energy(
    model: InvariantPolynomial, positions: Float[Array, "atoms 3"]
) -> Float[Array, ""]:
    """Return the energy (eV) of an invariant polynomial."""
    inside = np.array(model.centres) - distances(model.pairs, positions)
    y = jnp.exp(inside / model.parameters.length) - 1
    powers = jnp.cumprod(jnp.stack([jnp.ones_like(y), *[y] * model.degree]), axis=0)
    exponents = np.array([monomial for orbit in model.orbits for monomial in orbit])
    term = np.repeat(np.arange(len(model.orbits)), [len(orbit) for orbit in model.orbits])
    monomials = jnp.prod(powers[exponents, np.arange(len(y))], axis=1)
    return jnp.dot(jnp.asarray(model.parameters.weights)[term], monomials)
