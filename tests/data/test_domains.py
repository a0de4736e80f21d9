"""Domains from training frames, and hydrogens that leave them."""

from itertools import combinations

import numpy as np
import pytest
from ase.build import molecule

from qmd.data import domains
from qmd.potentials import Domain

WATERS = ("O", "H", "H") * 2


def two_waters(n: int = 50) -> np.ndarray:
    rng = np.random.default_rng(0)
    water = np.array([[0.0, 0, 0], [0.97, 0, 0], [-0.24, 0.94, 0]])
    dimer = np.concatenate([water, water + [3.0, 0.5, 0.2]])
    return dimer + 0.02 * rng.standard_normal((n, 6, 3))


def methanol(n: int = 50) -> tuple[np.ndarray, tuple[str, ...]]:
    atoms = molecule("CH3OH")
    moved = 0.03 * np.random.default_rng(1).standard_normal((n, len(atoms), 3))
    return atoms.positions + moved, tuple(atoms.symbols)


def ranges(domain: Domain) -> dict[tuple[int, int], tuple[float, float]]:
    return {tuple(p): tuple(r) for p, r in zip(domain.pairs.tolist(), domain.warn, strict=True)}


@pytest.mark.parametrize("rule", [domains.of_atoms, domains.of_elements])
def test_pairs_of_two_waters_share_their_ranges(rule) -> None:
    positions = two_waters()
    domain = rule(positions, WATERS)
    found = ranges(domain)
    assert found[0, 1] == found[0, 2] == found[3, 4] == found[3, 5]
    assert found[0, 4] == found[1, 3] != found[0, 1]
    assert len(set(found.values())) == 5
    d = np.linalg.norm(positions[:, 0] - positions[:, 3], axis=1)
    assert found[0, 3] == (d.min(), d.max())


def test_the_stop_level_of_elements_is_a_twentieth_of_the_range_away() -> None:
    domain = domains.of_elements(two_waters(), WATERS)
    width = domain.warn[:, 1] - domain.warn[:, 0]
    np.testing.assert_allclose(domain.stop[:, 1] - domain.warn[:, 1], 0.05 * width)
    np.testing.assert_allclose(domain.warn[:, 0] - domain.stop[:, 0], 0.05 * width)


def test_the_stop_level_of_atoms_is_at_least_a_fifth_of_an_angstrom_away() -> None:
    wide = np.zeros((2, 2, 3))
    wide[:, 1, 0] = 1.0, 9.0
    domain = domains.of_atoms(wide, ("Ar", "Ar"))
    np.testing.assert_allclose(domain.stop, [[1.0 - 0.4, 9.0 + 0.4]])
    narrow = domains.of_atoms(*methanol())
    np.testing.assert_allclose(narrow.stop - narrow.warn, [[-0.2, 0.2]] * len(narrow.pairs))


def test_hydrogens_of_a_methyl_group_share_a_range_that_the_other_one_has_not() -> None:
    positions, species = methanol()
    domain = domains.of_atoms(positions, species)
    found, carbon, oxygen = ranges(domain), species.index("C"), species.index("O")
    hydrogens = [k for k, symbol in enumerate(species) if symbol == "H"]
    reach = {k: np.linalg.norm(positions[:, k] - positions[:, carbon], axis=1) for k in hydrogens}
    methyl = [k for k in hydrogens if reach[k].max() < 1.5]
    (own,) = set(hydrogens) - set(methyl)
    assert len(methyl) == 3
    of_methyl = {found[tuple(sorted((carbon, k)))] for k in methyl}
    expected = min(reach[k].min() for k in methyl), max(reach[k].max() for k in methyl)
    assert of_methyl == {expected}
    assert found[tuple(sorted((carbon, own)))] == (reach[own].min(), reach[own].max())
    assert found[tuple(sorted((oxygen, own)))][1] < 1.5 < reach[own].min()
    by_elements = domains.of_elements(positions, species)
    assert (by_elements.warn[:, 0] <= domain.warn[:, 0]).all()
    assert (by_elements.warn[:, 1] >= domain.warn[:, 1]).all()


def test_a_bond_that_few_frames_lack_is_a_bond() -> None:
    positions = two_waters()
    positions[0, 1] += [4.0, 0.0, 0.0]  # the first frame has lost a hydrogen
    found = ranges(domains.of_atoms(positions, WATERS))
    assert found[0, 1] == found[3, 5] and found[0, 1][1] > 4.0
    assert found[0, 4] != found[0, 1]


def test_masks_are_those_of_each_bound() -> None:
    domain = Domain(np.array([[0, 1]]), np.array([[1.0, 2.0]]), np.array([[0.8, 2.2]]))
    positions = np.zeros((6, 2, 3))
    positions[:, 1, 2] = 0.7, 0.9, 1.1, 1.9, 2.1, 2.3
    assert domains.outside(domain, positions).tolist() == [True, True, False, False, True, True]
    stops = domains.beyond_stop(domain, positions).tolist()
    assert stops == [True, False, False, False, False, True]


def test_the_hydrogen_that_is_noticed_last_is_found() -> None:
    # H-O-H in a line, bounded at 1.5 and 1.7 on one side and at 1.6 and 1.65 on the other.
    x = np.array([[0.0, 0, 0], [1.0, 0, 0], [-1.0, 0, 0]])
    pairs = np.array([[0, 1], [0, 2]])
    warn, stop = np.array([[0.9, 1.5], [0.9, 1.6]]), np.array([[0.8, 1.7], [0.8, 1.65]])
    found = domains.last_noticed(Domain(pairs, warn, stop), ("O", "H", "H"), x)
    assert found is not None and found.atom == 2
    # On steps of 0.01: the first distance beyond the bound.
    assert found.warns_after_A == pytest.approx(0.6, abs=0.011)
    assert found.stops_after_A == pytest.approx(0.65, abs=0.011)
    assert domains.last_noticed(Domain(pairs, warn, stop), ("O", "F", "F"), x) is None
    free = domains.last_noticed(Domain(pairs[:1], warn[:1], stop[:1]), ("O", "H", "H"), x)
    assert free is not None and free.warns_after_A == domains.FARTHEST_PULL_A


def test_a_pull_moves_one_atom_along_its_shortest_bond() -> None:
    x = np.array([[0.0, 0, 0], [0.0, 0, 1.0], [0.0, 2.0, 0]])
    moved = domains.pull(x, 1, np.array([0.0, 0.25]))
    np.testing.assert_array_equal(moved[0], x)
    np.testing.assert_allclose(moved[1, 1], [0.0, 0.0, 1.25])
    for i, j in combinations((0, 2), 2):
        np.testing.assert_array_equal(moved[1, [i, j]], x[[i, j]])
