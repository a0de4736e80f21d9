"""JAX interpreter of the generic circuit."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .vqlm import Coordinate, Vqlm, layer_matrices, signs

COLLINEAR = 1e-15
"""Sine of an angle times both bonds (angstrom^2) below which its gradient has no direction."""


def energy(model: Vqlm, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
    parameters, n_states = model.parameters, 2**model.n_qubits
    angles = jnp.asarray(parameters.scales) * encoding_angles(model, positions)[None]
    half = angles @ signs(model.n_qubits).T / 2
    phases = jax.lax.complex(jnp.cos(half), -jnp.sin(half))
    matrices = jax.lax.complex(*layer_matrices(parameters))

    def step(psi: Complex[Array, " states"], layer: tuple[Array, Array]) -> tuple[Array, None]:
        matrix, phase = layer
        return phase * (matrix @ psi), None

    psi, _ = jax.lax.scan(step, phases[0] / n_states**0.5, (matrices, phases[1:]))
    z_of_first = jnp.vdot(jnp.roll(psi, n_states // 2), psi).real  # flips its sign in the X basis
    return jnp.asarray(parameters.slope) * z_of_first + jnp.asarray(parameters.offset)


def encoding_angles(model: Vqlm, positions: Float[Array, "atoms 3"]) -> Float[Array, " qubits"]:
    """Return phi_q (rad): the coordinates mapped to [0, pi], continued as even functions."""
    values = jnp.stack([_coordinate(atoms, positions) for atoms in model.coordinates])
    low, high = np.array(model.ranges).T
    x = (values - low) / (high - low)
    x = x - 2 * jnp.floor(x / 2)
    return jnp.where(x <= 1, x, 2 - x) * jnp.pi


def _coordinate(atoms: Coordinate, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    if len(atoms) == 2:
        return jnp.sqrt(jnp.sum((positions[atoms[1]] - positions[atoms[0]]) ** 2))
    i, j, k = atoms
    return _angle(positions[i] - positions[j], positions[k] - positions[j])


def _angle(a: Float[Array, " 3"], b: Float[Array, " 3"]) -> Float[Array, ""]:
    """Return the angle between two vectors; exact near 0 and pi, with a finite gradient there."""
    normal = jnp.cross(a, b)
    square = jnp.dot(normal, normal)
    bent = square > COLLINEAR**2
    length = jnp.where(bent, jnp.sqrt(jnp.where(bent, square, 1.0)), 0.0)
    return jnp.arctan2(length, jnp.dot(a, b))
