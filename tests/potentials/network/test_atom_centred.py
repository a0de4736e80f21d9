"""Atom-centred networks: symmetries, locality, smoothness, derivatives, and that they learn."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.spatial.transform import Rotation

from qmd.potentials import (
    AtomCentredNetwork,
    ParameterGradient,
    PerAtomSum,
    atom_centred,
    centred_native,
    evaluate,
    evaluate_all,
    jax_model,
    native_model,
    network_reference,
    sivqlm,
)
from qmd.potentials.families import trained_arrays

METHANOL = ("C", "O", "H", "H", "H", "H")
POSITIONS = np.array(
    [[0, 0, 0], [1.42, 0, 0], [1.75, 0.9, 0], [-0.4, 1, 0.1], [-0.4, -0.5, 0.9], [-0.4, -0.5, -0.9]]
)
SMALL = {"n_qubits": 4, "n_layers": 2, "n_radial": 6, "cutoff": 3.0}


def revised(species: tuple[str, ...] = METHANOL, seed: int = 1, **settings) -> AtomCentredNetwork:
    return atom_centred.revised(species, seed, **(SMALL | settings))


FORMS: dict[str, dict[str, Any]] = {
    "scalars": {"scalars": True},
    "vectors": {"scalars": False},
    "tensors": {"scalars": False, "rank": 2},
    "all": {"scalars": True, "rank": 2},
}


@pytest.fixture(scope="module", params=list(FORMS.values()), ids=list(FORMS))
def kernel(request):
    return native_model(revised(**request.param))


def unrolled() -> PerAtomSum:
    return atom_centred.unrolled(revised(scalars=False))


def without_an_observable(network: AtomCentredNetwork) -> AtomCentredNetwork:
    circuit = replace(network.circuit, observables=network.circuit.observables[1:])
    p = network.parameters
    fewer = p._replace(weights=p.weights[:, 1:], scalars=p.scalars[..., :0, :])
    return replace(network, circuit=circuit, parameters=fewer)


def turned(x: np.ndarray, seed: int, mirror: float = 1.0) -> np.ndarray:
    return x @ (mirror * Rotation.random(random_state=seed).as_matrix()).T


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_rotation_reflection_and_translation_change_nothing(kernel, mirror):
    energy, forces = evaluate(kernel, POSITIONS)
    again, moved = evaluate(kernel, turned(POSITIONS, 3, mirror) + [1.0, -2.0, 0.5])
    # Six sums of products of unitary 16 x 16 matrices: 1e3 roundings of energies below 1 eV.
    assert again == pytest.approx(energy, abs=1e-12)
    np.testing.assert_allclose(moved, turned(forces, 3, mirror), rtol=0, atol=1e-12)


def test_like_atoms_are_alike(kernel):
    energy, forces = evaluate(kernel, POSITIONS)
    for order in ([0, 1, *p] for p in permutations(range(2, 6))):
        again, moved = evaluate(kernel, POSITIONS[order])
        assert again == pytest.approx(energy, abs=1e-12)
        np.testing.assert_allclose(moved, forces[order], rtol=0, atol=1e-12)


def test_by_name_like_atoms_are_not_alike_but_space_is_isotropic():
    model = atom_centred.initial(METHANOL, 1, POSITIONS, n_qubits=4, n_layers=2)
    native = native_model(model)
    energy, _ = evaluate(native, POSITIONS)
    assert evaluate(native, turned(POSITIONS, 5))[0] == pytest.approx(energy, abs=1e-12)
    assert abs(evaluate(native, POSITIONS[[0, 1, 3, 2, 4, 5]])[0] - energy) > 1e-6


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_what_is_beyond_the_cutoff_is_not_there_and_leaves_smoothly(form):
    water = revised(("O", "H", "H"), **form)
    both = revised(("O", "H", "H") * 2, **form)
    x = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    one, _ = evaluate(native_model(water), x)
    pair = native_model(both)
    apart, forces = evaluate(pair, np.concatenate([x, x + [50.0, 0, 0]]))
    assert apart == pytest.approx(2 * one, abs=1e-12)  # extensive
    np.testing.assert_allclose(forces[:3], evaluate(native_model(water), x)[1], rtol=0, atol=1e-12)
    # A hydrogen leaves along the line of a bond: its density ends as d^3, so does the energy.
    left = [np.array([[0, 0, 0], [-0.96, 0, 0], [3.0 - d, 0, 0]]) for d in (-0.1, 0.005, 0.01)]
    beyond, *inside = (evaluate(native_model(water), at)[0] for at in left)
    near, further = np.array(inside) - beyond
    assert np.log2(further / near) == pytest.approx(3, abs=0.3)


def test_forces_are_minus_the_slope(kernel):
    _, forces = evaluate(kernel, POSITIONS)
    h, numeric = 1e-4, np.empty_like(POSITIONS)
    for place in np.ndindex(POSITIONS.shape):
        shift = np.zeros_like(POSITIONS)
        shift[place] = h
        e = [evaluate(kernel, POSITIONS + k * shift)[0] for k in (-2, -1, 1, 2)]
        numeric[place] = -(e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * h)
    # Fourth order: rounding 1e-15 eV / 1e-4 A, truncation below.
    np.testing.assert_allclose(forces, numeric, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("species", "form", "n_radial"),
    [
        (("O",), "scalars", 3),
        (("O", "H", "H"), "vectors", 60),
        (METHANOL, "scalars", 3),
        (("O",), "all", 3),
        (("O", "H", "H"), "tensors", 4),
        (METHANOL, "all", 3),
    ],
)
def test_the_native_kernel_is_jax(species, form, n_radial):
    """One to six centres, so that lanes are left empty; two of the atoms beyond the cut-off."""
    model = revised(species, n_layers=1, n_radial=n_radial, **FORMS[form])
    x = np.random.default_rng(2).standard_normal((2, len(species), 3)) + POSITIONS[: len(species)]
    theta, unravel = ravel_pytree(model)
    of = jax.jit(jax.vmap(jax.value_and_grad(lambda y: jax_model.energy(model, y))))
    energies, slopes = of(x)
    found = evaluate_all(native_model(model), x)
    # Some hundred roundings of energies below 10 eV; the bar of the project is 1e-10.
    np.testing.assert_allclose(found[0], energies, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found[1], -slopes, rtol=0, atol=1e-12)
    rows = jax.jit(
        jax.vmap(jax.grad(lambda t, x: jax_model.energy(unravel(t), x)), in_axes=(None, 0))
    )(theta, x)
    gradient = ParameterGradient(model)
    np.testing.assert_allclose(gradient.rows(x), rows, rtol=0, atol=1e-12)
    factors = np.array([0.3, -1.2])
    np.testing.assert_allclose(gradient.sum(x, factors), factors @ rows, rtol=0, atol=1e-12)


def test_offsets_of_the_elements_add_up():
    # Sorted: C, H, O; methanol has one, four and one of them.
    model, offsets = revised(), np.array([-3.0, 0.7, 11.0])
    shifted = replace(model, parameters=model.parameters._replace(offsets=offsets))
    plain = replace(model, parameters=model.parameters._replace(offsets=np.zeros(3)))
    (energy, forces), (other, same) = (
        evaluate(native_model(m), POSITIONS) for m in (shifted, plain)
    )
    assert energy - other == pytest.approx(-3.0 + 4 * 0.7 + 11.0, rel=1e-13)
    np.testing.assert_array_equal(forces, same)


@pytest.mark.parametrize("rank", [1, 2])
def test_centres_in_parallel_give_the_same_bits(rank):
    model = revised(rank=rank)
    serial, parallel = native_model(model), centred_native.native_kernel(model, parallel=True)
    for x in (POSITIONS, POSITIONS[[1, 0, 3, 2, 5, 4]]):
        one, other = evaluate(serial, x), evaluate(parallel, x)
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])


def test_it_is_the_sum_of_the_circuits_of_its_atoms():
    """Independent of the kernel of networks; PennyLane takes the circuit of one atom."""
    model = revised(scalars=False)
    apart = atom_centred.unrolled(model)
    one = evaluate(native_model(model), POSITIONS)
    other = evaluate(native_model(apart), POSITIONS)
    assert one[0] == pytest.approx(other[0], abs=1e-12)
    np.testing.assert_allclose(one[1], other[1], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="depend on the neighbours"):
        atom_centred.unrolled(revised())
    with pytest.raises(ValueError, match="rank two"):
        atom_centred.unrolled(revised(scalars=False, rank=2))


@pytest.mark.parametrize(
    ("species", "form"),
    [
        pytest.param(("O", "H"), "scalars", marks=pytest.mark.slow),
        (("O", "H"), "vectors"),
        (("C", "O", "H"), "tensors"),
    ],
)
def test_it_is_the_network_of_pennylane(species, form):
    """Neighbour by neighbour and atom by atom, as it is defined."""
    model = revised(species, n_qubits=2, n_layers=1, **FORMS[form])
    x = turned(POSITIONS[3 - len(species) : 3], 4)  # polar angles have no slope along z
    energy, forces = network_reference.network_energy_and_forces(model, x)
    found, found_forces = evaluate(native_model(model), x)
    assert found == pytest.approx(energy, abs=1e-12)
    np.testing.assert_allclose(found_forces, forces, rtol=0, atol=1e-10)


def test_only_rank_two_tells_a_square_from_a_tetrahedron():
    """Four neighbours at one distance, beyond the cut-off of each other: all vectors vanish."""
    square = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    for rank, differs in ((1, False), (2, True)):
        network = native_model(revised(("C", *"HHHH"), cutoff=1.3, rank=rank))
        one, other = (
            evaluate(network, np.concatenate([np.zeros((1, 3)), x]))[0]
            for x in (square, tetrahedron)
        )
        # The vectors of both are 0 to some roundings, and their energy is even in them.
        assert (abs(one - other) > 1e-6) == differs


def test_rank_one_is_untouched():
    """Its numbers are drawn first, and its package has no array more."""
    one, two = revised(), revised(rank=2)
    assert trained_arrays(two).keys() - trained_arrays(one).keys() == {"tensors"}
    for name, array in trained_arrays(one).items():
        np.testing.assert_array_equal(array, trained_arrays(two)[name])
    # With no tensors, rank two is rank one.
    none = replace(two, parameters=two.parameters._replace(tensors=0 * two.parameters.tensors))
    energies = [evaluate(native_model(m), POSITIONS)[0] for m in (one, none)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-12)


def test_without_couplings_a_layer_is_the_identity():
    model = atom_centred.uncoupled(revised(n_layers=1))
    tensors = atom_centred.uncoupled(revised(n_layers=1, rank=2)).parameters.tensors
    assert not tensors[:, :, :-1].any() and tensors[:, :, -1].any()
    p = model.parameters
    assert not p.couplings.any() and not p.scalars[:, :, :-1].any() and p.scalars[:, :, -1].any()
    # Encodings of the same axis then add up: one encoding of the sum of both, of one neighbour.
    pair = model.on((0, 1))
    x = np.array([[0, 0, 0], [1.1, 0.3, -0.2]])
    summed = np.zeros_like(p.vectors)
    summed[:, :, 0] = p.vectors.sum(axis=2)
    once = replace(pair, parameters=p._replace(vectors=summed))
    energies = [evaluate(native_model(m), x)[0] for m in (pair, once)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-12)


def test_the_same_numbers_serve_another_molecule():
    model = revised(("O", "H", "H"))
    pair = model.on(model.kinds * 2)
    x = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    both = evaluate(native_model(pair), np.concatenate([x, x + [60.0, 0, 0]]))[0]
    assert both == pytest.approx(2 * evaluate(native_model(model), x)[0], abs=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: atom_centred.circuit(3, 2), "3 is odd"),
        (lambda: PerAtomSum((0, 2), unrolled().models), "must be 0 to 2"),
        (lambda: PerAtomSum((0, 1, 2), unrolled().models), "for all 3 atoms"),
        (lambda: revised().on((0, 3)).check(), "those of its atoms among them"),
        (lambda: replace(revised(), cutoff=0.1), "from a distance to a larger one"),
        (lambda: without_an_observable(revised(rank=2)).check(), "'tensors' does not fit"),
        (lambda: replace(revised(), circuit=sivqlm.water().circuit), "then an ancilla"),
    ],
)
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
