"""The models of the trial beyond rank two keep the symmetries of a molecule."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

FOLDER = Path(__file__).parents[2] / "runs" / "rmd17"
SPECIES = tuple("CCOHHHHHH")
LIKE = [0, 1, 2, 5, 4, 3, 6, 8, 7]
"""Hydrogens that change places."""
NAMES = ("network", "finer", "two hops", "rank three", "triplets", "perceptron")


@pytest.fixture
def beyond(monkeypatch):
    pytest.importorskip("optax")
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("rows", "train", "spin_one", "beyond"):  # another script has its own
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("beyond")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_turn_an_inversion_and_an_exchange_change_nothing(beyond, name):
    import jax
    from jax.flatten_util import ravel_pytree

    assert set(beyond.ROWS) == set(NAMES)
    rng = np.random.default_rng(0)
    frames = SimpleNamespace(energies=rng.standard_normal(3), positions=None)
    first, energy = beyond.ROWS[name](SPECIES, 0, frames)
    theta, unravel = ravel_pytree(first)
    parameters = unravel(theta + 0.1 * rng.standard_normal(theta.size))  # nothing is small then
    compiled = jax.jit(lambda x: energy(parameters, x))

    def value(x):
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            return float(compiled(x))

    x = 1.5 * np.argwhere(np.ones((3, 3, 1))) + 0.3 * rng.standard_normal((9, 3))
    turn = Rotation.random(random_state=1).as_matrix()
    expected = value(x)
    # Energies are some eV, sums of about a thousand terms: 1e-16 each.
    for other in (x @ turn.T, -x, x[LIKE]):
        assert value(other) == pytest.approx(expected, abs=1e-12)
    assert abs(value(1.01 * x) - expected) > 1e-4
