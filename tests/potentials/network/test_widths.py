"""Networks on vectors of four and of eight doubles: the same bits, on any processor."""

import os
import subprocess
import sys
from pathlib import Path

import kernel_bits
import numpy as np
import pytest

import qmd.integrators.vector_width as vector_width
from qmd.integrators import VECTOR_WIDTH

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """Results of this process, which other tests hold against JAX, and of the other width."""
    file = tmp_path_factory.mktemp("widths") / "other.npz"
    (other,) = set(vector_width.WIDTHS) - {VECTOR_WIDTH}
    environment = os.environ | {vector_width.VARIABLE: str(other), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, kernel_bits.__file__, str(file)], env=environment, check=True)
    found = dict(np.load(file))
    assert found["width"] == other
    return kernel_bits.results(), found


def test_networks_have_the_same_bits_at_both_widths(both: tuple[dict, dict]) -> None:
    here, there = both
    assert here.keys() == there.keys()
    for name in here.keys() - {"width"}:
        np.testing.assert_array_equal(here[name], there[name], err_msg=name)
        assert np.isfinite(here[name]).all()


def test_the_networks_have_forces_on_all_atoms(both: tuple[dict, dict]) -> None:
    # Otherwise the other test would show little.
    for name, value in both[0].items():
        if "forces" in name:
            assert (np.abs(value).max(axis=1) > 1e-3).all(), name
