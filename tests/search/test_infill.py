"""The next point is feasible and gains about as much as the best of a dense grid; planted bugs."""

from dataclasses import replace

import numpy as np
import pytest

from qmd.search import infill
from qmd.search.hypervolume import gains, pareto
from qmd.search.infill import Infill, next_point

GRID = np.stack(np.meshgrid(*2 * [np.linspace(-1, 1, 201)]), axis=-1).reshape(-1, 2)


def objectives(x):
    """Two bowls, whose front is the line between their centres."""
    centres = np.array([[-0.5, -0.5], [0.5, 0.5]])
    return ((x[:, None] - centres) ** 2).sum(axis=2)


def violations(x):
    """Forbids a disc in the middle of the front, which would else gain most."""
    return 0.4 - np.hypot(x[:, :1], x[:, 1:])


def problem(**changes):
    known = np.array([[-0.5, -0.5], [0.5, 0.5], [0.3, -0.3]])
    front = objectives(known)
    made = Infill(
        objectives, violations, front[pareto(front)], np.array([2.5, 2.5]), np.ones(2), known,
        known[:2],
    )  # fmt: skip
    return replace(made, **changes)


def check(x):
    """Raise unless x is feasible, and gains as much as the best feasible point of the grid."""
    assert (np.abs(x) <= 1).all()
    assert violations(x[None]).max() <= infill.ALLOWED
    plain = problem()
    free = GRID[(violations(GRID) <= 0).all(axis=1)]
    best = gains(objectives(free), plain.front, plain.reference).max()
    gain = gains(objectives(x[None]), plain.front, plain.reference)[0]
    # The grid has steps of 0.01 and slopes of up to 3, COBYLA ends within 1e-3: 1 % of the gain.
    assert gain > 0.99 * best


@pytest.mark.parametrize("seed", range(2))
def test_the_next_point_gains_most_among_the_feasible(seed):
    check(next_point(problem(), np.random.default_rng(seed)))


@pytest.mark.parametrize(
    "bug",
    [
        {"violations": lambda x: -violations(x)},
        {"violations": lambda x: np.zeros((len(x), 0))},
        {"violations": lambda x: violations(x) - 0.1},
        {"objectives": lambda x: -objectives(x)},
        {"objectives": lambda x: objectives(x[:, ::-1] * [1, -1])},
        {"front": np.empty((0, 2))},
        {"reference": np.array([0.1, 2.5])},
        {"rounded": np.round},
    ],
    ids=lambda bug: next(iter(bug)),
)
def test_a_planted_bug_in_the_problem_is_caught(bug):
    with pytest.raises(AssertionError):
        check(next_point(problem(**bug), np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("name", "bug"),
    [
        ("gains", lambda points, front, reference: -gains(points, front, reference)),
        ("gains", lambda points, front, reference: np.zeros(len(points))),
        ("gains", lambda points, front, reference: gains(points, front[:1], reference)),
        ("_order", lambda problem, x: np.arange(len(x))[::-1]),
        ("_order", lambda problem, x: np.argsort(-problem.merit(x))),
        ("_order", lambda problem, x: np.argsort(problem.merit(x))),
    ],
)
def test_a_planted_bug_in_the_choice_is_caught(monkeypatch, name, bug):
    monkeypatch.setattr(infill, name, bug)
    with pytest.raises(AssertionError):
        check(next_point(problem(), np.random.default_rng(0)))


def test_a_climb_improves_its_start_and_stays_feasible():
    start = np.array([0.9, 0.1])
    plain = problem()
    end = infill._climb(plain, start)
    assert plain.merit(end[None])[0] > plain.merit(start[None])[0]
    assert plain.violation(end[None])[0] < 1e-3


def test_a_climb_that_never_moves_is_caught(monkeypatch):
    # A small region far from all samples: only a climb reaches its edge.
    monkeypatch.setattr(infill, "SAMPLES_PER_COORDINATE", 5)
    found = next_point(problem(), np.random.default_rng(0))
    check(found)
    monkeypatch.setattr(infill, "_climb", lambda problem, start: start)
    with pytest.raises(AssertionError):
        check(next_point(problem(), np.random.default_rng(0)))


def test_where_nothing_is_feasible_the_least_violation_is_taken():
    everywhere = problem(violations=lambda x: 1 + (x[:, :1] - 0.4) ** 2 + (x[:, 1:] + 0.2) ** 2)
    found = next_point(everywhere, np.random.default_rng(0))
    assert np.abs(found - [0.4, -0.2]).max() < 0.05


def test_a_known_point_is_not_proposed_again():
    corners = np.array([[a, b] for a in (-1.0, 1) for b in (-1.0, 1)])

    def nearest(x):
        return corners[np.argmin(((corners - x) ** 2).sum(axis=1))]

    three = problem(x=corners[:3], rounded=nearest, violations=lambda x: np.zeros((len(x), 0)))
    found = next_point(three, np.random.default_rng(0))
    assert found.tolist() == corners[3].tolist()
    assert next_point(replace(three, x=corners), np.random.default_rng(0)) is None


def test_merit_tells_points_apart_that_gain_nothing():
    plain = problem()
    worse = np.array([[0.9, -0.9], [0.8, -0.8], [0.7, -0.7]])
    front = objectives(np.linspace(-0.5, 0.5, 50)[:, None] * np.ones(2))
    merit = replace(plain, front=front).merit(worse)
    assert (merit < 0).all() and (np.diff(merit) > 0).all()
