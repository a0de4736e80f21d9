"""Neighbour lists hold every pair within the cut-off, once, whatever the cell."""

import pytest
from pair_lists import brute_force, random_box

from qmd.integrators import neighbour_pairs


def as_tuples(i, j, shifts):
    return list(zip(i.tolist(), j.tolist(), *shifts.T.tolist(), strict=True))


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_pairs_are_those_of_brute_force(first):
    for seed in range(first, first + 50):
        positions, cell, cutoff = random_box(seed)
        found = as_tuples(*neighbour_pairs(positions, cell, cutoff))
        assert found == brute_force(positions, cell, cutoff), seed


@pytest.mark.slow
@pytest.mark.parametrize("first", range(300, 10_000, 100))
def test_ten_thousand_boxes(first):
    for seed in range(first, first + 100):
        positions, cell, cutoff = random_box(seed)
        found = as_tuples(*neighbour_pairs(positions, cell, cutoff))
        assert found == brute_force(positions, cell, cutoff), seed
