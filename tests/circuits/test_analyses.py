"""Analyses of circuits against closed forms, and against what was planted."""

from dataclasses import replace
from fractions import Fraction
from math import log, pi

import numpy as np
import pytest
from circuit_instances import part, star

from qmd.circuits import draws, expressibility, fisher, fourier, gradients, redundancy
from qmd.circuits.ansatz import layers_up_to, of_instance, of_qdi
from qmd.circuits.states import Simulator, settings
from qmd.errors import MismatchError
from qmd.potentials import (
    QDI,
    Fixed,
    Rotation,
    RotationProgram,
    atom_centred,
    qdi_rotations,
    sivqlm,
    vqlm,
)


def turn(axis, place, source="parameter", qubit=0, factor=0.5):
    return Rotation((((qubit, axis),),), source, place, factor)


def one_qubit(gates, observable="Z", n_inputs=0):
    n = 1 + max((g.place for g in gates if g[1] == "parameter"), default=-1)
    return RotationProgram(
        1, tuple(gates), ((((0, observable),),),), (2 * pi,) * n, n_inputs,
        frequencies=tuple(range(n_inputs)),
    )  # fmt: skip


PAPER = QDI(4, 4, 1)
"""The circuit that the paper on the QDI layer analyses."""


# ---- Fisher information


@pytest.mark.parametrize("theta", [0.3, 1.1, 2.9])
def test_fisher_matrices_of_one_rotation(theta):
    """RX(t) on |0>: 4 Var(X/2) = 1, and p = cos^2(t/2) gives 1 as well; RZ before it gives 0."""
    program = one_qubit([turn("Z", 0), turn("X", 1)])
    psi, tangents = Simulator(program).tangents(np.array([0.7, theta]), np.zeros(0))
    wanted = [[0, 0], [0, 1]]
    np.testing.assert_allclose(fisher.quantum_matrix(psi, tangents), wanted, atol=1e-14)
    found = fisher.classical_matrix(program, settings(program), psi, tangents)
    np.testing.assert_allclose(found, wanted, atol=1e-13)


def test_quantum_matrix_of_two_rotations():
    """RY(a), then RZ(b): diag(1, sin^2 a), the metric of the sphere; Z measures a alone."""
    program = one_qubit([turn("Y", 0), turn("Z", 1)])
    psi, tangents = Simulator(program).tangents(np.array([0.8, 2.0]), np.zeros(0))
    found = fisher.quantum_matrix(psi, tangents)
    np.testing.assert_allclose(found, np.diag([1, np.sin(0.8) ** 2]), atol=1e-14)
    outcomes = fisher.classical_matrix(program, settings(program), psi, tangents)
    np.testing.assert_allclose(outcomes, np.diag([1, 0]), atol=1e-13)


def test_the_classical_matrix_is_below_the_quantum_one():
    program = qdi_rotations(PAPER)
    rng, simulator = np.random.default_rng(2), Simulator(program)
    for place, x in zip(draws.parameters(program, 5, rng), draws.inputs(program, 5, rng),
                        strict=True):  # fmt: skip
        psi, tangents = simulator.tangents(place, x)
        less = fisher.quantum_matrix(psi, tangents)
        less = less - fisher.classical_matrix(program, settings(program), psi, tangents)
        assert np.linalg.eigvalsh(less).min() > -1e-10  # rounding of sums of numbers up to 24


def test_effective_dimension_of_flat_spectra():
    """F = 1 in r of P dimensions: r log(1 + k P/r) / log k, which tends to r for many data."""
    values, n = np.tile([1.0] * 3 + [0.0] * 5, (4, 1)), 10_000
    k = n / (2 * pi * log(n))
    wanted = 3 * log(1 + k * 8 / 3) / log(k)
    assert fisher.effective_dimension(values, n) == pytest.approx(wanted, rel=1e-12)
    assert fisher.effective_dimension(np.zeros((4, 8)), n) == 0.0


def test_a_planted_parameter_is_found_by_rank_and_by_zx():
    """Two rotations about the same axis in a row are one parameter."""
    plain = one_qubit([turn("Y", 0), turn("Z", 1), turn("Y", 2)])
    planted = one_qubit([turn("Y", 0), turn("Z", 1), turn("Z", 2), turn("Y", 3)])
    for program, wanted in ((plain, 2), (planted, 2)):
        found = fisher.fisher(program, 1, n_draws=4, n_inputs=1, n_data=100, seed=1)
        assert found.quantum.largest_rank == wanted  # a state of one qubit has two angles
    assert redundancy.redundancy(plain, 1).kept == 3
    assert redundancy.redundancy(planted, 1).kept == 3  # of four

    base = qdi_rotations(QDI(2, 2))
    more = replace(
        base,
        gates=(*base.gates[:7], turn("Z", base.n_parameters), *base.gates[7:]),
        periods=(*base.periods, 2 * pi),
    )
    assert isinstance(base.gates[5], Rotation) and base.gates[5].words == (((1, "Z"),),)
    ranks = [fisher.fisher(p, 1, n_draws=3, n_inputs=6, n_data=100, seed=1).quantum.largest_rank
             for p in (base, more)]  # fmt: skip
    assert ranks[0] == ranks[1] == redundancy.redundancy(base, 1).kept_on_zero


def test_a_rank_that_more_inputs_would_raise_is_named():
    """One state of LiH's circuit has 10 parameters: two inputs tell 20 of 66 apart at most."""
    from qmd.analysis.circuit_report import summary
    from qmd.circuits.study import Counts, analyse

    lih = of_instance(part(sivqlm.lih(6)))._replace(trained=None)
    found = analyse(lih, Counts(0, 3, 1, 6, 30, 1000), layers=[6])
    first = found.fisher[0]
    assert first.quantum.largest_rank == first.quantum_at_one_input < found.n_parameters
    assert "The rank with 6 layers may be larger: 1 inputs cannot give more" in summary(found)


# ---- Redundancy


def test_the_circuit_of_the_paper_keeps_24_of_24_and_20_on_the_first_state():
    found = redundancy.redundancy(qdi_rotations(PAPER), 1)
    assert (found.n_parameters, found.kept, found.share) == (24, 24, 1.0)
    # RZ on |0> is a phase, on each of four qubits; the rank of the Fisher matrix agrees.
    assert found.kept_on_zero == 20
    spectra = fisher.fisher(qdi_rotations(PAPER), 1, n_draws=4, n_inputs=4, n_data=1000, seed=0)
    assert spectra.quantum.largest_rank == spectra.classical.largest_rank == 20


def test_without_entanglers_neighbouring_rotations_join():
    """RZ RY RZ four times: two RZ meet within each block, and two with the feature between them."""
    found = redundancy.redundancy(qdi_rotations(QDI(1, 1, 2, entangled=False)), 2)
    assert (found.n_parameters, found.kept) == (12, 9)


def test_tied_parameters_count_once():
    """A coupling of two gates that join is one parameter; opposite ones cancel."""
    same = one_qubit([turn("Y", 0), turn("Z", 1), turn("Z", 1), turn("Y", 2)])
    opposite = one_qubit([turn("Y", 0), turn("Z", 1), turn("Z", 1, factor=-0.5), turn("X", 2)])
    assert redundancy.redundancy(same, 1).kept == 3
    assert redundancy.redundancy(opposite, 1).kept == 2


def test_phases_are_as_many_as_by_pennylane():
    """`pennylane.transforms.to_zx` of the same circuit, simplified by the same rules."""
    import pennylane as qml
    from pyzx.simplify import full_reduce
    from pyzx.tensor import compare_tensors

    def as_fraction(x):
        return Fraction(float(x)).limit_denominator(10**8)

    from qmd.potentials import qdi_reference

    rng = np.random.default_rng(1)
    qdi = QDI(2, 2)
    angles, features = rng.uniform(-3, 3, qdi.shape), rng.uniform(-3, 3, 2)
    tape = qml.workflow.construct_tape(qdi_reference.qnode(qdi), level="top")(angles, features)
    gates = {"RX", "RY", "RZ", "CNOT"}
    (elementary,), _ = qml.transforms.decompose(tape, gate_set=gates)
    theirs = qml.transforms.to_zx(qml.tape.QuantumScript(elementary.operations))

    program, values = qdi_rotations(qdi), angles.ravel()
    turned = [
        as_fraction((values if g.source == "parameter" else features)[g.place] / pi)
        for g in program.gates
        if isinstance(g, Rotation)
    ]
    ours = redundancy.diagram(program, turned).to_graph()
    assert compare_tensors(ours, theirs, preserve_scalar=False)
    full_reduce(theirs)
    assert redundancy.redundancy(program, 1).phases == sum(
        theirs.phase(v) % 0.5 not in (0, 0.5) for v in theirs.vertices()
    )


def test_sums_that_do_not_commute_are_refused():
    program = star(3).form.rotations(1)
    assert "do not commute" in redundancy.why_not(program)
    with pytest.raises(MismatchError, match="not simplified"):
        redundancy.redundancy(program, 1)


# ---- Fourier series


def test_the_circuit_of_the_paper_has_161_accessible_terms():
    """3^4 frequency vectors from -1, 0 and 1: a constant, and 80 cosines and sines."""
    found = fourier.fourier(qdi_rotations(PAPER), n_draws=4, seed=0)
    assert found.degrees == (1, 1, 1, 1)
    assert (found.accessible_vectors, found.accessible_terms) == (81, 161)
    # Before the last CNOT gates <Y_1> is <Z_0 Y_1 X_2>, which does not see the last feature.
    assert found.of_observables == (81, 27, 81, 81) and found.non_zero_terms == 161


@pytest.mark.parametrize("n", [1, 2, 3])
def test_frequencies_of_rotations_in_a_row(n):
    """RX(x) n times and <Z> is cos(n x): of 2n + 1 frequencies, n and -n have half of it each."""
    program = one_qubit([turn("X", 0, "input")] * n, n_inputs=1)
    found = fourier.fourier(program, n_draws=3, seed=0)
    assert found.degrees == (n,) and found.accessible_terms == 4 * n + 1
    assert found.non_zero_vectors == 2 and found.non_zero_terms == 4
    assert found.size[n] == pytest.approx(0.5, abs=1e-12)
    assert max(found.size[:n]) < 1e-12


def test_rotations_of_the_measured_axis_have_no_frequencies():
    program = one_qubit([turn("Y", 0), turn("Z", 0, "input")], n_inputs=1)
    assert fourier.fourier(program, n_draws=3, seed=0).non_zero_vectors == 1  # the constant


def test_lengths_of_vectors_are_the_inputs_of_circuits_on_spins():
    lih = of_instance(part(sivqlm.lih(2))).program(2)
    # One length in four gates of three encodings, in units of 2.
    assert fourier.fourier(lih, n_draws=3, seed=0).degrees == (12,)
    water = of_instance(part(sivqlm.water(2))).program(2)
    assert fourier.fourier(water, n_draws=3, seed=0).degrees == (6, 6)


def test_many_inputs_are_scaled_together():
    found = fourier.fourier(qdi_rotations(QDI(3, 12)), n_draws=3, seed=0)
    assert found.together and found.degrees == (12,) and found.all_vectors == 3.0**12


# ---- Gradients


def test_variance_of_the_gradient_of_one_rotation():
    """d cos(t)/dt has the variance 1/2 over a period."""
    program = one_qubit([turn("X", 0)])
    found = gradients.gradient_variance(program, 1, n_draws=2000, seed=3)
    # sin^2 has the variance 1/8: the error of the mean of 2000 is 0.008.
    assert found.mean.value == pytest.approx(0.5, abs=4 * 0.008)
    assert found.mean.error == pytest.approx(np.sqrt(1 / 8 / 2000), rel=0.15)
    assert found.largest == found.mean


def test_variance_of_a_product_falls_by_half_with_each_qubit():
    """<Z...Z> after RX on each is a product of cosines: 2^-n for each derivative."""
    for n in (1, 2, 3):
        gates = tuple(turn("X", q, qubit=q) for q in range(n))
        word = tuple((q, "Z") for q in range(n))
        program = RotationProgram(n, gates, ((word,),), (2 * pi,) * n, 0)
        found = gradients.gradient_variance(program, 1, n_draws=3000, seed=n)
        assert found.mean.value == pytest.approx(0.5**n, abs=5 * found.mean.error)


# ---- Expressibility


def test_an_idle_circuit_has_the_largest_divergence():
    """All fidelities are 1: the last of B bins, which holds B^-(dim - 1) of the Haar states."""
    for n in (1, 3):
        idle = RotationProgram(n, (Fixed("H", (0,)),), ((((0, "Z"),),),), (), 0)
        found = expressibility.expressibility(idle, 1, n_pairs=100, seed=0)
        wanted = (2**n - 1) * log(expressibility.BINS)
        assert found.divergence.value == pytest.approx(wanted, rel=1e-12)
        assert found.idle == pytest.approx(wanted, rel=1e-12)
        assert found.divergence.error < 1e-12  # rounding


def test_one_qubit_on_the_whole_sphere_is_as_random_as_haar_states():
    """Fidelities of one qubit are uniform; of a finite sample the divergence is chi-squared."""
    counts = np.full(expressibility.BINS, 40)
    assert expressibility.divergence(counts, 2) == pytest.approx(0, abs=1e-14)
    floor = expressibility.expressibility(one_qubit([turn("Y", 0)]), 1, n_pairs=3000, seed=1).floor
    # Half of a chi-squared number with 74 degrees of freedom, over the pairs: 0.0123 +- 0.002.
    assert floor.value == pytest.approx(74 / 2 / 3000, abs=4 * np.sqrt(2 * 74) / 2 / 3000)


def test_divergence_of_a_circle_of_states():
    """RY alone: F = cos^2(d/2), whose share below F is 2/pi asin(sqrt F); Haar: uniform."""
    edges = np.arange(expressibility.BINS + 1) / expressibility.BINS
    shares = np.diff(2 / pi * np.arcsin(np.sqrt(edges)))
    wanted = float(np.sum(shares * np.log(shares * expressibility.BINS)))
    found = expressibility.expressibility(one_qubit([turn("Y", 0)]), 1, n_pairs=20_000, seed=2)
    assert found.divergence.value == pytest.approx(wanted, abs=5 * found.divergence.error)
    assert found.divergence.error < 0.02


# ---- Sizes


def test_circuits_without_rotations_or_too_large_are_refused(monkeypatch):
    from qmd.circuits.instances import CircuitInstance

    one = part(sivqlm.lih(1))
    for change, words in (({"rotations": None}, "cannot be analysed"),
                          ({"n_qubits": 13}, "13 qubits")):  # fmt: skip
        form = replace(one.form, **change)
        monkeypatch.setattr(CircuitInstance, "form", property(lambda self, form=form: form))
        with pytest.raises(MismatchError, match=words):
            of_instance(one)
        monkeypatch.undo()


def test_networks_of_both_ranks_are_resized():
    for rank, outputs in ((1, 1), (2, 9)):
        network = atom_centred.revised(("O", "H"), 1, n_qubits=2, n_layers=1, n_radial=3, rank=rank)
        found = of_instance(part(network))
        assert found.widths == (3, 5, 7) and len(found.program(1).observables) == outputs
        assert found.resized(5, 2).n_parameters == 6 * 2


def test_sizes_of_circuits():
    assert layers_up_to(1) == (1,) and layers_up_to(12) == (1, 2, 4, 8, 12)
    qdi = of_qdi(QDI(3, 6, 2, entangled=False, uploads=2))
    assert qdi.name == "QDI 3 qubits, 6 features, 2 uploads, no entanglers"
    assert qdi.resized(5, 1).n_inputs == 10 and qdi.widths == (2, 3, 4, 6)
    assert of_instance(part(sivqlm.water(2))).resized is None
    assert of_instance(part(vqlm.water(2))).program(2).n_parameters == 2 * 4
