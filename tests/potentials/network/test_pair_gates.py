"""Pair gates of rank two: the Cayley form, in the basis of triplets and as it is defined."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from qmd.potentials.network import pair_gates
from qmd.potentials.network.pennylane_energy import pair_unitary

PAULIS = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
PRODUCTS = np.einsum("aij,bkl->abikjl", PAULIS, PAULIS).reshape(3, 3, 4, 4)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def traceless(seed: int, size: float = 1.0) -> np.ndarray:
    q = size * np.random.default_rng(seed).standard_normal((3, 3))
    return q + q.T - np.eye(3) * 2 * np.trace(q) / 3


def components(q: np.ndarray) -> np.ndarray:
    return np.array([q[0, 0], q[1, 1], q[0, 1], q[0, 2], q[1, 2]])


def gate(q: np.ndarray, coupling: float = 0.0) -> np.ndarray:
    u = pair_gates.cayley(pair_gates.symmetric(jnp.asarray(components(q))))
    return np.asarray(pair_gates.matrices(u, jnp.asarray(coupling)))


@pytest.mark.parametrize("size", [0.0, 0.1, 1.0, 30.0])
def test_the_gate_is_unitary_and_as_it_is_defined(size):
    q = traceless(1, size)
    # A solution of four equations whose matrix has a condition of at most 1 + |K|.
    np.testing.assert_allclose(gate(q), pair_unitary(q), rtol=0, atol=1e-12)
    np.testing.assert_allclose(gate(q) @ gate(q).conj().T, np.eye(4), rtol=0, atol=1e-12)


def test_for_small_matrices_it_is_the_exponential():
    """Up to the third order: ``2 arctan x = 2 x - 2/3 x^3``."""
    apart = [
        np.abs(gate(q) - expm(-1j * np.einsum("ab,abij->ij", q, PRODUCTS))).max()
        for q in (traceless(2, 0.01), traceless(2, 0.02))
    ]
    assert np.log2(apart[1] / apart[0]) == pytest.approx(3, abs=0.01)


def test_a_heisenberg_gate_of_the_same_pair_commutes_with_it():
    heisenberg = expm(-0.7j * np.einsum("aaij->ij", PRODUCTS))
    q = traceless(3)
    np.testing.assert_allclose(gate(q, 0.7), gate(q) @ heisenberg, rtol=0, atol=1e-14)
    np.testing.assert_allclose(gate(q, 0.7), heisenberg @ gate(q), rtol=0, atol=1e-14)


def test_a_rotation_of_the_matrix_is_one_of_both_spins():
    rotation = Rotation.random(random_state=5)
    half = expm(-0.5j * np.einsum("a,aij->ij", rotation.as_rotvec(), PAULIS))
    both, r, q = np.kron(half, half), rotation.as_matrix(), traceless(4)
    np.testing.assert_allclose(
        gate(r @ q @ r.T), both @ gate(q) @ both.conj().T, rtol=0, atol=1e-14
    )


def test_on_a_register_gates_act_on_their_qubits():
    rng = np.random.default_rng(6)
    psi = rng.standard_normal((2, 8)) + 1j * rng.standard_normal((2, 8))
    pairs, matrices = [(0, 2), (2, 1)], [traceless(7), traceless(8)]
    order = pair_gates.order_of(pairs, 3)
    gates = jnp.stack([jnp.asarray(gate(q)) for q in matrices])
    found = pair_gates.turn(gates, order, jnp.asarray(psi))
    whole = psi.reshape(2, 2, 2, 2)
    first, second = (gate(q).reshape(2, 2, 2, 2) for q in matrices)
    whole = np.einsum("acik,sijk->sajc", first, whole)
    whole = np.einsum("cbkj,sijk->sibc", second, whole)
    np.testing.assert_allclose(found, whole.reshape(2, 8), rtol=0, atol=1e-14)
    slopes = pair_gates.correlations(pairs, jnp.asarray(psi))
    tensor = psi.reshape(2, 2, 2, 2)
    for (p, q), slope, matrix in zip(pairs, slopes, matrices, strict=True):
        pair = np.moveaxis(tensor, (1 + p, 1 + q), (1, 2)).reshape(2, 4, 2)
        k = np.einsum("ab,abij->ij", matrix, PRODUCTS)
        value = np.einsum("sir,ij,sjr->", pair.conj(), k, pair).real
        assert components(matrix) @ slope == pytest.approx(value, abs=1e-12)
