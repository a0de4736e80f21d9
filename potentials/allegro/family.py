"""The family of Allegro."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from ..family import Family, GateCounts, LeafCircuit, Work, deferred
from ..json_values import Field, boolean, fields, integer, integers, number
from ..qdi.circuit import QDI, rotations
from .allegro import Allegro, AllegroParameters, AllegroQdi
from .tensors import size, surroundings

_FIELDS = (
    Field("kinds", "kinds", integers),
    Field("cutoff_A", "cutoff", number),
    Field("power", "power", number),
    Field("n_average", "n_average", number),
    Field("l_max", "l_max", integer),
    Field("parity", "parity", boolean),
    Field("n_layers", "n_layers", integer),
    Field("n_scalars", "n_scalars", integer),
    Field("n_tensors", "n_tensors", integer),
    Field("two_body", "two_body", integers),
    Field("latent", "latent", integers),
    Field("readout", "readout", integers),
    Field("n_features", "n_features", integer),
    Field("hidden", "hidden", integers),
)


def _describe(leaf: Allegro) -> str:
    size = (
        f"Allegro of {leaf.n_atoms} atoms: {leaf.n_layers} layers, tensors up to order "
        f"{leaf.l_max}, {leaf.n_scalars} scalars, {leaf.n_tensors} channels, {leaf.cutoff:g} A"
    )
    return f"{size}, perceptron of {leaf.n_features} features" if leaf.hidden else size


def _describe_qdi(leaf: AllegroQdi) -> str:
    circuit = leaf.circuit
    return (
        f"Allegro of {leaf.n_atoms} atoms: {leaf.n_layers} layers, tensors up to order "
        f"{leaf.l_max}, {leaf.cutoff:g} A; circuit of each pair: {circuit.n_features} features on "
        f"{circuit.n_qubits} qubits, {circuit.n_blocks} blocks of depth {circuit.depth}"
    )


def _work(leaf: Allegro) -> Work:
    """Count the numbers that are written for each pair of atoms, and for each atom."""
    perceptrons = leaf.widths_of_two_body, *leaf.widths_of_latents, leaf.widths_of_readout
    scalars = *perceptrons, leaf.widths_of_head or ()
    around = size(surroundings(leaf.l_max))
    after = [size(layer.after) for layer in leaf.layers]
    before = [around, *after[:-1]]
    of_pair = sum(map(sum, scalars)) + leaf.n_tensors * (around + sum(after))
    of_atom = leaf.n_tensors * sum(a * b for a, b in zip(before, after, strict=True))
    return Work(0, leaf.n_atoms**2 * of_pair + leaf.n_atoms * of_atom)


def _work_of_qdi(leaf: AllegroQdi) -> Work:
    circuit = leaf.circuit
    of_pair = circuit.n_blocks * 2 ** (circuit.n_qubits + 1)
    written = _work(leaf).written + leaf.n_atoms**2 * of_pair
    return Work(3 * circuit.depth * circuit.n_qubits, written)


def _circuit(leaf: AllegroQdi) -> LeafCircuit:
    circuit = leaf.circuit
    return LeafCircuit(
        n_qubits=circuit.n_qubits,
        n_layers=circuit.n_blocks,
        node=lambda n_blocks: _node(leaf, n_blocks),
        energy_and_forces=lambda positions: _by_pennylane(leaf, positions),
        copies=leaf.n_atoms * (leaf.n_atoms - 1),
        gates=_gates(circuit),
        rotations=lambda n_blocks: rotations(circuit, n_blocks),
        trained=np.ravel(leaf.parameters.angles),
    )


def _node(leaf: AllegroQdi, n_blocks: int) -> tuple[Any, tuple[Any, ...]]:
    """Return a QNode of the first blocks, and its arguments with all uploaded angles 1."""
    from ..qdi.pennylane_form import qnode

    circuit = leaf.circuit
    arguments = leaf.parameters.angles[:n_blocks], np.ones(circuit.n_features)
    return qnode(circuit, n_blocks=n_blocks), arguments


def _by_pennylane(leaf: AllegroQdi, positions: np.ndarray) -> tuple[float, np.ndarray]:
    from .pennylane_energy import energy_and_forces

    return energy_and_forces(leaf, positions)


def _gates(circuit: QDI) -> GateCounts:
    rings = sum(circuit.range_of(layer) > 0 for layer in range(circuit.depth))
    n_cnots = circuit.n_blocks * rings * circuit.n_qubits
    uploaded = circuit.uploads * circuit.n_features
    return GateCounts(n_cnots, n_cnots, shift_evaluations=2 * uploaded)


def _measured(leaf: AllegroQdi) -> Any:
    raise ValueError("Finite shots are not modelled for Allegro.")


def _circuit_to_json(circuit: QDI) -> dict[str, Any]:
    return {
        "n_features": circuit.n_features,
        "n_qubits": circuit.n_qubits,
        "depth": circuit.depth,
        "entangled": circuit.entangled,
        "uploads": circuit.uploads,
    }


def _circuit_from_json(data: Mapping[str, Any]) -> QDI:
    sizes = {key: integer(data[key]) for key in ("n_features", "n_qubits", "depth", "uploads")}
    return QDI(**sizes, entangled=boolean(data["entangled"]))


def _one_kind_for_each_element(leaf: Allegro, species: tuple[str, ...]) -> bool:
    return len(set(zip(species, leaf.kinds, strict=True))) == len(set(species))


def _ends(leaf: Allegro) -> Iterator[tuple[int, int, float]]:
    return ((i, j, leaf.cutoff) for i, j in combinations(range(leaf.n_atoms), 2))


FAMILIES = (
    Family(
        kind="allegro",
        leaf=Allegro,
        json=fields(*_FIELDS),
        parameters=AllegroParameters,
        describe=_describe,
        jax_energy=deferred(__package__, "jax_energy.energy"),
        jax_in_cell=deferred(__package__, "jax_energy.energy_in_cell"),
        in_slots=True,
        jax_of_kinds=deferred(__package__, "jax_energy.energy_of_kinds"),
        cutoff=lambda leaf: leaf.cutoff,
        on_kinds=Allegro.on,
        trained_on="jax",
        work=_work,
        keeps_exchanges=_one_kind_for_each_element,
        ends=_ends,
    ),
    Family(
        kind="allegro_qdi",
        leaf=AllegroQdi,
        json=fields(*_FIELDS, Field("circuit", "circuit", _circuit_from_json, _circuit_to_json)),
        parameters=AllegroParameters,
        describe=_describe_qdi,
        jax_energy=deferred(__package__, "jax_energy.energy"),
        jax_in_cell=deferred(__package__, "jax_energy.energy_in_cell"),
        in_slots=True,
        jax_of_kinds=deferred(__package__, "jax_energy.energy_of_kinds"),
        cutoff=lambda leaf: leaf.cutoff,
        on_kinds=AllegroQdi.on,
        trained_on="jax",
        circuit=_circuit,
        work=_work_of_qdi,
        measured=_measured,
        keeps_exchanges=_one_kind_for_each_element,
        ends=_ends,
    ),
)
