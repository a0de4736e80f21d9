"""Circuits with one upload as polynomials: the same values and derivatives as from states."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qmd.potentials.allegro.jax_circuit import by_states, expectations, matrices
from qmd.potentials.allegro.jax_one_upload import coefficients, sin_cos, values
from qmd.potentials.qdi.circuit import QDI

SAME = 1e-13
"""Sums of 3^4 products of numbers up to 1, and of 6 pairs, are rounded to 100 times 1e-16."""
CIRCUITS = [QDI(3, 2, 2), QDI(1, 1)]


def both(circuit: QDI) -> tuple[Callable[..., Any], Callable[..., Any], Any, Any]:
    """Return a sum over expectation values in both forms, angles and features."""
    rng = np.random.default_rng(1)
    weights = rng.uniform(-1, 1, (6, circuit.n_qubits))

    def polynomial(angles: Any, features: Any) -> Any:
        return jnp.sum(weights * expectations(circuit, angles, features))

    def states(angles: Any, features: Any) -> Any:
        return jnp.sum(weights * by_states(circuit, matrices(circuit, angles), features))

    angles = rng.uniform(-np.pi, np.pi, circuit.shape)
    return polynomial, states, angles, rng.standard_normal((6, circuit.n_features))


@pytest.mark.parametrize("circuit", CIRCUITS, ids=str)
def test_derivatives_are_those_of_states(circuit: QDI) -> None:
    """By features and angles, both ways of differentiation, and derivatives of derivatives."""
    *forms, angles, features = both(circuit)
    step = np.cos(angles), np.sin(1 + features)

    def derivatives(form: Callable[..., Any], at: Any, step: Any) -> Any:
        slopes = jax.grad(form, argnums=(0, 1))
        forces = jax.grad(lambda a: jnp.sum(jax.grad(form, argnums=1)(a, at[1]) ** 2))
        return jax.jvp(form, at, step)[1], jax.jvp(slopes, at, step), forces(at[0])

    compiled = jax.jit(derivatives, static_argnums=0)
    found, expected = (compiled(form, (angles, features), step) for form in forms)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=10 * SAME)
    assert np.abs(found[2]).max() > 0.01  # features and angles act together


def test_a_batch_of_molecules_is_each_of_them() -> None:
    circuit, rng = QDI(4, 4), np.random.default_rng(2)
    angles, features = rng.uniform(-3, 3, circuit.shape), rng.standard_normal((3, 5, 4))
    function = jax.jit(lambda x: expectations(circuit, angles, x))
    for one, x in zip(jax.jit(jax.vmap(function))(features), features, strict=True):
        np.testing.assert_allclose(one, function(x), rtol=0, atol=SAME)


def test_one_qubit_has_the_coefficients_of_its_bloch_vector() -> None:
    """RZ(x) turns the Bloch vector of sqrt(0.9), sqrt(0.1): <Y> = 2 sqrt(0.09) sin x."""
    table = coefficients(
        jnp.sqrt(jnp.array([0.9, 0.1])).astype(complex), jnp.eye(2).astype(complex)
    )
    np.testing.assert_allclose(table, [[0], [0], [0.6]], rtol=0, atol=SAME)
    np.testing.assert_allclose(values(table, jnp.array([[0.5]])), [[0.6 * np.sin(0.5)]], atol=SAME)


def test_sines_and_cosines_are_exact() -> None:
    """The series leave 4e-17 out, and nine roundings of numbers up to 1 remain."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.uniform(-9, 9, 2000), rng.uniform(-1e6, 1e6, 2000),
                        np.pi / 4 * np.arange(-40, 41)])  # fmt: skip
    s, c = jax.jit(sin_cos)(x)
    np.testing.assert_allclose(s, np.sin(x), rtol=0, atol=1e-15)
    np.testing.assert_allclose(c, np.cos(x), rtol=0, atol=1e-15)
    np.testing.assert_allclose(s**2 + c**2, 1, rtol=0, atol=1e-15)
    (slope_s, slope_c) = jax.jvp(sin_cos, (x,), (np.ones_like(x),))[1]
    np.testing.assert_array_equal(slope_s, sin_cos(x)[1])
    np.testing.assert_array_equal(slope_c, -sin_cos(x)[0])
    single = sin_cos(jnp.asarray(x[:2000], jnp.float32))
    assert single[0].dtype == jnp.float32
    np.testing.assert_allclose(single[0], np.sin(x[:2000]), rtol=0, atol=1e-6)
