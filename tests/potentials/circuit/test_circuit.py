"""Circuits, features and parameters: what is counted, and what is refused."""

import dataclasses

import jax
import numpy as np
import pytest
from circuits import ARCHITECTURES, FIXED, model

import qmd.potentials
from qmd.potentials import (
    Architecture,
    Circuit,
    Encode,
    Heisenberg,
    LinearVectors,
    ModelPotential,
    Observable,
    Parameters,
    Quantum,
    RotationZ,
    compiled,
    sivqlm,
)
from qmd.potentials.circuit.circuit import MAX_CLUSTER, clusters

WATER = sivqlm.water().circuit
DIMER = sivqlm.water_dimer().circuit


# The circuits of the paper.


@pytest.mark.parametrize(
    ("architecture", "n_qubits", "n_parameters"),
    [
        (sivqlm.lih(), 4, 67),
        (sivqlm.water(), 4, 67),
        (sivqlm.water(symmetry_breaking=True), 4, 78),
        (sivqlm.water_dimer(symmetry_breaking=True), 7, 122),
    ],
)
def test_models_have_the_number_of_parameters_of_the_paper(architecture, n_qubits, n_parameters):
    # Le et al., New J. Phys. 27, 023015 (2025): without the two of the affine head.
    circuit = architecture.circuit
    assert circuit.n_qubits == n_qubits
    n_couplings = circuit.n_layers * circuit.n_couplings
    assert n_couplings + architecture.features.n_scales == n_parameters


def test_vectors_of_the_models_are_those_of_the_paper():
    x = np.random.default_rng(0).normal(size=(6, 3))
    np.testing.assert_allclose(
        np.array(sivqlm.lih().features.weights) @ x[:2],
        [(x[0] - x[1]) / 2, (x[1] - x[0]) / 2],  # from the middle of the bond
    )
    np.testing.assert_allclose(
        np.array(sivqlm.water().features.weights) @ x[:3], x[1:3] - x[0]
    )  # H from O
    np.testing.assert_allclose(
        np.array(sivqlm.water_dimer().features.weights) @ x,
        x - (x[0] + x[3]) / 2,
        atol=1e-15,  # from the middle of O-O
    )


def test_the_ancilla_is_not_a_spin():
    assert DIMER.spins == (0, 1, 2, 3, 4, 5)
    assert WATER.spins == (0, 1, 2, 3)


@pytest.mark.parametrize("name", FIXED)
def test_circuits_are_values(name):
    # Compiled functions are kept by circuit.
    circuit = ARCHITECTURES[name].circuit
    again = dataclasses.replace(circuit)
    assert again == circuit and hash(again) == hash(circuit)


# Pairs that do not commute.


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((), []),
        (((0, 1), (2, 3)), [{0, 1}, {2, 3}]),
        (((0, 1), (2, 3), (1, 2)), [{0, 1, 2, 3}]),
        (((0, 1), (2, 3), (4, 5), (5, 2)), [{0, 1}, {2, 3, 4, 5}]),
        (((0, 1), (0, 2), (3, 4), (3, 5)), [{0, 1, 2}, {3, 4, 5}]),
    ],
)
def test_overlapping_pairs_form_clusters(pairs, expected):
    found = clusters(pairs)
    assert [set(cluster.spins) for cluster in found] == expected
    assert sorted(pair for cluster in found for pair in cluster.pairs) == sorted(pairs)
    for cluster in found:
        assert cluster.spins == {q for pair in cluster.pairs for q in pair}


# What is refused.


def refused(match: str, circuit: Circuit = WATER, **changes: object) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        dataclasses.replace(circuit, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("n_qubits", "n_layers"), [(1, 1), (0, 1), (21, 1), (4, 0), (4, 201), (4, -1)]
)
def test_sizes_beyond_the_limits_are_refused(n_qubits, n_layers):
    refused("2 to 20 qubits and 1 to 200 layers", n_qubits=n_qubits, n_layers=n_layers)


@pytest.mark.parametrize("pair", [(0, 4), (-1, 0), (1, 1), (0, 1, 1), (0, 1, 2)])
@pytest.mark.parametrize("place", ["singlets", "layer", "observables"])
def test_pairs_that_are_not_two_spins_are_refused(pair, place):
    gates = {"singlets": (pair,), "layer": (Heisenberg(0, (pair,)),)}
    refused("two different spins", **{place: gates.get(place, (Observable((pair,)),))})


def test_the_ancilla_must_not_be_used_as_a_spin():
    refused("two different spins", DIMER, layer=(Heisenberg(0, ((0, 6),)),))
    refused("two different spins", DIMER, singlets=((0, 6),))
    refused("two different spins", DIMER, observables=(Observable(((0, 6),), True),))
    refused("different spins", DIMER, encoding=(Encode(0, 6),))


def test_a_pair_stands_once_in_a_sum():
    refused("named once", layer=(Heisenberg(0, ((0, 1), (1, 0))),))
    refused("named once", observables=(Observable(((0, 1), (0, 1))),))


def test_singlets_share_no_qubit():
    refused("share a qubit", singlets=((0, 1), (1, 2)))


def test_a_spin_is_encoded_once():
    # Two encodings of one spin need not commute, so that their order would matter.
    refused("different spins", encoding=(Encode(0, 0), Encode(1, 0)))


@pytest.mark.parametrize("qubits", [(4,), (-1,), (0, 0)])
def test_rotations_act_on_different_qubits_that_exist(qubits):
    refused("different qubits", layer=(RotationZ(0, qubits),))


def test_large_clusters_are_refused():
    n = MAX_CLUSTER + 1  # their gate would be a dense matrix of 2**n rows
    star = tuple((0, q) for q in range(1, n))
    refused("join at most", n_qubits=n, layer=(Heisenberg(0, star),))
    dataclasses.replace(WATER, n_qubits=n, layer=(Heisenberg(0, star[:-1]),))
    apart = tuple((q, q + 1) for q in range(0, n - 1, 2))
    dataclasses.replace(WATER, n_qubits=n, layer=(Heisenberg(0, apart),))


def test_empty_parts_are_refused():
    refused("at least one encoding", encoding=())
    refused("at least one encoding gate and one observable", observables=())
    refused("at least one pair", observables=(Observable(()),))


@pytest.mark.parametrize("ancilla", [-1, 7])
def test_the_ancilla_must_exist(ancilla):
    refused("`ancilla` must be a qubit", DIMER, ancilla=ancilla)
    refused("uses the ancilla", observables=(Observable(((0, 1),), True),))


def test_indices_count_from_zero():
    refused("count from 0", layer=(Heisenberg(-1, ((0, 1),)),))
    refused("count from 0", encoding=(Encode(0, 0), Encode(-1, 1)))


@pytest.mark.parametrize(
    ("weights", "scale_index", "match"),
    [
        (((1.0, -0.9),), (0,), "sum to 0"),
        (((float("nan"), 0.0),), (0,), "sum to 0"),
        (((float("inf"), -float("inf")),), (0,), "sum to 0"),
        (((1.0, -1.0),), (0, 0), "match `scale_index`"),
        (((1.0, -1.0), (0.0,)), (0, 0), "must be"),
        ((), (), "must be"),
        (((1.0, -1.0),), (-1,), "count from 0"),
    ],
)
def test_features_that_do_not_fit_are_refused(weights, scale_index, match):
    with pytest.raises(ValueError, match=match):
        LinearVectors(weights, scale_index)


def test_the_circuit_uses_all_vectors():
    with pytest.raises(ValueError, match="it uses 2 of 1"):
        Architecture(LinearVectors(((1.0, -1.0),), (0,)), WATER)


# Parameters.


@pytest.mark.parametrize("field", Parameters._fields)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda a: np.full_like(a, np.nan),
        lambda a: np.full_like(a, np.inf),
        lambda a: np.full_like(a, -1e300),
        lambda a: a.astype(np.float32),
        lambda a: a.astype(int),
        lambda a: a[None],
        lambda a: np.append(a, 0.0),
    ],
    ids=["nan", "inf", "huge", "float32", "int", "rank", "size"],
)
def test_parameters_that_do_not_fit_are_refused_by_name(field, spoil):
    architecture, parameters = model("dimer-sb")
    spoilt = parameters._replace(**{field: spoil(getattr(parameters, field))})
    with pytest.raises(ValueError, match=f"'{field}' must be"):
        architecture.check(spoilt)
    with pytest.raises(ValueError, match=f"'{field}' must be"):
        ModelPotential(Quantum(architecture, spoilt))


def test_scales_are_shared_or_one_set_per_encoding():
    architecture, parameters = model("water")  # three layers, so four encodings
    for n in (1, 4):
        architecture.check(parameters._replace(scales=np.ones((n, 1))))
    for n in (0, 2, 3, 5):
        with pytest.raises(ValueError, match="'scales' must be float64 of shape"):
            architecture.check(parameters._replace(scales=np.ones((n, 1))))


# The front door.


def test_single_precision_is_refused():
    with jax.enable_x64(False), pytest.raises(RuntimeError, match="jax_enable_x64"):
        compiled(ModelPotential(Quantum(*model("water"))))


def test_every_public_name_can_be_imported():
    for name in qmd.potentials.__all__:  # type: ignore[attr-defined]
        assert getattr(qmd.potentials, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Morse'"):
        getattr(qmd.potentials, "Morse")  # noqa: B009
