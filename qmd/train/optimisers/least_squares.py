"""Second-order optimisation of a `Problem`: exact Jacobians of its residuals."""

import numpy as np
from scipy.optimize import least_squares

from qmd.train.optimisers.levenberg_marquardt import levenberg_marquardt
from qmd.train.problem import OptimiserProgress, Problem, Report
from qmd.typing import Array

MAX_DENSE = 300
"""Largest number of parameters for which the whole Jacobian is stored and decomposed."""


def method(n_parameters: int) -> str:
    """Return a description of the method that is used for this number of parameters."""
    if n_parameters <= MAX_DENSE:
        return "trust-region least squares (scipy), exact Jacobian"
    return "Levenberg-Marquardt on normal equations, exact Jacobian in chunks"


def minimise(problem: Problem, begin: OptimiserProgress, evaluations: int, report: Report) -> None:
    """Resume from `begin` until `evaluations` in total or convergence; report accepted points.

    Parameters
    ----------
    problem : Problem
    begin : OptimiserProgress
        State to resume from, without its memory: a resumed fit finds its step size again.
    evaluations : int
        Largest number of evaluations of the residuals.
    report : callable
        Called at the start, at each accepted point, and at the end.
    """
    left = evaluations - begin.iteration
    if left <= 0:
        return
    if problem.n_parameters > MAX_DENSE:
        levenberg_marquardt(problem, begin, evaluations, report)
        return
    count = begin.iteration

    def residuals(theta: Array) -> Array:
        nonlocal count
        count += 1
        return problem.residuals(theta)

    def jacobian(theta: Array) -> Array:
        values, rows = problem.linearise(theta)
        report(
            OptimiserProgress(count, float(0.5 * values @ values) / problem.n_frames, theta.copy())
        )
        return rows

    result = least_squares(
        residuals, begin.theta, jac=jacobian, method="trf", x_scale="jac", max_nfev=left,
        ftol=1e-6, xtol=1e-9, gtol=1e-12,
    )  # fmt: skip
    report(OptimiserProgress(count, float(result.cost) / problem.n_frames, np.asarray(result.x)))
