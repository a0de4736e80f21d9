"""Expectation values of a circuit that takes its features once, one for each qubit, in JAX.

A feature x turns its qubit by RZ(x) between two blocks that are the same for all pairs. So each
expectation value is linear in (1, cos x, sin x) of each feature: for n qubits, a polynomial of
3^n coefficients, which belong to the circuit and its angles alone. They are found once; a pair
then costs n 3^n multiplications, and no state.
"""

from functools import reduce
from math import factorial, pi
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

MAX_QUBITS = 6
"""With more, the products of functions, 3^(n-1) for a pair, take more room than states."""
_FUNCTIONS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, 1j], [-1j, 0]]])
"""Factors of conj(a_b) a_d in (1, cos x, sin x), a_0 and a_1 amplitudes behind RZ(x)."""
_PI = float.fromhex("0x1.921fb544p+1"), float.fromhex("0x1.0b4611a626331p-33")
"""Two numbers whose sum is pi to 1e-26; up to 2^20 times the first is exact."""
_SIN = [(-1) ** k / factorial(2 * k + 1) for k in range(8)]
_COS = [(-1) ** k / factorial(2 * k) for k in range(9)]
"""Series of sin(h) / h and cos(h) in h^2; the next terms are below 1e-16 up to h = pi / 4."""


def coefficients(
    first: Complex[Array, " states"], last: Complex[Array, "states states"]
) -> Float[Array, "3*qubits products"]:
    """Return the coefficients of the expectation values of Pauli Y of all qubits.

    Parameters
    ----------
    first : (2^n,)
        State before the features; qubit 0 is the most significant.
    last : (2^n, 2^n)
        Matrix of the block behind them.

    Returns
    -------
    array (3 n, 3^(n - 1))
        Rows: each of (1, cos, sin) of the first feature, all observables. Columns: the products of
        the functions of the others, the last feature running fastest.
    """
    size = len(first)
    n = size.bit_length() - 1
    after = last * first[None]
    rows = []
    for q in range(n):
        parts = after.reshape(2**q, 2, -1, size)
        half = -1j * jnp.einsum("ijb,ijd->bd", jnp.conj(parts[:, 0]), parts[:, 1])
        rows.append(half + jnp.conj(half.T))
    found = jnp.stack(rows)[:, None]
    functions = jnp.asarray(_FUNCTIONS, found.dtype)
    for _ in range(n):
        half_size = found.shape[-1] // 2
        split = found.reshape(n, -1, 2, half_size, 2, half_size)
        found = jnp.einsum("tbd,kmbidj->kmtij", functions, split)
        found = found.reshape(n, -1, half_size, half_size)
    by_first = jnp.real(found).reshape(n, 3, -1)
    return jnp.swapaxes(by_first, 0, 1).reshape(3 * n, -1)


def values(
    table: Float[Array, "3*qubits products"], features: Float[Array, "pairs qubits"]
) -> Float[Array, "pairs qubits"]:
    """Return the expectation values of all pairs from `coefficients`, features in rad."""
    s, c = sin_cos(features.T)
    products = jnp.ones_like(c[:1])
    for q in range(len(c) - 1, 0, -1):
        products = jnp.concatenate([products, products * c[q : q + 1], products * s[q : q + 1]])
    constant, by_cos, by_sin = (table @ products).reshape(3, len(c), -1)
    out: Array = (constant + by_cos * c[:1] + by_sin * s[:1]).T
    return out


@jax.custom_jvp
def sin_cos(x: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return sin(x) and cos(x), x in rad, to 1e-15 up to 1e6, in double precision.

    Beyond, the error grows with x. XLA on CPU calls functions of one number each for sines in
    double precision, which takes several times as long. A sine and a cosine of half the angle give
    both. The sum of their squares divides them, although it is 1 but for rounding: XLA repeats any
    function without a division or a root wherever its values are used.
    """
    if x.dtype != jnp.float64:
        return jnp.sin(x), jnp.cos(x)
    turns = jnp.round(x * (1 / pi))
    half = 0.5 * ((x - turns * _PI[0]) - turns * _PI[1])
    sign = 1 - 2 * (turns - 2 * jnp.floor(0.5 * turns))
    square = half * half
    a, b = half * _series(_SIN, square), _series(_COS, square)
    norm = a * a + b * b
    return sign * (2 * a * b) / norm, sign * (b * b - a * a) / norm


@sin_cos.defjvp
def _sin_cos_jvp(primals: Any, tangents: Any) -> Any:
    s, c = sin_cos(*primals)
    return (s, c), (c * tangents[0], -s * tangents[0])


def _series(terms: list[float], x: Array) -> Array:
    return reduce(lambda total, term: total * x + term, terms[-2::-1], jnp.full_like(x, terms[-1]))
