"""PennyLane interpreter of QDI circuits, against which the others are tested."""

from collections.abc import Callable
from typing import Any

import pennylane as qml

from .circuit import QDI


def qnode(
    qdi: QDI, device: Any = None, *, n_blocks: int | None = None, **options: Any
) -> Callable[..., Any]:
    """Return the QNode ``(angles, features) -> [<Y_q>]`` of a QDI circuit.

    Parameters
    ----------
    device : PennyLane device, optional
        Device; default: `default.qubit` with analytic expectation values.
    n_blocks : int, optional
        Number of variational blocks, from the first one; default: all.
    **options
        Options of `pennylane.QNode`, e.g. ``diff_method="adjoint"``, ``interface="jax"``.

    Returns
    -------
    QNode
        Its arguments are the angles, shape `QDI.shape`, and the features (n_features,), rad; it
        returns one value for each qubit.
    """
    wires = range(qdi.n_qubits)
    device = device or qml.device("default.qubit", wires=wires)

    def evaluate(angles: Any, features: Any) -> Any:
        _block(qdi, angles[0])
        for block in range(1, n_blocks or qdi.n_blocks):
            first = (block - 1) % qdi.n_chunks * qdi.n_qubits
            for q in wires:
                if first + q < qdi.n_features:
                    qml.RZ(features[first + q], q)
            _block(qdi, angles[block])
        return [qml.expval(qml.Y(q)) for q in wires]

    node: Callable[..., Any] = qml.QNode(evaluate, device, **options)
    return node


def _block(qdi: QDI, angles: Any) -> None:
    if qdi.entangled:
        qml.StronglyEntanglingLayers(angles, wires=range(qdi.n_qubits))
        return
    for layer in range(qdi.depth):
        for q in range(qdi.n_qubits):
            qml.Rot(*angles[layer, q], wires=q)
