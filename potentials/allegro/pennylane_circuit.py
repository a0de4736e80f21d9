"""PennyLane interpreter of the circuit of a read-out."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml

from . import jax_energy
from .allegro import AllegroQdi
from .jax_circuit import uploads
from .readout import ReadoutCircuit


def energy_and_forces(model: AllegroQdi, positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Return energy (eV) and forces (eV/angstrom), the circuits of all pairs by PennyLane."""
    node = qnode(model.circuit, interface="jax")

    def circuit(_: ReadoutCircuit, angles: Any, features: Any) -> Any:
        chunks = jnp.stack(uploads(model.circuit, features))
        return jnp.stack(node(jnp.asarray(angles), jnp.moveaxis(chunks, 1, 2)), axis=-1)

    def energy(x: Any) -> Any:
        return jax_energy.energy(model, x, circuit)

    with (
        jax.numpy_dtype_promotion("standard"),  # PennyLane mixes real and complex numbers
        jax.numpy_rank_promotion("allow"),
    ):
        value, gradient = jax.jit(jax.value_and_grad(energy))(jnp.asarray(positions))
    return float(value), -np.asarray(gradient)


def qnode(
    circuit: ReadoutCircuit, n_blocks: int | None = None, **options: Any
) -> Callable[..., Any]:
    """Return a QNode of (angles, uploads) for the expectation values of Pauli Y of all qubits.

    Angles have the shape (blocks, depth, n_qubits, 3), uploads (blocks - 1, n_qubits) or, for many
    pairs at once, (blocks - 1, n_qubits, n_pairs), all in rad.

    Parameters
    ----------
    circuit : ReadoutCircuit
    n_blocks : int, optional
        Number of blocks, if not all.
    **options
        Of PennyLane's `QNode`.
    """
    wires, n_blocks = range(circuit.n_qubits), n_blocks or circuit.n_blocks

    def block(weights: Any) -> None:
        if circuit.entangled:
            qml.StronglyEntanglingLayers(weights, wires=wires)
            return
        for layer in range(circuit.depth):
            for wire in wires:
                phi, theta, omega = (weights[layer, wire, k] for k in range(3))
                qml.Rot(phi, theta, omega, wires=wire)

    def node(angles: Any, uploads: Any) -> Any:
        block(angles[0])
        for upload in range(n_blocks - 1):
            for wire in wires:
                qml.RZ(uploads[upload, wire], wires=wire)
            block(angles[upload + 1])
        return [qml.expval(qml.PauliY(wire)) for wire in wires]

    made: Callable[..., Any] = qml.QNode(
        node, qml.device("default.qubit", wires=circuit.n_qubits), **options
    )
    return made
