"""PennyLane interpreter of a circuit, against which the other two are tested.

It serves tests, drawings, finite shots, noise models, hardware and resource counts. Every gate is
a standard one with a generator, so any PennyLane device and gradient method can run it. Importing
PennyLane takes seconds: `qmd run` never imports this module.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml

from .architecture import Architecture, Parameters
from .circuit import Circuit, Heisenberg, Observable
from .features import Features, VectorDensities


def qnode(circuit: Circuit, device: Any = None, **options: Any) -> Callable[..., Any]:
    """Return the QNode ``(couplings, angles) -> expectation values`` of a circuit.

    Parameters
    ----------
    device : PennyLane device, optional
        Device; default: `default.qubit` with analytic expectation values.
    **options
        Options of `pennylane.QNode`, e.g. ``diff_method="adjoint"``, ``interface="jax"``.

    Returns
    -------
    QNode
        Its arguments are the couplings (n_layers, n_couplings) and the angles
        (n_encodings, n_vectors, 3) of `spherical`.
    """
    device = device or qml.device("default.qubit", wires=circuit.n_qubits)

    def evaluate(couplings: Any, angles: Any) -> Any:
        apply(circuit, couplings, angles)
        return [qml.expval(_hamiltonian(o, circuit.ancilla)) for o in circuit.observables]

    node: Callable[..., Any] = qml.QNode(evaluate, device, **options)
    return node


def apply(
    circuit: Circuit,
    couplings: Any,
    angles: Any,
    after: Callable[[Heisenberg, int], None] | None = None,
) -> None:
    """Queue the gates of the circuit.

    `after` queues further gates behind each Heisenberg gate, given its layer.
    """
    for p, q in circuit.singlets:
        qml.X(p)
        qml.Hadamard(p)
        qml.X(q)
        qml.CNOT([p, q])
    _encode(circuit, angles[0])
    for layer in range(circuit.n_layers):
        for gate in circuit.layer:
            angle = couplings[layer, gate.coupling]
            if isinstance(gate, Heisenberg):
                _heisenberg(angle, gate.pairs)
                if after is not None:
                    after(gate, layer)
            else:
                for qubit in gate.qubits:
                    qml.RZ(angle, qubit)
        _encode(circuit, angles[0 if len(angles) == 1 else layer + 1])


def _encode(circuit: Circuit, angles: Any) -> None:
    """Apply exp(-i v.sigma [X_A]): rotate v to the z axis, rotate about it, rotate back."""
    for gate in circuit.encoding:
        r, theta, phi = angles[gate.vector]
        qml.RZ(-phi, gate.qubit)
        qml.RY(-theta, gate.qubit)
        if circuit.ancilla is None:
            qml.RZ(2 * r, gate.qubit)
        else:
            qml.PauliRot(2 * r, "ZX", [gate.qubit, circuit.ancilla])
        qml.RY(theta, gate.qubit)
        qml.RZ(phi, gate.qubit)


def _heisenberg(angle: Any, pairs: tuple[tuple[int, int], ...]) -> None:
    if len({q for pair in pairs for q in pair}) == 2 * len(pairs):
        for pair in pairs:  # XX, YY and ZZ commute
            qml.IsingXX(2 * angle, pair)
            qml.IsingYY(2 * angle, pair)
            qml.IsingZZ(2 * angle, pair)
    else:
        qml.evolve(_hamiltonian(Observable(pairs), None), angle)


def _hamiltonian(observable: Observable, ancilla: int | None) -> Any:
    terms = [pauli(p) @ pauli(q) for p, q in observable.pairs for pauli in (qml.X, qml.Y, qml.Z)]
    if observable.with_ancilla:
        terms = [term @ qml.Z(ancilla) for term in terms]
    return qml.Hamiltonian([1.0] * len(terms), terms)


def spherical(features: Features, scales: Any, positions: Any) -> Any:
    """Return (r, theta, phi) of each encoding vector, (n_encodings, n_vectors, 3)."""
    if isinstance(features, VectorDensities):
        v = jnp.stack([_densities(features, row, positions) for row in scales])
    else:
        alpha = jnp.asarray(scales)[:, np.array(features.scale_index)]
        v = alpha[:, :, None] * (np.array(features.weights) @ positions)[None]
    return polar(v)


def polar(v: Any) -> Any:
    """Return length and polar angles (r, theta, phi) of vectors, shape (..., 3)."""
    r = jnp.linalg.norm(v, axis=-1)
    return jnp.stack([r, jnp.arccos(v[..., 2] / r), jnp.arctan2(v[..., 1], v[..., 0])], axis=-1)


def radial_function(r: Any, first: float, cutoff: float, coefficients: Any) -> Any:
    """Return the radial function of `VectorDensities`, Gaussians from `first` to `cutoff`."""
    centres, width = np.linspace(first, cutoff, np.shape(coefficients)[-1], retstep=True)
    x = r / cutoff
    envelope = jnp.where(x < 1, 1 - 28 * x**6 + 48 * x**7 - 21 * x**8, 0.0)
    return envelope * jnp.sum(coefficients * jnp.exp(-((r - centres) ** 2) / (2 * width**2)), -1)


def _densities(features: VectorDensities, coefficients: Any, positions: Any) -> Any:
    """Return the vector densities of one encoding, summed over neighbours as defined."""
    vectors = [jnp.zeros(3)] * features.n_vectors
    for vector, centre, neighbour, kind in features.entries:
        apart = positions[neighbour] - positions[centre]
        r = jnp.linalg.norm(apart)
        centres, width = np.linspace(*features.ranges[kind], features.n_radial, retstep=True)
        x = r / features.cutoff
        envelope = jnp.where(x < 1, 1 - 28 * x**6 + 48 * x**7 - 21 * x**8, 0.0)
        start = kind * features.n_radial
        c = coefficients[start : start + features.n_radial]
        weight = envelope * jnp.sum(c * jnp.exp(-((r - centres) ** 2) / (2 * width**2)))
        vectors[vector] = vectors[vector] + weight * apart / r
    return jnp.stack(vectors)


def energy_and_forces(
    architecture: Architecture, parameters: Parameters, positions: np.ndarray, device: Any = None,
    **options: Any,
) -> tuple[float, np.ndarray]:  # fmt: skip
    """Return energy (eV) and forces (eV/angstrom) by PennyLane.

    The energy is not differentiable where an encoding vector is zero or along z (polar angles).
    """
    node = qnode(architecture.circuit, device, interface="jax", **options)
    couplings = jnp.asarray(parameters.couplings)

    def energy(x: Any) -> Any:
        values = node(couplings, spherical(architecture.features, parameters.scales, x))
        return jnp.dot(jnp.asarray(parameters.weights), jnp.stack(values)) + parameters.offset

    with jax.numpy_dtype_promotion("standard"):  # PennyLane mixes real and complex numbers
        value, gradient = jax.value_and_grad(energy)(jnp.asarray(positions))
    return float(value), -np.asarray(gradient)
