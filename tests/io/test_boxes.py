"""Boxes of molecules: as many, as dense and as far apart as asked for, the same each time."""

from pathlib import Path

import numpy as np
import pytest

from qmd import units
from qmd.errors import InputError, NotInstalledError
from qmd.io.boxes import BUILT_IN_BOXES, Box
from qmd.io.structure import load_box, load_system
from qmd.system.cell import volume
from qmd.system.distances import close_pairs
from qmd.system.topology import bonds, fragments


@pytest.mark.parametrize("name", BUILT_IN_BOXES)
def test_a_built_in_box_has_the_molecules_and_density_of_its_name(name):
    system, box = load_system(name, Path(), periodic=True), BUILT_IN_BOXES[name]
    found = system.masses.sum() / volume(system.cell) / units.g_per_cm3
    # The edge has six digits behind the point: 5e-7 of 12 A, three times.
    assert found == pytest.approx(box.density_g_per_cm3, rel=2e-7)
    bonded = bonds(system.numbers, system.positions, system.cell)
    assert len(fragments(system.n_atoms, bonded)) == box.count
    with pytest.raises(InputError, match="potentials are for isolated molecules"):
        load_system(name, Path())


def test_the_edge_of_the_water_box_is_that_of_the_literature():
    # 64 waters of 18.015 u at 0.997 g/cm^3: 12.4 A; the box of the data set is 12.4447 A.
    assert load_system("water-64", Path(), periodic=True).cell[0, 0] == pytest.approx(
        12.43, abs=0.01
    )


def test_molecules_are_apart_and_undistorted():
    system = load_system("water-64", Path(), periodic=True)
    i, j, distances = close_pairs(system.positions, system.cell, 1.75)
    other = i // 3 != j // 3
    assert not other.any() or distances[other].min() > 1.45  # hydrogen bonds are 1.8 A
    water = load_system("h2o", Path()).positions
    arms = system.positions.reshape(64, 3, 3)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        lengths = np.linalg.norm(arms[:, a] - arms[:, b], axis=1)
        np.testing.assert_allclose(lengths, np.linalg.norm(water[a] - water[b]), atol=1e-12)
    # Orientations differ: the mean of 64 random unit vectors has a length of about 1/8.
    dipoles = arms[:, 1] + arms[:, 2] - 2 * arms[:, 0]
    assert np.linalg.norm((dipoles / np.linalg.norm(dipoles[0])).mean(axis=0)) < 0.4


@pytest.mark.parametrize("count", [1, 2, 7, 54, 108, 250])
def test_any_number_of_atoms_fits(count):
    system = load_box(Box("Ar", count, 1.0), Path())
    assert system.n_atoms == count
    edge = system.cell[0, 0]
    distances = close_pairs(system.positions, system.cell, edge)[2]
    # The closest sites of the lattice with the fewest sites: at least 0.8 of n^(-1/3).
    assert count == 1 or distances.min() > 0.8 * edge / count ** (1 / 3)


def test_a_seed_gives_one_box_and_another_another():
    one, again, other = (load_box(Box("h2o", 8, 0.8, seed), Path()).positions for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="overlapping atoms"):
        load_box(Box("h2o", 27, 20.0), Path())
    with pytest.raises(InputError, match="120000 atoms of 40000 h2o"):
        load_box(Box("h2o", 40_000, 1.0), Path())


def test_packmol_is_asked_only_on_request(monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NotInstalledError, match="needs the program packmol"):
        load_box(Box("h2o", 8, 0.5, placement="packmol"), Path())
    monkeypatch.undo()
    if shutil.which("packmol") is None:
        pytest.skip("packmol is not installed")
    system = load_box(Box("h2o", 8, 0.5, placement="packmol"), Path())
    i, j, distances = close_pairs(system.positions, system.cell, 1.9)
    assert (i // 3 == j // 3).all()
