"""Levenberg-Marquardt on normal equations: memory does not grow with the number of residuals.

The damping is scaled by the geometric mean of Levenberg's choice (the same for all parameters)
and Marquardt's [1]_ (the diagonal of the Hessian); measured on water from two starts, this ends
lower than either. It follows the ratio of actual to predicted reduction by the rule of [2]_.

References
----------
.. [1] D. W. Marquardt, J. Soc. Ind. Appl. Math. 11, 431 (1963).
.. [2] H. B. Nielsen, Damping parameter in Marquardt's method, IMM-REP-1999-05, DTU (1999).
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from qmd.train.problem import OptimiserProgress, Problem, Report
from qmd.typing import Array

FTOL, XTOL, PATIENCE = 1e-6, 1e-9, 5
"""Relative reduction of the cost and relative size of a step that count as small, and the number of
small steps that end a fit: a single one may be a bend of a narrow valley."""
START_DAMPING, MAX_DAMPING = 1e-3, 1e12


def levenberg_marquardt(
    problem: Problem, begin: OptimiserProgress, evaluations: int, report: Report
) -> None:
    """Resume from `begin` until `evaluations` in total or convergence; report accepted points."""
    theta, damping, growth = begin.theta, START_DAMPING, 2.0
    if begin.memory:
        damping, growth = begin.memory[0].tolist()
    cost, gradient, hessian = problem.normal(theta)
    count, n_small = begin.iteration + 1, 0
    report(_progress(problem, count, cost, theta, damping, growth))
    while count < evaluations and damping < MAX_DAMPING:
        step = _step(gradient, hessian, damping)
        new_cost = problem.cost(theta + step)
        count += 1
        predicted = -(gradient @ step + 0.5 * step @ hessian @ step)
        ratio = (cost - new_cost) / predicted if predicted > 0 else -1.0
        if not ratio > 0:  # no reduction, or not a number
            damping, growth = damping * growth, 2 * growth
            continue
        damping, growth = float(damping * max(1 / 3, 1 - (2 * ratio - 1) ** 3)), 2.0
        small = cost - new_cost < FTOL * cost or _norm(step) < XTOL * _norm(theta)
        n_small = n_small + 1 if small else 0
        theta = theta + step
        cost, gradient, hessian = problem.normal(theta)
        report(_progress(problem, count, cost, theta, damping, growth))
        if n_small == PATIENCE:
            return


def _step(gradient: Array, hessian: Array, damping: float) -> Array:
    """Solve ``(H + damping sqrt(diag H mean(diag H))) step = -gradient``."""
    diagonal = np.diag(hessian)
    damped = hessian + np.diag(damping * np.sqrt(diagonal * diagonal.mean()))
    try:
        step: Array = -cho_solve(cho_factor(damped), gradient)
    except LinAlgError:  # not positive definite, by rounding
        step = np.asarray(-np.linalg.lstsq(damped, gradient, rcond=None)[0], float)
    return step


def _norm(values: Array) -> float:
    return float(np.linalg.norm(values))


def _progress(
    problem: Problem, count: int, cost: float, theta: Array, damping: float, growth: float
) -> OptimiserProgress:
    return OptimiserProgress(count, cost / problem.n_frames, theta, (np.array([damping, growth]),))
