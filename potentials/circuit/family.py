"""Family of circuits on spins."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..family import Family, JsonForm, LeafCircuit, Work, deferred
from ..rotations import RotationProgram
from .architecture import Parameters, Quantum
from .circuit import Circuit, Heisenberg, RotationZ
from .features import LinearVectors, VectorDensities
from .json_form import architecture_from_json, architecture_to_json


def _describe(leaf: Quantum) -> str:
    circuit = leaf.architecture.circuit
    return f"circuit: {circuit.n_qubits} qubits, {circuit.n_layers} layers"


def _jax_energy(leaf: Quantum, positions: Any) -> Any:
    from .jax_energy import energy

    return energy(leaf.architecture, leaf.parameters, positions)


def _native(leaf: Quantum) -> Any:
    from .native import native_kernel

    return native_kernel(leaf.architecture, leaf.parameters)


def _circuit(leaf: Quantum) -> LeafCircuit:
    circuit, parameters = leaf.architecture.circuit, leaf.parameters

    def energy_and_forces(positions: np.ndarray) -> tuple[float, np.ndarray]:
        from .pennylane_energy import energy_and_forces

        return energy_and_forces(leaf.architecture, parameters, positions)

    def as_rotations(n_layers: int) -> RotationProgram:
        features = leaf.architecture.features
        alike = isinstance(features, LinearVectors) and len(parameters.scales) == 1
        return rotations_of_spins(circuit, n_layers, features if alike else None)

    periodic = isinstance(leaf.architecture.features, LinearVectors) and len(parameters.scales) == 1
    return LeafCircuit(
        n_qubits=circuit.n_qubits,
        n_layers=circuit.n_layers,
        node=lambda n_layers: node_of_spins(circuit, parameters.couplings, n_layers),
        energy_and_forces=energy_and_forces,
        spins=circuit,
        rotations=as_rotations,
        trained=np.ravel(parameters.couplings),
        encoding_vectors=(lambda positions: _linear_vectors(leaf, positions)) if periodic else None,
    )


def _linear_vectors(leaf: Quantum, positions: np.ndarray) -> np.ndarray:
    features = leaf.architecture.features
    assert isinstance(features, LinearVectors)
    alpha = np.abs(leaf.parameters.scales[0])[np.array(features.scale_index)]
    vectors: np.ndarray = alpha[:, None] * (np.array(features.weights) @ positions)
    return vectors


def node_of_spins(circuit: Circuit, couplings: Any, n_layers: int) -> tuple[Any, tuple[Any, ...]]:
    """Return a PennyLane QNode of the first `n_layers` layers, and arguments (angles of 1)."""
    from dataclasses import replace

    from .pennylane_energy import qnode

    angles = np.ones((n_layers + 1, circuit.n_vectors, 3))
    return qnode(replace(circuit, n_layers=n_layers)), (couplings[:n_layers], angles)


def rotations_of_spins(
    circuit: Circuit, n_layers: int, features: Any = None, rank: int = 1
) -> RotationProgram:
    """Return the first `n_layers` layers as Pauli rotations.

    `features` are vectors that all layers encode alike; None: each layer has its own.
    """
    from dataclasses import replace

    from .rotations import parallel, rotations

    shared = None if features is None else parallel(features)
    return rotations(replace(circuit, n_layers=n_layers), shared=shared, rank=rank)


def work_of_spins(circuit: Circuit) -> Work:
    """Return the work of one circuit on spins."""
    gates = [len(g.pairs if isinstance(g, Heisenberg) else g.qubits) for g in circuit.layer]
    terms = sum(gates) + len(circuit.encoding) + sum(len(o.pairs) for o in circuit.observables)
    return Work(terms, (terms * circuit.n_layers) << circuit.n_qubits)


def _keeps_rotations(leaf: Quantum) -> bool:
    """Return False if a spin has an RZ gate, which allows only rotations about z."""
    circuit = leaf.architecture.circuit
    return not any(
        isinstance(gate, RotationZ) and set(gate.qubits) - {circuit.ancilla}
        for gate in circuit.layer
    )


def _ends(leaf: Quantum) -> Iterator[tuple[int, int, float]]:
    features = leaf.architecture.features
    if isinstance(features, VectorDensities):
        pairs = ((e.centre, e.neighbour) for e in features.entries)
        yield from ((i, j, features.cutoff) for i, j in pairs if i < j)


FAMILIES = (
    Family(
        kind="quantum",
        leaf=Quantum,
        json=JsonForm(
            write=lambda leaf: architecture_to_json(leaf.architecture),
            read=lambda data: {"architecture": architecture_from_json(data)},
        ),
        parameters=Parameters,
        describe=_describe,
        jax_energy=_jax_energy,
        native=_native,
        gradient=deferred(__package__, "gradient.CircuitGradient"),
        circuit=_circuit,
        work=lambda leaf: work_of_spins(leaf.architecture.circuit),
        measured=lambda leaf: leaf,
        keeps_rotations=_keeps_rotations,
        keeps_reflections=lambda leaf: leaf.architecture.circuit.ancilla is not None,
        ends=_ends,
    ),
)
