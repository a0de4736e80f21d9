"""Atom-centred networks: symmetries, locality, smoothness, derivatives, and that they learn."""

from dataclasses import replace
from itertools import permutations

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.spatial.transform import Rotation

from qmd.potentials import (
    AtomCentred,
    ParameterGradient,
    atom_centred,
    evaluate,
    jax_model,
    native_model,
)

METHANOL = ("C", "O", "H", "H", "H", "H")
POSITIONS = np.array(
    [[0, 0, 0], [1.42, 0, 0], [1.75, 0.9, 0], [-0.4, 1, 0.1], [-0.4, -0.5, 0.9], [-0.4, -0.5, -0.9]]
)
SMALL = {"n_qubits": 4, "n_layers": 2, "n_radial": 6, "cutoff": 3.0}


def revised(species: tuple[str, ...] = METHANOL, seed: int = 1, **settings) -> AtomCentred:
    return atom_centred.revised(species, seed, **(SMALL | settings))


@pytest.fixture(scope="module")
def kernel():
    return native_model(revised())


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


def test_what_is_beyond_the_cutoff_is_not_there_and_leaves_smoothly(kernel):
    water = revised(("O", "H", "H"))
    both = revised(("O", "H", "H") * 2)
    x = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    one, _ = evaluate(native_model(water), x)
    pair = native_model(both)
    apart, forces = evaluate(pair, np.concatenate([x, x + [50.0, 0, 0]]))
    assert apart == pytest.approx(2 * one, abs=1e-12)  # extensive
    np.testing.assert_allclose(forces[:3], evaluate(native_model(water), x)[1], rtol=0, atol=1e-12)
    # A hydrogen leaves along the line of a bond: its density ends as d^3, so does the energy.
    left = [np.array([[0, 0, 0], [-0.96, 0, 0], [3.0 - d, 0, 0]]) for d in (-0.1, 0.02, 0.04)]
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


def test_derivatives_by_the_numbers_are_those_of_jax():
    model = revised(("O", "H", "H"), n_qubits=2, n_layers=1, n_radial=3)
    x = np.random.default_rng(2).standard_normal((2, 3, 3)) + POSITIONS[[1, 0, 2]]
    theta, unravel = ravel_pytree(model)
    by_jax = jax.jit(
        jax.vmap(jax.grad(lambda t, x: jax_model.energy(unravel(t), x)), in_axes=(None, 0))
    )(theta, x)
    gradient = ParameterGradient(model)
    np.testing.assert_allclose(gradient.rows(x), by_jax, rtol=0, atol=1e-12)
    factors = np.array([0.3, -1.2])
    np.testing.assert_allclose(gradient.sum(x, factors), factors @ by_jax, rtol=0, atol=1e-12)


def test_the_same_numbers_serve_another_molecule():
    """Radial functions, couplings and heads of the elements, on other surroundings."""
    water, peroxide = revised(("O", "H", "H")), revised(("O", "O", "H", "H"))
    moved = replace(
        peroxide,
        models=tuple(
            replace(to, parameters=of.parameters)
            for to, of in zip(peroxide.models, water.models, strict=True)
        ),
    )
    x = np.array([[0, 0, 0], [60.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    alone = evaluate(native_model(water), x[[0, 2, 3]])[0]
    lone = moved.models[1]  # an oxygen without neighbours: its circuit at v = 0
    offset = evaluate(native_model(moved), x)[0] - alone
    far = x + np.array([[0, 0, 0], [5.0, 1, 2], [0, 0, 0], [0, 0, 0]])
    assert evaluate(native_model(moved), far)[0] - alone == pytest.approx(offset, abs=1e-12)
    assert lone.parameters is water.models[1].parameters


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: atom_centred.circuit(3, 2), "3 is odd"),
        (lambda: AtomCentred((0, 2), revised().models), "must be 0 to 2"),
        (lambda: AtomCentred((0, 1, 2), revised().models), "for all 3 atoms"),
    ],
)
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
