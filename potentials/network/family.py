"""The families of atom-centred networks: circuits, and perceptrons as their classical control."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from ..circuit.circuit import Circuit
from ..circuit.family import node_of_spins, rotations_of_spins, work_of_spins
from ..circuit.json_form import circuit_from_json, circuit_to_json
from ..family import Family, GateCounts, LeafCircuit, Work, deferred
from ..json_values import Field, fields, integers, number
from .network import AtomCentredNetwork, NetworkParameters
from .perceptron import Perceptron, PerceptronParameters

_CENTRES = (
    Field("kinds", "kinds", integers),
    Field("first_A", "first", number),
    Field("cutoff_A", "cutoff", number),
)


def _describe(leaf: AtomCentredNetwork) -> str:
    size = f"{leaf.circuit.n_qubits} qubits, {leaf.circuit.n_layers} layers"
    size += ", rank two" if leaf.rank == 2 else ""
    return f"circuit of each of {leaf.n_atoms} atoms: {size}"


def _circuit(leaf: AtomCentredNetwork) -> LeafCircuit:
    node = node_of_spins if leaf.rank == 1 else _node_of_rank_two
    of_one_element = leaf.parameters.couplings[0]
    return LeafCircuit(
        n_qubits=leaf.circuit.n_qubits,
        n_layers=leaf.circuit.n_layers,
        node=lambda n_layers: node(leaf.circuit, of_one_element, n_layers),
        energy_and_forces=lambda positions: _by_pennylane(leaf, positions),
        copies=leaf.n_atoms,
        spins=leaf.circuit,
        rotations=lambda n_layers: rotations_of_spins(leaf.circuit, n_layers, rank=leaf.rank),
        trained=np.ravel(of_one_element),
        gates=None if leaf.rank == 1 else _gates_of_rank_two(leaf.circuit),
    )


def _node_of_rank_two(
    circuit: Circuit, couplings: Any, n_layers: int
) -> tuple[Any, tuple[Any, ...]]:
    """Return a QNode of the first `n_layers` layers, and arguments as of `node_of_spins`."""
    from .pennylane_energy import qnode_of_rank_two

    arguments = node_of_spins(circuit, couplings, n_layers)[1]
    matrices = np.tile(1.0 - np.eye(3), (n_layers, circuit.n_couplings, 1, 1))
    return qnode_of_rank_two(replace(circuit, n_layers=n_layers)), (*arguments, matrices)


def _gates_of_rank_two(circuit: Circuit) -> GateCounts:
    """Count the gates, a Heisenberg gate and the pair gate behind it as one gate on two qubits.

    A change of Q turns its axes, by rotations of both qubits before and behind the gate (3 axes, 4
    places), or changes the angle of one of three generators ``sigma_a sigma_a``. For each of these
    the derivative is a difference of two expectation values, as for the vectors of the encodings.
    """
    pairs, rotations = len(circuit.layer), len(circuit.encoding)
    rows, layers = circuit.n_layers + 1, circuit.n_layers
    return GateCounts(
        two_qubit_gates=layers * pairs + rows * rotations + len(circuit.singlets),
        cnots_at_most=3 * layers * pairs + 2 * rows * rotations + len(circuit.singlets),
        shift_evaluations=2 * (3 * rows * rotations + 15 * layers * pairs),
    )


def _by_pennylane(leaf: AtomCentredNetwork, positions: np.ndarray) -> tuple[float, np.ndarray]:
    from .pennylane_energy import network_energy_and_forces

    return network_energy_and_forces(leaf, positions)


def _work(leaf: AtomCentredNetwork) -> Work:
    terms, gates = work_of_spins(leaf.circuit)
    return Work(terms, leaf.n_atoms * gates + _radial_work(leaf))


def _radial_work(leaf: AtomCentredNetwork | Perceptron) -> int:
    arrays = leaf.parameters._asdict()
    parts = (arrays.get(name) for name in ("vectors", "scalars", "tensors"))
    radial = sum(part[0, 0].size for part in parts if part is not None)
    return int(leaf.n_atoms**2 * radial)


def _measured(leaf: AtomCentredNetwork) -> Any:
    raise ValueError(
        "Finite shots are not modelled for networks of atoms. With rank one and without scalars, "
        "atom_centred.unrolled makes circuits of them."
    )


def _one_kind_for_each_element(
    leaf: AtomCentredNetwork | Perceptron, species: tuple[str, ...]
) -> bool:
    return len(set(zip(species, leaf.kinds, strict=True))) == len(set(species))


def _ends(leaf: AtomCentredNetwork | Perceptron) -> Iterator[tuple[int, int, float]]:
    return ((i, j, leaf.cutoff) for i, j in combinations(range(leaf.n_atoms), 2))


FAMILIES = (
    Family(
        kind="network",
        leaf=AtomCentredNetwork,
        json=fields(*_CENTRES, Field("circuit", "circuit", circuit_from_json, circuit_to_json)),
        parameters=NetworkParameters,
        describe=_describe,
        jax_energy=deferred(__package__, "jax_energy.energy"),
        jax_in_cell=deferred(__package__, "jax_energy.energy_in_cell"),
        cutoff=lambda leaf: leaf.cutoff,
        native=deferred(__package__, "native.native_kernel"),
        in_threads=deferred(__package__, "native.in_threads"),
        gradient=deferred(__package__, "native.NetworkGradient"),
        gradient_in_cells=deferred(__package__, "in_cells.network_in_cells"),
        circuit=_circuit,
        on_kinds=AtomCentredNetwork.on,
        work=_work,
        measured=_measured,
        keeps_exchanges=_one_kind_for_each_element,
        ends=_ends,
    ),
    Family(
        kind="perceptron",
        leaf=Perceptron,
        json=fields(*_CENTRES),
        parameters=PerceptronParameters,
        describe=lambda leaf: f"classical perceptron of each of {leaf.n_atoms} atoms",
        jax_energy=deferred(__package__, "jax_energy.perceptron_energy"),
        jax_in_cell=deferred(__package__, "jax_energy.perceptron_in_cell"),
        cutoff=lambda leaf: leaf.cutoff,
        native=deferred(__package__, "perceptron_native.native_kernel"),
        in_threads=deferred(__package__, "perceptron_native.native_kernel"),
        gradient_in_cells=deferred(__package__, "perceptron_in_cells.perceptron_in_cells"),
        on_kinds=Perceptron.on,
        trained_on="jax",
        work=lambda leaf: Work(0, _radial_work(leaf)),
        keeps_exchanges=_one_kind_for_each_element,
        ends=_ends,
    ),
)
