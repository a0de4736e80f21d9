"""Invariant polynomials: how many there are, what they cannot tell apart, and what they can fit."""

import dataclasses

import numpy as np
import pytest
from ase.units import Hartree

from qmd.potentials import InvariantPolynomial, evaluate, native_model, polynomial
from qmd.potentials.polynomial.polynomial import PolynomialParameters

WATER = np.array([[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
AMMONIA = np.array([[0, 0, 0], [0.94, 0, -0.38], [-0.47, 0.81, -0.38], [-0.47, -0.81, -0.38]])


def filled(species: tuple[str, ...], degree: int, x: np.ndarray, seed: int) -> InvariantPolynomial:
    zero = polynomial.molecule(species, degree, x[None])
    weights = np.random.default_rng(seed).standard_normal(zero.parameters.weights.shape)
    return dataclasses.replace(zero, parameters=zero.parameters._replace(weights=weights))


@pytest.mark.parametrize(("species", "degree", "expected"), [
    # Molien's series summed up to the degree. A2B: 1 / ((1 - t)^2 (1 - t^2)), so 1 + 2t + 4t^2 +
    # 6t^3 + ...; A2: 1 / (1 - t); ABC: 1 / (1 - t)^3.
    (("O", "H", "H"), 1, 3), (("O", "H", "H"), 2, 7), (("O", "H", "H"), 3, 13),
    (("O", "H", "H"), 7, 70), (("Li", "H"), 9, 10), (("H", "C", "N"), 3, 20),
])  # fmt: skip
def test_there_are_as_many_terms_as_invariants(species, degree, expected):
    x = np.random.default_rng(0).standard_normal((1, len(species), 3))
    assert len(polynomial.molecule(species, degree, x).orbits) == expected


def test_nothing_tells_apart_what_is_alike():
    kernel = native_model(filled(("N", "H", "H", "H"), 4, AMMONIA, 1))
    rng = np.random.default_rng(2)
    x = AMMONIA + 0.1 * rng.standard_normal((4, 3))
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))  # a reflection or not
    energy, forces = evaluate(kernel, x)
    energy, forces = float(energy), forces.copy()
    for order in ([0, 2, 1, 3], [0, 2, 3, 1]):
        moved, f = evaluate(kernel, np.ascontiguousarray(x[order] @ turn.T + [1.0, -2.0, 0.5]))
        # Sums of 210 monomials of order 1, in another order: some 100 roundings of 1e-16.
        assert moved == pytest.approx(energy, abs=1e-13)
        np.testing.assert_allclose(f, forces[order] @ turn.T, rtol=0, atol=1e-12)


def test_forces_are_the_slope():
    kernel = native_model(filled(("O", "H", "H"), 7, WATER, 3))
    x = WATER + 0.05 * np.random.default_rng(4).standard_normal((3, 3))
    forces = evaluate(kernel, x)[1].copy()
    h, found = 1e-5, np.empty_like(x)
    for k in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[k] += sign * h
            ends.append(float(evaluate(kernel, moved)[0]))
        found[k] = -(ends[0] - ends[1]) / (2 * h)
    # h^2/6 times a third derivative of up to 1e2 eV/angstrom^3, and 1e-16/h of rounding.
    np.testing.assert_allclose(forces, found, rtol=0, atol=1e-8)


def test_a_morse_oscillator_is_its_polynomial_of_degree_two():
    # y = exp((c - r)/a) - 1 about the minimum: D y^2 is Morse's curve of depth D.
    depth, length, r0 = 0.1 * Hartree, 0.6, 1.1
    parameters = PolynomialParameters(np.array([0.0, 0.0, depth]), np.asarray(length))
    model = InvariantPolynomial(((0,), (1,)), 2, (r0,), parameters)
    kernel = native_model(model)
    for r in (0.8, 1.1, 1.7, 20.0):
        energy, forces = evaluate(kernel, np.array([[0, 0, 0], [0, 0, r]]))
        gone = np.exp(-(r - r0) / length)
        assert energy == pytest.approx(depth * (1 - gone) ** 2, abs=1e-14)
        assert forces[1, 2] == pytest.approx(-2 * depth / length * (1 - gone) * gone, abs=1e-13)


@pytest.mark.parametrize(("like", "degree", "centres", "message"), [
    (((0,), (2,)), 2, (1.0,), "each atom of a molecule once"),
    (((0,), (1,)), 13, (1.0,), "1 to 12"),
    (((0,), (1, 2, 3, 4)), 12, (1.0,) * 10, "20000 monomials"),
    (((0,), (1, 2)), 2, (1.0, 1.1, 1.5), "one centre"),
    (((0,), (1, 2)), 2, (1.0, 1.0), "3 distances needs a positive centre"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(like, degree, centres, message):
    with pytest.raises(ValueError, match=message):
        InvariantPolynomial(
            like, degree, centres, PolynomialParameters(np.zeros(1), np.asarray(1.0))
        )
