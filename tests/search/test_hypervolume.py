"""Hypervolumes and gains against inclusion and exclusion of boxes, and against moocore."""

import itertools

import numpy as np
import pytest

from qmd.search.hypervolume import gains, hypervolume, pareto, shortfalls


def by_inclusion_and_exclusion(points, reference):
    """Volume of the union of boxes: every subset counts its common part, with changing signs."""
    volume = 0.0
    for k in range(1, len(points) + 1):
        for some in itertools.combinations(points, k):
            volume -= (-1) ** k * np.prod(np.maximum(reference - np.max(some, axis=0), 0))
    return volume


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_the_volume_is_that_of_a_union_of_boxes(m):
    rng = np.random.default_rng(m)
    for n in (0, 1, 2, 5, 9):
        points = rng.uniform(0, 1.2, (n, m))  # some lie beyond the reference
        points[n // 2 :, -1] = np.round(points[n // 2 :, -1], 1)  # some are equal
        reference = np.ones(m)
        expected = by_inclusion_and_exclusion(points, reference)
        # 2^9 terms of at most 1, each with a rounding of 1e-16.
        assert hypervolume(points, reference) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("m", [2, 3, 4])
def test_the_volume_is_that_of_a_library(m):
    moocore = pytest.importorskip("moocore")
    points = np.random.default_rng(m).uniform(0, 1, (40, m))
    expected = moocore.hypervolume(points, ref=np.ones(m))
    assert hypervolume(points, np.ones(m)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("m", [2, 3])
def test_a_gain_is_the_difference_of_two_volumes(m):
    rng = np.random.default_rng(7 * m)
    reference = np.ones(m)
    for n in (0, 1, 6, 20):
        front = rng.uniform(0, 1.1, (n, m))
        front = front[pareto(front)]
        points = rng.uniform(-0.2, 1.2, (30, m))
        before = hypervolume(front, reference)
        for point, gain in zip(points, gains(points, front, reference), strict=True):
            after = hypervolume(np.vstack([front, point]), reference)
            assert gain == pytest.approx(after - before, abs=1e-13)


@pytest.mark.parametrize("m", [2, 3])
def test_a_point_that_falls_by_its_shortfall_begins_to_gain(m):
    rng = np.random.default_rng(3)
    front = rng.uniform(0, 1, (10, m))
    front, reference = front[pareto(front)], np.ones(m)
    points = rng.uniform(0, 1.5, (50, m))
    short = shortfalls(points, front, reference)
    gaining = gains(points, front, reference) > 0
    assert (gaining == (short < 0)).all()
    moved = points - short[:, None]
    assert (gains(moved - 1e-9, front, reference) > 0).all()
    assert gains(moved + 1e-9, front, reference) == pytest.approx(0, abs=1e-15)


def test_without_a_front_only_the_reference_counts():
    empty, points = np.empty((0, 2)), np.array([[0.5, 0.5], [2.0, 0.5]])
    assert gains(points, empty, np.ones(2)) == pytest.approx([0.25, 0])
    assert shortfalls(points, empty, np.ones(2)) == pytest.approx([-0.5, 1])


def test_of_equal_points_the_first_is_on_the_front():
    points = np.array([[1.0, 2], [2, 1], [1, 2], [2, 2], [0, 3]])
    assert pareto(points).tolist() == [True, True, False, False, True]
