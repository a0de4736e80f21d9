"""The next point: multi-start COBYLA that maximises the predicted gain in hypervolume."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from qmd.search.hypervolume import gains, shortfalls
from qmd.typing import Array, Integers

Predictor = Callable[[Array], Array]
"""Function of points (k, size): predicted objectives or constraints, (k, m)."""

STARTS = 2
"""Number of COBYLA runs."""
SAMPLES_PER_COORDINATE = 150
"""Number of points that are sampled for each coordinate to choose the starts from."""
CALLS_PER_COORDINATE = 6
FIRST_RADIUS, LAST_RADIUS = 0.1, 1e-3
"""Trust radius of COBYLA, in [-1, 1]."""
APART = 0.2
"""Least distance of two starts."""
NEAREST = 1e-6
"""Least distance of a new point from all others."""
ALLOWED = 1e-9
"""Largest predicted violation that counts as none: the trust region ends on the constraint."""


@dataclass(frozen=True, eq=False)
class Infill:
    """Everything that the choice of the next point depends on.

    Parameters
    ----------
    objectives : callable
        Predicts the objectives at points (k, size).
    violations : callable
        Predicts the constraints, with their margins: a point is feasible where none is positive.
        All have about the same scale.
    front : (n, m)
        Objectives of the Pareto front.
    reference : (m,)
        Reference point of the hypervolume.
    scale : (m,)
        Sizes of the objectives.
    x : (n, size)
        Points that are known already.
    centres : (n, size)
        Points near which starts are sampled, such as those of the front.
    rounded : callable
        Returns the coordinates of the point that is evaluated in the place of another.
    """

    objectives: Predictor
    violations: Predictor
    front: Array
    reference: Array
    scale: Array
    x: Array
    centres: Array
    rounded: Callable[[Array], Array] = lambda x: x

    def merit(self, x: Array) -> Array:
        """Return the predicted gain at points (k, size), or less than 0 where there is none."""
        found = self.objectives(x) / self.scale
        front, reference = self.front / self.scale, self.reference / self.scale
        gain = gains(found, front, reference)
        short = np.maximum(shortfalls(found, front, reference), 0)
        return np.asarray(np.where(gain > 0, gain, -short))

    def violation(self, x: Array) -> Array:
        """Return the largest predicted violation at points (k, size); 0 where feasible."""
        return np.asarray(np.maximum(self.violations(x), 0).max(axis=1, initial=0.0))

    def is_new(self, x: Array) -> bool:
        """Return True if no known point is at `x` (size,)."""
        return float(cdist(x[None], self.x).min(initial=np.inf)) > NEAREST


def next_point(problem: Infill, rng: np.random.Generator) -> Array | None:
    """Return the coordinates (size,) of the best point that is found, rounded.

    Among points that are predicted to be feasible it is the one with the largest merit; if there
    is none, the one with the least violation. None if all points that were looked at are known.
    """
    sampled = _samples(problem, rng)
    starts = list(_starts(problem, sampled))
    ends = [_climb(problem, start) for start in starts]
    candidates = [problem.rounded(x) for x in (*ends, *starts)]
    new = [x for x in candidates if problem.is_new(x)]
    if not new:
        new = [x for x in map(problem.rounded, sampled) if problem.is_new(x)]
    if not new:
        return None
    points = np.array(new)
    return np.asarray(points[_order(problem, points)[0]])


def _samples(problem: Infill, rng: np.random.Generator) -> Array:
    """Return points all over, and around those of the front at several distances."""
    size = problem.x.shape[1]
    n = SAMPLES_PER_COORDINATE * size
    everywhere = rng.uniform(-1, 1, (n, size))
    if not len(problem.centres):
        return everywhere
    centres = problem.centres[rng.integers(len(problem.centres), size=n)]
    spread = 10 ** rng.uniform(-3, -0.5, (n, 1))
    near = np.clip(centres + spread * rng.standard_normal((n, size)), -1, 1)
    return np.concatenate([everywhere, near])


def _order(problem: Infill, x: Array) -> Integers:
    """Return the order of points (k, size): feasible ones by merit, then others by violation."""
    violation = problem.violation(x)
    feasible = violation <= ALLOWED
    merit = np.where(feasible, -problem.merit(x), 0.0)
    return np.lexsort((merit, np.where(feasible, 0.0, violation)))


def _starts(problem: Infill, x: Array) -> Iterator[Array]:
    """Yield the best samples that are not close to each other."""
    chosen: list[Array] = []
    for row in _order(problem, x):
        if all(np.linalg.norm(x[row] - other) > APART for other in chosen):
            chosen.append(x[row])
            yield x[row]
        if len(chosen) == STARTS:
            return


def _climb(problem: Infill, start: Array) -> Array:
    """Return the end of one COBYLA run."""
    size = len(start)
    unit = max(abs(float(problem.merit(start[None])[0])), 1e-12)  # merits may be tiny

    def loss(x: Array) -> float:
        return -float(problem.merit(np.clip(x, -1, 1)[None])[0]) / unit

    def slack(x: Array) -> Array:
        return np.asarray(-problem.violations(np.clip(x, -1, 1)[None])[0])

    constrained = [{"type": "ineq", "fun": slack}] if len(slack(start)) else []
    found = minimize(
        loss, start, method="COBYLA", bounds=[(-1.0, 1.0)] * size, constraints=constrained,
        tol=LAST_RADIUS,
        options={"rhobeg": FIRST_RADIUS, "maxiter": CALLS_PER_COORDINATE * (size + 1)},
    )  # fmt: skip
    return np.asarray(np.clip(found.x, -1, 1))
