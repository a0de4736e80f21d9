"""PennyLane interpreter of the generic circuit, against which the other two are tested.

Importing PennyLane takes seconds: `qmd run` never imports this module.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml

from .jax_energy import encoding_angles
from .vqlm import Vqlm


def qnode(model: Vqlm, device: Any = None, **options: Any) -> Callable[..., Any]:
    """Return the QNode ``(parameters, angles) -> <Z_0>`` of a generic circuit.

    Parameters
    ----------
    device : PennyLane device, optional
        Device; default: `default.qubit` with analytic expectation values.
    **options
        Options of `pennylane.QNode`, e.g. ``diff_method="adjoint"``, ``interface="jax"``.

    Returns
    -------
    QNode
        Its arguments are the `VqlmParameters` and the angles phi, shape (n_qubits,).
    """
    wires = range(model.n_qubits)
    device = device or qml.device("default.qubit", wires=wires)

    def evaluate(parameters: Any, angles: Any) -> Any:
        _encode(parameters.scales[0], angles)
        for layer in range(model.n_layers):
            for q in wires:
                qml.RY(parameters.rotations[layer, q], q)
            for q in wires:
                qml.IsingZZ(parameters.couplings[layer], [q, (q + 1) % model.n_qubits])
            _encode(parameters.scales[layer + 1], angles)
        return qml.expval(qml.Z(0))

    node: Callable[..., Any] = qml.QNode(evaluate, device, **options)
    return node


def _encode(scales: Any, angles: Any) -> None:
    for q in range(len(scales)):
        qml.RX(scales[q] * angles[q], q)


def energy_and_forces(
    model: Vqlm, positions: np.ndarray, device: Any = None, **options: Any
) -> tuple[float, np.ndarray]:
    """Return energy (eV) and forces (eV/angstrom) by PennyLane."""
    node = qnode(model, device, interface="jax", **options)

    def energy(x: Any) -> Any:
        value = node(model.parameters, encoding_angles(model, x))
        return jnp.asarray(model.parameters.slope) * value + model.parameters.offset

    value, gradient = jax.value_and_grad(energy)(jnp.asarray(positions))
    return float(value), -np.asarray(gradient)
