"""JAX interpreter of atom-centred networks and their classical control, all centres at once."""

import functools
from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..circuit import jax_energy as vqc
from ..circuit.circuit import Circuit, Heisenberg
from . import pair_gates
from .network import AtomCentredNetwork
from .perceptron import Perceptron


class Densities(NamedTuple):
    """Densities of each centre."""

    vectors: Float[Array, "centres encodings channels 3"]
    """Encoding vectors, rad."""
    scalars: Float[Array, "centres encodings couplings"]
    """Additions to the couplings of the layers (rad) and, last, to the weights (eV)."""
    tensors: Float[Array, "centres encodings couplings 5"] | None
    """Matrices of the pair gates and, last, of the observables (eV); see `pair_gates`."""


def energy(model: AtomCentredNetwork, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
    kinds, others = np.array(model.kinds), _others(model.n_atoms)
    apart = positions[others] - positions[:, None]
    return _energy_of(model, densities(model, apart, (kinds[:, None], kinds[others])))


def energy_in_cell(
    model: AtomCentredNetwork,
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    pairs: tuple[Any, Any, Any],
) -> Float[Array, ""]:
    """Return the energy (eV) in a cell, lattice vectors in rows (angstrom), from its pairs."""
    return _energy_of(model, _densities_of_pairs(model, _directed(model, positions, cell, pairs)))


def _energy_of(model: AtomCentredNetwork, found: Densities) -> Float[Array, ""]:
    """Return the energy (eV) of all centres from their densities."""
    p, kinds = model.parameters, np.array(model.kinds)
    couplings = jnp.asarray(p.couplings)[kinds] + found.scalars[:, :-1]
    weights = jnp.asarray(p.weights)[kinds]
    if model.has_scalars:
        weights = weights + found.scalars[:, -1]
    offsets = jnp.sum(jnp.asarray(p.offsets)[kinds])
    if found.tensors is not None:
        one = functools.partial(_centre_of_rank_two, model.circuit)
        return jnp.sum(jax.vmap(one)(couplings, weights, found.vectors, found.tensors)) + offsets
    values = jax.vmap(lambda j, v: vqc.expectations(model.circuit, j, v, dense=False))(
        couplings, found.vectors
    )
    return jnp.sum(weights * values) + offsets


def _centre_of_rank_two(
    circuit: Circuit,
    couplings: Float[Array, "layers couplings"],
    weights: Float[Array, " observables"],
    vectors: Float[Array, "encodings channels 3"],
    tensors: Float[Array, "encodings couplings 5"],
) -> Float[Array, ""]:
    """Return the energy of one centre without its offset."""
    n = len(circuit.spins)
    gates = [
        (gate.coupling, gate.pairs[0]) for gate in circuit.layer if isinstance(gate, Heisenberg)
    ]
    of_gate, order = np.array([k for k, _ in gates]), pair_gates.order_of([p for _, p in gates], n)
    u = pair_gates.cayley(pair_gates.symmetric(tensors[:-1, of_gate]))
    layers = pair_gates.matrices(u, couplings[:, of_gate])
    psi = vqc.final_state(circuit, lambda psi, m: pair_gates.turn(m, order, psi), layers, vectors)
    observed = [(k, pair) for k, o in enumerate(circuit.observables) for pair in o.pairs]
    values = jnp.stack([vqc.expectation(circuit, o, psi) for o in circuit.observables])
    slopes = pair_gates.correlations([pair for _, pair in observed], psi)
    of_pair = np.array([k for k, _ in observed])
    return jnp.dot(weights, values) + jnp.sum(tensors[-1, of_pair] * slopes)


def densities(
    model: AtomCentredNetwork,
    apart: Float[Array, "centres neighbours 3"],
    kinds: tuple[Any, Any],
) -> Densities:
    """Return the densities of centres.

    Parameters
    ----------
    apart : (n_centres, n_neighbours, 3)
        From each centre to its neighbours, angstrom; those beyond the cut-off do not count.
    kinds : tuple of arrays of int
        Elements of the centres, (n_centres, 1), and of the neighbours, (n_centres, n_neighbours).
    """
    p, n, rows = model.parameters, len(apart), model.circuit.n_layers + 1
    gaussians, directions = _surroundings(model, model.n_radial, apart)
    radial = jnp.einsum("ijdqg,ijg->ijdq", jnp.asarray(p.vectors)[kinds], gaussians)
    vectors = jnp.einsum("ijdq,ija->idqa", radial, directions)
    scalars, tensors = jnp.zeros((n, rows, model.circuit.n_couplings)), None
    if model.has_scalars:
        scalars = jnp.einsum("ijdkg,ijg->idk", jnp.asarray(p.scalars)[kinds], gaussians)
    if p.tensors is not None:
        radial = jnp.einsum("ijdkg,ijg->ijdk", jnp.asarray(p.tensors)[kinds], gaussians)
        tensors = jnp.einsum("ijdk,ijm->idkm", radial, pair_gates.products(directions))
    return Densities(vectors, scalars, tensors)


class _Directed(NamedTuple):
    """Pairs of atoms, each in both directions."""

    centres: Any
    neighbours: Any
    apart: Float[Array, "pairs 3"]


def _directed(
    model: AtomCentredNetwork | Perceptron,
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    pairs: tuple[Any, Any, Any],
) -> _Directed:
    """Return both directions of the pairs; empty places, of length 0, lie beyond the cut-off."""
    i, j, shifts = pairs
    apart = positions[j] - positions[i] + shifts @ cell
    empty = jnp.sum(apart**2, axis=-1, keepdims=True) == 0
    apart = jnp.where(empty, model.cutoff, apart)
    return _Directed(
        jnp.concatenate([i, j]), jnp.concatenate([j, i]), jnp.concatenate([apart, -apart])
    )


def _densities_of_pairs(model: AtomCentredNetwork, directed: _Directed) -> Densities:
    """Return the densities of all centres as sums over pairs."""
    p, n, rows = model.parameters, model.n_atoms, model.circuit.n_layers + 1
    of, total = _sums_of(model, directed)
    gaussians, directions = _of_pairs(model, model.n_radial, directed)
    radial = jnp.einsum("pdqg,pg->pdq", jnp.asarray(p.vectors)[of], gaussians)
    vectors = total(radial[..., None] * directions[:, None, None])
    scalars, tensors = jnp.zeros((n, rows, model.circuit.n_couplings)), None
    if model.has_scalars:
        scalars = total(jnp.einsum("pdkg,pg->pdk", jnp.asarray(p.scalars)[of], gaussians))
    if p.tensors is not None:
        radial = jnp.einsum("pdkg,pg->pdk", jnp.asarray(p.tensors)[of], gaussians)
        tensors = total(radial[..., None] * pair_gates.products(directions)[:, None, None])
    return Densities(vectors, scalars, tensors)


def _sums_of(
    model: AtomCentredNetwork | Perceptron, directed: _Directed
) -> tuple[tuple[Any, Any], Callable[[Array], Array]]:
    """Return the elements of both atoms of each pair, and the function that sums over pairs."""
    kinds = jnp.asarray(model.kinds)
    of = kinds[directed.centres], kinds[directed.neighbours]
    return of, lambda x: jax.ops.segment_sum(x, directed.centres, model.n_atoms)


def _of_pairs(
    model: AtomCentredNetwork | Perceptron, n_radial: int, directed: _Directed
) -> tuple[Float[Array, "pairs gaussians"], Float[Array, "pairs 3"]]:
    gaussians, directions = _surroundings(model, n_radial, directed.apart[None])
    return gaussians[0], directions[0]


def perceptron_in_cell(
    model: Perceptron,
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    pairs: tuple[Any, Any, Any],
) -> Float[Array, ""]:
    """Return the energy (eV) of the classical control in a cell, from its pairs."""
    p, directed = model.parameters, _directed(model, positions, cell, pairs)
    of, total = _sums_of(model, directed)
    gaussians, directions = _of_pairs(model, p.vectors.shape[-1], directed)
    radial = jnp.einsum("pvg,pg->pv", jnp.asarray(p.vectors)[of], gaussians)
    vectors = total(radial[..., None] * directions[:, None])
    scalars, tensors = total(jnp.einsum("psg,pg->ps", jnp.asarray(p.scalars)[of], gaussians)), None
    if p.tensors is not None:
        radial = jnp.einsum("ptg,pg->pt", jnp.asarray(p.tensors)[of], gaussians)
        tensors = total(radial[..., None] * pair_gates.products(directions)[:, None])
    return _perceptron_of(model, vectors, scalars, tensors)


def perceptron_energy(model: Perceptron, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV) of the classical control, a scalar, at `positions` (angstrom)."""
    p, kinds = model.parameters, np.array(model.kinds)
    n_radial = p.vectors.shape[-1]
    others = _others(model.n_atoms)
    gaussians, directions = _surroundings(model, n_radial, positions[others] - positions[:, None])
    of = kinds[:, None], kinds[others]
    radial = jnp.einsum("ijvg,ijg->ijv", jnp.asarray(p.vectors)[of], gaussians)
    vectors = jnp.einsum("ijv,ija->iva", radial, directions)
    scalars, tensors = jnp.einsum("ijsg,ijg->is", jnp.asarray(p.scalars)[of], gaussians), None
    if p.tensors is not None:
        radial = jnp.einsum("ijtg,ijg->ijt", jnp.asarray(p.tensors)[of], gaussians)
        tensors = jnp.einsum("ijm,ijt->itm", pair_gates.products(directions), radial)
    return _perceptron_of(model, vectors, scalars, tensors)


def _perceptron_of(
    model: Perceptron,
    vectors: Float[Array, "atoms vectors 3"],
    scalars: Float[Array, "atoms scalars"],
    tensors: Float[Array, "atoms tensors 5"] | None,
) -> Float[Array, ""]:
    """Return the energy (eV) of all centres from their densities."""
    p, kinds = model.parameters, np.array(model.kinds)
    a, b = np.triu_indices(vectors.shape[1])
    features = [jnp.sum(vectors[:, a] * vectors[:, b], axis=-1), scalars]
    if tensors is not None:
        features += _invariants(vectors, tensors)
    x = jnp.concatenate(features, axis=-1)
    for weights, bias in ((p.first, p.first_bias), (p.second, p.second_bias)):
        here = jnp.einsum("if,ifh->ih", x, jnp.asarray(weights)[kinds])
        x = jnp.tanh(here + jnp.asarray(bias)[kinds])
    return jnp.sum(x * jnp.asarray(p.last)[kinds]) + jnp.sum(jnp.asarray(p.offsets)[kinds])


def _invariants(
    vectors: Float[Array, "atoms vectors 3"], tensors: Float[Array, "atoms tensors 5"]
) -> list[Array]:
    """Return ``v.Q.w``, ``tr QQ'`` and ``tr QQ'Q''`` for all choices, (atoms, n) each."""
    q = pair_gates.symmetric(tensors)
    rows = (q.xx, q.xy, q.xz), (q.xy, q.yy, q.yz), (q.xz, q.yz, q.zz)
    matrices = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    a, b = np.triu_indices(vectors.shape[1])
    turned = jnp.einsum("itxy,ivy->itvx", matrices, vectors)
    between = jnp.sum(turned[:, :, a] * vectors[:, None, b], axis=-1)
    squares = jnp.einsum("isxy,ityz->istxz", matrices, matrices)
    cubes = jnp.einsum("istxz,iuzx->istu", squares, matrices)
    t = np.arange(matrices.shape[1])
    s, u, w = np.array(list(combinations_with_replacement(t, 3))).T
    c, d = np.triu_indices(len(t))
    return [
        between.reshape(len(vectors), -1),
        jnp.trace(squares[:, c, d], axis1=-2, axis2=-1),
        cubes[:, s, u, w],
    ]


def _others(n: int) -> np.ndarray:
    """Return the indices of the other atoms, for each atom, (n, n - 1)."""
    return np.array([[j for j in range(n) if j != i] for i in range(n)], int).reshape(n, n - 1)


def _surroundings(
    model: AtomCentredNetwork | Perceptron,
    n_radial: int,
    apart: Float[Array, "centres neighbours 3"],
) -> tuple[Array, Array]:
    """Return Gaussians (centres, neighbours, n_radial) and unit vectors."""
    r = jnp.sqrt(jnp.sum(apart**2, axis=-1))
    centres, spacing = np.linspace(model.first, model.cutoff, n_radial, retstep=True)
    gaussians = jnp.exp(-(((r[..., None] - centres[None, None]) / spacing) ** 2) / 2)
    gaussians = gaussians * vqc.envelope(r / model.cutoff)[..., None]
    return gaussians, apart / r[..., None]
