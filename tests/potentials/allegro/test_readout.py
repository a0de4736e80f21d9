"""Read-outs of Allegro: the circuit against PennyLane, and the laws of the whole."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from qmd.potentials import ModelPotential, compiled, compiled_in_cell, families
from qmd.potentials.allegro.allegro import Allegro, AllegroQdi
from qmd.potentials.allegro.jax_circuit import expectations
from qmd.potentials.allegro.pennylane_energy import energy_and_forces
from qmd.potentials.package.json_form import model_from_json, model_to_json
from qmd.potentials.qdi.circuit import QDI
from qmd.potentials.qdi.pennylane_form import qnode
from qmd.potentials.tree.walk import named_parameters

PENNYLANE = 1e-12
"""Asked; a state of up to 16 numbers after at most 30 products is rounded to 1e-14."""
INVARIANCE = 1e-10
CIRCUITS = {
    "analysed": QDI(4, 4),
    "filled up": QDI(3, 7, 2),
    "deep": QDI(4, 8, 4),
    "one qubit": QDI(1, 3, 2),
    "not entangled": QDI(2, 5, 3, entangled=False),
    "data twice": QDI(2, 3, 2, uploads=2),
    "one chunk, filled up": QDI(4, 3, 3),
    "one feature": QDI(1, 1),
    "one chunk, not entangled": QDI(2, 2, 2, entangled=False),
    "too large for a polynomial": QDI(7, 7),
}
FORM: dict[str, Any] = {
    "cutoff": 3.6, "power": 6.0, "n_average": 3.0, "l_max": 1, "parity": True, "n_layers": 1,
    "n_scalars": 6, "n_tensors": 3, "two_body": (6,), "latent": (), "readout": (6,),
    "n_features": 3, "hidden": (5,),
}  # fmt: skip
KINDS = (0, 1, 1)
WATER = np.array([[0, 0, 0], [0.96, 0, 0.1], [-0.24, 0.93, 0]])


def network(with_circuit: bool, **other: Any) -> Any:
    empty: Any = None
    form = FORM | other | {"parameters": empty}
    bare = AllegroQdi(KINDS, **form, circuit=QDI(2, 3)) if with_circuit else Allegro(KINDS, **form)
    model = bare.with_random_parameters(3, n_kinds=2, n_radial=4, scale=0.3, offset=0.4)
    if model.parameters.head is None:
        return model
    # Biases are zero at the start only.
    return replace(model, parameters=model.parameters._replace(head=model.parameters.head + 0.1))


@cache
def function(with_circuit: bool, kinds: tuple[int, ...] = KINDS) -> Any:
    return compiled(ModelPotential(network(with_circuit).on(kinds)))


@pytest.mark.parametrize("name", CIRCUITS)
def test_expectation_values_are_those_of_pennylane(name: str) -> None:
    circuit, rng = CIRCUITS[name], np.random.default_rng(1)
    angles = rng.uniform(-np.pi, np.pi, circuit.shape)
    features = rng.standard_normal((6, circuit.n_features))
    expected = np.array(qnode(circuit)(angles, features.T)).T
    found = expectations(circuit, angles, features)
    np.testing.assert_allclose(found, expected, rtol=0, atol=PENNYLANE)
    assert np.ptp(expected, axis=0).max() > 0.1  # the features matter


def test_the_analysed_circuit_has_24_parameters() -> None:
    circuit = CIRCUITS["analysed"]
    assert np.prod(circuit.shape) == 24
    # 3 n depth (F / n + 1)
    assert np.prod(CIRCUITS["deep"].shape) == 3 * 4 * 4 * (8 / 4 + 1)


def test_features_that_fill_up_change_nothing() -> None:
    """Five features on two qubits are six, the last of which is zero."""
    short, long = QDI(2, 5, 2), QDI(2, 6, 2)
    rng = np.random.default_rng(2)
    angles, features = rng.uniform(-3, 3, short.shape), rng.standard_normal((4, 5))
    filled = np.pad(features, ((0, 0), (0, 1)))
    found, expected = expectations(short, angles, features), expectations(long, angles, filled)
    np.testing.assert_array_equal(found, expected)


def test_energy_and_forces_are_those_of_pennylane() -> None:
    energy, forces = function(True)(WATER)
    expected, slopes = energy_and_forces(network(True), WATER)
    assert float(energy) == pytest.approx(expected, abs=PENNYLANE)
    np.testing.assert_allclose(forces, slopes, rtol=0, atol=100 * PENNYLANE)  # per 0.01 A


@pytest.mark.parametrize("with_circuit", [True, False])
def test_rotated_and_moved_atoms_are_equivalent(with_circuit: bool) -> None:
    rng = np.random.default_rng(4)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    energy, forces = function(with_circuit)(WATER)
    found, turned = function(with_circuit)(WATER @ turn + rng.uniform(-20, 20, 3))
    assert float(found) == pytest.approx(float(energy), abs=INVARIANCE)
    np.testing.assert_allclose(turned, forces @ turn, rtol=0, atol=INVARIANCE)
    found, _ = function(with_circuit)(WATER[[0, 2, 1]])
    assert float(found) == pytest.approx(float(energy), abs=INVARIANCE)
    assert np.abs(forces).max() > 0.01


@pytest.mark.parametrize("with_circuit", [True, False])
def test_the_energy_ends_smoothly_at_the_cut_off(with_circuit: bool) -> None:
    """The head has biases, and a circuit without features has values: the envelope ends both."""
    pair, cutoff = function(with_circuit, (0, 1)), FORM["cutoff"]
    left = [
        float(pair(np.array([[0, 0, 0], [cutoff - h, 0, 0]]))[0]) - 0.8 for h in (0.02, 0.01, 0.005)
    ]
    # The envelope is (1 - x)^3, up to (p - 1) 3/4 h / cutoff = 2e-2.
    np.testing.assert_allclose(np.array(left[:-1]) / left[1:], 8.0, rtol=0.05)
    value, forces = pair(np.array([[0, 0, 0], [cutoff + 1e-9, 0, 0]]))
    assert float(value) == 0.8
    assert not np.asarray(forces).any()


def test_a_circuit_in_a_cell_has_the_virial_of_its_energy() -> None:
    function = compiled_in_cell(network(True))
    cell, h = np.array([[4.1, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.5, 0.6, 4.3]]), 1e-3
    strain = np.random.default_rng(6).standard_normal((3, 3))
    _, _, virial = function(WATER, cell)
    energies = [
        function(WATER @ (np.eye(3) + k * h * strain), cell @ (np.eye(3) + k * h * strain))[0]
        for k in (-3, -2, -1, 1, 2, 3)
    ]
    slope = np.array(energies) @ [-1, 9, -45, 45, -9, 1] / (60 * h)
    # h^6 / 140 = 7e-21 times a seventh derivative of up to (3.6 A 3.5/A)^7 = 5e7 eV, and the
    # rounding of energies, 1e-15 eV over h.
    assert -slope == pytest.approx(float(np.sum(virial * strain)), abs=1e-10)


def test_numbers_come_back_to_the_last_bit() -> None:
    for model in (network(True), network(False)):
        arrays = named_parameters(model)
        back = model_from_json(json.loads(json.dumps(model_to_json(model))), arrays)
        assert type(back) is type(model)
        assert replace(back, parameters=None) == replace(model, parameters=None)
        assert set(named_parameters(back)) == set(arrays)


def test_its_family_counts_the_circuit() -> None:
    model = network(True)
    family = families.family_of(model)
    assert family.circuit is not None
    found = family.circuit(model)
    assert (found.n_qubits, found.n_layers, found.copies) == (2, 3, 6)
    assert found.gates is not None
    assert found.gates.two_qubit_gates == 3 * 1 * 2
    node, arguments = found.node(2)
    assert len(node(*arguments)) == 2
    assert "3 features on 2 qubits, 3 blocks of depth 1" in family.describe(model)
    plain = network(False)
    assert family.work(model).written > families.family_of(plain).work(plain).written
    with pytest.raises(ValueError, match="Finite shots are not modelled"):
        family.measured(model)
    assert "perceptron of 3 features" in families.family_of(plain).describe(plain)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="3 features need hidden layers"):
        network(False, hidden=())
    with pytest.raises(ValueError, match="The circuit is for 3 features, but there are 6"):
        network(True, n_features=6)
    model = network(True)
    for large in (QDI(9, 3), QDI(1, 3, 30)):
        with pytest.raises(ValueError, match="at most 8 qubits, and 100 layers in all blocks"):
            replace(model, circuit=large)
    with pytest.raises(ValueError, match="A circuit needs angles"):
        replace(model, parameters=model.parameters._replace(angles=None)).check()
    with pytest.raises(ValueError, match="Hidden layers behind the features need numbers"):
        replace(model, parameters=model.parameters._replace(head=None)).check()
    with pytest.raises(ValueError, match="Parameter 'angles' does not fit"):
        plain = network(False)
        replace(plain, parameters=plain.parameters._replace(angles=np.zeros(3))).check()


def test_analyses_see_the_same_circuit():
    """Its Pauli rotations at the trained angles, the first chunk of features uploaded as 1."""
    from qmd.circuits.ansatz import of_instance
    from qmd.circuits.instances import circuits_of_model
    from qmd.circuits.states import Simulator

    (one,) = circuits_of_model(network(True), "whole")
    found = of_instance(one)
    assert found.trained is not None and found.n_layers == 3
    assert found.program(3).n_parameters == len(found.trained)
    node, arguments = one.node(2)
    program = found.program(2)
    simulator, at = Simulator(program), found.trained[: program.n_parameters]
    psi = simulator.states(at[None], np.ones((1, program.n_inputs)))
    wanted = np.array(node(*arguments))
    np.testing.assert_allclose(simulator.expectations(psi)[0], wanted, rtol=0, atol=PENNYLANE)
