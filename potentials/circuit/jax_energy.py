"""JAX interpreter of a circuit: energies, batches, gradients, training.

A state is an array (sectors, 2**n_spins). With an ancilla the two sectors are the eigenstates of X
on it: an encoding then acts as ``V`` in one and ``V^+`` in the other, and Z on the ancilla
exchanges them. On up to `DENSE_SPINS` spins each layer is first multiplied out to one matrix: a
constant of the compiled program once the couplings are trained, and until then computed once for
all geometries of a batch. With more spins, layers act gate by gate.
"""

import functools
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .architecture import Architecture, Parameters
from .circuit import Circuit, Heisenberg, Observable, Pair, RotationZ, clusters
from .features import Features, VectorDensities

DENSE_SPINS = 6

QuantumState = Complex[Array, "sectors dim"]
AnyArray = TypeVar("AnyArray", np.ndarray, Array)


def energy(
    architecture: Architecture,
    parameters: Parameters,
    positions: Float[Array, "atoms 3"],
) -> Float[Array, ""]:
    """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
    vectors = encoding_vectors(architecture.features, parameters.scales, positions)
    values = expectations(architecture.circuit, parameters.couplings, vectors)
    return jnp.dot(jnp.asarray(parameters.weights), values) + jnp.asarray(parameters.offset)


def encoding_vectors(
    features: Features,
    scales: Float[Array, "encodings scales"],
    positions: Float[Array, "atoms 3"],
) -> Float[Array, "encodings vectors 3"]:
    """Return the vectors (rad) of all encoding layers; a single layer if the scales are shared."""
    if isinstance(features, VectorDensities):
        return _vector_densities(features, jnp.asarray(scales), positions)
    alpha = jnp.asarray(scales)[:, np.array(features.scale_index)]
    return alpha[:, :, None] * (np.array(features.weights) @ positions)[None]


def _vector_densities(
    features: VectorDensities,
    scales: Float[Array, "encodings scales"],
    positions: Float[Array, "atoms 3"],
) -> Float[Array, "encodings vectors 3"]:
    vector, centre, neighbour, kind = np.array(features.entries).T
    low, high = np.array(features.ranges)[kind].T
    spacing = ((high - low) / (features.n_radial - 1))[:, None]
    centres = low[:, None] + spacing * np.arange(features.n_radial)
    apart = positions[neighbour] - positions[centre]
    r = jnp.sqrt(jnp.sum(apart**2, axis=-1))[:, None]
    gaussians = jnp.exp(-(((r - centres) / spacing) ** 2) / 2) * envelope(r / features.cutoff)
    coefficients = scales.reshape(len(scales), len(features.ranges), features.n_radial)
    weights = jnp.einsum("etg,tg->et", coefficients[:, kind], gaussians)
    adds_to = (np.arange(features.n_vectors)[:, None] == vector).astype(float)
    return jnp.einsum("vt,et,ta->eva", adds_to, weights, apart / r)


def envelope(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the polynomial ``1 - 28 x^6 + 48 x^7 - 21 x^8``, 0 beyond x = 1."""
    return jnp.where(x < 1, 1 - x**6 * (28 - x * (48 - 21 * x)), 0.0)


def expectations(
    circuit: Circuit,
    couplings: Float[Array, "layers couplings"],
    vectors: Float[Array, "encodings vectors 3"],
    *,
    dense: bool = True,
) -> Float[Array, " observables"]:
    """Return the expectation values of the observables of `circuit`.

    Parameters
    ----------
    couplings : (n_layers, n_couplings)
        Heisenberg couplings J and RZ angles, rad.
    vectors : (1 or n_layers + 1, n_vectors, 3)
        Vectors of the encodings, rad; a single set is used in every layer.
    dense : bool
        Multiply out small layers; not possible if couplings differ between geometries.
    """
    dense = dense and len(circuit.spins) <= DENSE_SPINS
    nothing = jnp.zeros((circuit.n_layers, 0))
    matrices = _dense_layers(circuit, couplings) if dense else nothing

    def layer(psi: QuantumState, of_layer: tuple[Array, Array]) -> QuantumState:
        coupling, matrix = of_layer
        psi = psi @ matrix.T if dense else spin_gates(circuit, coupling, psi)
        return _ancilla_rotations(circuit, coupling, psi)

    psi = final_state(circuit, layer, (jnp.asarray(couplings), matrices), vectors)
    return jnp.stack([expectation(circuit, o, psi) for o in circuit.observables])


def final_state(
    circuit: Circuit,
    layer: Callable[[QuantumState, Any], QuantumState],
    of_layers: Any,
    vectors: Float[Array, "encodings vectors 3"],
) -> QuantumState:
    """Return the state at the end, one row for each sector of the ancilla.

    Parameters
    ----------
    layer : callable
        State and one row of `of_layers` -> state after the gates between two encodings.
    of_layers : pytree of arrays (n_layers, ...)
    vectors : (1 or n_layers + 1, n_vectors, 3)
        Vectors of the encodings, rad; a single set is used in every layer.
    """
    n_spins = len(circuit.spins)
    signs = np.array([1.0] if circuit.ancilla is None else [1.0, -1.0])
    # (encodings, sectors, spins, 2, 2): V(v) in one sector, V(-v) = V^+ in the other.
    single = _spin_rotations(circuit, jnp.einsum("eva,s->esva", jnp.asarray(vectors), signs))
    factors = _pairwise(single, 4 if n_spins <= 4 else 2)
    if len(vectors) == 1:
        shared = [f[0] for f in factors]
        per_layer, last = [jnp.zeros((circuit.n_layers, 0))], shared
    else:
        shared = None
        per_layer, last = [f[1:] for f in factors], [f[0] for f in factors]
    psi = _encode(last, jnp.asarray(_initial_state(circuit)))

    def step(psi: QuantumState, here: tuple[Any, list[Array]]) -> tuple[QuantumState, None]:
        of_layer, factors_here = here
        psi = layer(psi, of_layer)
        return _encode(factors_here if shared is None else shared, psi), None

    psi, _ = jax.lax.scan(step, psi, (of_layers, per_layer))
    return psi


def _initial_state(circuit: Circuit) -> np.ndarray:
    """Return singlets, and |0> elsewhere; |0> of the ancilla gives both sectors equal weights."""
    spins = {q: i for i, q in enumerate(circuit.spins)}
    n = len(spins)
    psi = np.zeros((2,) * n, complex)
    psi[(0,) * n] = 1
    for p, q in circuit.singlets:
        flip_p, flip_q = np.flip(psi, spins[p]), np.flip(psi, spins[q])
        psi = (flip_q - flip_p) / np.sqrt(2)
    sectors = 1 if circuit.ancilla is None else 2
    return np.repeat(psi.reshape(1, -1) / np.sqrt(sectors), sectors, axis=0)


def _spin_rotations(circuit: Circuit, vectors: Array) -> Array:
    """Return exp(-i v.sigma) of every spin: (..., vectors, 3) -> (..., spins, 2, 2)."""
    vector_of = {gate.qubit: gate.vector for gate in circuit.encoding}
    # One vector of zeros serves the spins that have no encoding.
    padded = jnp.concatenate([vectors, jnp.zeros_like(vectors[..., :1, :])], axis=-2)
    v = padded[..., np.array([vector_of.get(q, -1) for q in circuit.spins]), :]
    square = jnp.sum(v**2, axis=-1)
    # The second `where` keeps the gradient of the root finite at v = 0.
    small = square < 1e-12
    r = jnp.sqrt(jnp.where(small, 1.0, square))
    cosine = jnp.where(small, 1 - square / 2, jnp.cos(r))
    sinc = jnp.where(small, 1 - square / 6, jnp.sin(r) / r)
    x, y, z = jnp.moveaxis(sinc[..., None] * v, -1, 0)
    up, down = jax.lax.complex(cosine, -z), jax.lax.complex(-y, -x)
    rows = jnp.stack([up, down], axis=-1), jnp.stack([-down.conj(), up.conj()], axis=-1)
    return jnp.stack(rows, axis=-2)


def _pairwise(single: Array, group: int) -> list[Array]:
    """Return Kronecker products of the rotations of `group` neighbouring spins at a time."""
    n_spins = single.shape[-3]
    blocks = [
        [single[..., i, :, :] for i in range(start, min(start + group, n_spins))]
        for start in range(0, n_spins, group)
    ]
    return [reduce(_kron, block) for block in blocks]


def _kron(a: Array, b: Array) -> Array:
    product = jnp.einsum("...ij,...kl->...ikjl", a, b)
    return product.reshape(*a.shape[:-2], a.shape[-2] * b.shape[-2], -1)


def _encode(factors: list[Array], psi: QuantumState) -> QuantumState:
    """Apply one encoding, given as factors (sectors, m, m) on successive groups of spins."""
    sectors, dim = psi.shape
    left = 1
    for factor in factors:
        m = factor.shape[-1]
        split = psi.reshape(sectors, left, m, -1)
        psi = jnp.einsum("sij,sljr->slir", factor, split).reshape(sectors, dim)
        left *= m
    return psi


def _dense_layers(
    circuit: Circuit, couplings: Float[Array, "layers couplings"]
) -> Complex[Array, "layers dim dim"]:
    """Return `layer_matrices`, computed at compile time if the couplings are known by then."""
    if isinstance(couplings, jax.core.Tracer):
        return layer_matrices(circuit, couplings)
    with jax.ensure_compile_time_eval():
        matrices: Array = jax.jit(layer_matrices, static_argnums=0)(circuit, jnp.asarray(couplings))
    return matrices


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def layer_matrices(
    circuit: Circuit, couplings: Float[Array, "layers couplings"]
) -> Complex[Array, "layers dim dim"]:
    """Return the spin part of every U_d as one matrix, without RZ on the ancilla.

    Its derivatives are multiplied out as well, once for all geometries of a batch; each layer is
    then linear in a change of its couplings.
    """
    return _multiplied_out(circuit, couplings)


def _multiplied_out(
    circuit: Circuit, couplings: Float[Array, "layers couplings"]
) -> Complex[Array, "layers dim dim"]:
    columns = np.eye(2 ** len(circuit.spins), dtype=complex)
    transposed = jax.vmap(lambda row: spin_gates(circuit, row, jnp.asarray(columns)))(couplings)
    return jnp.swapaxes(transposed, -1, -2)


@layer_matrices.defjvp
def _layer_matrices_jvp(circuit: Circuit, primals: Any, tangents: Any) -> Any:
    (couplings,), (change,) = primals, tangents

    def shifted(shift: Float[Array, " couplings"]) -> Complex[Array, "layers dim dim"]:
        return _multiplied_out(circuit, couplings + shift[None])  # the same shift in each layer

    derivatives = jax.jacfwd(shifted)(jnp.zeros(circuit.n_couplings))
    return layer_matrices(circuit, couplings), jnp.einsum(
        "dijk,dk->dij", derivatives, change.astype(complex)
    )


def spin_gates(
    circuit: Circuit, coupling: Float[Array, " couplings"], psi: QuantumState
) -> QuantumState:
    """Apply the Heisenberg and spin RZ gates of one layer to each row of `psi`."""
    index = {q: i for i, q in enumerate(circuit.spins)}
    for gate in circuit.layer:
        angle = coupling[gate.coupling]
        if isinstance(gate, Heisenberg):
            psi = _heisenberg(angle, [(index[p], index[q]) for p, q in gate.pairs], psi)
        else:
            for qubit in gate.qubits:
                if qubit != circuit.ancilla:
                    psi = _rotate_z(angle, index[qubit], psi)
    return psi


def _heisenberg(angle: Array, pairs: list[Pair], psi: QuantumState) -> QuantumState:
    for spins, joined in clusters(pairs):
        if len(joined) == 1:
            # sigma.sigma = 2 SWAP - 1 is 1 on triplets (SWAP = 1) and -3 on the singlet.
            swapped = _swap(psi, joined[0])
            triplets = _phase(-angle) * (psi + swapped)
            psi = (triplets + _phase(3 * angle) * (psi - swapped)) / 2
        else:
            qubits = sorted(spins)
            values, vectors = _spectrum([(qubits.index(p), qubits.index(q)) for p, q in joined])
            gate = (vectors * _phase(-angle * values)[None]) @ vectors.T
            psi = _apply(gate, qubits, psi)
    return psi


def _phase(angle: Array) -> Array:
    return jax.lax.complex(jnp.cos(angle), jnp.sin(angle))


def _spectrum(pairs: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues and (real, as complex) eigenvectors of sum sigma_p.sigma_q."""
    identity = np.eye(2 ** (1 + max(max(pair) for pair in pairs)))
    total = np.sum([2 * _swap(identity, pair) - identity for pair in pairs], axis=0)
    values, vectors = np.linalg.eigh(total)
    return values, vectors.astype(complex)


def _apply(gate: Array, qubits: list[int], psi: QuantumState) -> QuantumState:
    n = psi.shape[1].bit_length() - 1
    axes = [1 + q for q in qubits]
    moved = jnp.moveaxis(psi.reshape(-1, *(2,) * n), axes, range(1, 1 + len(axes)))
    turned = jnp.einsum("ij,sjr->sir", gate, moved.reshape(psi.shape[0], 2 ** len(axes), -1))
    turned = jnp.moveaxis(turned.reshape(moved.shape), range(1, 1 + len(axes)), axes)
    return turned.reshape(psi.shape)


def _swap(psi: AnyArray, pair: Pair) -> AnyArray:
    n = psi.shape[1].bit_length() - 1
    tensor = psi.reshape(-1, *(2,) * n)
    return tensor.swapaxes(1 + pair[0], 1 + pair[1]).reshape(psi.shape)


def _rotate_z(angle: Array, spin: int, psi: QuantumState) -> QuantumState:
    phases = _phase(angle * np.array([-0.5, 0.5]))
    split = psi.reshape(psi.shape[0], 2**spin, 2, -1)
    return (split * phases[None, None, :, None]).reshape(psi.shape)


def _ancilla_rotations(
    circuit: Circuit, coupling: Float[Array, " couplings"], psi: QuantumState
) -> QuantumState:
    """Apply RZ on the ancilla, whose Z exchanges the sectors; it commutes with gates on spins."""
    for gate in circuit.layer:
        if isinstance(gate, RotationZ) and circuit.ancilla in gate.qubits:
            half, exchanged = coupling[gate.coupling] / 2, psi[::-1]
            psi = (_phase(-half) * (psi + exchanged) + _phase(half) * (psi - exchanged)) / 2
    return psi


def expectation(circuit: Circuit, observable: Observable, psi: QuantumState) -> Float[Array, ""]:
    """Return the expectation value of an observable, a scalar."""
    index = {q: i for i, q in enumerate(circuit.spins)}
    bra = psi[::-1] if observable.with_ancilla else psi
    overlap = jnp.vdot(bra, psi).real
    swaps = [
        2 * jnp.vdot(bra, _swap(psi, (index[p], index[q]))).real - overlap
        for p, q in observable.pairs
    ]
    return reduce(jnp.add, swaps)
