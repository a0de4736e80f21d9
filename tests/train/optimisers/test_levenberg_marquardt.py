"""Levenberg-Marquardt on functions of a few numbers, without a model."""

from typing import Any

import numpy as np
import pytest

from qmd.train.optimisers.levenberg_marquardt import _step, levenberg_marquardt
from qmd.train.problem import OptimiserProgress


class Rosenbrock:
    """Residuals ``10 (y - x^2)`` and ``1 - x``."""

    n_frames = 1

    def cost(self, theta: np.ndarray) -> float:
        return self.normal(theta)[0]

    def normal(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        x, y = theta
        r, j = np.array([10 * (y - x**2), 1 - x]), np.array([[-20 * x, 10.0], [-1.0, 0.0]])
        return 0.5 * float(r @ r), j.T @ r, j.T @ j


def fitted(begin: OptimiserProgress, evaluations: int) -> list[OptimiserProgress]:
    points: list[OptimiserProgress] = []
    problem: Any = Rosenbrock()
    levenberg_marquardt(problem, begin, evaluations, points.append)
    return points


START = OptimiserProgress(0, 0.0, np.array([-1.2, 1.0]))


def test_it_reaches_the_minimum_of_a_bent_valley_downhill() -> None:
    points = fitted(START, 200)
    losses = [point.loss for point in points]
    assert losses == sorted(losses, reverse=True) and len(points) < 100
    np.testing.assert_allclose(points[-1].theta, [1, 1], atol=1e-6)


def test_it_goes_on_where_it_was_stopped_to_the_last_bit() -> None:
    whole = fitted(START, 60)
    first = next(point for point in whole if point.iteration >= 10)
    # The evaluation at the start of a session is counted again.
    again = fitted(first._replace(iteration=first.iteration - 1), 60)
    assert again[0].iteration == first.iteration
    for one, other in zip(again, whole[whole.index(first) :], strict=True):
        np.testing.assert_array_equal(one.theta, other.theta)
        np.testing.assert_array_equal(one.memory[0], other.memory[0])


def test_a_step_solves_the_damped_equations() -> None:
    rng = np.random.default_rng(2)
    half, gradient, damping = rng.standard_normal((5, 5)), rng.standard_normal(5), 0.3
    hessian = half @ half.T
    diagonal = np.diag(hessian)
    damped = hessian + damping * np.diag(np.sqrt(diagonal * diagonal.mean()))
    np.testing.assert_allclose(damped @ _step(gradient, hessian, damping), -gradient, atol=1e-12)


@pytest.mark.parametrize("damping", [1e-9, 1e9])
def test_damping_leads_from_gauss_and_newton_to_the_gradient(damping: float) -> None:
    hessian, gradient = np.diag([4.0, 4.0]), np.array([1.0, -2.0])
    expected = -gradient / (4 * damping) if damping > 1 else -gradient / 4
    np.testing.assert_allclose(_step(gradient, hessian, damping), expected, rtol=1e-8)
