"""Data sets of every format, and those that cannot be right."""

import dataclasses
import random
import zipfile
from pathlib import Path

import ase
import ase.db
import ase.io
import mutations
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree, kcal, mol

from qmd.data import compositions, datasets
from qmd.data.checks import ATOMS_HARTREE, check, without_repeats
from qmd.data.datasets import Dataset, Labels
from qmd.errors import InputError, MismatchError

ROOT = Path(__file__).parents[2]
WATER = ("O", "H", "H")
KCAL = kcal / mol


@pytest.fixture(scope="module")
def water() -> Dataset:
    """60 frames of the labels of the repository."""
    dataset = datasets.read(ROOT / "runs" / "labels-h2o" / "h2o.npz")
    return dataset.take(np.arange(60))


def save(path: Path, dataset: Dataset, **changes) -> Path:
    arrays = {
        "Z": dataset.numbers, "R": dataset.positions, "E": dataset.energies, "F": dataset.forces
    }  # fmt: skip
    np.savez(path, **{k: v for k, v in (arrays | changes).items() if v is not None})
    return path


def assert_same(got: Dataset, expected: Dataset) -> None:
    # Conversions there and back: two roundings of numbers of size 2000.
    np.testing.assert_allclose(got.positions, expected.positions, rtol=1e-14)
    np.testing.assert_allclose(got.energies, expected.energies, rtol=1e-14)
    np.testing.assert_allclose(got.forces, expected.forces, rtol=1e-13)
    if got.numbers is not None:
        np.testing.assert_array_equal(got.numbers, expected.numbers)


def atoms(dataset: Dataset) -> list[ase.Atoms]:
    frames = []
    for x, e, f in zip(dataset.positions, dataset.energies, dataset.forces, strict=True):
        frame = ase.Atoms(dataset.numbers, x)
        frame.calc = SinglePointCalculator(frame, energy=e, forces=f)
        frames.append(frame)
    return frames


def test_npz_and_rmd17_names_mean_their_units(water, tmp_path):
    assert_same(datasets.read(save(tmp_path / "a.npz", water)), water)
    path = tmp_path / "rmd17.npz"
    np.savez(
        path, nuclear_charges=water.numbers, coords=water.positions,
        energies=water.energies / KCAL, forces=water.forces / KCAL,
    )  # fmt: skip
    assert_same(datasets.read(path), water)


def test_stated_units_are_converted(water, tmp_path):
    path = save(
        tmp_path / "au.npz", water, R=water.positions / Bohr, E=water.energies / Hartree,
        F=water.forces * Bohr / Hartree,
    )  # fmt: skip
    assert_same(datasets.read(path, Labels(energy_unit="Hartree", length_unit="bohr")), water)
    mixed = save(
        tmp_path / "mixed.npz", water, E=water.energies / Hartree, F=water.forces * Bohr / Hartree
    )
    labels = Labels(energy_unit="Hartree", forces_unit="Hartree/bohr")
    assert_same(datasets.read(mixed, labels), water)


def test_md17_files_say_their_unit_or_are_refused(water, tmp_path):
    arrays = {"z": water.numbers, "R": water.positions, "E": water.energies[:, None] / KCAL}
    path = tmp_path / "md17.npz"
    np.savez(path, **arrays, F=water.forces / KCAL)
    with pytest.raises(InputError, match="does not say the unit") as refused:
        datasets.read(path)
    assert "labels.energy_unit" in refused.value.hint
    assert_same(datasets.read(path, Labels(energy_unit="kcal/mol")), water)
    np.savez(path, **arrays, F=water.forces / KCAL, e_unit="kcal/mol", r_unit="Ang")
    assert_same(datasets.read(path), water)


def test_a_diatomic_curve_puts_its_force_along_the_bond(tmp_path):
    r = np.linspace(1.0, 3.0, 40)
    path = tmp_path / "curve.npz"
    np.savez(path, r=r, E=(r - 1.6) ** 2, F=-2 * (r - 1.6))
    dataset = datasets.read(path)
    assert dataset.numbers is None and dataset.positions.shape == (40, 2, 3)
    check(dataset, ("Li", "H"), forces=True)  # among others: forces are minus the slope
    assert dataset.forces[0, 1, 2] > 0 > dataset.forces[-1, 1, 2]


@pytest.mark.parametrize("suffix", ["extxyz", "xyz", "db"])
def test_files_of_ase(water, tmp_path, suffix):
    few = water.take(np.arange(5))
    path = tmp_path / f"labels.{suffix}"
    if suffix == "db":
        with ase.db.connect(path) as database:
            for frame in atoms(few):
                database.write(frame)
    else:
        ase.io.write(path, atoms(few), format="extxyz")
    got = datasets.read(path)
    np.testing.assert_allclose(got.energies, few.energies, atol=1e-7)  # 8 digits are written
    np.testing.assert_allclose(got.forces, few.forces, atol=1e-7)
    np.testing.assert_allclose(got.positions, few.positions, atol=1e-7)
    np.testing.assert_array_equal(got.numbers, few.numbers)


def test_reference_labels_of_extxyz_come_before_results_of_a_calculator(water, tmp_path):
    frames = atoms(water.take(np.arange(3)))
    for i, frame in enumerate(frames):
        frame.info["REF_energy"] = -10.0 - i
        frame.arrays["REF_forces"] = np.full((3, 3), float(i))
        frame.info["mine"] = 5.0 + i
    path = tmp_path / "labels.extxyz"
    ase.io.write(path, frames)
    got = datasets.read(path)
    assert got.energies.tolist() == [-10, -11, -12] and got.forces[2, 0, 0] == 2
    assert datasets.read(path, Labels(energy_key="mine")).energies.tolist() == [5, 6, 7]
    with pytest.raises(InputError, match="has no 'theirs'"):
        datasets.read(path, Labels(energy_key="theirs"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"E": None, "F": None}, "no energies"),
        ({"R": None}, "has the arrays"),
        ({"E": np.zeros(7)}, "energies have shape"),
        ({"F": np.zeros((60, 3))}, "forces have shape"),
        ({"Z": np.array([8, 1])}, "2 atomic numbers"),
        ({"Z": np.array([8.0, 1.0, 1.0])}, "must be integers"),
        ({"R": np.zeros((60, 9))}, "positions have shape"),
        ({"E": np.full(60, np.nan)}, "energies of frame 1 are not finite"),
        ({"E": np.array(["a"] * 60)}, "expected numbers"),
        ({"E": np.array([None] * 60)}, "arrays of objects"),
        ({"Z": np.array([[8, 1, 1]] * 59 + [[1, 8, 1]])}, "same atoms in the same order"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(water, tmp_path, changes, words):
    path = save(tmp_path / "bad.npz", water, **changes)
    with pytest.raises(InputError, match=words) as refused:
        datasets.read(path)
    assert "bad.npz" in refused.value.message


def test_files_that_are_not_what_their_name_says_are_refused(tmp_path):
    for name in ("a.npz", "a.extxyz", "a.db", "a.json", "a.txt"):
        path = tmp_path / name
        path.write_text("not a data set")
        with pytest.raises(InputError, match=name):
            datasets.read(path)
        path.write_bytes(b"")
        with pytest.raises(InputError, match=rf"{name}'(:? is empty|: expected a file that ends)"):
            datasets.read(path)


def test_frames_of_other_molecules_in_one_file_are_refused(tmp_path):
    frames = [ase.Atoms("OH2", np.eye(3)), ase.Atoms("NH3", np.ones((4, 3)))]
    ase.io.write(tmp_path / "two.extxyz", frames)
    with pytest.raises(InputError, match="frame 2 has other atoms"):
        datasets.read(tmp_path / "two.extxyz")


def relative(dataset: Dataset) -> np.ndarray:
    return dataset.energies - dataset.energies.min()


WRONG = {
    "total energies in kcal/mol": (lambda d: {"energies": d.energies / KCAL}, "kcal/mol"),
    "total energies in Hartree": (lambda d: {"energies": d.energies / Hartree}, "Hartree"),
    "relative energies in kcal/mol": (
        lambda d: {"energies": relative(d) / KCAL}, "energies in kcal/mol beside forces in eV"
    ),
    "relative energies in Hartree": (
        lambda d: {"energies": relative(d) / Hartree}, "energies in Hartree beside forces in eV"
    ),
    "relative energies and forces in kcal/mol": (
        lambda d: {"energies": relative(d) / KCAL, "forces": d.forces / KCAL}, "typically"
    ),
    "forces in atomic units": (
        lambda d: {"forces": d.forces * Bohr / Hartree}, "forces in Hartree/bohr"
    ),
    "positions in bohr": (lambda d: {"positions": d.positions / Bohr}, "O-H distance is"),
    "positions in nm": (lambda d: {"positions": d.positions / 10}, "O-H distance is"),
    "forces of the wrong sign": (lambda d: {"forces": -d.forces}, "wrong sign"),
    "forces of other frames": (lambda d: {"forces": d.forces[::-1]}, "do not belong"),
    "forces of other atoms": (lambda d: {"forces": d.forces[:, [1, 0, 2]]}, "net torque"),
    "energies of other frames": (lambda d: {"energies": d.energies[::-1]}, "do not belong"),
    "forces with a net part": (lambda d: {"forces": d.forces + 1.5}, "net force"),
    "no forces": (lambda d: {"forces": None}, "has no forces"),
    "zero forces": (lambda d: {"forces": 0 * d.forces}, "all forces are zero"),
    "one energy": (lambda d: {"energies": 0 * d.energies}, "all energies are the same"),
    "a frame twice": (
        lambda d: {"positions": np.concatenate([d.positions[:-1], d.positions[:1]])},
        "frames 1 and 60 are the same geometry",
    ),
    "overlapping atoms": (
        lambda d: {"positions": np.concatenate([d.positions[:-1], 0.2 * d.positions[-1:]])},
        "frame 60: overlapping atoms",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_labels_that_cannot_be_right_are_refused(water, name):
    change, words = WRONG[name]
    check(water, WATER, forces=True)
    with pytest.raises(InputError, match=words) as refused:
        check(dataclasses.replace(water, **change(water)), WATER, forces=True)
    assert "h2o.npz" in refused.value.message


def test_a_turned_copy_of_a_frame_is_a_repeat_and_can_be_dropped(water):
    turned = water.positions[3] @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]) + 1
    twice = dataclasses.replace(
        water, positions=np.concatenate([water.positions[:-1], turned[None]])
    )
    with pytest.raises(InputError, match="frames 4 and 60"):
        check(twice, WATER, forces=False)
    kept = without_repeats(twice)
    np.testing.assert_array_equal(kept.energies, water.energies[:-1])


def test_another_molecule_and_another_order_are_refused(water):
    with pytest.raises(MismatchError, match="is for O H H, the model for Li H"):
        check(water, ("Li", "H"), forces=True)
    with pytest.raises(MismatchError, match="the model for H O H") as refused:
        check(water, ("H", "O", "H"), forces=True)
    assert "order" in refused.value.hint


def test_honest_noise_is_not_refused(water):
    rng = np.random.default_rng(0)
    noisy = dataclasses.replace(
        water,
        energies=water.energies + 0.05 * rng.standard_normal(60),
        forces=water.forces + 0.2 * rng.standard_normal((60, 3, 3)),
    )
    check(noisy, WATER, forces=True)


SPECIES = {
    "h2o": WATER,
    "lih": ("Li", "H"),
    "dimer": WATER * 2,
    "contacts": WATER * 2,
    "test": WATER,
}


@pytest.mark.parametrize(
    "path",
    sorted(path for path in (ROOT / "runs").glob("labels-*/*.npz") if path.stem in SPECIES),
    ids=lambda p: f"{p.parent.name}-{p.stem}",
)
def test_the_labels_of_the_repository_are_accepted(path):
    check(without_repeats(datasets.read(path)), SPECIES[path.stem], forces=True)


@pytest.mark.parametrize("folder", ["labels-culi", "labels-molecules"])
def test_labels_of_many_compositions_are_those_of_their_structures(folder):
    path = ROOT / "runs" / folder / "labels.npz"
    if not path.exists():
        pytest.skip("not labelled yet")
    labels, structures = compositions.read(path), np.load(path.with_name("structures.npz"))
    n = len(labels)
    np.testing.assert_array_equal(labels.numbers, structures["Z"][:n])
    np.testing.assert_array_equal(labels.positions, structures["R"][:n])
    atoms = compositions.reference_energies(labels.numbers, labels.energies)
    rest = labels.energies - atoms.of(labels.numbers)
    # Bonds of light atoms and cohesion of metals: a few eV for each atom, not a tenth of a hartree
    # for each electron, which a wrong unit or a wrong composition would leave.
    assert np.abs(rest / labels.n_atoms).max() < 5
    if labels.forces is not None:
        net = labels.forces.sum(axis=1)
        assert np.abs(net).max() < 0.05 * np.abs(labels.forces).max()


def test_free_atoms_are_near_half_the_energy_of_hydrogen_and_grow_with_the_charge():
    assert ATOMS_HARTREE[1] == -0.5
    # Thomas-Fermi: E = -0.7687 Z^(7/3) Hartree, with corrections of order Z^(-1/3).
    for z, energy in ATOMS_HARTREE.items():
        assert 0.55 < energy / (-0.7687 * z ** (7 / 3)) < 1.0


def smeared(dataset: Dataset, path: Path, shift=0.01, only=None) -> Path:
    """Frames with an `energy` that is another one than that of the forces."""
    frames = atoms(dataset)
    for i, frame in enumerate(frames):
        free = frame.calc.results["energy"]
        frame.calc.results["energy"] = free + shift * i
        if only is None or i in only:
            frame.calc.results["free_energy"] = free
    ase.io.write(path, frames, format="extxyz")
    return path


def test_the_energy_is_that_of_the_forces_and_the_dataset_says_so(water, tmp_path):
    few = water.take(np.arange(5))
    path = smeared(few, tmp_path / "smeared.extxyz")
    got = datasets.read(path)
    np.testing.assert_allclose(got.energies, few.energies, atol=1e-7)  # 8 digits are written
    assert got.energy_key == "free_energy"
    (note,) = got.notes
    assert "`energy` and `free_energy` differ by up to 0.04 eV; `free_energy` is taken" in note
    other = datasets.read(path, Labels(energy_key="energy"))
    np.testing.assert_allclose(other.energies, few.energies + 0.01 * np.arange(5), atol=1e-7)
    assert other.energy_key == "energy" and "`energy` is taken as asked" in other.notes[0]
    asked = datasets.read(path, Labels(energy_key="free_energy"))
    np.testing.assert_array_equal(asked.energies, got.energies)
    assert asked.notes == ()


def test_equal_energies_need_no_word(water, tmp_path):
    got = datasets.read(smeared(water.take(np.arange(5)), tmp_path / "same.extxyz", shift=0.0))
    assert got.energy_key is None and got.notes == ()


def test_a_free_energy_of_some_frames_is_no_label(water, tmp_path):
    path = smeared(water.take(np.arange(5)), tmp_path / "some.extxyz", only=(0, 1))
    with pytest.raises(InputError, match="frame 3 has no 'free_energy', others have one"):
        datasets.read(path)


@pytest.mark.parametrize(("key", "value"), [("charge", 1), ("multiplicity", 3)])
def test_frames_of_several_charges_or_spins_are_no_dataset(water, tmp_path, key, value):
    frames = atoms(water.take(np.arange(3)))
    frames[2].info[key] = value
    ase.io.write(tmp_path / "mixed.extxyz", frames, format="extxyz")
    with pytest.raises(InputError, match=f"frame 3 states {key} '{value}', frame 1 'None'"):
        datasets.read(tmp_path / "mixed.extxyz")


@pytest.mark.parametrize("text", [np.str_, np.bytes_])
def test_texts_of_bytes_are_read_as_those_of_characters(water, tmp_path, text):
    # sGDML writes e_unit, r_unit, name and theory as arrays of bytes.
    path = tmp_path / "sgdml.npz"
    np.savez(
        path, z=water.numbers, R=water.positions / Bohr, E=water.energies / KCAL,
        F=water.forces / KCAL * Bohr, e_unit=np.array(text("kcal/mol")),
        r_unit=np.array([text("bohr")]), name=np.array(text("water")),
    )  # fmt: skip
    assert_same(datasets.read(path), water)
    np.savez(path, z=water.numbers, R=water.positions, E=water.energies, F=water.forces,
             e_unit=np.array(text("furlongs")))  # fmt: skip
    with pytest.raises(InputError, match="unknown unit 'furlongs'"):
        datasets.read(path)


@pytest.mark.parametrize(
    ("energy", "place", "advice"),
    [
        ("-1,5", "1.6", "line 2: -1,5 has a decimal comma; write -1.5"),
        ("-1.5", "1,6", "line 4: 1,6 has a decimal comma; write 1.6"),
    ],
)
def test_a_decimal_comma_is_named(tmp_path, energy, place, advice):
    path = tmp_path / "labels.extxyz"
    head = f"Properties=species:S:1:pos:R:3:forces:R:3 energy={energy}"
    path.write_text(f"2\n{head}\nLi 0 0 0 0 0 0\nH 0 0 {place} 0 0 0\n")
    with pytest.raises(InputError) as error:
        datasets.read(path)
    assert error.value.hint == advice


def test_a_decimal_comma_in_an_array_of_text_is_named(water, tmp_path):
    path = save(tmp_path / "text.npz", water, E=np.array(["-2081,5"] * 60))
    with pytest.raises(InputError) as error:
        datasets.read(path)
    assert error.value.hint == "-2081,5 has a decimal comma; write -2081.5"


def test_deuterium_is_hydrogen_for_labels(tmp_path):
    head = "Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5"
    frame = f"2\n{head}\nLi 0 0 0 0 0 0\n{{}} 0 0 1.6 0 0 0\n"
    path = tmp_path / "labels.extxyz"
    path.write_text(frame.format("H") + frame.format("D"))
    assert datasets.read(path).numbers.tolist() == [3, 1]
    path.write_text(frame.format("H") + frame.format("Qq"))
    with pytest.raises(
        InputError, match="dataset .*frame 1: atom 2 is of an unknown element, 'Qq'"
    ):
        datasets.read(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Z": np.array([0, 1, 1])}, "0 is no atomic number"),
        ({"Z": np.array([-8, 1, 1])}, "-8 is no atomic number"),
        ({"Z": np.array([200, 1, 1])}, "200 is no atomic number"),
        ({"Z": np.array([2**63, 1, 1], np.uint64)}, "is no atomic number"),
        ({"Z": np.zeros((0, 3), int)}, "no atomic numbers"),
        ({"E": np.full(60, 1e308)}, "energies of frame 1 are not finite, or beyond"),
        ({"E": np.full(60, np.nan)}, "energies of frame 1 are not finite"),
        ({"R": np.full((60, 3, 3), -1e308)}, "positions of frame 1 are not finite, or beyond"),
        ({"F": np.full((60, 3, 3), 1e300)}, "forces of frame 1 are not finite, or beyond"),
        ({"R": np.zeros((1,) * 9)}, "declares 9 dimensions"),
    ],
)
def test_values_of_no_molecule_are_refused_in_one_line(water, tmp_path, changes, words):
    with pytest.raises(InputError, match=words) as caught:
        datasets.read(save(tmp_path / "a.npz", water, **changes))
    assert "\n" not in caught.value.message


def declaring(shape: str, data: bytes = b"", kind: str = "<f8") -> bytes:
    """An array file with any text as its shape."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def archived(path: Path, member: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("R.npy", member)
    return path


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (declaring("(1000000000000,)"), "declares 1 dimensions and 8e\\+12 bytes, but has"),
        (declaring("(2,)", bytes(8)), "declares 1 dimensions and 16 bytes, but has 8"),
        (declaring("(" + "1," * 40 + ")", bytes(8)), "declares 40 dimensions"),
        (declaring("(-1,)", bytes(8)), "damaged"),
        (declaring("(True,)", bytes(8)), "damaged"),
        (declaring("(" * 300 + ")" * 300, bytes(8)), "damaged"),
        (declaring("'x'", bytes(8)), "damaged"),
        (declaring("(", bytes(8)), "damaged"),
        (declaring("(1,)", bytes(8), "O"), "objects"),
        (b"no array", "damaged"),
    ],
)
def test_what_an_archive_declares_is_not_believed(tmp_path, monkeypatch, member, words):
    """No array is read before its size is known: the reader of arrays is a counter."""
    calls = []
    monkeypatch.setattr(np, "load", lambda *args, **options: calls.append(args))
    with pytest.raises(InputError, match=words):
        datasets.read(archived(tmp_path / "a.npz", member))
    assert not calls


def test_an_archive_that_cannot_unpack_to_what_it_declares_is_refused(water, tmp_path, monkeypatch):
    path = save(tmp_path / "a.npz", water)
    monkeypatch.setattr(datasets, "MAX_RATIO", 0.5)
    with pytest.raises(InputError, match="declares .* bytes, but has only"):
        datasets.read(path)


def fuzz(path: Path, whole: bytes, seed: int, n: int) -> int:
    rng, refused = random.Random(seed), 0
    for case in range(n):
        path.write_bytes(mutations.of_bytes(rng, whole))
        try:
            datasets.read(path)
        except InputError as error:
            assert "\n" not in error.message
            refused += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, case {case}")
            raise
    return refused


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("n", [150, pytest.param(5_000, marks=pytest.mark.slow)])
def test_damaged_archives_are_one_line_or_harmless(water, tmp_path, compressed, n):
    few = water.take(np.arange(3))
    path = save(tmp_path / "a.npz", few)
    if compressed:
        np.savez_compressed(path, Z=few.numbers, R=few.positions, E=few.energies, F=few.forces)
    assert fuzz(path, path.read_bytes(), 1, n) > n / 2
