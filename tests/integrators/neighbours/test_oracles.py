"""Our pairs are those of vesin, matscipy-neighbours and ASE, whether wrapped or not."""

import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list
from pair_lists import random_box

from qmd.integrators import neighbour_pairs


def both_ways(positions, cell, cutoff):
    """Return the pairs as the others count them: each from either atom."""
    i, j, shifts = neighbour_pairs(positions, cell, cutoff)
    one = np.column_stack([i, j, shifts])
    other = np.column_stack([j, i, -shifts])
    return set(map(tuple, np.concatenate([one, other]).tolist()))


def by_ase(positions, cell, periodic, cutoff):
    i, j, shifts = primitive_neighbor_list("ijS", periodic, cell, positions, cutoff)
    return np.column_stack([i, j, shifts])


def by_vesin(positions, cell, periodic, cutoff):
    vesin = pytest.importorskip("vesin")
    found = vesin.NeighborList(cutoff=cutoff, full_list=True).compute(
        points=positions, box=cell, periodic=periodic, quantities="ijS"
    )
    return np.column_stack(found)


def by_matscipy(positions, cell, periodic, cutoff):
    matscipy = pytest.importorskip("matscipy_neighbours")
    return np.column_stack(
        matscipy.neighbour_list("ijS", cutoff=cutoff, positions=positions, cell=cell, pbc=periodic)
    )


@pytest.mark.parametrize("oracle", [by_ase, by_vesin, by_matscipy])
@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True)])
def test_pairs_are_those_of_others(oracle, periodic):
    for seed in range(20):
        positions, _, cutoff = random_box(seed)
        rng = np.random.default_rng(seed)
        cell = np.diag(rng.uniform(3, 9, 3)) + rng.uniform(-1, 1, (3, 3))
        own = cell * np.array(periodic)[:, None]
        found = oracle(positions, cell, np.array(periodic), cutoff)
        assert both_ways(positions, own, cutoff) == set(map(tuple, found.tolist())), seed
