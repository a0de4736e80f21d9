"""Circuits of a few qubits as instances of a model."""

from typing import Any

import numpy as np

from qmd.circuits.instances import CircuitInstance
from qmd.potentials import (
    Architecture,
    Circuit,
    Encode,
    Heisenberg,
    LinearVectors,
    Observable,
    Parameters,
    Quantum,
)


def part(model: Any, copies: int = 1) -> CircuitInstance:
    if isinstance(model, Architecture):
        circuit, features = model.circuit, model.features
        model = Quantum(
            model,
            Parameters(
                np.ones((1, features.n_scales)),
                np.full((circuit.n_layers, circuit.n_couplings), 0.3),
                np.ones(len(circuit.observables)),
                np.zeros(()),
            ),
        )
    return CircuitInstance("trial", model, tuple(range(model.n_atoms)), copies)


def star(n_spins: int, n_layers: int = 2) -> CircuitInstance:
    """Pairs (0, i) that do not commute, one gate a layer."""
    circuit = Circuit(
        n_qubits=n_spins, n_layers=n_layers, singlets=(), encoding=(Encode(0, 0),),
        layer=(Heisenberg(0, tuple((0, i) for i in range(1, n_spins))),),
        observables=(Observable(((0, 1),)), Observable(((1, 2),))),
    )  # fmt: skip
    return part(Architecture(LinearVectors(((1.0, -1.0),), (0,)), circuit))
