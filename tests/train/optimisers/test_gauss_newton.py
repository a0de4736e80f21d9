"""Gauss-Newton in batches: its step, its draws, resume, and several molecules at once."""

import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from network_fits import NETWORK, PEROXIDE, frames_of

from qmd.train import models
from qmd.train import problem as training
from qmd.train.config import AtomCentredNetworkConfig, PerceptronConfig
from qmd.train.jax_engine import JaxEngine
from qmd.train.native_engine import NativeEngine, NativePredictor
from qmd.train.optimisers import gauss_newton

SETTINGS = gauss_newton.Settings(
    steps=12, batch=4, slopes=2, learning_rate=0.3, momentum=0.9, damping=1e-3, report_every=4,
    seed=5,
)  # fmt: skip


def theta_of(model) -> np.ndarray:
    return np.array(ravel_pytree(model)[0])


def problem_of(model, n: int = 20, engine=NativeEngine, **settings) -> training.Problem:
    return training.Problem(
        model, frames_of(model, n, 3), training.Loss(energy_weight=1.0), engine, **settings
    )


@pytest.fixture(scope="module")
def problem() -> training.Problem:
    return problem_of(NETWORK)


def fit(problem, settings, begin=None) -> list[training.OptimiserProgress]:
    log: list[training.OptimiserProgress] = []
    start = begin or training.OptimiserProgress(0, np.inf, theta_of(NETWORK))
    gauss_newton.minimise(problem, start, settings, log.append)
    return log


def test_a_step_without_momentum_is_that_of_damped_least_squares(problem):
    settings = gauss_newton.Settings(1, 20, None, 0.1, 0.0, 1e-3, 1, 5)
    residuals, rows = problem.linearise(theta_of(NETWORK))
    n = 20 * 4  # without the ridge
    r, j = residuals[:n], rows[:n]
    damping = 1e-3 * np.sum(j**2) / n
    # The same step in the space of the parameters: (J^T J + d)^-1 J^T = J^T (J J^T + d)^-1.
    step = -np.linalg.solve(j.T @ j + damping * np.eye(j.shape[1]), j.T @ r)
    moved = fit(problem, settings)[0].theta - theta_of(NETWORK)
    np.testing.assert_allclose(moved, 0.1 * step, rtol=1e-7, atol=1e-9)


def test_it_goes_on_to_the_last_bit_where_it_was_stopped(problem):
    whole = fit(problem, SETTINGS)
    assert [p.iteration for p in whole] == [4, 8, 12]
    rest = fit(problem, SETTINGS, whole[1])
    np.testing.assert_array_equal(rest[-1].theta, whole[-1].theta)
    other = fit(problem, gauss_newton.Settings(12, 4, 2, 0.3, 0.9, 1e-3, 4, 6))
    assert np.abs(other[-1].theta - whole[-1].theta).max() > 1e-6


@pytest.mark.slow
def test_threads_and_jax_go_the_same_way(problem):
    one = fit(problem, SETTINGS)[-1].theta
    two = fit(problem_of(NETWORK, threads=2), SETTINGS)[-1].theta
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-10)
    by_jax = fit(problem_of(NETWORK, engine=JaxEngine), SETTINGS)[-1].theta
    # Derivatives of slopes are central differences in one of them: 1e-6 of the largest.
    np.testing.assert_allclose(by_jax, one, rtol=0, atol=1e-3)


def test_all_frames_are_drawn_once_in_an_epoch():
    drawn = [gauss_newton.draw_batch(20, 6, step, 1).tolist() for step in range(6)]
    for epoch in (drawn[:3], drawn[3:]):
        assert len({frame for batch in epoch for frame in batch}) == 18
    assert drawn[:3] != drawn[3:]
    assert sorted(gauss_newton.draw_batch(3, 6, 0, 1).tolist()) == [0, 1, 2]


def test_two_molecules_are_fitted_by_the_same_numbers(problem):
    other = problem_of(PEROXIDE)
    joint = training.JointProblem([problem, other])
    assert joint.n_frames == 40
    settings = gauss_newton.Settings(150, 20, None, 0.3, 0.9, 1e-6, 150, 5)
    theta = fit(joint, settings)[-1].theta
    for one in (problem, other):
        at_begin, at_end = (one.cost(t) for t in (theta_of(NETWORK), theta))
        assert at_end < 1e-3 * at_begin  # measured: 1e-5; the labels can be met by both


def test_the_zero_of_energies_is_that_of_all_frames(problem):
    """Two molecules of two elements: two constants leave no mean residual of either."""
    offset_mask = models.offset_mask(NETWORK)
    assert offset_mask.sum() == 2
    joint = training.JointProblem([problem, problem_of(PEROXIDE)])
    theta = theta_of(NETWORK) + 0.3 * offset_mask
    level = gauss_newton.with_best_offsets(joint, theta, offset_mask)
    np.testing.assert_array_equal(level[offset_mask == 0], theta[offset_mask == 0])
    for model in (NETWORK, PEROXIDE):
        frames = frames_of(model, 20, 3)
        energies, _ = NativePredictor(model, frames.positions)(level)
        # A ridge of 1e-4 on 0.3 eV beside 20 residuals: 1e-10 eV.
        assert abs(np.mean(energies - frames.energies)) < 1e-6
    np.testing.assert_array_equal(
        gauss_newton.with_best_offsets(joint, theta, 0 * offset_mask), theta
    )
    log: list[training.OptimiserProgress] = []
    begin = training.OptimiserProgress(0, np.inf, theta)
    gauss_newton.minimise(joint, begin, SETTINGS, log.append, offset_mask)
    assert log[-1].scored is not None
    np.testing.assert_array_equal(
        log[-1].scored, gauss_newton.with_best_offsets(joint, log[-1].theta, offset_mask)
    )


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("control", ["uncoupled", "frozen"])
def test_a_control_keeps_what_it_must(control, rank):
    config = AtomCentredNetworkConfig(
        kind="qnn-revised", species=["O", "H", "H"], qubits=2, layers=1, radial=4, cutoff_A=3.0,
        control=control, rank=rank,
    )  # fmt: skip
    frames = frames_of(NETWORK, 20, 3)
    model = config.first_model(None, frames, 1)
    trainable_mask = config.trainable_mask(model)
    problem = training.Problem(
        model, frames, training.Loss(), NativeEngine, trainable_mask=trainable_mask
    )
    log: list[training.OptimiserProgress] = []
    begin = training.OptimiserProgress(0, np.inf, theta_of(model))
    gauss_newton.minimise(problem, begin, SETTINGS, log.append)
    after = ravel_pytree(model)[1](log[-1].theta).parameters
    before = model.parameters
    np.testing.assert_array_equal(after.couplings, before.couplings)
    assert np.abs(after.weights - before.weights).max() > 1e-3
    if control == "frozen":
        np.testing.assert_array_equal(after.vectors, before.vectors)
        np.testing.assert_array_equal(after.scalars, before.scalars)
        np.testing.assert_array_equal(after.tensors, before.tensors)
    else:
        assert not np.any(after.couplings) and not np.any(after.scalars[:, :, :-1])
        assert np.abs(after.vectors - before.vectors).max() > 1e-3
        if rank == 2:
            assert not np.any(after.tensors[:, :, :-1])
            assert np.abs(after.tensors - before.tensors).max() > 1e-4  # of 0.02


@pytest.mark.slow
def test_the_classical_control_is_fitted_by_jax():
    config = PerceptronConfig(
        kind="perceptron", species=["O", "H", "H"], vectors=3, scalars=2, hidden=4, radial=4,
        cutoff_A=3.0,
    )  # fmt: skip
    frames = frames_of(NETWORK, 20, 3)
    model = config.first_model(None, frames, 1)
    problem = training.Problem(model, frames, training.Loss(energy_weight=1.0), JaxEngine)
    log: list[training.OptimiserProgress] = []
    begin = training.OptimiserProgress(0, np.inf, theta_of(model))
    settings = gauss_newton.Settings(60, 20, None, 0.3, 0.9, 1e-5, 60, 5)
    gauss_newton.minimise(problem, begin, settings, log.append)
    assert problem.cost(log[-1].theta) < 1e-2 * problem.cost(theta_of(model))
