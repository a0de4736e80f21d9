"""PennyLane interpreter of atom-centred networks: one circuit per atom."""

from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml

from ..circuit.circuit import Circuit, Heisenberg
from ..circuit.pennylane_energy import apply, polar, qnode, radial_function
from .network import AtomCentredNetwork


def network_energy_and_forces(
    model: AtomCentredNetwork, positions: np.ndarray, device: Any = None, **options: Any
) -> tuple[float, np.ndarray]:
    """Return energy (eV) and forces (eV/angstrom) of an atom-centred network, atom by atom.

    The energy is not differentiable where an encoding vector is zero or along z (polar angles).
    """
    make = qnode if model.rank == 1 else qnode_of_rank_two
    p, node = model.parameters, make(model.circuit, device, interface="jax", **options)

    def of_atom(i: int, x: Any) -> Any:
        kind = model.kinds[i]
        vectors = jnp.zeros((*p.vectors.shape[2:4], 3))
        scalars = jnp.zeros(p.scalars.shape[2:4])
        tensors = 0.0
        for j, other in enumerate(model.kinds):
            if j == i:
                continue
            apart = x[j] - x[i]
            r = jnp.linalg.norm(apart)
            to = p.vectors[kind, other], p.scalars[kind, other]
            weights, more = (radial_function(r, model.first, model.cutoff, c) for c in to)
            vectors = vectors + weights[..., None] * apart / r
            scalars = scalars + more
            if p.tensors is not None:
                w = radial_function(r, model.first, model.cutoff, p.tensors[kind, other])
                square = jnp.outer(apart, apart) / r**2 - jnp.eye(3) / 3
                tensors = tensors + w[..., None, None] * square
        couplings, weights = jnp.asarray(p.couplings[kind]), jnp.asarray(p.weights[kind])
        if model.has_scalars:
            couplings, weights = couplings + scalars[:-1], weights + scalars[-1]
        if p.tensors is None:
            values = jnp.stack(node(couplings, polar(vectors)))
            return jnp.dot(weights, values) + p.offsets[kind]
        gates = jnp.broadcast_to(tensors, (*p.tensors.shape[2:4], 3, 3))
        pairs = jnp.stack(node(couplings, polar(vectors), gates[:-1])).reshape(-1, 3, 3)
        energy, place = p.offsets[kind], iter(pairs)
        for k, observable in enumerate(model.circuit.observables):
            for _ in observable.pairs:
                energy = energy + jnp.sum((weights[k] * jnp.eye(3) + gates[-1, k]) * next(place))
        return energy

    def energy(x: Any) -> Any:
        return sum(of_atom(i, x) for i in range(model.n_atoms))

    with (
        jax.numpy_dtype_promotion("standard"),  # PennyLane mixes real and complex numbers
        jax.numpy_rank_promotion("allow"),
    ):
        value, gradient = jax.value_and_grad(energy)(jnp.asarray(positions))
    return float(value), -np.asarray(gradient)


def qnode_of_rank_two(circuit: Circuit, device: Any = None, **options: Any) -> Callable[..., Any]:
    """Return the QNode ``(couplings, angles, matrices) -> <sigma_a sigma_b>`` of a circuit.

    Parameters
    ----------
    device, **options
        See `circuit.pennylane_energy.qnode`.

    Returns
    -------
    QNode
        The matrices of the gates are (n_layers, n_couplings, 3, 3). The values are those of all
        products of two axes, for each pair of each observable.
    """
    device = device or qml.device("default.qubit", wires=circuit.n_qubits)
    paulis = qml.X, qml.Y, qml.Z

    def evaluate(couplings: Any, angles: Any, matrices: Any) -> Any:
        def after(gate: Heisenberg, layer: int) -> None:
            unitary = pair_unitary(matrices[layer, gate.coupling])
            qml.QubitUnitary(unitary, wires=gate.pairs[0])

        apply(circuit, couplings, angles, after)
        return [
            qml.expval(a(p) @ b(q))
            for observable in circuit.observables
            for p, q in observable.pairs
            for a, b in product(paulis, paulis)
        ]

    node: Callable[..., Any] = qml.QNode(evaluate, device, **options)
    return node


def pair_unitary(q: Any) -> Any:
    """Return ``(1 - iK/2) / (1 + iK/2)`` with ``K = sum_ab Q_ab sigma_a sigma_b``, (4, 4)."""
    paulis = [np.array(qml.matrix(pauli(0))) for pauli in (qml.X, qml.Y, qml.Z)]
    products = np.array([[np.kron(a, b) for b in paulis] for a in paulis])
    xp = np if isinstance(q, np.ndarray) else jnp
    half, one = 0.5j * xp.einsum("ab,abij->ij", q + 0j, products), xp.eye(4, dtype=complex)
    return xp.linalg.solve(one + half, one - half)
