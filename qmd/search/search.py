"""Interface of all searches: ask for points, evaluate them, tell the results."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmd.search.hypervolume import pareto
from qmd.search.space import Values
from qmd.typing import Array


@dataclass(frozen=True)
class Evaluated:
    """Point with its results."""

    values: Values
    """Values of the parameters."""
    objectives: tuple[float, ...] | None
    """Objectives, all minimised; None if the evaluation failed."""
    constraints: tuple[float, ...] = ()
    """Constraints, fulfilled where they are at most 0."""

    @property
    def failed(self) -> bool:
        """True if there are no results."""
        return self.objectives is None

    @property
    def feasible(self) -> bool:
        """True if there are results, and all constraints are fulfilled."""
        return not self.failed and all(value <= 0 for value in self.constraints)


class Search(abc.ABC):
    """Search for the Pareto front. Its points are functions of the seed and of what it was told."""

    @property
    def n_first(self) -> int:
        """Number of points that do not depend on any results, and can be asked for at once."""
        return 1

    @abc.abstractmethod
    def ask(self, count: int) -> list[Values]:
        """Return the next points, at most `count`; none if every point of the space is known.

        All of them must be told, in their order, before the next ones are asked for.
        """

    @abc.abstractmethod
    def tell(self, results: Sequence[Evaluated]) -> None:
        """Learn from the results of the points that were asked for last."""

    def replay(self, results: Sequence[Evaluated]) -> list[Values]:
        """Do again what ended with these results, without evaluations; return the points."""
        asked = self.ask(len(results))
        self.tell(results)
        return asked


def front_of(points: Sequence[Evaluated]) -> list[int]:
    """Return the places of the feasible points that no other dominates."""
    places = [k for k, point in enumerate(points) if point.feasible]
    if not places:
        return []
    return [places[k] for k in np.flatnonzero(pareto(objectives_of(points, places)))]


def objectives_of(points: Sequence[Evaluated], places: Sequence[int]) -> Array:
    """Return the objectives of some points that have not failed, (n, m)."""
    return np.array([points[k].objectives for k in places], float)
