"""Products of vectors with matrices of their centres: values and derivatives of einsum."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qmd.potentials.allegro.jax_products import MAX_UNROLLED, forward

ROUNDING = 1e-12
"""Sums of at most 70 products of the order of 1, after at most three derivatives."""


def plain(x: Any, matrices: Any) -> Any:
    return jnp.einsum("asit,aikt->askt", x, matrices)


@pytest.mark.parametrize("slots", [1, 5, MAX_UNROLLED + 1])
def test_derivatives_of_all_orders_are_those_of_einsum(slots: int) -> None:
    rng = np.random.default_rng(1)
    x, m = rng.standard_normal((3, slots, 4, 2)), rng.standard_normal((3, 4, 5, 2))
    steps = rng.standard_normal(x.shape), rng.standard_normal(m.shape)

    def found(product: Any) -> list[Any]:
        def first(x: Any, m: Any) -> Any:
            return jax.grad(lambda a, b: jnp.sum(jnp.sin(product(a, b))), argnums=(0, 1))(x, m)

        def squared(x: Any, m: Any) -> Any:
            return sum(jnp.sum(part**2) for part in first(x, m))

        return [
            product(x, m), first(x, m), jax.jvp(first, (x, m), steps)[1],
            jax.grad(squared, argnums=(0, 1))(x, m),
        ]  # fmt: skip

    for ours, expected in zip(*(jax.tree.leaves(found(p)) for p in (forward, plain)), strict=True):
        size = np.abs(expected).max()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=ROUNDING * size)


@pytest.mark.parametrize("axes", [(0, 0), (1, None), (None, 3)])
def test_batches_are_further_atoms(axes: tuple[int | None, int | None]) -> None:
    rng = np.random.default_rng(2)
    x, m = rng.standard_normal((3, 3, 3, 3, 2)), rng.standard_normal((3, 3, 3, 3, 2))
    factors = [f if axis is not None else f[0] for f, axis in zip((x, m), axes, strict=True)]
    found, expected = (jax.vmap(p, axes)(*factors) for p in (forward, plain))
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING)
