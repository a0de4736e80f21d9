"""Derivatives of perceptrons in cells by their parameters: densities compiled, the rest by JAX."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..simd.vectors import padded
from .in_cells import CentresInCells, Layout
from .jax_energy import _invariants
from .perceptron import Perceptron, PerceptronParameters
from .perceptron_native import _coefficients, _sizes

Array = np.ndarray
WEIGHTS = "first", "first_bias", "second", "second_bias", "last"
"""Trained arrays that turn invariants into energies, in the order of their numbers."""
_ROUND = 16
"""Entries of a row are filled up to a multiple: few shapes, so that little is compiled."""


def perceptron_in_cells(model: Perceptron) -> CentresInCells:
    """Return the derivatives of a perceptron in cells by its parameters."""
    model.check()
    p = model.parameters
    sizes = padded(_sizes(p)[0]), padded(_sizes(p)[1]), padded(_sizes(p)[2])
    constants = np.zeros((len(p.offsets), sizes[1]))
    numbered = _numbered(p)
    order = [
        _coefficients(numbered, sizes).ravel(), np.zeros(constants.size), numbered.offsets,
        *(getattr(numbered, name).ravel() for name in WEIGHTS),
    ]  # fmt: skip
    parts = Layout(
        sizes, _coefficients(p, sizes), constants, np.asarray(p.offsets),
        np.concatenate(order).astype(int),
    )  # fmt: skip
    return CentresInCells(model, parts, Perceptrons(model, sizes))


def _numbered(parameters: PerceptronParameters) -> PerceptronParameters:
    """Replace every parameter by its index among all, from 1."""
    sizes = [0 if part is None else np.size(part) for part in parameters]
    starts = np.cumsum([0, *sizes])
    return PerceptronParameters(*(
        None if part is None else 1.0 + start + np.arange(size).reshape(np.shape(part))
        for start, size, part in zip(starts, sizes, parameters, strict=False)
    ))  # fmt: skip


class Perceptrons:
    """A perceptron as the function of the channels; see `in_cells.Readout`.

    Parameters
    ----------
    model : Perceptron
    sizes : (int, int, int)
        Numbers of vectors, scalars and tensors in the channels, padded.
    """

    def __init__(self, model: Perceptron, sizes: tuple[int, int, int]) -> None:
        p = model.parameters
        self._weights = tuple(np.asarray(getattr(p, name)) for name in WEIGHTS)
        self._kinds = np.array(model.kinds, np.int64)
        self._shape = *_sizes(p), *sizes

    def evaluate(self, channels: Array) -> tuple[float, Array]:
        """Return the energy of all atoms without offsets, and its slopes by the channels."""
        energy, slopes = _evaluate(self._weights, channels, self._kinds, self._shape)
        return float(energy), np.asarray(slopes)

    def changes_of_slopes(self, channels: Array, changes: Array, of: Array) -> Array:
        """Return the changes of the slopes of atoms `of` (n,) along changes of their channels."""
        n = len(of)
        fill = -n % (16 * _ROUND)
        here, there = (np.pad(a, ((0, fill), (0, 0))) for a in (channels[of], changes))
        kinds = np.pad(self._kinds[of], (0, fill))
        return np.asarray(_changed(self._weights, here, there, kinds, self._shape))[:n]

    def by_weights(self, channels: Array, changes: Array, factor: float) -> Array:
        """Return the derivatives of `factor` E and of dE along changes, by the weights."""
        parts = _by_weights(self._weights, channels, changes, self._kinds, factor, self._shape)
        return np.concatenate([np.ravel(part) for part in parts])

    def rows_by_weights(self, channels: Array, changes: Array, of: Array, ends: Array) -> Array:
        """Return those of dE along changes in entries up to `ends` of each row, (rows, weights)."""
        counts = np.diff(ends, prepend=0)
        size = -(-int(counts.max()) // _ROUND) * _ROUND
        here = np.zeros((len(ends), size, channels.shape[1]))
        there, kinds = np.zeros_like(here), np.zeros((len(ends), size), np.int64)
        for row, (end, count) in enumerate(zip(ends, counts, strict=True)):
            entries = slice(end - count, end)
            here[row, :count] = channels[of[entries]]
            there[row, :count] = changes[entries]
            kinds[row, :count] = self._kinds[of[entries]]
        parts = _rows(self._weights, here, there, kinds, 0.0, self._shape)
        return np.concatenate([np.reshape(part, (len(ends), -1)) for part in parts], axis=1)


Shape = tuple[int, int, int, int, int, int]
"""Numbers of vectors, scalars and tensors, then the same as padded in the channels."""


def _energy(weights: Any, channels: Any, kinds: Any, shape: Shape) -> Any:
    """Return the energies of all centres together, a scalar."""
    n, (v, s, t, padded_v, padded_s, padded_t) = len(channels), shape
    vectors = channels[:, : 3 * padded_v].reshape(n, 3, padded_v)[..., :v].swapaxes(1, 2)
    begin = 3 * padded_v + padded_s
    x = [_products(vectors), channels[:, 3 * padded_v : 3 * padded_v + s]]
    if t:
        tensors = channels[:, begin:].reshape(n, 5, padded_t)[..., :t].swapaxes(1, 2)
        x += _invariants(vectors, tensors)
    inputs = jnp.concatenate(x, axis=-1)
    energy: Any = 0.0
    for kind, (first, first_bias, second, second_bias, last) in enumerate(
        zip(*weights, strict=True)
    ):
        units = jnp.tanh(inputs @ first + first_bias[None])
        units = jnp.tanh(units @ second + second_bias[None])
        energy += jnp.sum(jnp.where(kinds == kind, units @ last, 0.0))
    return energy


def _products(vectors: Any) -> Any:
    a, b = np.triu_indices(vectors.shape[1])
    return jnp.sum(vectors[:, a] * vectors[:, b], axis=-1)


def _along(weights: Any, channels: Any, changes: Any, kinds: Any, factor: Any, shape: Shape) -> Any:
    """Return `factor` E and its derivative along changes of the channels."""
    of = partial(_energy, weights, kinds=kinds, shape=shape)
    energy, change = jax.jvp(of, (channels,), (changes,))
    return factor * energy + change


@partial(jax.jit, static_argnums=3)
def _evaluate(weights: Any, channels: Any, kinds: Any, shape: Shape) -> Any:
    return jax.value_and_grad(_energy, argnums=1)(weights, channels, kinds, shape)


@partial(jax.jit, static_argnums=4)
def _changed(weights: Any, channels: Any, changes: Any, kinds: Any, shape: Shape) -> Any:
    slopes = jax.grad(partial(_energy, weights, kinds=kinds, shape=shape))
    return jax.jvp(slopes, (channels,), (changes,))[1]


_by_weights = jax.jit(jax.grad(_along), static_argnums=5)
_rows = jax.jit(jax.vmap(jax.grad(_along), in_axes=(None, 0, 0, 0, None, None)), static_argnums=5)
