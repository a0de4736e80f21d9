"""Finite shots: the covariance of measured forces, from the circuits that would be run.

The oracle is PennyLane: every quarter turn as a circuit of its own, its mean and variance in each
of three settings from the state vector, or sampled.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pennylane as qml
import pytest
from circuits import Model, model, random_parameters

from qmd.integrators import compute, evaluate, pointer
from qmd.potentials import (
    LinearVectors,
    Quantum,
    SphericalWall,
    Sum,
    find,
    flatten,
    load,
    native_model,
    reference,
    shot_covariance,
    sivqlm,
    vqlm,
)
from qmd.potentials.tree.jax_energy import switch

PAULIS = (qml.X, qml.Y, qml.Z)


class Turn(NamedTuple):
    """A quarter turn in the middle of one encoding gate."""

    encoding: int
    gate: int
    axis: int
    sign: int


def turned(case: Model, angles: np.ndarray, turn: Turn | None) -> None:
    """Queue the circuit, with a turn put into it."""
    circuit, parameters = case.architecture.circuit, case.parameters
    if turn is None:
        reference.apply(circuit, parameters.couplings, angles)
        return
    for p, q in circuit.singlets:
        qml.X(p)
        qml.Hadamard(p)
        qml.X(q)
        qml.CNOT([p, q])
    for encoding in range(circuit.n_layers + 1):
        if encoding > 0:
            _layer(circuit, parameters.couplings[encoding - 1])
        row = angles[0 if len(angles) == 1 else encoding]
        for i, gate in enumerate(circuit.encoding):
            alone = dataclasses.replace(circuit, encoding=(gate,))
            if (encoding, i) != (turn.encoding, turn.gate):
                reference._encode(alone, row)
                continue
            half = row * [0.5, 1, 1]
            reference._encode(alone, half)
            word, wires = "XYZ"[turn.axis], [gate.qubit]
            if circuit.ancilla is not None:
                word, wires = word + "X", [gate.qubit, circuit.ancilla]
            qml.PauliRot(turn.sign * np.pi / 2, word, wires)
            reference._encode(alone, half)


def _layer(circuit, couplings) -> None:
    for gate in circuit.layer:
        angle = couplings[gate.coupling]
        if hasattr(gate, "pairs"):
            reference._heisenberg(angle, gate.pairs)
        else:
            for qubit in gate.qubits:
                qml.RZ(angle, qubit)


def settings(case: Model) -> list[qml.operation.Operator]:
    """What is measured with all spins along x, y, z: weights times products."""
    circuit, found = case.architecture.circuit, []
    for pauli in PAULIS:
        terms = [
            weight * pauli(p) @ pauli(q) @ (qml.Z(circuit.ancilla) if o.with_ancilla else qml.I(p))
            for weight, o in zip(case.parameters.weights, circuit.observables, strict=True)
            for p, q in o.pairs
        ]
        found.append(qml.sum(*terms) if len(terms) > 1 else terms[0])
    return found


def angles_of(case: Model, x: np.ndarray) -> np.ndarray:
    features, parameters = case.architecture.features, case.parameters
    return np.asarray(reference.spherical(features, parameters.scales, x))


def turns(case: Model) -> Iterator[tuple[int, int, int]]:
    circuit = case.architecture.circuit
    for encoding in range(circuit.n_layers + 1):
        for gate in range(len(circuit.encoding)):
            for axis in range(3):
                yield encoding, gate, axis


def column(case: Model, x: np.ndarray, encoding: int, gate: int, axis: int) -> np.ndarray:
    """dv/dx . S e_axis: how the force depends on the derivative by one turn, shape (3 n_atoms,)."""
    features, scales = case.architecture.features, case.parameters.scales
    assert isinstance(features, LinearVectors)
    vector = case.architecture.circuit.encoding[gate].vector
    alpha = scales[0 if len(scales) == 1 else encoding][features.scale_index[vector]]
    weights = alpha * np.array(features.weights[vector])
    v = weights @ x
    r = np.linalg.norm(v)
    along = np.outer(v, v) / r**2
    stretch = along + np.sin(r) / r * (np.eye(3) - along)
    return np.asarray(np.outer(weights, stretch[axis]).ravel())


def exact(case: Model, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Forces by parameter shift, their covariance and the variance of the energy, for one shot."""
    n = case.architecture.circuit.n_qubits
    angles, wires = angles_of(case, x), range(n)
    device = qml.device("default.qubit", wires=n)
    matrices = [qml.matrix(p, wire_order=wires) for p in settings(case)]

    @qml.qnode(device, diff_method=None)
    def state(turn):
        turned(case, angles, turn)
        return qml.state()

    def moments(turn: Turn | None) -> tuple[float, float]:
        psi = np.asarray(state(turn))
        products = [p @ psi for p in matrices]
        means = [np.vdot(psi, y).real for y in products]
        squares = [np.vdot(y, y).real for y in products]
        return sum(means), sum(s - m**2 for s, m in zip(squares, means, strict=True))

    forces, covariance = np.zeros(x.size), np.zeros((x.size, x.size))
    for where in turns(case):
        plus, minus = moments(Turn(*where, 1)), moments(Turn(*where, -1))
        c = column(case, x, *where)
        forces -= c * (plus[0] - minus[0])
        covariance += np.outer(c, c) * (plus[1] + minus[1])
    return forces.reshape(x.shape), covariance, moments(None)[1]


def of_kernel(tree, x: np.ndarray, shots: float = 1) -> tuple[np.ndarray, float]:
    """Covariance and variance of the energy, by the native kernel."""
    covariance = np.empty((x.size, x.size))
    energy = compute(pointer(shot_covariance(tree, shots)), x, np.zeros((3, 3)), covariance)
    return covariance, energy


CASES = {
    "water-2": Model(water := sivqlm.water(2, 1), random_parameters(water, 3)),
    "dimer-1": Model(dimer := sivqlm.water_dimer(1), random_parameters(dimer, 3)),
    **{name: model(name) for name in ("chain-5", "random-14", "two")},
}
"""The dimer and random-14 have an ancilla; chain-5 has spins without a vector, and scales of each
layer."""


@pytest.mark.parametrize("name", CASES)
def test_the_covariance_is_that_of_the_circuits_of_the_parameter_shift(name):
    case = CASES[name]
    tree, x = Quantum(*case), case.positions(4)
    forces, covariance, energy = exact(case, x)
    # The rule itself first: its means are the forces. Then all variances. Rounding only, of some
    # hundred circuits with energies of order one.
    exact_forces = evaluate(native_model(tree), x)[1]
    np.testing.assert_allclose(forces, exact_forces, rtol=0, atol=1e-10)
    found, of_energy = of_kernel(tree, x)
    np.testing.assert_allclose(found, covariance, rtol=0, atol=1e-10 * covariance.max())
    assert of_energy == pytest.approx(energy, rel=1e-10)


class Sampler(NamedTuple):
    """PennyLane with finite shots: `n` estimates of each expectation value."""

    case: Model
    angles: np.ndarray
    device: qml.devices.Device
    shots: int
    n: int

    @classmethod
    def at(cls, case: Model, x: np.ndarray, shots: int, n: int) -> "Sampler":
        wires = case.architecture.circuit.n_qubits
        device = qml.device("default.qubit", wires=wires, seed=np.random.default_rng(1))
        return cls(case, angles_of(case, x), device, shots, n)

    def __call__(self, turn: Turn | None) -> np.ndarray:
        total = np.zeros(self.n)
        for part in settings(self.case):

            @qml.set_shots([(self.shots, self.n)])
            @qml.qnode(self.device, diff_method=None)
            def node(part=part):
                turned(self.case, self.angles, turn)
                return qml.expval(part)

            total += np.real(node())
        return total


@pytest.mark.physics
def test_forces_that_pennylane_samples_have_the_mean_and_the_covariance():
    # One layer: 48 circuits with 3 settings each, 200 times.
    shots, n = 100, 200
    architecture = sivqlm.water(1, 1)
    case = Model(architecture, random_parameters(architecture, 3))
    tree, x = Quantum(*case), case.positions(4)
    mean = evaluate(native_model(tree), x)[1].ravel()
    covariance, of_energy = of_kernel(tree, x, shots)
    noise = np.tile(-mean, (n, 1))
    sampled = Sampler.at(case, x, shots, n)
    for where in turns(case):
        change = sampled(Turn(*where, 1)) - sampled(Turn(*where, -1))
        noise -= np.outer(change, column(case, x, *where))
    # In the six directions that have noise, in units of its root: independent, of variance one.
    values, vectors = np.linalg.eigh(covariance)
    free = noise @ vectors[:, 3:] / np.sqrt(values[3:])
    assert values[2] < 1e-12 * values[3]
    # Five standard errors: 1/sqrt(n) of a mean, sqrt(2/n) of a variance, 1/sqrt(n) between two.
    assert np.abs(free.mean(axis=0)).max() <= 5 / np.sqrt(n)
    error = (1 + (np.sqrt(2) - 1) * np.eye(6)) / np.sqrt(n)
    assert (np.abs(free.T @ free / n - np.eye(6)) <= 5 * error).all()
    energies = sampled(None) + case.parameters.offset
    expected = evaluate(native_model(tree), x)[0]
    assert abs(energies.mean() - expected) <= 5 * np.sqrt(of_energy / n)
    assert energies.var() == pytest.approx(of_energy, rel=5 * np.sqrt(2 / n))


def test_energies_of_the_shipped_water_are_sampled_as_predicted():
    shots, n = 1000, 300
    package = load(find("sivqlm-h2o"))
    case = Model(package.model.architecture, package.model.parameters)
    x = np.array([[0.0, 0.0, 0.0], [0.79, 0.57, 0.0], [-0.79, 0.57, 0.1]])
    found = Sampler.at(case, x, shots, n)(None) + case.parameters.offset
    energy, variance = evaluate(package.native(), x)[0], of_kernel(package.model, x)[1]
    assert abs(found.mean() - energy) <= 5 * np.sqrt(variance / shots / n)
    assert found.var() == pytest.approx(variance / shots, rel=5 * np.sqrt(2 / n))


def test_noise_falls_with_the_shots_and_moves_no_centre_of_mass():
    case = CASES["water-2"]
    x = case.positions(4)
    one, energy = of_kernel(Quantum(*case), x)
    many, of_many = of_kernel(Quantum(*case), x, 1000)
    np.testing.assert_allclose(1000 * many, one, rtol=1e-12, atol=1e-12 * one.max())
    assert 1000 * of_many == pytest.approx(energy, rel=1e-12)
    assert np.abs(one.reshape(3, 3, 9).sum(axis=0)).max() <= 1e-12 * one.max()


def test_circuits_of_a_tree_add_their_noise_and_classical_terms_have_none():
    # In the shipped dimer: two monomers, and the mean of pairs under a switch, whose slope pulls at
    # the oxygens with the energy of the pair.
    tree = load(find("sivqlm-h2o-dimer")).model
    rng = np.random.default_rng(2)
    monomer = np.array([[0.0, 0.0, 0.0], [0.79, 0.57, 0.0], [-0.79, 0.57, 0.1]])
    x = np.concatenate([monomer, monomer[:, [2, 0, 1]] + [3.6, 0.4, 0.0]])
    x += 0.02 * rng.normal(size=x.shape)
    expected, of_energy = np.zeros((18, 18)), 0.0
    for leaf, atoms, s, share in flatten(tree):
        if not isinstance(leaf, Quantum):
            continue
        own, energy = (share**2 * noise for noise in of_kernel(leaf, x[list(atoms)]))
        factor, pull = 1.0, np.zeros((6, 3))
        if s is not None:
            i, j = s.between
            d = x[j] - x[i]
            r, h = np.linalg.norm(d), 1e-5
            factor, above, below = (float(switch(y, *s[1:])) for y in (r, r + h, r - h))
            pull[i], pull[j] = d / r, -d / r
            pull *= (above - below) / (2 * h)
            assert 0.01 < factor < 0.99 and np.abs(pull).max() > 0.1
        index = np.ravel([[3 * a, 3 * a + 1, 3 * a + 2] for a in atoms])
        expected[np.ix_(index, index)] += factor**2 * own
        expected += energy * np.outer(pull, pull)
        of_energy += factor**2 * float(energy)
    found, total = of_kernel(Sum((tree, SphericalWall(6, 2.0, 1.0))), x)
    # The slope of the switch is a difference: good to 1e-9.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * expected.max())
    assert total == pytest.approx(of_energy, rel=1e-12)


@pytest.mark.parametrize(
    ("tree", "shots", "message"),
    [
        (Quantum(*CASES["two"]), 0, "`shots` must be positive and finite, but shots=0"),
        (vqlm.lih(2), 100, "circuits on spins, not for the VQLM"),
        (SphericalWall(3, 2.0, 1.0), 100, "has no circuit"),
    ],
)
def test_what_has_no_shots_is_refused(tree, shots, message):
    with pytest.raises(ValueError, match=message):
        shot_covariance(tree, shots)
