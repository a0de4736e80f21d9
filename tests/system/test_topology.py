"""Bonds, residues and the PDB file, for three readers."""

import itertools
from pathlib import Path

import MDAnalysis
import numpy as np
import pytest
from ase.build import molecule

from qmd.errors import InputError
from qmd.io.pdb import name_atoms, write_pdb
from qmd.system.topology import alike_pairs, bonds, fragments

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
DIMER_NUMBERS = np.array([8, 1, 1, 8, 1, 1])
# Second molecule 2.9 angstrom away along a hydrogen bond, H...O = 1.94 angstrom.
DIMER = np.concatenate([WATER, WATER + [2.9, 0.0, 0.0]])

# MDAnalysis, mdtraj and ParmEd load modules that warn of their own deprecations.
readers = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)


@pytest.fixture
def dimer(tmp_path: Path) -> Path:
    path = tmp_path / "topology.pdb"
    write_pdb(path, DIMER_NUMBERS, DIMER, bonds(DIMER_NUMBERS, DIMER))
    return path


@pytest.mark.parametrize(
    ("name", "n_bonds"),
    [
        ("H2O", 2), ("LiH", 1), ("H2", 1), ("CH4", 4), ("NH3", 3), ("N2", 1), ("CO2", 2),
        ("CH3CH2OH", 8), ("C6H6", 12), ("HCl", 1), ("C2H2", 3), ("Si2H6", 7), ("F2", 1),
    ],
)  # fmt: skip
def test_molecules_have_the_bonds_of_their_structural_formula(name: str, n_bonds: int) -> None:
    atoms = molecule(name)
    found = bonds(atoms.numbers, atoms.positions)
    assert found.shape == (n_bonds, 2)
    assert len(fragments(len(atoms), found)) == 1


def test_a_hydrogen_bond_is_not_a_bond() -> None:
    found = bonds(DIMER_NUMBERS, DIMER)
    assert found.tolist() == [[0, 1], [0, 2], [3, 4], [3, 5]]
    assert fragments(6, found) == [[0, 1, 2], [3, 4, 5]]


def test_a_water_stretched_by_heat_stays_whole() -> None:
    # At 500 K r(OH) has a standard deviation of 0.03 angstrom: 0.3 is ten of them.
    assert len(bonds(np.array([8, 1]), np.array([[0, 0, 0], [0.96 + 0.29, 0, 0]]))) == 1


def test_fragments_do_not_depend_on_the_order_of_atoms() -> None:
    order = np.random.default_rng(0).permutation(6)
    found = fragments(6, bonds(DIMER_NUMBERS[order], DIMER[order]))
    molecules = {frozenset(order[members].tolist()) for members in found}
    assert molecules == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}


def test_atoms_without_bonds_are_fragments_of_their_own() -> None:
    far = 100.0 * np.arange(9).reshape(3, 3)
    assert bonds(np.array([1, 1, 1]), far).shape == (0, 2)
    assert fragments(3, bonds(np.array([1, 1, 1]), far)) == [[0], [1], [2]]


def test_names_are_unique_within_a_residue() -> None:
    ethanol = molecule("CH3CH2OH")
    atoms = name_atoms(ethanol.numbers, bonds(ethanol.numbers, ethanol.positions))
    assert len({atom.name for atom in atoms}) == 9
    assert {atom.residue_name for atom in atoms} == {"MOL"}
    water = name_atoms(DIMER_NUMBERS, bonds(DIMER_NUMBERS, DIMER))
    assert [atom.name for atom in water] == ["O", "H1", "H2"] * 2
    assert [atom.residue for atom in water] == [1, 1, 1, 2, 2, 2]
    lih = name_atoms(np.array([3, 1]), np.array([[0, 1]]))
    assert [(a.name, a.residue_name) for a in lih] == [("LI", "LIH"), ("H", "LIH")]


@readers
def test_mdanalysis_reads_the_dimer(dimer: Path) -> None:
    import MDAnalysis

    universe = MDAnalysis.Universe(str(dimer))
    assert list(universe.residues.resnames) == ["HOH", "HOH"]
    assert len(universe.atoms.fragments) == 2
    assert len(universe.bonds) == 4
    assert len(universe.select_atoms("water")) == 6
    assert list(universe.atoms.elements) == ["O", "H", "H"] * 2
    np.testing.assert_allclose(universe.atoms.masses, [15.999, 1.008, 1.008] * 2, atol=1e-3)
    np.testing.assert_allclose(universe.atoms.positions, DIMER, atol=6e-4)  # three decimals
    assert universe.dimensions is None


@readers
def test_mdtraj_reads_the_dimer(dimer: Path) -> None:
    import mdtraj

    topology = mdtraj.load_topology(str(dimer))
    assert [residue.name for residue in topology.residues] == ["HOH", "HOH"]
    assert [atom.element.number for atom in topology.atoms] == DIMER_NUMBERS.tolist()
    assert sorted(sorted(a.index for a in bond) for bond in topology.bonds) == [
        [0, 1], [0, 2], [3, 4], [3, 5],
    ]  # fmt: skip
    assert len(topology.select("water")) == 6


@readers
def test_parmed_reads_the_dimer(dimer: Path) -> None:
    import parmed

    structure = parmed.load_file(str(dimer))
    assert [atom.atomic_number for atom in structure.atoms] == DIMER_NUMBERS.tolist()
    assert [residue.name for residue in structure.residues] == ["HOH", "HOH"]
    assert len(structure.bonds) == 4
    assert structure.box is None


@readers
def test_two_letter_elements_are_not_mistaken(tmp_path: Path) -> None:
    import MDAnalysis
    import mdtraj

    numbers = np.array([3, 1, 17, 6, 20])  # " CL " and "CL  ", "CA  " and " CA " differ by a column
    positions = 5.0 * np.arange(15).reshape(5, 3)
    path = tmp_path / "topology.pdb"
    write_pdb(path, numbers, positions, bonds(numbers, positions))
    assert list(MDAnalysis.Universe(str(path)).atoms.elements) == ["Li", "H", "Cl", "C", "Ca"]
    topology = mdtraj.load_topology(str(path))
    assert [atom.element.number for atom in topology.atoms] == numbers.tolist()


@readers
def test_interleaved_molecules_keep_order_bonds_and_fragments(tmp_path: Path) -> None:
    import MDAnalysis

    order = [0, 3, 1, 4, 2, 5]  # O O H H H H
    numbers, positions = DIMER_NUMBERS[order], DIMER[order]
    path = tmp_path / "topology.pdb"
    write_pdb(path, numbers, positions, bonds(numbers, positions))
    universe = MDAnalysis.Universe(str(path))
    assert list(universe.atoms.elements) == ["O", "O", "H", "H", "H", "H"]
    assert [sorted(f.indices.tolist()) for f in universe.atoms.fragments] == [[0, 2, 4], [1, 3, 5]]
    assert len(universe.select_atoms("water")) == 6


def test_an_atom_with_many_bonds_uses_several_lines(tmp_path: Path) -> None:
    numbers = np.array([16] + [9] * 6)  # SF6
    positions = np.concatenate([np.zeros((1, 3)), 1.56 * np.eye(3), -1.56 * np.eye(3)])
    path = tmp_path / "topology.pdb"
    write_pdb(path, numbers, positions, bonds(numbers, positions))
    lines = [line for line in path.read_text().splitlines() if line.startswith("CONECT    1")]
    assert [len(line) for line in lines] == [31, 21]


def test_the_file_is_a_function_of_its_arguments(dimer: Path, tmp_path: Path) -> None:
    write_pdb(tmp_path / "again.pdb", DIMER_NUMBERS, -1e-9 + DIMER, bonds(DIMER_NUMBERS, DIMER))
    text = (tmp_path / "again.pdb").read_text()
    assert text == dimer.read_text()  # no "-0.000" either
    assert text.isascii() and text.endswith("END\n")


def test_what_the_columns_cannot_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "topology.pdb"
    none = np.empty((0, 2), dtype=int)
    with pytest.raises(InputError, match="reaches 10000"):
        write_pdb(path, np.array([1]), np.array([[1e4, 0.0, 0.0]]), none)
    with pytest.raises(InputError):
        write_pdb(path, np.array([1]), np.array([[np.nan, 0.0, 0.0]]), none)
    with pytest.raises(InputError, match="99999 atoms"):
        write_pdb(path, np.full(100_000, 1), np.zeros((100_000, 3)), none)
    assert not path.exists()


@readers
def test_more_molecules_than_residue_numbers_stay_apart(tmp_path: Path) -> None:
    path, none, cell = tmp_path / "topology.pdb", np.empty((0, 2), dtype=int), np.eye(3) * 90
    write_pdb(path, np.full(10_020, 18), np.zeros((10_020, 3)), none, cell)
    universe = MDAnalysis.Universe(str(path))
    assert universe.residues.n_residues == 10_020
    assert universe.dimensions.tolist() == [90, 90, 90, 90, 90, 90]


def classes_of(numbers: np.ndarray, positions: np.ndarray) -> set[frozenset[tuple[int, int]]]:
    """The sets of pairs that share a class."""
    found = alike_pairs(numbers, bonds(numbers, positions))
    assert (found == found.T).all()
    i, j = np.triu_indices(len(numbers), 1)
    return {
        frozenset(zip(i[same].tolist(), j[same].tolist(), strict=True))
        for same in (found[i, j] == one for one in np.unique(found[i, j]))
    }


def exchanges(numbers: np.ndarray, known: set[frozenset[int]]) -> list[tuple[int, ...]]:
    """All exchanges of like atoms that keep the bonds, by trying every one of them."""
    return [
        order
        for order in itertools.permutations(range(len(numbers)))
        if (numbers[list(order)] == numbers).all()
        and {frozenset(order[atom] for atom in bond) for bond in known} == known
    ]


@pytest.mark.parametrize("name", ["H2O", "CH4", "C2H2", "H2CO", "HCOOH", "CH3OH", "LiH", "NH3"])
def test_pairs_are_alike_where_an_exchange_of_atoms_takes_one_into_the_other(name: str) -> None:
    atoms = molecule(name)
    numbers, n = atoms.numbers, len(atoms)
    known = {frozenset(pair) for pair in bonds(numbers, atoms.positions).tolist()}
    orders = exchanges(numbers, known)
    expected = {
        frozenset(tuple(sorted((order[i], order[j]))) for order in orders)
        for i, j in itertools.combinations(range(n), 2)
    }
    assert classes_of(numbers, atoms.positions) == expected


def test_pairs_within_a_molecule_and_between_molecules_differ() -> None:
    # Two waters: O-H and H-H within, O-O, O-H and H-H between.
    found = classes_of(DIMER_NUMBERS, DIMER)
    assert len(found) == 5
    assert frozenset({(0, 1), (0, 2), (3, 4), (3, 5)}) in found
    assert frozenset({(1, 4), (1, 5), (2, 4), (2, 5)}) in found


def test_neighbours_across_a_ring_are_three_kinds() -> None:
    atoms = molecule("C6H6")
    carbons = [pairs for pairs in classes_of(atoms.numbers, atoms.positions)
               if all((atoms.numbers[list(pair)] == 6).all() for pair in pairs)]  # fmt: skip
    assert sorted(map(len, carbons)) == [3, 6, 6]  # para, ortho and meta
