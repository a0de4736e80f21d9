"""Least squares and first order on circuits small enough to know the answer."""

import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import least_squares as scipy_least_squares

from qmd.potentials import Parameters, Quantum, sivqlm
from qmd.train import problem as training
from qmd.train.config import WaterConfig
from qmd.train.jax_engine import JaxEngine
from qmd.train.native_engine import NativeEngine
from qmd.train.optimisers import first_order, least_squares
from qmd.train.optimisers.levenberg_marquardt import levenberg_marquardt
from qmd.train.predict import Predictor, errors

LIH = sivqlm.lih(n_layers=2)
LOSS = training.Loss(energy_weight=3.0, high_energy=1.0, power=2)


@pytest.fixture(scope="module")
def known() -> Quantum:
    rng = np.random.default_rng(3)
    parameters = Parameters(
        scales=np.array([[0.4]]),
        couplings=0.4 * rng.standard_normal((2, 3)),
        weights=np.array([2.0]),
        offset=np.array(0.5),
    )
    return Quantum(LIH, parameters)


def flat(model) -> np.ndarray:
    return np.asarray(ravel_pytree(model)[0])


@pytest.fixture(scope="module")
def frames(known) -> training.Frames:
    positions = np.zeros((25, 2, 3))
    positions[:, 1, 0] = np.linspace(1.0, 3.5, 25)
    return training.Frames(positions, *Predictor(known, positions)(flat(known)))


@pytest.fixture(scope="module")
def problem(known, frames) -> training.Problem:
    return training.Problem(known, frames, LOSS, JaxEngine, threads=2)


@pytest.fixture(scope="module")
def near(known) -> np.ndarray:
    rng = np.random.default_rng(2)
    return flat(known) * (1 + 0.05 * rng.standard_normal(flat(known).size))


class Log(list):
    """Keeps what an optimiser reports."""

    def __call__(self, progress: training.OptimiserProgress) -> None:
        self.append(progress)


def begin(theta: np.ndarray) -> training.OptimiserProgress:
    return training.OptimiserProgress(0, np.inf, theta)


@pytest.mark.parametrize("rotations", [True, False])
@pytest.mark.parametrize("n_atoms", [2, 3, 6])
def test_internal_directions_neither_translate_nor_rotate(n_atoms, rotations):
    positions = np.random.default_rng(0).standard_normal((4, n_atoms, 3))
    directions = training.internal_directions(positions, rotations=rotations)
    n_fixed = 3 if not rotations else 5 if n_atoms == 2 else 6
    assert directions.shape == (4, 3 * n_atoms - n_fixed, n_atoms, 3)
    for x, basis in zip(positions, directions, strict=True):
        rows = basis.reshape(len(basis), -1)
        np.testing.assert_allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-12)
        assert np.abs(basis.sum(axis=1)).max() < 1e-12
        torque = np.abs(np.cross(x - x.mean(axis=0), basis).sum(axis=1)).max()
        assert torque < 1e-12 if rotations else torque > 0.1


@pytest.mark.parametrize("forces", [True, False])
def test_the_jacobian_is_the_derivative_of_the_residuals(known, frames, problem, near, forces):
    if not forces:
        problem = training.Problem(known, frames, training.Loss(forces=False), JaxEngine)
    residuals, jacobian = problem.linearise(near)
    assert len(residuals) == 25 * (2 if forces else 1) + near.size
    np.testing.assert_allclose(residuals, problem.residuals(near), atol=1e-13)
    direction = np.random.default_rng(1).standard_normal(near.size)
    h = 1e-5
    ahead, behind = (problem.residuals(near + s * h * direction) for s in (1, -1))
    slope = (ahead - behind) / (2 * h)
    # h^2/6 times a third derivative of order 100, and rounding 1e-15 / 1e-5.
    np.testing.assert_allclose(jacobian @ direction, slope, atol=1e-7)


def test_residuals_are_weighted_errors_of_energies_and_internal_forces(
    known, frames, problem, near
):
    residuals = problem.residuals(near)[:50].reshape(25, 2)
    energies, forces = Predictor(known, frames.positions)(near)
    weights = 1 / (1 + np.maximum(frames.energies, 0) ** 2)
    assert np.ptp(weights) > 0.3
    expected = 3 * weights * (energies - frames.energies)
    np.testing.assert_allclose(residuals[:, 0], expected, atol=1e-13)
    # The one internal direction of two atoms holds all of the force error.
    wrong = weights * np.linalg.norm((forces - frames.forces).reshape(25, -1), axis=1)
    np.testing.assert_allclose(np.abs(residuals[:, 1]), wrong, atol=1e-12)


def test_chunks_that_are_filled_up_change_nothing(known, frames, problem, near, monkeypatch):
    monkeypatch.setattr(training, "CHUNK", 7)  # 4 chunks of 7 for 25 frames
    parts = training.Problem(known, frames, LOSS, JaxEngine)
    np.testing.assert_allclose(parts.residuals(near), problem.residuals(near), atol=1e-13)
    residuals, jacobian = problem.linearise(near)
    cost, gradient, hessian = parts.normal(near)
    # Sums of 60 products of order 1 to 10, in another order.
    assert cost == pytest.approx(0.5 * residuals @ residuals, rel=1e-12)
    np.testing.assert_allclose(gradient, jacobian.T @ residuals, atol=1e-11)
    np.testing.assert_allclose(hessian, jacobian.T @ jacobian, atol=1e-10)
    for got, expected in zip(parts.frames, problem.frames, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_least_squares_finds_the_parameters_that_made_the_labels(known, frames, problem, near):
    log = Log()
    least_squares.minimise(problem, begin(near), 60, log)
    # What is left is the ridge: 1e-8 / 2 times the squares of ten parameters of order 1.
    assert log[0].loss > 1e-5 and log[-1].loss < 1e-7 / 25
    assert log[0].iteration == 1 and log[-1].iteration <= 60
    found = errors(*Predictor(known, frames.positions)(log[-1].theta), frames)
    assert found.energy_rmse_meV < 1e-3 and found.forces_rmse_meV_per_A < 1e-3


@pytest.mark.slow
def test_levenberg_marquardt_ends_where_scipy_does(known, frames, near):
    noise = 0.02 * np.random.default_rng(4).standard_normal(25)
    problem = training.Problem(
        known, frames._replace(energies=frames.energies + noise), LOSS, JaxEngine
    )
    log = Log()
    levenberg_marquardt(problem, begin(near), 100, log)
    scipy = scipy_least_squares(
        problem.residuals, near, jac=lambda theta: problem.linearise(theta)[1], ftol=1e-10
    )
    losses = [progress.loss for progress in log]
    assert losses == sorted(losses, reverse=True) and losses[0] > 5 * losses[-1]
    # It stops at five steps that gain less than 1e-6 each; a slow valley may hold some more.
    assert losses[-1] * problem.n_frames == pytest.approx(scipy.cost, rel=1e-3)


def test_levenberg_marquardt_goes_on_where_it_stopped(problem, near):
    log, rest = Log(), Log()
    levenberg_marquardt(problem, begin(near), 12, log)
    middle = log[2]
    levenberg_marquardt(problem, middle, 12, rest)
    # The first evaluation of a continued fit is that of the point where it stopped.
    assert rest[0].loss == middle.loss
    assert rest[1].loss == pytest.approx(log[3].loss, rel=1e-9)


def test_a_pull_holds_parameters_to_where_they_were(problem, near):
    anchored = problem.anchored(near, 0.3)
    away = near + 0.1
    (r, j), (plain, plain_j) = anchored.linearise(away), problem.linearise(away)
    np.testing.assert_allclose(r, np.concatenate([plain, np.full(near.size, 0.03)]), atol=1e-13)
    np.testing.assert_allclose(j[: len(plain)], plain_j, atol=1e-13)
    np.testing.assert_array_equal(j[len(plain) :], 0.3 * np.eye(near.size))
    cost, gradient, hessian = anchored.normal(away)
    assert cost == pytest.approx(0.5 * r @ r, rel=1e-12)
    np.testing.assert_allclose(gradient, j.T @ r, atol=1e-11)
    np.testing.assert_allclose(hessian, j.T @ j, atol=1e-10)
    ends = [Log(), Log(), Log()]
    for weight, log in zip((0.0, 1.0, 100.0), ends, strict=True):
        levenberg_marquardt(problem.anchored(near, weight), begin(near), 20, log)
    moved = [np.linalg.norm(log[-1].theta - near) for log in ends]
    assert moved[0] > moved[1] > 3 * moved[2]


ADAM = {
    "steps": 40, "batch": 8, "learning_rate": 0.01, "final_fraction": 0.1, "weight_decay": 0.0,
    "ema": 0.0, "report_every": 10, "seed": 5,
}  # fmt: skip


@pytest.mark.slow
def test_adam_is_the_same_to_the_last_bit_when_it_is_stopped_and_goes_on(problem, near):
    whole, rest = Log(), Log()
    first_order.adam(problem, begin(near), whole, **ADAM)
    assert [p.iteration for p in whole] == [10, 20, 30, 40]
    first_order.adam(problem, whole[1], rest, **ADAM)
    for a, b in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(a.theta, b.theta)
    other = Log()
    first_order.adam(problem, begin(near), other, **ADAM | {"seed": 6})
    assert np.abs(other[-1].theta - whole[-1].theta).max() > 1e-6


def test_adam_takes_the_first_step_of_its_definition(problem, near):
    log = Log()
    first_order.adam(problem, begin(near), log, **ADAM | {"batch": None, "steps": 1})
    residuals, rows = problem.linearise(near)
    n = residuals.size - near.size  # without the ridge
    slope = rows[:n].T @ residuals[:n] / problem.n_frames
    # Both moments are those of one gradient: the learning rate against its sign, where it has one.
    np.testing.assert_allclose(
        log[0].theta, near - 0.01 * slope / (np.abs(slope) + 1e-8), atol=1e-12
    )


def test_adam_keeps_an_average_and_decays_weights(known, frames, near):
    problem = training.Problem(known, frames, LOSS, NativeEngine)
    plain, average, decayed = Log(), Log(), Log()
    every = {**ADAM, "batch": None, "steps": 3, "report_every": 1}
    first_order.adam(problem, begin(near), plain, **every)
    first_order.adam(problem, begin(near), average, **every | {"ema": 0.5})
    first_order.adam(problem, begin(near), decayed, **every | {"weight_decay": 0.1, "steps": 1})
    path = np.array([p.theta for p in plain])
    np.testing.assert_array_equal([p.theta for p in average], path)
    # Weights 1/4, 1/2, 1 of the three steps, over their sum.
    expected = np.average(path, axis=0, weights=[0.25, 0.5, 1.0])
    np.testing.assert_allclose(average[-1].scored, expected, atol=1e-14)
    np.testing.assert_allclose(decayed[0].theta, path[0] - 0.01 * 0.1 * near, atol=1e-14)


@pytest.mark.slow  # compiling the line search takes a minute on a busy core
def test_lbfgs_goes_down_to_the_minimum(problem, near):
    log = Log()
    first_order.lbfgs(problem, begin(near), log, steps=60, memory=8, report_every=20)
    # No ridge here: the labels can be met. Gradient descent, at a rate 1 - 1/condition, cannot.
    assert [p.iteration for p in log] == [20, 40, 60]
    assert log[0].loss > log[1].loss > log[2].loss
    assert log[-1].loss < 1e-5 * problem.cost(near) / problem.n_frames


def test_a_start_is_a_function_of_its_seed_and_fits_the_architecture(frames, tmp_path):
    config = WaterConfig(kind="sivqlm-h2o", layers=3)
    first, again, other = (config.first_model(tmp_path, frames, seed) for seed in (1, 1, 2))
    first.check()
    np.testing.assert_array_equal(flat(first), flat(again))
    assert np.abs(flat(first) - flat(other)).max() > 1e-3
