"""Gauss-Newton steps on batches, with momentum: second order for more parameters than residuals.

A batch has residuals r with the Jacobian J. The step solves the linearised problem of the batch,
and follows the previous direction phi in the subspace that the batch leaves free [1]_::

    phi <- m phi + J^T (J J^T + d I)^-1 (-r - m J phi),    theta <- theta + rate phi

The size of the matrix is the number of residuals of the batch, not the number of parameters. The
damping d is relative to its trace.

References
----------
.. [1] G. Goldshlager, N. Abrahamsen, L. Lin, A Kaczmarz-inspired approach to accelerate the
   optimization of neural network wavefunctions, J. Comput. Phys. 516, 113351 (2024),
   arXiv:2401.10190.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from qmd.errors import NumericalError
from qmd.train.problem import OptimiserProgress, Report
from qmd.typing import Array

LARGEST_STEP = 1.0
"""Largest norm of a step, which limits the first steps, far from a minimum."""


@dataclass(frozen=True)
class Settings:
    """Settings of a fit; see `qmd.train.config.GaussNewtonConfig`."""

    steps: int
    batch: int
    slopes: int | None
    learning_rate: float
    momentum: float
    damping: float
    report_every: int
    seed: int


class Sampled(Protocol):
    """Problems that can be fitted: `Problem`, `JointProblem` and `qmd.train.cells.CellProblem`."""

    n_frames: int

    def of_offsets(self, theta: Array, steps: Array) -> tuple[Array, Array]:
        """Return residuals (n,) that offsets change, and their changes by `steps`, (n, n_steps)."""

    def sampled(
        self, theta: Array, index: Array, n_slopes: int | None, rng: np.random.Generator
    ) -> tuple[Array, Array]: ...


def minimise(
    problem: Sampled,
    begin: OptimiserProgress,
    settings: Settings,
    report: Report,
    offset_mask: Array | None = None,
) -> None:
    """Resume from `begin`, exactly as if there had been no stop; the rate falls as a cosine.

    Parameters
    ----------
    problem : Problem or JointProblem
    begin : OptimiserProgress
    settings : Settings
    report : callable
        Called every `report_every` steps.
    offset_mask : (n_parameters,), optional
        Mask of pure energy offsets; these are re-optimised on all frames before each
        validation, see `with_best_offsets`.

    Raises
    ------
    NumericalError
        If a step cannot be solved.
    """
    theta = begin.theta
    phi = begin.memory[0] if begin.memory else np.zeros_like(theta)
    for step in range(begin.iteration, settings.steps):
        index = draw_batch(problem.n_frames, settings.batch, step, settings.seed)
        rng = np.random.default_rng((settings.seed, step))
        residuals, rows = problem.sampled(theta, index, settings.slopes, rng)
        phi = _direction(residuals, rows, phi, settings)
        change = _rate(step, settings) * phi
        theta = theta + change * min(1.0, LARGEST_STEP / max(float(np.linalg.norm(change)), 1e-300))
        done = step + 1
        if done % settings.report_every == 0 or done == settings.steps:
            loss = 0.5 * float(residuals @ residuals) / len(index)
            scored = None if offset_mask is None else with_best_offsets(problem, theta, offset_mask)
            report(OptimiserProgress(done, loss, theta, (phi,), scored))


def with_best_offsets(problem: Sampled, theta: Array, offset_mask: Array) -> Array:
    """Return the parameters with the best offsets for all frames; residuals are linear in them.

    A batch has one energy and many slopes per frame, so the steps alone leave the zero of energy
    wrong by more than the scatter of the energies.
    """
    places = np.flatnonzero(offset_mask)
    if not places.size:
        return theta
    steps = np.eye(theta.size)[places]
    residuals, columns = problem.of_offsets(theta, steps)
    change = np.linalg.lstsq(columns, -residuals, rcond=1e-6)[0]
    return np.asarray(theta + change @ steps)


def draw_batch(n_frames: int, batch: int, step: int, seed: int) -> Array:
    """Return the frames of a step, (batch,): each epoch visits all, in a new order."""
    size = min(batch, n_frames)
    per_epoch = n_frames // size
    order = np.random.default_rng((seed, step // per_epoch, 1)).permutation(n_frames)
    return np.asarray(order[step % per_epoch * size :][:size])


def _direction(residuals: Array, rows: Array, phi: Array, settings: Settings) -> Array:
    overlap = rows @ rows.T
    overlap[np.diag_indices_from(overlap)] += settings.damping * np.trace(overlap) / len(overlap)
    before = settings.momentum * phi
    try:
        factors = cho_factor(overlap, overwrite_a=True)
    except (LinAlgError, ValueError):  # not positive definite; not finite
        raise NumericalError(
            "a Gauss-Newton step could not be solved",
            hint="use a larger damping, a smaller learning_rate, or other starts.seed",
        ) from None
    return np.asarray(before + rows.T @ cho_solve(factors, -residuals - rows @ before))


def _rate(step: int, settings: Settings) -> float:
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
