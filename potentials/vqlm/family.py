"""Family of generic circuits."""

from dataclasses import replace
from typing import Any

import numpy as np

from ..family import Family, GateCounts, LeafCircuit, deferred
from ..json_values import Field, fields, integer, lists, ranges
from .rotations import rotations
from .vqlm import Vqlm, VqlmParameters


def _circuit(leaf: Vqlm) -> LeafCircuit:
    """Describe the circuit: a ring of two-qubit gates per layer, and rotations about fixed axes."""
    n, d = leaf.n_qubits, leaf.n_layers

    def node(n_layers: int) -> tuple[Any, tuple[Any, ...]]:
        from .pennylane_energy import qnode

        fewer = replace(leaf, n_layers=n_layers)
        return qnode(fewer), (fewer.parameters, np.ones(n))

    def energy_and_forces(positions: np.ndarray) -> tuple[float, np.ndarray]:
        from .pennylane_energy import energy_and_forces

        return energy_and_forces(leaf, positions)

    gates = GateCounts(
        two_qubit_gates=d * n, cnots_at_most=2 * d * n, shift_evaluations=2 * n * (d + 1)
    )
    return LeafCircuit(
        n,
        d,
        node,
        energy_and_forces,
        gates=gates,
        rotations=lambda n_layers: rotations(n, n_layers),
    )


def _measured(leaf: Vqlm) -> Any:
    raise ValueError("Finite shots are modelled for circuits on spins, not for the VQLM.")


FAMILIES = (
    Family(
        kind="vqlm",
        leaf=Vqlm,
        json=fields(
            Field("coordinates", "coordinates", lists),
            Field("ranges", "ranges", ranges),
            Field("n_layers", "n_layers", integer),
        ),
        parameters=VqlmParameters,
        describe=lambda leaf: f"generic circuit: {leaf.n_qubits} qubits, {leaf.n_layers} layers",
        jax_energy=deferred(__package__, "jax_energy.energy"),
        native=deferred(__package__, "native.native_kernel"),
        trained_on="jax",
        circuit=_circuit,
        measured=_measured,
        keeps_exchanges=lambda leaf, species: False,  # each atom has coordinates of its own
    ),
)
