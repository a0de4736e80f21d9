"""Gaussians of the kernels against their definition."""

import numpy as np
import pytest

from qmd.integrators import njit
from qmd.potentials.simd import gaussians

fill_gaussians = njit(error_model="numpy")(gaussians.fill_gaussians)


@pytest.mark.parametrize("n", [2, 12, 38, 60, 100])
def test_gaussians_are_those_of_the_definition(n):
    """Before, at and far beyond the grid; products of up to 100 rounded factors: 1e-13."""
    w = np.zeros(3 * n)
    w[2 * n :] = np.exp(-0.5 - np.arange(n))
    for u in np.r_[-60.0, -3.3, 0.0, 0.4, 7.5, 29.99, 30.0, 37.9, 38.7, 59.5, n - 0.6, n + 37.0]:
        if u > n + 38:
            continue
        expected = np.exp(-((u - np.arange(n)) ** 2) / 2)
        assert fill_gaussians(w, 0, n, u, 2 * n)
        found = w[: 2 * n : 2]
        normal = expected > 1e-300
        np.testing.assert_allclose(found[normal], expected[normal], rtol=1e-11)
        assert (found[~normal] <= 1e-299).all()
    assert not fill_gaussians(w, 0, n, n + 40.0, 2 * n)
