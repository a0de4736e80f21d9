"""Distances of many atoms: bounded work, whatever a structure says."""

import time

import numpy as np
import pytest

from qmd.errors import InputError
from qmd.system import cell, distances
from qmd.system.cell import minimum_image


@pytest.mark.parametrize("box", [np.zeros((3, 3)), np.diag([0.5, 0.5, 0.5]), np.diag([50.0] * 3)])
def test_more_atoms_in_a_place_than_there_can_be_are_refused_at_once(box):
    positions = np.zeros((20_000, 3)) + [0.1, 0.2, 0.3]
    begin = time.process_time()
    for cutoff in (0.5, distances.FARTHEST):
        with pytest.raises(InputError, match="20000 atoms overlap: up to 20000 are within"):
            distances.close_pairs(positions, box, cutoff)
    assert time.process_time() - begin < 2  # a list of 2e8 pairs takes minutes


def test_the_densest_matter_is_not_refused():
    a = 3.567  # diamond
    base = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]]) * a / 4
    base = np.concatenate([base, base + a / 4])
    shifts = np.array(list(np.ndindex(6, 6, 6))) * a
    positions = (base + shifts[:, None]).reshape(-1, 3)
    assert len(positions) > distances.MAX_MATRIX
    i, _, found = distances.close_pairs(positions, np.eye(3) * 6 * a, 1.6)
    assert len(i) == 2 * len(positions)  # four bonds to each atom
    np.testing.assert_allclose(found, np.sqrt(3) * a / 4, rtol=1e-12)


def test_images_in_pieces_are_those_of_all_at_once(monkeypatch):
    rng = np.random.default_rng(1)
    tilted = np.array([[5.0, 0, 0], [1.0, 6, 0], [0, 2.0, 7]])
    arms = rng.uniform(-20, 20, (50, 3))
    whole = minimum_image(arms, tilted)
    monkeypatch.setattr(cell, "_AT_ONCE", 7)
    np.testing.assert_array_equal(minimum_image(arms, tilted), whole)
