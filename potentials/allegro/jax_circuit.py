"""The circuit of a read-out in JAX, for all pairs at once, as dense matrices.

The trained blocks are the same for all pairs: each is one matrix. With one upload, they give the
coefficients of a polynomial, see `jax_one_upload`. With more, a state is a column of real parts,
then of imaginary parts, so that a block is one real matrix product for all pairs.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..qdi.circuit import QDI
from .jax_one_upload import MAX_QUBITS, coefficients, sin_cos, values


def expectations(
    circuit: QDI, angles: Any, features: Float[Array, "pairs features"]
) -> Float[Array, "pairs qubits"]:
    """Return the expectation values of Pauli Y of all qubits.

    Parameters
    ----------
    circuit : QDI
    angles : (blocks, depth, n_qubits, 3)
        Angles of the trained blocks, rad, as of PennyLane's `StronglyEntanglingLayers`.
    features : (n_pairs, n_features)
        Angles that are uploaded, rad.
    """
    blocks = matrices(circuit, jnp.asarray(angles))
    if len(blocks) == 2 and circuit.n_qubits <= MAX_QUBITS:
        (chunk,) = uploads(circuit, features)
        return values(coefficients(blocks[0][:, 0], blocks[1]), chunk)
    return by_states(circuit, blocks, features)


def by_states(
    circuit: QDI, blocks: Array, features: Float[Array, "pairs features"]
) -> Float[Array, "pairs qubits"]:
    """Return the expectation values for any number of uploads, from the states of all pairs."""
    size, first = 2**circuit.n_qubits, blocks[0][:, :1]
    re, im = jnp.real(first), jnp.imag(first)
    for block, chunk in zip(blocks[1:], uploads(circuit, features), strict=True):
        c, s = _phases(chunk.T)
        turned = jnp.concatenate([re * c - im * s, re * s + im * c])
        parts = jnp.real(block), jnp.imag(block)
        state = jnp.block([[parts[0], -parts[1]], [parts[1], parts[0]]]) @ turned
        re, im = state[:size], state[size:]
    return _pauli_y(re, im).T


def uploads(circuit: QDI, features: Array) -> list[Array]:
    """Return the angles of each upload, (n_pairs, n_qubits), features filled up with zeros."""
    n = circuit.n_qubits
    missing = n * circuit.n_chunks - circuit.n_features
    filled = jnp.pad(features, ((0, 0), (0, missing)))
    return [filled[:, n * k : n * k + n] for k in range(circuit.n_chunks)] * circuit.uploads


def _phases(chunk: Array) -> tuple[Array, Array]:
    """Return cosine and sine of the phase of each basis state, (2^n, n_pairs), qubit 0 first."""
    s, c = sin_cos(chunk / 2)
    cosine, sine = jnp.ones_like(c[:1]), jnp.zeros_like(s[:1])
    for q in range(len(chunk) - 1, -1, -1):
        a, b = c[q : q + 1], s[q : q + 1]
        down = cosine * a + sine * b, sine * a - cosine * b
        up = cosine * a - sine * b, sine * a + cosine * b
        cosine, sine = (jnp.concatenate(pair) for pair in zip(down, up, strict=True))
    return cosine, sine


def _pauli_y(re: Array, im: Array) -> Float[Array, "qubits pairs"]:
    found = []
    for q in range(len(re).bit_length() - 1):
        a, b = (x.reshape(2**q, 2, -1, x.shape[1]) for x in (re, im))
        found.append(2 * jnp.sum(a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1], axis=(0, 1)))
    return jnp.stack(found)


def matrices(circuit: QDI, angles: Array) -> Array:
    """Return the matrices of the trained blocks, (blocks, 2^n, 2^n)."""
    layers = _rotations(angles[:, :, 0])
    for q in range(1, circuit.n_qubits):
        one = _rotations(angles[:, :, q])
        layers = jnp.einsum("blij,blmn->blimjn", layers, one)
        layers = layers.reshape(*angles.shape[:2], 2 ** (q + 1), 2 ** (q + 1))
    block = None
    for layer in range(circuit.depth):
        matrix = layers[:, layer]
        if step := circuit.range_of(layer):
            matrix = matrix[:, _behind_ring(circuit.n_qubits, step)]
        block = matrix if block is None else matrix @ block
    assert block is not None
    return block


def _rotations(angles: Array) -> Array:
    """Return RZ(omega) RY(theta) RZ(phi) for angles (..., 3), as matrices (..., 2, 2)."""
    phi, theta, omega = angles[..., 0], angles[..., 1], angles[..., 2]
    plus, minus = (phi + omega) / 2, (phi - omega) / 2
    c, s = jnp.cos(theta / 2), jnp.sin(theta / 2)
    entries = [
        jax.lax.complex(c * jnp.cos(plus), -c * jnp.sin(plus)),
        jax.lax.complex(-s * jnp.cos(minus), -s * jnp.sin(minus)),
        jax.lax.complex(s * jnp.cos(minus), -s * jnp.sin(minus)),
        jax.lax.complex(c * jnp.cos(plus), c * jnp.sin(plus)),
    ]
    return jnp.stack(entries, axis=-1).reshape(*angles.shape[:-1], 2, 2)


@cache
def _behind_ring(n_qubits: int, step: int) -> np.ndarray:
    """Return the rows that a ring of CNOTs brings to each place, (2^n,).

    Qubit i controls qubit ``i + step``, one after the other.
    """
    places = np.arange(2**n_qubits)
    for control in range(n_qubits):
        target = (control + step) % n_qubits
        on = (places >> (n_qubits - 1 - control)) & 1
        places = places ^ (on << (n_qubits - 1 - target))
    return np.argsort(places)
