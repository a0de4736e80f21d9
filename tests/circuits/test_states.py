"""States by Pauli rotations against PennyLane, and derivatives against differences."""

import numpy as np
import pytest
from circuit_instances import part, star

from qmd.circuits.states import Simulator, in_basis, settings
from qmd.potentials import QDI, atom_centred, circuit_rotations, qdi_rotations, sivqlm, vqlm

CIRCUITS = {
    "one qubit": QDI(1, 2, 1),
    "depth 1": QDI(4, 4, 1),
    "depth 3": QDI(3, 6, 3),
    "filled up": QDI(4, 6, 2),
    "twice": QDI(2, 4, 1, uploads=2),
    "product": QDI(3, 3, 2, entangled=False),
}


@pytest.mark.parametrize("name", CIRCUITS)
def test_qdi_circuits_are_those_of_pennylane(name):
    from qmd.potentials import qdi_reference

    qdi, rng = CIRCUITS[name], np.random.default_rng(3)
    angles, features = rng.uniform(-3, 3, qdi.shape), rng.uniform(-3, 3, qdi.n_features)
    simulator = Simulator(qdi_rotations(qdi))
    psi = simulator.states(angles.reshape(1, -1), features[None])
    wanted = np.array(qdi_reference.qnode(qdi)(angles, features))
    # Sums of fewer than 1000 rounded products of numbers below one.
    np.testing.assert_allclose(simulator.expectations(psi)[0], wanted, rtol=0, atol=1e-12)


def test_the_first_blocks_of_a_circuit():
    qdi, few = QDI(2, 4), qdi_rotations(QDI(2, 4), 2)
    assert few.n_parameters == 2 * 6 and few.n_inputs == 4
    # Two blocks and the chunk between them are the circuit of the first two features.
    assert few.gates == qdi_rotations(QDI(2, 2)).gates
    assert qdi_rotations(qdi, 3) == qdi_rotations(qdi)


def test_parameters_of_qdi_are_those_of_the_paper():
    assert QDI(4, 4, 1).n_parameters == 24
    # 3 n depth (F/n + 1), for numbers of features that the qubits divide.
    assert QDI(3, 21, 4).n_parameters == 3 * 3 * 4 * (21 // 3 + 1)
    assert QDI(4, 6, 1).n_chunks == 2 and QDI(4, 4, 1, uploads=3).n_blocks == 4


@pytest.mark.parametrize("wrong", [{"n_qubits": 0}, {"depth": 0}, {"n_features": 513}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="must be 1 to"):
        QDI(**({"n_qubits": 2, "n_features": 2} | wrong))


@pytest.mark.parametrize("make", [
    lambda: star(4), lambda: part(sivqlm.water(3, symmetry_breaking=True)),
    lambda: part(sivqlm.water_dimer(2, symmetry_breaking=True)),
])  # fmt: skip
def test_circuits_on_spins_are_those_of_the_reference_interpreter(make):
    from qmd.potentials import reference

    one = make()
    circuit, rng = one.circuit, np.random.default_rng(5)
    program = circuit_rotations(circuit)
    simulator = Simulator(program)
    couplings = rng.uniform(-1, 1, (circuit.n_layers, circuit.n_couplings))
    angles = rng.uniform(0.2, 2.5, (circuit.n_layers + 1, circuit.n_vectors, 3))
    psi = simulator.states(couplings.reshape(1, -1), angles.reshape(1, -1))
    wanted = np.array(reference.qnode(circuit)(couplings, angles))
    np.testing.assert_allclose(simulator.expectations(psi)[0], wanted, rtol=0, atol=1e-11)


def test_parallel_vectors_are_one_input():
    lih = part(sivqlm.lih(2))
    program = lih.form.rotations(2)
    assert program.n_inputs == 3 and len(program.vectors) == 1  # x2 = -x1
    assert part(sivqlm.water(2)).form.rotations(2).n_inputs == 6
    node, _ = lih.node(2)
    rng = np.random.default_rng(1)
    couplings, (r, theta, phi) = rng.uniform(-1, 1, (2, 3)), (0.7, 0.9, 0.4)
    angles = np.array([[[r, theta, phi], [r, np.pi - theta, phi + np.pi]]] * 3)
    psi = Simulator(program).states(couplings.reshape(1, -1), np.array([[r, theta, phi]]))
    found = Simulator(program).expectations(psi)[0]
    np.testing.assert_allclose(found, np.array(node(couplings, angles)), rtol=0, atol=1e-12)


def test_generic_circuits_are_those_of_the_reference_interpreter():
    from qmd.potentials import vqlm_reference

    model = vqlm.lih(2)
    p = model.parameters._replace(scales=np.ones((3, 3)))
    phi = np.array([0.3, -1.1, 0.8])
    rows = np.concatenate([p.rotations, p.couplings[:, None]], axis=1)
    simulator = Simulator(part(model).form.rotations(2))
    psi = simulator.states(rows.reshape(1, -1), phi[None])
    wanted = vqlm_reference.qnode(model)(p, phi)
    assert simulator.expectations(psi)[0, 0] == pytest.approx(float(wanted), abs=1e-12)


def test_pair_gates_of_rank_two_keep_singlets_and_have_any_three_phases():
    network = atom_centred.revised(("O", "H", "H"), 1, n_qubits=2, n_layers=1, n_radial=3, rank=2)
    program = part(network).form.rotations(1)
    assert program.n_inputs == 2 * 2 * 3 + 6 and program.n_parameters == 1
    rng = np.random.default_rng(2)
    inputs = rng.uniform(0, 3, (1, program.n_inputs))
    inputs[:, :12] = 0  # no vectors: the singlet stays as it is
    simulator = Simulator(program)
    start = simulator.states(np.zeros((1, 1)), np.zeros((1, program.n_inputs)))
    after = simulator.states(np.array([[0.4]]), inputs)
    assert abs(np.vdot(start, after)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", ["depth 1", "star"])
def test_derivatives_are_those_of_differences(name):
    program = star(4).form.rotations(2) if name == "star" else qdi_rotations(CIRCUITS[name])
    simulator, rng = Simulator(program), np.random.default_rng(4)
    at = rng.uniform(-1, 1, (1, program.n_parameters))
    inputs = rng.uniform(0, 2, (1, program.n_inputs))
    psi, tangents = simulator.tangents(at[0], inputs[0])
    h = 1e-5
    steps = h * np.eye(program.n_parameters)
    many = np.repeat(inputs, len(steps), axis=0)
    plus, minus = (simulator.states(at + s, many) for s in (steps, -steps))
    # Third derivatives are below 100 here: h^2/6 of them, and 1e-16/h of rounding.
    np.testing.assert_allclose(tangents, (plus - minus) / (2 * h), rtol=0, atol=1e-8)
    slopes = (simulator.expectations(plus) - simulator.expectations(minus)) / (2 * h)
    np.testing.assert_allclose(simulator.jacobian(psi, tangents), slopes.T, rtol=0, atol=1e-8)
    for k in range(len(program.observables)):
        adjoint = simulator.gradients(at, inputs, k)[0]
        np.testing.assert_allclose(adjoint, simulator.jacobian(psi, tangents)[k], atol=1e-12)


def test_settings_measure_all_observables():
    program = part(sivqlm.water(1)).form.rotations(1)
    found = settings(program)
    assert [set(s.values()) for s in found] == [{"X", "Z"}, {"Y", "Z"}, {"Z"}]
    assert settings(qdi_rotations(QDI(2, 2))) == [{0: "Y", 1: "Y"}]


def test_outcomes_are_those_of_the_axes():
    # (|0> + i|1>)/sqrt 2 is the state +1 of Y, and both outcomes of X are as likely.
    psi = np.array([[1, 1j]]) / np.sqrt(2)
    assert np.abs(in_basis({0: "Y"}, psi, 1))[0] == pytest.approx([1, 0], abs=1e-15)
    assert np.abs(in_basis({0: "X"}, psi, 1))[0] ** 2 == pytest.approx([0.5, 0.5])


def test_large_circuits_are_refused():
    from dataclasses import replace

    program = replace(qdi_rotations(QDI(2, 2)), n_qubits=13)
    with pytest.raises(ValueError, match="12 qubits"):
        Simulator(program)
