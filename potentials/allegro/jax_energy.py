"""JAX interpreter of Allegro, all pairs at once, on the tensors of e3nn-jax.

The pairs of each centre lie in slots, as many for each atom. Tensors have their channels last. A
linear map of what has been put together of several arrays is the sum of the maps of each; several
maps of one perceptron's last hidden layer are taken from its matrix: no array of pairs is put
together, cut, or spread out, neither there nor in the derivatives.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import e3nn_jax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from . import tensors
from .allegro import Allegro, AllegroQdi, n_numbers
from .jax_circuit import expectations
from .jax_products import forward


class _Pairs(NamedTuple):
    """Pairs of atoms, each in both directions, and sums over the surroundings of a centre."""

    kinds: tuple[Any, Any]
    """Elements of centres and neighbours, (n_pairs,) each."""
    apart: Float[Array, "pairs 3"]
    """From the centre to the neighbour, angstrom; beyond the cut-off a pair does not count."""
    total: Callable[[Array], Array]
    """Sums over the pairs of each centre, (n_pairs, ...) to (n_atoms, ...)."""
    times: Callable[[Array, Array], Array]
    """Tensors (pairs, n, T) times matrices (atoms, n, m, T) of their centres."""


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
    n = model.n_atoms
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], int).reshape(n, n - 1)
    apart = positions[others] - positions[:, None]
    return _energy(model, np.array(model.kinds), _in_slots(model, others, apart), circuit)


def energy_in_cell(
    model: Allegro,
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    pairs: tuple[Any, ...],
) -> Float[Array, ""]:
    """Return the energy (eV) in a cell, lattice vectors in rows (angstrom), from its pairs.

    With `slots`, the fourth of the arrays of pairs, the work is done in slots; without, each pair
    has a copy of what belongs to its centre.
    """
    if len(pairs) == 3:
        return energy_of_kinds(model, jnp.asarray(model.kinds), positions, cell, pairs)
    i, j, _, slots = pairs
    apart = _apart(model, positions, cell, pairs)
    places, back = slots % len(i), slots >= len(i)
    others = jnp.where(back, i[places], j[places])
    signs = jnp.where(back, -1.0, 1.0).astype(apart.dtype)
    in_slots = _in_slots(model, others, signs[:, :, None] * apart[places])
    return _energy(model, np.array(model.kinds), in_slots, expectations)


def energy_of_kinds(
    model: Allegro,
    kinds: Integer[Array, " atoms"],
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    pairs: tuple[Any, ...],
) -> Float[Array, ""]:
    """Return the energy (eV) of any atoms, given the place of the element of each.

    An atom of the kind -1 is missing: it has no pairs and no energy. So one compiled function
    serves atoms of many compositions.
    """
    i, j, _ = pairs
    apart, centres = _apart(model, positions, cell, pairs), jnp.concatenate([i, j])

    def times(x: Array, matrices: Array) -> Array:
        return forward(x[:, None], matrices[centres])[:, 0]

    def total(x: Array) -> Array:
        return jax.ops.segment_sum(x, centres, len(positions))

    of = kinds[centres], kinds[jnp.concatenate([j, i])]
    directed = jnp.concatenate([apart, -apart])
    return _energy(model, kinds, _Pairs(of, directed, total, times), expectations)


def _apart(
    model: Allegro, positions: Array, cell: Array, pairs: tuple[Any, ...]
) -> Float[Array, "pairs 3"]:
    """Return the vectors of the pairs, those of empty places beyond the cut-off."""
    i, j, shifts = pairs[:3]
    apart = positions[j] - positions[i] + shifts @ cell
    empty = jnp.sum(apart**2, axis=-1, keepdims=True) == 0
    return jnp.where(empty, model.cutoff, apart)  # each component


def _in_slots(model: Allegro, others: Any, apart: Float[Array, "atoms slots 3"]) -> _Pairs:
    n, slots = others.shape

    def by_centre(x: Array) -> Array:
        return x.reshape(n, slots, *x.shape[1:])

    def times(x: Array, matrices: Array) -> Array:
        out = forward(by_centre(x), matrices)
        return out.reshape(-1, *out.shape[2:])

    kinds = np.array(model.kinds)
    of_others = kinds[others] if isinstance(others, np.ndarray) else jnp.asarray(kinds)[others]
    of = np.repeat(kinds, slots), of_others.reshape(-1)
    return _Pairs(of, apart.reshape(-1, 3), lambda x: jnp.sum(by_centre(x), axis=1), times)


def _energy(
    model: Allegro, kinds: Any, pairs: _Pairs, circuit: Callable[..., Array]
) -> Float[Array, ""]:
    """Return the energy (eV) of all pairs, and of all atoms that are not missing."""
    p = model.parameters
    r = jnp.sqrt(jnp.sum(pairs.apart**2, axis=-1))
    matrices = perceptron_matrices(p.readout, model.widths_of_readout)
    (features,) = perceptron(matrices, _latents(model, pairs, r))
    widths = model.widths_of_head
    if widths is not None:
        if isinstance(model, AllegroQdi):
            features = circuit(model.circuit, p.angles, features)
        features = envelope(r / model.cutoff, model.power)[:, None] * head(p.head, widths, features)
    of_pairs = features[:, 0]
    of_atoms = pairs.total(of_pairs) / np.sqrt(2 * model.n_average).item()
    each = jnp.asarray(p.scales)[kinds] * of_atoms + jnp.asarray(p.offsets)[kinds]
    return jnp.sum(jnp.where(kinds >= 0, each, 0.0))


def _latents(model: Allegro, pairs: _Pairs, r: Array) -> list[Float[Array, "pairs scalars"]]:
    """Return the scalars of each layer, which vanish at the cut-off."""
    p, s = model.parameters, model.n_scalars
    harmonics = _harmonics(model.l_max, pairs.apart / r[:, None])[:, :, None]

    def weighted(weights: Array) -> Float[Array, "pairs n T"]:
        return weights.reshape(len(weights), -1, model.n_tensors) * harmonics

    first = scaled(jnp.asarray(p.environment))
    behind = [_spread(model, scaled(jnp.asarray(p.tensors))), first[:, :s],
              _spread(model, first[:, s:])]  # fmt: skip
    own, latent, around = perceptron(
        perceptron_matrices(p.two_body, model.widths_of_two_body),
        [_two_body(model, pairs.kinds, r)],
        [lambda last, maps=maps: last @ maps for maps in behind],  # type: ignore[misc]
    )
    tensor, collected = weighted(own), [latent]
    products, latents = jnp.asarray(p.products), jnp.asarray(p.latents)
    norm = 1 / np.sqrt(model.n_average).item()
    for layer, widths in zip(model.layers, model.widths_of_latents, strict=True):
        surroundings = norm * pairs.total(weighted(around))
        n_paths, size = len(layer.paths), n_numbers(widths)
        coupling = jnp.asarray(_couplings(layer, model.l_max), surroundings.dtype)
        mixed = jnp.einsum("up,pijk->ujik", products[:, :n_paths], coupling)
        tensor = pairs.times(tensor, jnp.einsum("ujik,aju->aiku", mixed, surroundings))
        ends = [lambda last: last[:, :s]]
        if layer is not model.layers[-1]:
            ends.append(lambda last: _spread(model, last[:, s:]))
        matrices = perceptron_matrices(latents[:size], widths)
        latent, *weights = perceptron(matrices, [*collected, tensor[:, 0]], ends)
        collected.append(latent)
        around = weights[0] if weights else around
        products, latents = products[:, n_paths:], latents[size:]
    return collected


def _spread(model: Allegro, columns: Array) -> Float[Array, "inputs n*T"]:
    """Return the columns of all components of tensors, channels last, from those of the orders."""
    orders = np.repeat(np.arange(model.l_max + 1), 2 * np.arange(model.l_max + 1) + 1)
    by_order = columns.reshape(len(columns), model.n_tensors, model.l_max + 1)
    return jnp.swapaxes(by_order[:, :, orders], 1, 2).reshape(len(columns), -1)


def _two_body(model: Allegro, kinds: tuple[Any, Any], r: Array) -> Float[Array, "pairs scalars"]:
    """Return the radial functions of each pair, mixed, times factors of its elements."""
    p, x = model.parameters, r / model.cutoff
    n = np.arange(1, model.n_radial + 1)
    waves = jnp.sin(np.pi * n[None] * x[:, None]) / (np.pi * x[:, None])
    mixed = (waves * envelope(x, model.power)[:, None]) @ scaled(jnp.asarray(p.radial))
    elements = jnp.asarray(p.elements)
    return mixed * jnp.concatenate([elements[0][kinds[0]], elements[1][kinds[1]]], axis=-1)


def envelope(x: Array, power: float) -> Array:
    """Return the polynomial envelope, 1 at 0, whose value and two slopes are 0 from 1 on."""
    p = power
    falling = x**p * ((p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x**2)
    return jnp.where(x < 1, 1 - falling, 0.0)


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


def scaled(weights: Array) -> Array:
    """Return a matrix of numbers of unit variance as one that keeps the size of what it maps."""
    out: Array = weights * (1 / np.sqrt(weights.shape[0]).item())
    return out


def perceptron_matrices(numbers: Any, widths: tuple[int, ...]) -> list[Array]:
    """Return the matrices of a perceptron without biases; they keep the size of its numbers."""
    flat, begin, found = jnp.asarray(numbers), 0, []
    for n, m in zip(widths, widths[1:], strict=False):
        found.append(scaled(flat[begin : begin + n * m].reshape(n, m)))
        begin += n * m
    return found


def perceptron(
    matrices: list[Array],
    parts: Sequence[Array],
    ends: Sequence[Callable[[Array], Array]] = (lambda last: last,),
) -> list[Array]:
    """Return the outputs of a perceptron whose input is put together of parts.

    Parameters
    ----------
    matrices : list of array
    parts : sequence of (n_pairs, any number) arrays
    ends : sequence of callable
        Each gives what takes the place of the last matrix, for one of the outputs.
    """
    parts = list(parts)
    for matrix in matrices[:-1]:
        parts = [silu(_mapped(parts, matrix))]
    return [_mapped(parts, end(matrices[-1])) for end in ends]


def _mapped(parts: list[Array], matrix: Array) -> Array:
    begin, total = 0, None
    for part in parts:
        mapped = part @ matrix[begin : begin + part.shape[1]]
        total = mapped if total is None else total + mapped
        begin += part.shape[1]
    assert total is not None
    return total


def silu(x: Array) -> Array:
    """Return x sigmoid(x), times the factor that keeps the size of normal numbers."""
    out: Array = np.sqrt(2.0).item() * jax.nn.silu(x)
    return out


def head(numbers: Any, widths: tuple[int, ...], x: Array) -> Array:
    """Return the outputs of a perceptron with biases, after the matrix of each layer."""
    flat, begin = jnp.asarray(numbers), 0
    for layer, (n, m) in enumerate(zip(widths, widths[1:], strict=False)):
        x = silu(x) if layer else x
        matrix = scaled(flat[begin : begin + n * m].reshape(n, m))
        begin += n * m
        x = x @ matrix + flat[None, begin : begin + m]
        begin += m
    return x
