"""Parameters and their coordinates: round trips, bounds, corners of a choice."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmd.search.space import Choice, Integer, Real, Space

COORDINATE = st.floats(-1, 1)
PARAMETERS = [
    Real(-2.0, 5.0),
    Real(1e-6, 1e-1, log=True),
    Integer(1, 6),
    Integer(2, 13, step=3),
    Integer(1, 1000, log=True),
    Integer(7, 7),
]


@pytest.mark.parametrize("parameter", PARAMETERS)
@given(x=COORDINATE)
def test_a_value_lies_within_its_bounds_and_comes_back_from_its_coordinates(parameter, x):
    value = parameter.decode(np.array([x]))
    assert parameter.low <= value <= parameter.high
    again = parameter.decode(parameter.encode(value))
    # One rounding each of a logarithm, a product and an exponential: a few units in the last place.
    assert again == pytest.approx(value, rel=1e-13, abs=1e-13)
    assert type(again) is type(value)


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_the_ends_of_a_coordinate_are_the_bounds(parameter):
    last = parameter.last if isinstance(parameter, Integer) else parameter.high
    assert parameter.decode(np.array([-1.0])) == pytest.approx(parameter.low, rel=1e-14)
    assert parameter.decode(np.array([1.0])) == pytest.approx(last, rel=1e-14)


def test_steps_that_do_not_reach_the_upper_bound_end_below_it():
    assert [Integer(2, 13, step=3).decode(np.array([x])) for x in (-1, -0.3, 0.3, 1)] == [
        2, 5, 8, 11,
    ]  # fmt: skip


def test_an_integer_means_the_nearest_coordinate():
    parameter = Integer(0, 10)
    for x in np.linspace(-1, 1, 101):
        assert abs(parameter.decode(np.array([x])) - 5 * (x + 1)) <= 0.5 + 1e-12


@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_values_of_a_choice_are_equally_far_apart_and_within_the_cube(n):
    choice = Choice(tuple(range(n)))
    assert choice.corners.shape == (n, n - 1)
    assert np.abs(choice.corners).max() == pytest.approx(1)
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(choice.corners, 2)]
    assert np.ptp(distances) < 1e-12
    # n corners and a constant: the linear tail of an interpolant is unique.
    assert np.linalg.matrix_rank(np.column_stack([np.ones(n), choice.corners])) == n
    assert [choice.decode(choice.encode(value)) for value in range(n)] == list(range(n))


def test_values_of_a_choice_keep_their_types():
    choice = Choice((1, 1.0, True, "1", None))
    for value in choice.values:
        again = choice.decode(choice.encode(value))
        assert again == value and type(again) is type(value)
    with pytest.raises(ValueError, match="none of"):
        choice.encode(2)


def test_a_space_joins_its_parameters_in_their_order():
    space = Space((Integer(1, 3), Choice(("a", "b", "c")), Real(0, 1)))
    assert space.size == 4 and space.count == np.inf
    values = (2, "c", 0.25)
    assert space.decode(space.encode(values)) == values
    assert Space((Integer(1, 3), Choice(("a", "b")))).count == 6


def test_rounding_is_done_once():
    space = Space((Integer(1, 4), Choice(("a", "b", "c"))))
    for x in np.random.default_rng(1).uniform(-1, 1, (50, 3)):
        rounded = space.rounded(x)
        assert (space.rounded(rounded) == rounded).all()
