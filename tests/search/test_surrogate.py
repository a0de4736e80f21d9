"""Radial interpolants: exact at their points, exact for planes, plog and back, the choice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from qmd.search.surrogate import (
    EXACT,
    FIRST,
    KERNELS,
    PLAIN,
    PLOG,
    Choice,
    Interpolants,
    Surrogates,
    plog,
    plog_inverse,
)


def spread_points(n, size):
    return 2 * qmc.Halton(size, rng=np.random.default_rng(5)).random(n) - 1


def outputs(x):
    return np.column_stack([np.sin(3 * x[:, 0]) + (x**2).sum(axis=1), 1e4 * np.exp(3 * x[:, -1])])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("n", "size"), [(3, 2), (40, 2), (60, 5)])
def test_an_interpolant_has_the_values_at_its_points(kernel, n, size):
    n = max(n, size + 1)
    x = spread_points(n, size)
    y = outputs(x)
    fit = Interpolants(kernel, x, y)
    assert fit.exact.all()
    # The matrix of the worst kernel (Gaussian, 60 points) has a condition of 1e8: 1e-16 times that.
    assert np.abs(fit(x) - y).max(axis=0) == pytest.approx(0, abs=1e-8 * np.ptp(y, axis=0).max())


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_plane_is_interpolated_exactly_everywhere(kernel):
    x = spread_points(12, 3)
    fit = Interpolants(kernel, x, x @ np.array([[1.0], [-2], [3]]) + 4)
    new = np.random.default_rng(2).uniform(-1, 1, (20, 3))
    assert fit(new) == pytest.approx(new @ np.array([[1.0], [-2], [3]]) + 4, abs=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_more_points_give_a_smaller_error_between_them(kernel):
    new = np.random.default_rng(3).uniform(-0.8, 0.8, (100, 2))
    errors = []
    for n in (10, 40, 160):
        x = spread_points(n, 2)
        errors.append(np.abs(Interpolants(kernel, x, outputs(x))(new) - outputs(new))[:, 0].max())
    assert errors[2] < errors[1] / 2 < errors[0] / 4


def test_the_weights_are_those_of_the_textbook():
    # Cubic, one dimension, by hand: the conditions on the weights and the values at the points.
    x, y = np.array([[-1.0], [0], [1]]), np.array([[0.0], [1], [0]])
    fit = Interpolants("cubic", x, y)
    # Natural cubic spline through these points: at 1/2 it is 11/16.
    assert fit(np.array([[0.5]])) == pytest.approx(11 / 16, abs=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_uncertainty_is_zero_at_the_points_and_grows_between_them(kernel):
    x = spread_points(15, 2)
    fit = Interpolants(kernel, x, outputs(x))
    scale = np.ptp(outputs(x), axis=0)
    far = np.array([[1.0, 1.0], [-1.0, 1.0]])
    # The root of a rounding of about 1e-14.
    assert (fit.uncertainties(x) < 1e-5 * scale).all()
    assert (fit.uncertainties(far) > 1e-3 * scale).all()


@given(st.floats(-1e300, 1e300))
def test_plog_and_back(y):
    # The rounding of the logarithm, 700 at most, times 2e-16, is that of the factor of y.
    assert plog_inverse(plog(np.array(y))) == pytest.approx(y, rel=1e-12, abs=1e-300)


def test_plog_is_odd_and_grows():
    y = np.array([-1e6, -1.0, 0, 1, 1e6])
    assert (plog(-y) == -plog(y)).all() and (np.diff(plog(y)) > 0).all()
    assert plog(np.array(np.e - 1)) == pytest.approx(1)


def test_the_choice_is_the_one_with_the_least_earlier_error():
    x = spread_points(20, 2)
    surrogates = Surrogates(x, outputs(x))
    errors = np.ones((len(KERNELS), 2, 2))
    assert list(KERNELS)[3] == "inverse_quadric"
    errors[3, PLOG, 0] = 0.5
    errors[5, PLAIN, 1] = 0.1
    errors[0, PLAIN, 1] = np.nan
    assert surrogates.best(errors) == (Choice("inverse_quadric", PLOG), Choice("thin_plate", PLAIN))
    assert surrogates.best(np.full_like(errors, np.inf)) == (FIRST, FIRST)


def test_a_model_joins_the_chosen_interpolants():
    x = spread_points(20, 2)
    y = outputs(x)
    surrogates = Surrogates(x, y)
    choices = Choice("cubic", PLAIN), Choice("gaussian", PLOG)
    new = np.random.default_rng(4).uniform(-1, 1, (7, 2))
    found = surrogates.model(choices)(new)
    assert found[:, :1] == pytest.approx(Interpolants("cubic", x, y[:, :1])(new), rel=1e-12)
    logarithmic = Interpolants("gaussian", x, plog(y[:, 1:]))(new)
    assert found[:, 1:] == pytest.approx(plog_inverse(logarithmic), rel=1e-10)
    each = surrogates.predictions(new[0])
    assert each[0, PLAIN, 0] == pytest.approx(found[0, 0], rel=1e-12)
    assert each[1, PLOG, 1] == pytest.approx(found[0, 1], rel=1e-10)


def test_an_output_of_many_orders_is_predicted_better_by_its_logarithm():
    x = spread_points(25, 2)
    y = 10 ** (3 * x[:, :1])
    new = np.array([0.33, -0.21])
    errors = np.abs(Surrogates(x, y).predictions(new) - 10 ** (3 * new[0]))[:, :, 0]
    assert (errors[:, PLOG] < errors[:, PLAIN]).all()


def test_points_in_a_plane_are_still_interpolated():
    # The tail is not unique here: least squares chooses the smallest.
    x = np.column_stack([np.linspace(-1, 1, 8), np.zeros(8)])
    y = np.sin(2 * x[:, :1])
    fit = Interpolants("cubic", x, y)
    assert fit.exact.all() and np.abs(fit(x) - y).max() < EXACT
