"""JAX interpreter of Allegro, all pairs at once, on the tensors of e3nn-jax."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import e3nn_jax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from . import tensors
from .allegro import Allegro, AllegroQdi, n_numbers
from .jax_circuit import expectations


class _Pairs(NamedTuple):
    """Pairs of atoms, each in both directions, and sums over the surroundings of a centre."""

    kinds: tuple[Any, Any]
    """Elements of centres and neighbours, (n_pairs,) each."""
    apart: Float[Array, "pairs 3"]
    """From the centre to the neighbour, angstrom; beyond the cut-off a pair does not count."""
    total: Callable[[Array], Array]
    """Sums over the pairs of each centre, (n_pairs, ...) to (n_atoms, ...)."""
    times: Callable[[Array, Array], Array]
    """Vectors (pairs, channels, n) times matrices (atoms, channels, n, m) of their centres."""


def energy(
    model: Allegro, positions: Float[Array, "atoms 3"], circuit: Callable[..., Array] = expectations
) -> Float[Array, ""]:
    """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3).

    Parameters
    ----------
    model : Allegro
    positions : (n_atoms, 3)
    circuit : callable
        Interpreter of the circuit of a read-out, as `jax_circuit.expectations`.
    """
    n, kinds = model.n_atoms, np.array(model.kinds)
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], int).reshape(n, n - 1)
    apart = (positions[others] - positions[:, None]).reshape(-1, 3)

    def by_centre(x: Array) -> Array:
        return x.reshape(n, n - 1, *x.shape[1:])

    def times(x: Array, matrices: Array) -> Array:
        return jnp.einsum("apui,auik->apuk", by_centre(x), matrices).reshape(
            len(apart), -1, matrices.shape[-1]
        )

    of = np.repeat(kinds, n - 1), kinds[others].reshape(-1)
    pairs = _Pairs(of, apart, lambda x: jnp.sum(by_centre(x), axis=1), times)
    return _energy(model, pairs, circuit)


def energy_in_cell(
    model: Allegro,
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    pairs: tuple[Any, Any, Any],
) -> Float[Array, ""]:
    """Return the energy (eV) in a cell, lattice vectors in rows (angstrom), from its pairs."""
    i, j, shifts = pairs
    apart = positions[j] - positions[i] + shifts @ cell
    empty = jnp.sum(apart**2, axis=-1, keepdims=True) == 0
    apart = jnp.where(empty, model.cutoff, apart)  # each component: beyond the cut-off
    centres, kinds = jnp.concatenate([i, j]), jnp.asarray(model.kinds)
    of = kinds[centres], kinds[jnp.concatenate([j, i])]

    def times(x: Array, matrices: Array) -> Array:
        return jnp.einsum("pui,puik->puk", x, matrices[centres])

    def total(x: Array) -> Array:
        return jax.ops.segment_sum(x, centres, model.n_atoms)

    directed = jnp.concatenate([apart, -apart])
    return _energy(model, _Pairs(of, directed, total, times), expectations)


def _energy(model: Allegro, pairs: _Pairs, circuit: Callable[..., Array]) -> Float[Array, ""]:
    """Return the energy (eV) of all pairs."""
    p, kinds = model.parameters, np.array(model.kinds)
    r = jnp.sqrt(jnp.sum(pairs.apart**2, axis=-1))
    features = perceptron(p.readout, model.widths_of_readout, _latents(model, pairs, r))
    widths = model.widths_of_head
    if widths is not None:
        if isinstance(model, AllegroQdi):
            features = circuit(model.circuit, p.angles, features)
        features = envelope(r / model.cutoff, model.power)[:, None] * perceptron(
            p.head, widths, features, biases=True
        )
    of_pairs = features[:, 0]
    of_atoms = pairs.total(of_pairs) / np.sqrt(2 * model.n_average).item()
    return jnp.sum(jnp.asarray(p.scales)[kinds] * of_atoms + jnp.asarray(p.offsets)[kinds])


def _latents(model: Allegro, pairs: _Pairs, r: Array) -> Float[Array, "pairs scalars"]:
    """Return the scalars of all layers, which vanish at the cut-off."""
    p, s = model.parameters, model.n_scalars
    harmonics = _harmonics(model.l_max, pairs.apart / r[:, None])
    first = perceptron(p.two_body, model.widths_of_two_body, _two_body(model, pairs.kinds, r))
    tensor = _weighted(model, linear(jnp.asarray(p.tensors), first), harmonics)
    latent = linear(jnp.asarray(p.environment), first)
    collected, weights = [latent[:, :s]], latent[:, s:]
    products, latents = jnp.asarray(p.products), jnp.asarray(p.latents)
    norm = 1 / np.sqrt(model.n_average).item()
    for layer, widths in zip(model.layers, model.widths_of_latents, strict=True):
        around = norm * pairs.total(_weighted(model, weights, harmonics))
        n_paths, size = len(layer.paths), n_numbers(widths)
        coupling = jnp.asarray(_couplings(layer, model.l_max), around.dtype)
        mixed = jnp.einsum("up,pijk->uijk", products[:, :n_paths], coupling)
        tensor = pairs.times(tensor, jnp.einsum("uijk,auj->auik", mixed, around))
        inputs = jnp.concatenate([*collected, tensor[:, :, 0]], axis=-1)
        latent = perceptron(latents[:size], widths, inputs)
        collected.append(latent[:, :s])
        weights = latent[:, s:]
        products, latents = products[:, n_paths:], latents[size:]
    return jnp.concatenate(collected, axis=-1)


def _two_body(model: Allegro, kinds: tuple[Any, Any], r: Array) -> Float[Array, "pairs scalars"]:
    """Return the radial functions of each pair, mixed, times factors of its elements."""
    p, x = model.parameters, r / model.cutoff
    n = np.arange(1, model.n_radial + 1)
    waves = jnp.sin(np.pi * n[None] * x[:, None]) / (np.pi * x[:, None])
    mixed = linear(jnp.asarray(p.radial), waves * envelope(x, model.power)[:, None])
    elements = jnp.asarray(p.elements)
    return mixed * jnp.concatenate([elements[0][kinds[0]], elements[1][kinds[1]]], axis=-1)


def envelope(x: Array, power: float) -> Array:
    """Return the polynomial envelope, 1 at 0, whose value and two slopes are 0 from 1 on."""
    p = power
    falling = (
        (p + 1) * (p + 2) / 2 * x**p - p * (p + 2) * x ** (p + 1) + p * (p + 1) / 2 * x ** (p + 2)
    )
    return jnp.where(x < 1, 1 - falling, 0.0)


def _weighted(model: Allegro, weights: Array, harmonics: Array) -> Float[Array, "pairs T n"]:
    """Return the tensors of pairs: the harmonics, each order and channel with its weight."""
    orders = np.repeat(np.arange(model.l_max + 1), 2 * np.arange(model.l_max + 1) + 1)
    by_order = weights.reshape(-1, model.n_tensors, model.l_max + 1)
    return by_order[:, :, orders] * harmonics[:, None]


def _harmonics(l_max: int, directions: Array) -> Float[Array, "pairs n"]:
    """Return the spherical harmonics of unit vectors, the squares of each order of sum 2l + 1."""
    irreps = e3nn_jax.Irreps([(1, (order, p)) for order, p in tensors.surroundings(l_max)])
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        found = e3nn_jax.spherical_harmonics(
            irreps, e3nn_jax.IrrepsArray("1o", directions), normalize=False,
            normalization="component",
        )  # fmt: skip
    array: Array = found.array
    return array


@cache
def _couplings(layer: tensors.Layer, l_max: int) -> np.ndarray:
    """Return the coefficients of all products, (paths, n_before, n_around, n_after)."""
    parts = layer.before, tensors.surroundings(l_max), layer.after
    starts = [np.cumsum([0, *(2 * order + 1 for order, _ in part)]) for part in parts]
    out = np.zeros((len(layer.paths), *(int(start[-1]) for start in starts)))
    for row, path in zip(out, layer.paths, strict=True):
        places = [slice(s[i], s[i + 1]) for s, i in zip(starts, path, strict=True)]
        orders = [part[i][0] for part, i in zip(parts, path, strict=True)]
        row[tuple(places)] = np.sqrt(2 * orders[2] + 1) * e3nn_jax.clebsch_gordan(*orders)
    return out


def linear(weights: Array, x: Array) -> Array:
    """Return the product of `x` with a matrix of numbers of unit variance; `x` keeps its size."""
    out: Array = x @ (weights * (1 / np.sqrt(weights.shape[0]).item()))
    return out


def perceptron(numbers: Any, widths: tuple[int, ...], x: Array, *, biases: bool = False) -> Array:
    """Return the outputs of a perceptron with x sigmoid(x) between its layers."""
    flat, begin = jnp.asarray(numbers), 0
    for layer, (n, m) in enumerate(zip(widths, widths[1:], strict=False)):
        if layer:
            x = np.sqrt(2.0).item() * jax.nn.silu(x)  # the size that it has for normal inputs
        x = linear(flat[begin : begin + n * m].reshape(n, m), x)
        begin += n * m
        if biases:
            x = x + flat[None, begin : begin + m]
            begin += m
    return x
