"""Stress of mlearn's lithium frames: sign, order and unit, from the energies of elastic cells.

Their `virial_stress` is six numbers without a convention. The data set is not in this repository.
"""

from pathlib import Path

import ase.io
import numpy as np
import pytest

from qmd import units

FRAMES = Path(__file__).parents[3] / "shared/data/metals/li_train.extxyz"
KEY = "virial_stress_as_published"
KBAR = 1000 * units.bar
pytestmark = pytest.mark.skipif(not FRAMES.exists(), reason="needs shared/data/metals")


@pytest.fixture(scope="module")
def elastic() -> list:
    """Return the strained cells of two atoms: the last one is not strained."""
    return [atoms for atoms in ase.io.read(FRAMES, ":") if len(atoms) == 2]


def stretched(elastic: list, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return strains, energies and published numbers of cells that one axis is stretched in."""
    edge = elastic[-1].cell[0, 0]
    chosen = []
    for atoms in elastic:
        strain = np.diag(atoms.cell) / edge - 1
        rest = np.delete(strain, axis)
        if not np.triu(atoms.cell, 1).any() and not np.tril(atoms.cell, -1).any():
            if np.abs(rest).max() < 1e-9:
                chosen.append((strain[axis], atoms.get_potential_energy(), atoms.info[KEY]))
    strains, energies, numbers = zip(*sorted(chosen, key=lambda row: row[0]), strict=True)
    return np.array(strains), np.array(energies), np.array(numbers)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_diagonal_is_minus_the_stress_in_kbar(elastic: list, axis: int) -> None:
    strains, energies, published = stretched(elastic, axis)
    assert len(strains) >= 4
    slope, volume = np.polynomial.Polynomial.fit(strains, energies, 2).deriv(), elastic[-1]
    stress = slope(strains) / (volume.get_volume() * (1 + strains)) / KBAR / (1 + strains)
    # The plane-wave basis of a strained cell differs: its Pulay stress is about 0.1 kbar.
    np.testing.assert_allclose(published[:, axis], -stress, atol=0.12)
    assert np.abs(stress).max() > 3


def test_the_order_is_that_of_vasp(elastic: list) -> None:
    # xx yy zz xy yz zx: a cell whose third vector leans along y has a shear yz, and so on.
    places = {(1, 0): 3, (2, 1): 4, (2, 0): 5}
    for (row, column), place in places.items():
        leaning = [atoms for atoms in elastic if abs(atoms.cell[row, column]) > 1e-3]
        assert leaning
        for atoms in leaning:
            shear = atoms.info[KEY][3:]
            assert np.abs(np.delete(shear, place - 3)).max() < 1e-3 < abs(shear[place - 3])


def test_the_shear_contradicts_the_energies_and_is_not_used(elastic: list) -> None:
    # The energy is quadratic in the shear, so its slope doubles from 1 to 2 %; the published
    # number changes its sign and falls to less than half.
    found = {}
    for atoms in elastic:
        shear = atoms.cell[1, 0] / elastic[-1].cell[0, 0]
        if abs(shear) > 1e-4:
            found[round(100 * shear)] = atoms.get_potential_energy(), atoms.info[KEY][3]
    ground = elastic[-1].get_potential_energy()
    one, two = found[1][0] - ground, found[2][0] - ground
    assert two / one == pytest.approx(4.3, abs=0.2)
    slope = 2 * two / 0.02 / elastic[-1].get_volume() / KBAR
    assert slope == pytest.approx(2.2, abs=0.1)
    assert found[2][1] == pytest.approx(-0.396, abs=1e-3)
    assert found[1][1] == pytest.approx(0.943, abs=1e-3)
