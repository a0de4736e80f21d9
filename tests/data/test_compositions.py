"""Labels of many compositions: arrays, files of ASE and QM9; energies of elements; refusals."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from qm9_files import CYANIDE, METHANE, archive

from qmd import units
from qmd.data import compositions, datasets
from qmd.data.datasets import Labels
from qmd.data.padded import pad_numbers, pad_vectors
from qmd.errors import InputError

NAMES = "CH4", "H2O", "NH3", "H2O", "CO"
RNG = np.random.default_rng(3)


def molecules():
    found = [molecule(name) for name in NAMES]
    found[3].positions[1, 2] += 0.1  # another geometry of water
    return found


def arrays(forces: bool = True) -> dict[str, np.ndarray]:
    found = molecules()
    numbers = pad_numbers([atoms.numbers for atoms in found])
    rows = [RNG.standard_normal((len(atoms), 3)) for atoms in found]
    kept = {"F": pad_vectors(rows, 5)} if forces else {}
    positions = pad_vectors([atoms.positions for atoms in found], 5)
    return {"Z": numbers, "R": positions, "E": np.arange(5.0)} | kept


def save(path: Path, **changes) -> Path:
    np.savez(path / "m.npz", **{k: v for k, v in (arrays() | changes).items() if v is not None})
    return path / "m.npz"


def test_padded_arrays_are_read_with_energies_alone_or_with_forces(tmp_path):
    expected = arrays()
    found = compositions.read(save(tmp_path, F=None))
    assert found.forces is None and found.cells is None and len(found) == 5
    assert found.elements == ("H", "C", "N", "O") and found.n_atoms.tolist() == [5, 3, 4, 3, 2]
    np.testing.assert_array_equal(found.positions, expected["R"])
    forces = expected["F"]
    np.testing.assert_array_equal(compositions.read(save(tmp_path, F=forces)).forces, forces)


def test_units_of_arrays_are_those_that_are_stated(tmp_path):
    data = arrays()
    path = save(tmp_path, R=data["R"] / units.bohr, F=data["F"])
    labels = Labels(energy_unit="Hartree", length_unit="bohr", forces_unit="Hartree/bohr")
    found = compositions.read(path, labels)
    np.testing.assert_allclose(found.positions, data["R"], rtol=1e-15)
    np.testing.assert_array_equal(found.energies, data["E"] * units.hartree)
    expected = data["F"] * (units.hartree / units.bohr)
    np.testing.assert_allclose(found.forces, expected, rtol=1e-15)


@pytest.mark.parametrize("file", ["m.extxyz", "m.db"])
def test_files_of_ase_give_the_same_labels(tmp_path, file):
    data, frames = arrays(), molecules()
    for atoms, energy, forces in zip(frames, data["E"], data["F"], strict=True):
        atoms.info.clear()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces[: len(atoms)])
    ase.io.write(tmp_path / file, frames)
    found = compositions.read(tmp_path / file)
    np.testing.assert_array_equal(found.numbers, data["Z"])
    # Extended XYZ has eight decimals.
    np.testing.assert_allclose(found.positions, data["R"], atol=5.1e-9)
    np.testing.assert_allclose(found.forces, data["F"], atol=5.1e-9)
    np.testing.assert_array_equal(found.energies, data["E"])


def test_cells_and_stresses_of_different_crystals_are_read(tmp_path):
    crystals = [bulk("Cu", cubic=True), bulk("Li", cubic=True)]
    stress = RNG.standard_normal((2, 6))
    np.savez(
        tmp_path / "c.npz", Z=pad_numbers([a.numbers for a in crystals]), E=[1.0, 2.0],
        R=pad_vectors([a.positions for a in crystals], 4), stress=stress,
        cell=[a.cell.array for a in crystals],
    )  # fmt: skip
    found = compositions.read(tmp_path / "c.npz")
    np.testing.assert_array_equal(found.stresses, stress)
    np.testing.assert_array_equal(found.cells[1], crystals[1].cell.array)


def test_frames_of_the_same_atoms_form_the_data_sets_of_one_composition(tmp_path):
    found = compositions.read(save(tmp_path))
    parts = list(found.take(np.array([4, 3, 1])).by_atoms())
    both = next(part for index, part in parts if len(index) == 2)
    assert both.numbers.tolist() == [8, 1, 1] and both.places.tolist() == [3, 1]
    np.testing.assert_array_equal(both.positions, found.positions[[3, 1], :3])
    np.testing.assert_array_equal(both.forces, found.forces[[3, 1], :3])
    np.savez(tmp_path / "w.npz", Z=both.numbers, R=both.positions, E=both.energies, F=both.forces)
    alone = datasets.read(tmp_path / "w.npz")
    np.testing.assert_array_equal(alone.energies, both.energies)


def test_energies_of_elements_are_found_exactly_where_energies_are_their_sums():
    numbers, atoms = arrays()["Z"], {1: -13.6, 6: -1030.0, 7: -1485.0, 8: -2041.0}
    table = np.zeros(9)
    table[list(atoms)] = list(atoms.values())
    energies = table[numbers].sum(axis=1)
    fitted = compositions.reference_energies(numbers, energies)
    # Four elements in four different compositions: one solution; its size is 2e3, and the matrix
    # has a condition of 10, so that 1e-11 is some hundred roundings.
    assert dict(fitted.energies) == pytest.approx(
        {"H": -13.6, "C": -1030.0, "N": -1485.0, "O": -2041.0}, abs=1e-10
    )
    np.testing.assert_allclose(fitted.of(numbers), energies, atol=1e-10)
    noisy = energies + RNG.standard_normal(5)
    rest = noisy - compositions.reference_energies(numbers, noisy).of(numbers)
    amounts = np.stack([(numbers == z).sum(axis=1) for z in atoms], axis=1)
    np.testing.assert_allclose(amounts.T @ rest, 0, atol=1e-9)  # normal equations


def test_one_composition_leaves_what_a_constant_leaves():
    numbers, energies = np.array([[8, 1, 1]] * 4), np.array([1.0, 2.0, 3.0, 6.0])
    fitted = compositions.reference_energies(numbers, energies)
    np.testing.assert_allclose(fitted.of(numbers), 3.0, atol=1e-14)


def test_an_element_that_no_frame_had_has_no_energy():
    fitted = compositions.reference_energies(np.array([[8, 1, 1]]), np.array([1.0]))
    with pytest.raises(InputError, match="no reference energy of C, N, which"):
        fitted.of(np.array([[8, 7, 6], [1, 1, 0]]))


def changed(key: str, place, value) -> dict[str, np.ndarray]:
    array = arrays()[key].copy()
    array[place] = value
    return {key: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"E": None}, "has no array 'E'"),
        ({"E": np.arange(4.0)}, "energies have shape (4,); expected one for each of 5 frames"),
        ({"E": np.array(list("abcde"))}, "E is of type <U1; expected numbers"),
        ({"F": np.zeros((5, 4, 3))}, "forces have shape (5, 4, 3); expected (5, 5, 3)"),
        ({"Z": np.full((5, 4), 6)}, "expected Z (frames, atoms) and R (frames, atoms, 3)"),
        ({"Z": np.zeros((5, 5))}, "expected whole numbers in Z"),
        (changed("Z", (2, 0), 0), "frame 3 has an atomic number 0 before an atom"),
        (changed("Z", (1, slice(None)), 0), "frame 2 has no atoms"),
        (changed("Z", (0, 0), 119), "has atomic numbers that no element has"),
        (changed("Z", (0, 0), -1), "has atomic numbers that no element has"),
        (changed("R", (1, 4), 1.0), "frame 2 has positions beyond its 3 atoms"),
        (changed("F", (1, 3), 1.0), "frame 2 has forces beyond its 3 atoms"),
        (changed("R", (1, 1), np.nan), "positions of frame 2 are not finite"),
        (changed("E", 4, np.inf), "energies of frame 5 are not finite, or beyond 1e+12 (1 such"),
        (changed("R", (1, 1), arrays()["R"][1, 0]), "frame 2: overlapping atoms: O 1 and H 2"),
        (changed("R", 3, arrays()["R"][1]), "frames 2 and 4 are the same geometry"),
    ],
)
def test_arrays_that_cannot_be_labels_are_refused_in_one_line(tmp_path, changes, message):
    with pytest.raises(InputError) as error:
        compositions.read(save(tmp_path, **changes))
    assert message in error.value.message and "\n" not in error.value.message


def test_frames_without_a_label_that_others_have_are_refused(tmp_path):
    frames = molecules()
    for atoms in frames:
        atoms.info = {"energy": 1.0}
    frames[2].arrays["forces"] = np.zeros((4, 3))
    ase.io.write(tmp_path / "m.extxyz", frames)
    with pytest.raises(InputError, match="frame 1 has no 'forces', three numbers for each atom"):
        compositions.read(tmp_path / "m.extxyz")
    del frames[2].arrays["forces"], frames[4].info["energy"]
    ase.io.write(tmp_path / "m.extxyz", frames)
    with pytest.raises(InputError, match="frame 5 has no 'energy', others have one"):
        compositions.read(tmp_path / "m.extxyz")


def test_qm9_gives_the_energy_that_is_named(tmp_path):
    path = archive(tmp_path / "q.tar.bz2", {"1.xyz": METHANE, "5.xyz": CYANIDE})
    found = compositions.read(path)
    np.testing.assert_allclose(found.energies / units.hartree, [-40.47893, -93.411888], rtol=1e-14)
    assert found.numbers.tolist() == [[6, 1, 1, 1, 1], [6, 7, 1, 0, 0]] and found.forces is None
    rest = compositions.read(path, Labels(energy_key="E")).energies / units.hartree
    np.testing.assert_allclose(rest, [-40.523679, -93.428489], rtol=1e-14)
    with pytest.raises(InputError, match="has no energy 'gap'; expected E, U0, U, H, G"):
        compositions.read(path, Labels(energy_key="gap"))
    with pytest.raises(InputError, match="has energies alone"):
        compositions.read(path, Labels(forces_key="F"))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected a file that ends in .npz, .xyz, .extxyz"):
        compositions.read(tmp_path / "labels.csv")
