"""Cells: closed forms against ASE, images against a search of many, bad ones in one line."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.geometry import cell_to_cellpar, cellpar_to_cell, find_mic

from qmd.errors import InputError
from qmd.io.structure import load_system
from qmd.system.cell import (
    checked_cell,
    completed,
    heights,
    is_full,
    lattice_vectors,
    lengths_and_angles,
    minimum_image,
    periodic,
    turned,
    volume,
)
from qmd.system.distances import close_pairs, nearest_of

TILTED = np.array([[7.0, 0.0, 0.0], [2.5, 6.0, 0.0], [-1.5, 2.0, 5.5]])
SLAB = np.array([[7.0, 0.0, 0.0], [2.5, 6.0, 0.0], [0.0, 0.0, 0.0]])


def rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_lengths_and_angles_are_those_of_ase_both_ways():
    lengths, angles = lengths_and_angles(TILTED)
    np.testing.assert_allclose([*lengths, *angles], cell_to_cellpar(TILTED), rtol=1e-14)
    # Sums of a few products of numbers up to 10: rounding of 1e-15 each.
    np.testing.assert_allclose(lattice_vectors(lengths, angles), TILTED, atol=1e-13)
    np.testing.assert_allclose(
        lattice_vectors(lengths, angles), cellpar_to_cell([*lengths, *angles]), atol=1e-13
    )
    lengths, angles = lengths_and_angles(SLAB)
    assert lengths[2] == 0
    np.testing.assert_allclose(lattice_vectors(lengths, angles), SLAB, atol=1e-13)


def test_many_cells_at_once_are_each_alone():
    cells = np.stack([TILTED, np.diag([4.0, 5.0, 6.0])])
    lengths, angles = lengths_and_angles(cells)
    for k, cell in enumerate(cells):
        np.testing.assert_array_equal(lengths_and_angles(cell)[0], lengths[k])
        np.testing.assert_array_equal(lengths_and_angles(cell)[1], angles[k])


def test_directions_volume_and_heights():
    assert periodic(SLAB) == (True, True, False)
    assert is_full(TILTED) and not is_full(SLAB)
    assert volume(TILTED) == pytest.approx(7.0 * 6.0 * 5.5, rel=1e-14)
    areas = [np.linalg.norm(np.cross(TILTED[i - 2], TILTED[i - 1])) for i in range(3)]
    np.testing.assert_allclose(heights(TILTED), volume(TILTED) / np.array(areas), rtol=1e-13)
    assert heights(SLAB)[2] == np.inf
    assert heights(SLAB)[1] == pytest.approx(6.0)
    filled = completed(SLAB)
    np.testing.assert_allclose(filled[2], [0, 0, 1], atol=1e-14)


@pytest.mark.parametrize("cell", [TILTED, SLAB, np.diag([0.0, 5.0, 0.0]), np.zeros((3, 3))])
def test_a_turned_system_is_the_same_system(cell):
    q, rng = rotation(3), np.random.default_rng(4)
    x, v = rng.normal(size=(2, 5, 3))
    standard, y, w = turned(cell @ q, x @ q, v @ q)
    # Angles between all vectors stay: that is all there is, up to a rotation.
    before, after = np.concatenate([cell, x, v]), np.concatenate([standard, y, w])
    np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-12)
    assert not np.triu(standard, 1).any()
    assert np.linalg.det(completed(cell)) * np.linalg.det(completed(standard)) > 0


@pytest.mark.parametrize("cell", [TILTED, SLAB, np.diag([4.0, 5.0, 6.0])])
def test_the_shortest_image_is_that_of_ase(cell):
    arms = np.random.default_rng(5).uniform(-20, 20, size=(200, 3))
    expected, lengths = find_mic(arms, completed(cell), periodic(cell))
    found = minimum_image(arms, cell)
    within = lengths < heights(cell).min() / 2  # beyond, several images may be as short
    assert within.sum() > 10
    np.testing.assert_allclose(found[within], expected[within], atol=1e-12)


@pytest.mark.parametrize("count", [40, 1100])  # below and above the full matrix of distances
def test_close_pairs_are_found_in_both_ways(count):
    rng = np.random.default_rng(6)
    x, cell = rng.uniform(-30, 30, size=(count, 3)), TILTED * (2 if count < 1000 else 4)
    i, j, distances = close_pairs(x, cell, 1.5)
    first, second = np.triu_indices(count, 1)
    all_distances = np.linalg.norm(minimum_image(x[second] - x[first], cell), axis=1)
    near = all_distances < 1.5
    assert set(zip(i, j, strict=True)) == set(zip(first[near], second[near], strict=True))
    np.testing.assert_allclose(np.sort(distances), np.sort(all_distances[near]), atol=1e-12)
    odd, even = np.arange(1, count, 2), np.arange(0, count, 2)
    nearest, found = nearest_of(x, cell, odd, even)
    k = int(found.argmin())
    arms = minimum_image(x[even] - x[odd[k]], cell)
    assert found[k] == pytest.approx(np.linalg.norm(arms, axis=1).min(), abs=1e-12)
    assert nearest[k] == even[np.linalg.norm(arms, axis=1).argmin()]


@pytest.mark.parametrize(
    "cell, reason",
    [
        (np.diag([5.0, 5.0, -5.0]), "left-handed"),
        (np.array([[5.0, 0, 0], [0, 5.0, 0], [5.0, 5.0, 0]]), "singular"),
        (np.array([[5.0, 0, 0], [10.0, 0, 0], [0, 0, 0]]), "singular"),
        (np.diag([5.0, 5.0, np.nan]), "not finite"),
        (np.diag([5.0, 5.0, 0.4]), "lattice vector 3 is 0.4 angstrom long"),
        (np.diag([5.0, 5.0, 1e6]), "lattice vector 3 is 1e.06 angstrom long"),
        (np.diag([5.0, 5.0, -1e308]), "lattice vector 3 is 1e.308 angstrom long"),
        (np.eye(2), "shape"),
    ],
)
def test_bad_cells_are_refused_by_name(cell, reason):
    with pytest.raises(InputError, match=reason) as error:
        checked_cell(cell, "a.cif")
    assert "\n" not in error.value.message


def load(tmp_path, atoms, name="a.extxyz", **settings):
    ase.io.write(tmp_path / name, atoms, **settings)
    return load_system(name, tmp_path, periodic=True)


@pytest.mark.parametrize("name", ["a.extxyz", "a.cif", "POSCAR", "a.pdb", "a.gen"])
def test_every_format_with_a_lattice_gives_the_same_system(tmp_path, name):
    atoms = bulk("Cu").repeat((3, 2, 2))
    atoms.rattle(0.05, seed=1)
    found = load(tmp_path, atoms, name, **({"format": "vasp"} if name == "POSCAR" else {}))
    assert periodic(found.cell) == (True, True, True)
    # CRYST1 has three decimals of a length of 7.66 A and two of an angle of 60 degrees.
    digits = {"a.pdb": 2e-3, "a.cif": 1e-5}.get(name, 1e-9)
    np.testing.assert_allclose(lengths_and_angles(found.cell)[0], atoms.cell.lengths(), atol=digits)
    i, j = 0, 7
    arm = minimum_image(found.positions[[j]] - found.positions[[i]], found.cell)
    expected = atoms.get_distance(i, j, mic=True)
    assert np.linalg.norm(arm) == pytest.approx(expected, abs=5 * digits)


def test_a_slab_keeps_its_open_direction(tmp_path):
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.pbc = True, True, False
    assert periodic(load(tmp_path, atoms).cell) == (True, True, False)


def test_velocities_are_turned_with_the_cell(tmp_path):
    atoms = bulk("Cu").repeat(2)
    atoms.set_velocities(np.random.default_rng(2).normal(size=(8, 3)))
    found = load(tmp_path, atoms)
    before = atoms.get_velocities() @ np.array(atoms.cell).T
    np.testing.assert_allclose(found.velocities @ found.cell.T, before, atol=1e-7)


def test_what_would_be_dropped_or_guessed_is_refused(tmp_path):
    water = molecule("H2O")
    water.pbc = True
    with pytest.raises(InputError, match="lattice vector 1, which is missing or zero"):
        load(tmp_path, water)
    overlapping = Atoms("Cu2", [[0, 0, 0.1], [0, 0, 3.4]], cell=[3.5, 3.5, 3.5], pbc=True)
    with pytest.raises(InputError, match="overlapping atoms: Cu 1 and Cu 2 are 0.200"):
        load(tmp_path, overlapping)
    nanometres = Atoms("OHH", molecule("H2O").positions, cell=[0.9, 0.9, 0.9], pbc=True)
    with pytest.raises(InputError, match="overlapping atoms"):
        load(tmp_path, nanometres)


POSCAR = """cell
1.0
{cell}
{symbols}
2
Direct
0 0 0
0.5 0.5 0.5
{more}"""
CUBE = "3.5 0 0\n0 3.5 0\n0 0 3.5"


@pytest.mark.parametrize(
    "values, reason",
    [
        ({"cell": "3.5 0 0\n0 3.5 0\n0 0 -3.5"}, "left-handed"),
        ({"symbols": ""}, "symbols of the elements on line 6"),
        ({"more": "Lattice velocities and vectors\n1\n" + "0 0 0\n" * 7}, "velocities of the latt"),
        ({"more": "Direct\n0.1 0 0\n0 0.1 0\n"}, "direct coordinates"),
    ],
)
def test_poscar_files_that_ase_misreads_are_refused(tmp_path, values, reason):
    text = POSCAR.format(**({"cell": CUBE, "symbols": "Li", "more": ""} | values))
    (tmp_path / "POSCAR").write_text(text)
    with pytest.raises(InputError, match=reason):
        load_system("POSCAR", tmp_path, periodic=True)


def test_velocities_of_a_poscar_file_are_read_in_angstrom_per_fs(tmp_path):
    text = POSCAR.format(cell=CUBE, symbols="Li", more="\n0.001 0 0\n0 -0.001 0\n")
    (tmp_path / "POSCAR").write_text(text)
    found = load_system("POSCAR", tmp_path, periodic=True)
    from qmd import units

    assert found.velocities is not None
    np.testing.assert_allclose(found.velocities[0], [0.001 / units.fs, 0, 0], rtol=1e-12)


def test_mixed_sites_of_a_cif_file_are_refused(tmp_path):
    ase.io.write(tmp_path / "a.cif", bulk("Cu", cubic=True))
    text = (tmp_path / "a.cif").read_text()
    assert text.count("1.0000\n") == 4
    (tmp_path / "a.cif").write_text(text.replace("1.0000\n", "0.5000\n", 1))
    with pytest.raises(InputError, match="site 1 is occupied by 0.5 Cu"):
        load_system("a.cif", tmp_path, periodic=True)


def test_a_coord_file_with_a_cell_is_refused(tmp_path):
    (tmp_path / "coord").write_text("$coord\n0 0 0 li\n0 0 3 h\n$periodic 3\n$end\n")
    with pytest.raises(InputError, match="the block .periodic"):
        load_system("coord", tmp_path, periodic=True)
