"""SAMO-COBRA: few evaluations for a Pareto front, by interpolants of objectives and constraints.

de Winter, van Stein and Back, EMO 2021, doi:10.1007/978-3-030-72062-9_22. A failed evaluation has
no values to interpolate; that a point fails is a constraint of its own.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.stats import qmc

from qmd.search import infill
from qmd.search.infill import Infill
from qmd.search.search import Evaluated, Search, front_of, objectives_of
from qmd.search.space import Space, Values
from qmd.search.surrogate import KERNELS, Choice, Interpolants, Model, Surrogates
from qmd.typing import Array

Criterion = Literal["PHV", "SMS"]

WINDOW = 10
"""Number of the latest points by whose errors an interpolant is chosen."""
FIRST_MARGIN = 0.02
"""Margin of all constraints at the start, in standard deviations of their values."""
BEYOND = 0.1
"""Distance of the default reference point behind the worst values, in spreads of the front."""
TRIES = 1000
"""Points of the Halton sequence that are tried for one that is new."""


class SamoCobra(Search):
    """Search by SAMO-COBRA.

    Parameters
    ----------
    space : Space
    n_objectives, n_constraints : int
    seed : int
    criterion : {"PHV", "SMS"}
        Merit of a point: the gain of its predicted objectives, or of these less one standard error.
    reference : sequence of float, optional
        Reference point of the hypervolume; default: a little behind the worst values of the front,
        or of all points as long as none is feasible.
    """

    def __init__(
        self,
        space: Space,
        n_objectives: int,
        n_constraints: int,
        seed: int,
        *,
        criterion: Criterion = "PHV",
        reference: Sequence[float] | None = None,
    ) -> None:
        self._space, self._m, self._n_constraints = space, n_objectives, n_constraints
        self._seed, self._criterion, self._reference = seed, criterion, reference
        self._points: list[Evaluated] = []
        self._x = np.empty((0, space.size))
        self._errors: list[Array] = []
        self._margin, self._streak, self._streak_feasible = FIRST_MARGIN, 0, True
        self._surrogates: Surrogates | None = None

    @property
    def n_first(self) -> int:
        return self._space.size + 1

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Kernel and transform of each objective and then of each constraint; empty at first."""
        fitted = self._fitted()
        return () if fitted is None else fitted.best(self._mean_errors())

    def ask(self, count: int) -> list[Values]:
        asked: list[Values] = []
        while len(asked) < count:
            point = self._next(asked)
            if point is None:
                return asked
            asked.append(point)
        return asked

    def tell(self, results: Sequence[Evaluated]) -> None:
        before = self._fitted()  # fitted without all of the new points
        for result in results:
            x = self._space.encode(result.values)
            first = len(self._points) < self.n_first
            if before is not None and not result.failed:
                self._errors.append(np.abs(before.predictions(x) - self._outputs(result)))
            if not first:
                self._adapt_margin(result)
            self._points.append(result)
            self._x = np.vstack([self._x, x])
        self._surrogates = None

    def replay(self, results: Sequence[Evaluated]) -> list[Values]:
        """Learn from results alone: a point depends on no random numbers of those before it."""
        self.tell(results)
        return [result.values for result in results]

    def _next(self, asked: list[Values]) -> Values | None:
        """Return the next point; those asked for already are taken to be as predicted."""
        if self._space.count <= len({*map(repr, self._known(asked))}):
            return None
        fitted = self._fitted()
        if len(self._points) + len(asked) < self.n_first or fitted is None:
            return self._halton(asked)
        model = fitted.model(fitted.best(self._mean_errors()))
        rng = np.random.default_rng((self._seed, len(self._points) + len(asked)))
        x = infill.next_point(self._infill(model, asked), rng)
        return self._halton(asked) if x is None else self._space.decode(x)

    def _known(self, asked: list[Values]) -> list[Values]:
        return [*(point.values for point in self._points), *asked]

    def _halton(self, asked: list[Values]) -> Values | None:
        """Return the first point of the sequence that is new, after rounding."""
        known = {*map(repr, self._known(asked))}
        n = len(self._points) + len(asked)
        sequence = qmc.Halton(self._space.size, rng=np.random.default_rng(self._seed))
        for x in 2 * sequence.random(n + TRIES) - 1:
            if repr(values := self._space.decode(x)) not in known:
                return values
        return None

    def _outputs(self, point: Evaluated) -> Array:
        assert point.objectives is not None
        return np.array([*point.objectives, *point.constraints], float)

    def _succeeded(self) -> list[int]:
        return [k for k, point in enumerate(self._points) if not point.failed]

    def _fitted(self) -> Surrogates | None:
        """Return the interpolants of all points that have values; None as long as too few do."""
        if self._surrogates is None:
            places = self._succeeded()
            if len(self._points) < self.n_first or len(places) < self._space.size + 1:
                return None
            outputs = np.array([self._outputs(self._points[k]) for k in places])
            self._surrogates = Surrogates(self._x[places], outputs)
        return self._surrogates

    def _mean_errors(self) -> Array:
        """Return the root mean square of the latest errors, (kernels, transforms, outputs)."""
        if not self._errors:
            return np.full((len(KERNELS), 2, self._m + self._n_constraints), np.inf)
        with np.errstate(over="ignore"):
            return np.asarray(np.sqrt(np.mean(np.square(self._errors[-WINDOW:]), axis=0)))

    def _adapt_margin(self, result: Evaluated) -> None:
        """Halve the margin after several feasible points, double it after as many others."""
        if not self._n_constraints or result.failed:
            return
        feasible = result.feasible
        self._streak = self._streak + 1 if feasible == self._streak_feasible else 1
        self._streak_feasible = feasible
        if self._streak >= math.floor(2 * math.sqrt(self._space.size)):
            self._margin = min(self._margin * (0.5 if feasible else 2.0), FIRST_MARGIN)
            self._streak = 0

    def _infill(self, model: Model, asked: list[Values]) -> Infill:
        places, m = self._succeeded(), self._m
        pending = np.array([self._space.encode(values) for values in asked])
        pending = pending.reshape(len(asked), self._space.size)
        known = objectives_of(self._points, places)
        best = front_of(self._points)
        front = objectives_of(self._points, best).reshape(len(best), m)
        reference = self._reference_point(front if best else known)
        expected = model(pending)
        front = np.concatenate([front, expected[:, :m][self._feasible(expected[:, m:])]])
        lower = 1.0 if self._criterion == "SMS" else 0.0
        scale = reference - np.concatenate([front, known]).min(axis=0)
        return Infill(
            objectives=lambda x: model.lower(x, lower)[:, :m],
            violations=self._violations(model),
            front=front,
            reference=reference,
            scale=np.where(scale > 0, scale, 1.0),
            x=np.concatenate([self._x, pending]),
            centres=self._x[best if best else places],
            rounded=self._space.rounded,
        )

    def _reference_point(self, known: Array) -> Array:
        if self._reference is not None:
            return np.array(self._reference, float)
        return default_reference(known)

    def _feasible(self, constraints: Array) -> Array:
        return np.asarray((constraints <= 0).all(axis=1))

    def _violations(self, model: Model) -> infill.Predictor:
        """Return a predictor of constraints over their spread, with the margin, and of failure."""
        m, margin = self._m, self._margin
        outputs = np.array([self._outputs(self._points[k]) for k in self._succeeded()])
        spread = outputs[:, m:].std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        failure = self._failure()

        def violations(x: Array) -> Array:
            constraints = model(x)[:, m:] / spread + margin
            return constraints if failure is None else np.hstack([constraints, failure(x)])

        return violations

    def _failure(self) -> Interpolants | None:
        """Return an interpolant that is 1 at points that failed and -1 at others."""
        failed = np.array([point.failed for point in self._points])
        if not failed.any():
            return None
        return Interpolants("cubic", self._x, np.where(failed, 1.0, -1.0)[:, None])


def default_reference(front: Array) -> Array:
    """Return a point a little behind the worst values of points (n, m), (m,)."""
    spread = np.ptp(front, axis=0)
    size = np.where(spread > 0, spread, np.maximum(np.abs(front.max(axis=0)), 1.0))
    return np.asarray(front.max(axis=0) + BEYOND * size)
