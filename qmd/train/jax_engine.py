"""Residuals of a fit and their exact derivatives in JAX, for any model.

A frame needs the derivatives of its energy and of its slopes with respect to all parameters:
reverse mode over the parameters, forward mode over the directions.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from qmd.potentials import jax_model
from qmd.train.problem import Chunk, Loss

KEPT = 8
"""Structures of models whose compiled programs are kept, the last ones used."""


class JaxEngine:
    """Engine in JAX; see `qmd.train.problem.Engine`.

    Engines of models that differ in their numbers only share what is compiled.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model, of which only the shapes of the parameters are used.
    loss : Loss
    """

    def __init__(self, model: Any, loss: Loss) -> None:
        programs = _programs(unraveller(model), loss)
        self.residuals, self.linear = programs.residuals, programs.linear
        self.normal, self.sum_of_losses = programs.normal, programs.sum_of_losses


def unraveller(model: Any) -> Callable[[Any], Any]:
    """Return the function that makes a model of all its numbers, (n_parameters,).

    It is the same one for models of the same structure, and so a key of what is compiled.
    """
    leaves, structure = jax.tree.flatten(model)
    shapes = tuple((np.shape(leaf), np.asarray(leaf).dtype) for leaf in leaves)
    return _unraveller(structure, shapes)


@functools.lru_cache(maxsize=KEPT)
def _unraveller(structure: Any, shapes: tuple[Any, ...]) -> Callable[[Any], Any]:
    leaves = [np.zeros(shape, dtype) for shape, dtype in shapes]
    unravel: Callable[[Any], Any] = ravel_pytree(jax.tree.unflatten(structure, leaves))[1]
    return unravel


@functools.lru_cache(maxsize=KEPT)
def _programs(unravel: Callable[[Any], Any], loss: Loss) -> "_Programs":
    return _Programs(unravel, loss)


class _Programs:
    """Functions of `JaxEngine`, which are compiled for each size of a chunk."""

    def __init__(self, unravel: Callable[[Any], Any], loss: Loss) -> None:
        self._unravel, self._loss = unravel, loss
        self.residuals = jax.jit(self._map_chunk(self._frame_residuals))
        self.linear = jax.jit(self._map_chunk(self._frame_linear))
        self.normal = jax.jit(self._normal_of_chunk)

    def sum_of_losses(self, theta: Any, batch: Chunk) -> Any:
        """Return half the sum of squared residuals of `batch`, a JAX scalar."""
        return 0.5 * jnp.sum(self._map_chunk(self._frame_residuals)(theta, batch) ** 2)

    def _map_chunk(self, function: Any) -> Any:
        def mapped(theta: Any, chunk: Any) -> Any:
            model = self._unravel(theta)
            return jax.vmap(functools.partial(function, model))(*chunk)

        return mapped

    def _frame_residuals(self, model: Any, x: Any, e: Any, b: Any, slope: Any, weight: Any) -> Any:
        if not self._loss.forces:
            return self._weighted(weight, jax_model.energy(model, x) - e, slope)
        value, gradient = jax.value_and_grad(lambda y: jax_model.energy(model, y))(x)
        return self._weighted(weight, value - e, jnp.einsum("kax,ax->k", b, gradient) - slope)

    def _frame_linear(self, model: Any, x: Any, e: Any, b: Any, slope: Any, weight: Any) -> Any:
        def by_parameters(y: Any) -> Any:
            value, slopes = jax.value_and_grad(lambda m: jax_model.energy(m, y))(model)
            return value, ravel_pytree(slopes)[0]

        if not self._loss.forces:
            value, row = by_parameters(x)
            empty = jnp.zeros((0, row.size))
            return self._weighted(weight, value - e, slope), self._weighted(weight, row, empty)
        (values, rows), (slopes, slope_rows) = jax.vmap(
            lambda direction: jax.jvp(by_parameters, (x,), (direction,))
        )(b)
        residuals = self._weighted(weight, values[0] - e, slopes - slope)
        return residuals, self._weighted(weight, rows[0], slope_rows)

    def _weighted(self, weight: Any, energy_part: Any, force_part: Any) -> Any:
        return weight * jnp.concatenate([self._loss.energy_weight * energy_part[None], force_part])

    def _normal_of_chunk(self, theta: Any, chunk: Any) -> Any:
        residuals, rows = self._map_chunk(self._frame_linear)(theta, chunk)
        r, j = residuals.reshape(-1), rows.reshape(-1, theta.size)
        return 0.5 * jnp.vdot(r, r), j.T @ r, j.T @ j
