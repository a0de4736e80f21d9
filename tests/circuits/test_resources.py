"""Resource counts against what can be counted by hand."""

import json

import numpy as np
import pytest
from circuit_instances import part, star

from qmd.circuits.resources import (
    Resources,
    as_json,
    cnots_at_most,
    resources,
    shift_evaluations,
    table,
)
from qmd.potentials import (
    atom_centred,
    sivqlm,
    vqlm,
    water_pair,
)


def test_lih_as_in_the_paper():
    found = resources(part(sivqlm.lih()))
    assert (found.n_qubits, found.n_layers, found.measurement_groups) == (4, 22, 3)
    assert found.n_parameters == 67 + 2  # and the affine head
    # A layer has RH12, RH34, RH23; an encoding has four gates; two singlets.
    assert found.two_qubit_gates == 3 * 22 + 2
    assert found.cnots_at_most == 3 * 3 * 22 + 2
    # PennyLane makes IsingXX and IsingZZ of two CNOT each, and IsingYY of two CY or four CNOT.
    assert found.gates["CNOT"] == 8 * 3 * 22 + 2
    # XX, YY and ZZ need a setting each; six turns for each of 4 * 23 encoding gates.
    assert found.evaluations_per_energy == 3
    assert found.evaluations_per_forces == 3 * 6 * 4 * 23


def test_the_dimer_couples_each_encoding_to_the_ancilla():
    found = resources(part(sivqlm.water_dimer(2, symmetry_breaking=True)))
    # Layers: RH23, RH56, RH14; encodings: six gates with the ancilla, three times; three singlets.
    assert found.two_qubit_gates == 2 * 3 + 3 * 6 + 3
    assert found.cnots_at_most == 2 * 3 * 3 + 3 * 6 * 2 + 3
    assert found.evaluations_per_forces == 3 * 6 * 6 * 3


def test_observables_with_and_without_the_ancilla_share_their_settings():
    # All words of the pair are XX, YY or ZZ, alone or with Z on the ancilla: X, Y or Z everywhere.
    found = resources(part(water_pair.architecture(1, 3)))
    assert found.measurement_groups == 3 and found.n_observables == 10


def test_rank_two():
    network = atom_centred.revised(("O", "H", "H"), 1, n_qubits=2, n_layers=2, n_radial=3, rank=2)
    found = resources(part(network))
    # Two pair gates, three encodings of two gates with the ancilla, one singlet.
    assert found.two_qubit_gates == 2 + 3 * 2 + 1
    assert found.cnots_at_most == 3 * 2 + 2 * 3 * 2 + 1
    assert found.n_observables == found.measurement_groups == 9  # all products of two axes
    # Pairs of settings: three axes of each encoded vector; those and three angles of each pair.
    assert found.evaluations_per_forces == 9 * 2 * (3 * 6 + 15 * 2)


def test_the_generic_circuit():
    found = resources(part(vqlm.water(5)))
    assert (found.n_qubits, found.measurement_groups) == (3, 1)
    assert found.n_parameters == 7 * 5 + 3 + 2
    assert found.two_qubit_gates == 3 * 5 and found.cnots_at_most == 2 * 3 * 5
    assert found.gates == {"RX": 3 * 6, "RY": 3 * 5, "RZ": 3 * 5, "CNOT": 2 * 3 * 5}
    assert found.evaluations_per_forces == 2 * 3 * 6


@pytest.mark.parametrize(("n_spins", "cnots"), [(3, 20), (4, 100)])
def test_sums_that_do_not_commute_cost_what_any_gate_of_their_size_costs(n_spins, cnots):
    # Table 1 of Shende, Bullock, Markov (2006): 20 for three qubits, 100 for four.
    found = resources(star(n_spins))
    assert found.cnots_at_most == 2 * cnots
    assert found.gates["Evolution"] == 2
    assert found.measurement_groups == 3  # both observables share the settings XXX, YYY, ZZZ
    assert found.n_observables == 2


def test_shifts_give_the_derivatives_they_are_counted_for():
    """Six shifted expectation values, linearly combined, are dE/dv of an encoding gate."""
    import pennylane as qml

    v, h = np.array([0.4, -0.7, 0.5]), 1e-5
    paulis = qml.X, qml.Y, qml.Z

    @qml.qnode(qml.device("default.qubit", wires=2))
    def value(vector, axis=None, shift=0.0):
        qml.Hadamard(0)
        qml.CNOT([0, 1])
        qml.RY(0.3, 1)
        qml.exp(qml.dot(vector, [p(0) for p in paulis]), -1j)
        if axis is not None:
            qml.exp(paulis[axis](0), -1j * shift)
        qml.RX(0.8, 0)
        qml.CNOT([0, 1])
        return qml.expval(qml.Z(1))

    torques = [value(v, a, np.pi / 4) - value(v, a, -np.pi / 4) for a in range(3)]
    # V(v + dv) = exp(-i dw.sigma) V(v): dw from the product of the two matrices.
    matrices = [p(0).matrix() for p in paulis]

    def gate(vector):
        return qml.matrix(qml.exp(qml.dot(vector, [p(0) for p in paulis]), -1j), wire_order=[0])

    for c in range(3):
        plus, minus = v + h * np.eye(3)[c], v - h * np.eye(3)[c]
        turn = (gate(plus) - gate(minus)) / (2 * h) @ gate(v).conj().T
        dw = [(1j * np.trace(m @ turn) / 2).real for m in matrices]
        slope = (value(plus) - value(minus)) / (2 * h)
        # Central differences of values below 1 with derivatives of order 1: h^2/6 + 1e-16/h.
        assert np.dot(dw, torques) == pytest.approx(slope, abs=1e-9)
    assert shift_evaluations(star(3, 2)) == 6 * 3


def test_table_and_json():
    found = [resources(part(vqlm.lih(2), copies=2)), resources(part(sivqlm.lih(1)))]
    rows = {line[:32].strip(): line[32:].split() for line in table(found).splitlines()}
    assert rows["uses in one energy"] == ["2", "1"] and rows["qubits"] == ["3", "4"]
    assert rows["PauliX, by PennyLane"] == ["0", "4"]
    told = json.loads(as_json(found))["circuits"]
    assert [Resources(**row) for row in told] == found
    assert cnots_at_most(part(sivqlm.lih(1))) == 3 * 3 + 2
