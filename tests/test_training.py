"""Least squares on energies and forces, on circuits small enough to know the answer."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from qmd import training
from qmd.potentials import Parameters, sivqlm

LIH = sivqlm.lih(n_layers=2)


@pytest.fixture(scope="module")
def known() -> Parameters:
    rng = np.random.default_rng(3)
    return Parameters(
        scales=np.array([[0.4]]),
        couplings=0.4 * rng.standard_normal((2, 3)),
        weights=np.array([2.0]),
        offset=np.array(0.5),
    )


def lih_positions(bond_lengths: np.ndarray) -> np.ndarray:
    positions = np.zeros((len(bond_lengths), 2, 3))
    positions[:, 1, 0] = bond_lengths
    return positions


@pytest.fixture(scope="module")
def frames(known) -> training.Frames:
    positions = lih_positions(np.linspace(1.0, 3.5, 25))
    return training.Frames(positions, *training.predict(LIH, known, positions))


@pytest.mark.parametrize("n_atoms", [2, 3, 6])
def test_internal_directions_neither_translate_nor_rotate(n_atoms):
    positions = np.random.default_rng(0).standard_normal((4, n_atoms, 3))
    directions = training.internal_directions(positions)
    assert directions.shape == (4, 3 * n_atoms - (5 if n_atoms == 2 else 6), n_atoms, 3)
    for x, basis in zip(positions, directions, strict=True):
        flat = basis.reshape(len(basis), -1)
        np.testing.assert_allclose(flat @ flat.T, np.eye(len(flat)), atol=1e-12)
        assert np.abs(basis.sum(axis=1)).max() < 1e-12
        assert np.abs(np.cross(x - x.mean(axis=0), basis).sum(axis=1)).max() < 1e-12


def test_the_jacobian_is_the_derivative_of_the_residuals(known, frames):
    flat, unravel = ravel_pytree(known)
    problem = training._Problem(LIH, frames, unravel, 3.0, None)
    theta = np.asarray(flat)
    residuals, jacobian = problem.linearise(theta)
    np.testing.assert_allclose(residuals, problem.residuals(theta), atol=1e-13)
    direction = np.random.default_rng(1).standard_normal(theta.size)
    h = 1e-5
    ahead, behind = (problem.residuals(theta + s * h * direction) for s in (1, -1))
    slope = (ahead - behind) / (2 * h)
    # h^2/6 times a third derivative of order 100, and rounding 1e-15 / 1e-5.
    np.testing.assert_allclose(jacobian @ direction, slope, atol=1e-7)


def test_a_fit_finds_the_parameters_that_made_the_labels(known, frames):
    rng = np.random.default_rng(2)
    near = jax.tree.map(lambda p: p * (1 + 0.05 * rng.standard_normal(np.shape(p))), known)
    near = Parameters(*(np.asarray(p) for p in near))
    seen = []
    fit = training.fit(
        LIH, frames, near, max_evaluations=60, report=lambda i, cost: seen.append(cost)
    )
    # What is left is the ridge: 1e-8 / 2 times the squares of ten parameters of order 1.
    assert fit.cost < 1e-7
    assert seen[0] > 1e-4 and seen == fit.history
    errors = training.errors(LIH, fit.parameters, frames)
    assert errors.energy_rmse_meV < 1e-3 and errors.forces_rmse_meV_per_A < 1e-3


def test_a_start_is_a_function_of_its_seed_and_fits_the_architecture(frames):
    first, again, other = (training.start(LIH, frames.energies, seed) for seed in (1, 1, 2))
    LIH.check(first)
    np.testing.assert_array_equal(first.couplings, again.couplings)
    assert np.abs(first.couplings - other.couplings).max() > 1e-3
