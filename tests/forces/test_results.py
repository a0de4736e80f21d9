"""Numbers of foreign code are checked before they are used."""

import numpy as np
import pytest

from qmd.errors import NumericalError
from qmd.forces.results import checked

FORCES = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("energy", [1.5, np.float32(1.5), np.array([1.5]), np.array([[1.5]])])
def test_one_number_is_an_energy_whatever_its_shape(energy: object) -> None:
    value, forces = checked("m", energy, FORCES.tolist(), (2, 3))
    assert value == 1.5 and type(value) is float
    np.testing.assert_array_equal(forces, FORCES)


def test_the_forces_are_not_the_memory_of_the_method() -> None:
    buffer = FORCES.copy()
    _, forces = checked("m", 0.0, buffer, (2, 3))
    buffer[:] = 7.0
    np.testing.assert_array_equal(forces, FORCES)


@pytest.mark.parametrize(
    ("energy", "forces", "words"),
    [
        (np.nan, FORCES, "energy that is not finite"),
        (0.0, np.where(FORCES == 4, np.inf, FORCES), "force that is not finite"),
        (0.0, FORCES.ravel(), r"shape \(2, 3\), but returned \(6,\)"),
        ([1.0, 2.0], FORCES, "energy of shape"),
        (0.0, np.ma.masked_equal(FORCES, 4.0), "masked force"),
        (None, FORCES, "no numbers|not finite"),
        ("x", FORCES, "no numbers"),
    ],
)
def test_anything_else_is_refused(energy: object, forces: object, words: str) -> None:
    with pytest.raises(NumericalError, match=words):
        checked("m", energy, forces, (2, 3))
