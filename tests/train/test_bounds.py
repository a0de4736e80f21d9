"""Domains in cells: the least distances of elements among all atoms and images of all frames."""

from itertools import product

import numpy as np
import pytest

from qmd.potentials import BEYOND_A
from qmd.train.bounds import NEAREST_A, bounds_card_in_cells, in_cells, of_compositions
from qmd.train.problem import Frames

ELEMENTS = "H", "O"
KINDS = np.array([[1, 0, 0, 1, 0], [1, 1, 0, -1, -1], [1, 0, 0, 1, 0]])
CELL = np.array([[5.0, 0.0, 0.0], [1.2, 5.5, 0.0], [-0.8, 1.0, 6.0]])


def frames(periodic: bool) -> Frames:
    """Frames of five atoms and of three, in an oblique cell or isolated."""
    rng, n = np.random.default_rng(5), len(KINDS)
    positions = rng.uniform(-3, 9, (n, 5, 3)) if periodic else rng.uniform(0, 4, (n, 5, 3))
    cells = CELL * rng.uniform(1.0, 1.1, (n, 1, 1)) if periodic else None
    return Frames(positions, np.zeros(n), None, cells, kinds=KINDS)


def least_of_all(some: Frames) -> dict[tuple[str, str], float]:
    """Return the least distance of each two elements, by counting images one by one."""
    found: dict[tuple[str, str], float] = {}
    turns = np.array(list(product(range(-4, 5), repeat=3)))
    for f, n in enumerate(some.n_atoms):
        shifts = np.zeros((1, 3)) if some.cells is None else turns @ some.cells[f]
        for i, j in product(range(n), repeat=2):
            lengths = np.linalg.norm(some.positions[f, j] - some.positions[f, i] + shifts, axis=1)
            pair = tuple(sorted(ELEMENTS[k] for k in some.kinds[f, [i, j]]))
            known = lengths[lengths > 0].min(initial=np.inf)
            found[pair] = min(found.get(pair, np.inf), known)
    return {pair: low for pair, low in found.items() if low < NEAREST_A}


@pytest.mark.parametrize("periodic", [True, False])
def test_each_two_elements_have_the_least_distance_of_all_frames(periodic: bool) -> None:
    some, species = frames(periodic), ("O", "H", "H", "O", "H")
    domain, wanted = of_compositions(some, ELEMENTS, species), least_of_all(some)
    named = {tuple(sorted((species[i], species[j]))): k for k, (i, j) in enumerate(domain.pairs)}
    assert set(named) == set(wanted) and len(wanted) == 3
    for pair, k in named.items():
        warn, stop = domain.warn[k], domain.stop[k]
        assert warn[0] == pytest.approx(wanted[pair], rel=1e-12)
        # 5 % of it, but at least 0.15 angstrom; nothing is too far.
        assert warn[0] - stop[0] == pytest.approx(max(0.05 * wanted[pair], 0.15), rel=1e-12)
        assert warn[1] == stop[1] == BEYOND_A
    assert not domain.bounded.any()
    alone = of_compositions(some, ELEMENTS, ("O", "H"))
    assert [tuple(pair) for pair in alone.pairs] == [(0, 1)]  # the pairs that these atoms have


def test_frames_of_one_composition_are_bounded_alike_and_the_card_says_it() -> None:
    some = frames(periodic=True).take(np.array([0, 2]))
    species = tuple(ELEMENTS[k] for k in KINDS[0])
    domain = in_cells(some._replace(kinds=None), species)
    wanted = of_compositions(some, ELEMENTS, species)
    np.testing.assert_array_equal(domain.warn, wanted.warn)
    np.testing.assert_array_equal(domain.stop, wanted.stop)
    said = bounds_card_in_cells(domain, species)["least_A"]
    for (first, second), low in least_of_all(some).items():
        margin = max(0.05 * low, 0.15)
        assert said[f"{first}-{second}"] == {
            "warns_below": round(low, 3), "stops_below": round(low - margin, 3)
        }  # fmt: skip
