"""Circuits whose size can be changed, as analyses take them."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qmd.circuits.instances import CircuitInstance
from qmd.circuits.states import MAX_QUBITS
from qmd.errors import MismatchError
from qmd.potentials import QDI, RotationProgram, atom_centred, circuit_rotations, qdi_rotations

CHANNELS = 2, 4, 6
"""Numbers of channels of atom-centred networks, to which the ancilla is added."""


class Ansatz(NamedTuple):
    """A circuit with any number of layers."""

    name: str
    n_layers: int
    """Its own number of layers."""
    layers: tuple[int, ...]
    """Numbers of layers to compare, its own among them."""
    program: Callable[[int], RotationProgram]
    """Number of layers -> circuit."""
    resized: Callable[[int, int], RotationProgram] | None = None
    """Number of qubits, of layers -> circuit; None: the qubits belong to atoms."""
    widths: tuple[int, ...] = ()
    """Numbers of qubits to try."""
    trained: np.ndarray | None = None
    """Trained parameters of the whole circuit."""


def of_qdi(circuit: QDI) -> Ansatz:
    """Return a QDI circuit; its layers are those of each variational block.

    With other numbers of qubits it has as many features for each qubit.
    """

    def resized(n_qubits: int, depth: int) -> RotationProgram:
        n_features = n_qubits * circuit.n_chunks
        return qdi_rotations(
            replace(circuit, n_qubits=n_qubits, n_features=n_features, depth=depth)
        )

    free = "" if circuit.entangled else ", no entanglers"
    again = "" if circuit.uploads == 1 else f", {circuit.uploads} uploads"
    name = f"QDI {circuit.n_qubits} qubits, {circuit.n_features} features{again}{free}"
    return Ansatz(
        name=name,
        n_layers=circuit.depth,
        layers=tuple(sorted({1, 2, 4, circuit.depth})),
        program=lambda depth: qdi_rotations(replace(circuit, depth=depth)),
        resized=resized,
        widths=tuple(sorted({2, 4, 6, circuit.n_qubits})),
    )


def of_instance(part: CircuitInstance) -> Ansatz:
    """Return a circuit of a package.

    Raises
    ------
    MismatchError
        If its family does not describe it by rotations, or it has too many qubits.
    """
    form = part.form
    if form.rotations is None:
        raise MismatchError(
            f"{part.name} cannot be analysed", "its family does not give its circuit as rotations"
        )
    if form.n_qubits > MAX_QUBITS:
        raise MismatchError(
            f"{part.name} has {form.n_qubits} qubits", f"states are computed for {MAX_QUBITS}"
        )
    found = Ansatz(
        part.name, form.n_layers, layers_up_to(form.n_layers), form.rotations, trained=form.trained
    )
    n = form.n_qubits - 1
    if n < 2 or n % 2 or form.spins != atom_centred.circuit(n, form.n_layers):
        return found
    rank = 1 if form.gates is None else 2

    def resized(n_qubits: int, n_layers: int) -> RotationProgram:
        return circuit_rotations(atom_centred.circuit(n_qubits - 1, n_layers), rank=rank)

    widths = tuple(sorted({channels + 1 for channels in CHANNELS} | {form.n_qubits}))
    return found._replace(resized=resized, widths=widths)


def layers_up_to(most: int) -> tuple[int, ...]:
    """Return 1, 2, 4, ... and the largest number of layers."""
    found = [1 << k for k in range(most.bit_length()) if 1 << k < most]
    return (*found, most)
