"""What a structure file states is honoured or refused by name."""

from pathlib import Path

import ase.io
import numpy as np
import pytest

from qmd.data import datasets, geometries
from qmd.errors import InputError
from qmd.io.structure import load_system

WATER = "3\n{comment}\nO 0 0 0\nH 0.79 0.57 0\nH -0.79 0.57 0\n"
PDB = (
    "ATOM      1  O  {place}HOH A   1       0.000   0.000   0.000  1.00  0.00          {o:>2}{q}\n"
    "ATOM      2  H1  HOH A   1       0.790   0.570   0.000  1.00  0.00           H\n"
    "ATOM      3  H2  HOH A   1      -0.790   0.570   0.000  1.00  0.00           H\nEND\n"
)
MOL = (
    "\n  x\n\n  3  2  0  0  0  0  0  0  0  0999 V2000\n"
    "    0.0000    0.0000    0.0000 O  {difference} {charge}  0  0  0  0\n"
    "    0.7900    0.5700    0.0000 H   0  0  0  0  0  0\n"
    "   -0.7900    0.5700    0.0000 H   0  0  0  0  0  0\n"
    "  1  2  1  0\n  1  3  1  0\n{lines}M  END\n"
)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def both_doors(path: Path) -> list[str]:
    """Return the refusals of a run and of a label job."""
    refusals = []
    for read in (lambda: load_system(str(path), "."), lambda: geometries.read(path)):
        with pytest.raises(InputError) as error:
            read()
        refusals.append(error.value.message)
    return refusals


def test_deuterium_and_tritium_have_their_masses(tmp_path: Path) -> None:
    text = "3\n\nO 0 0 0\nD 0.79 0.57 0\nT -0.79 0.57 0\n"
    system = load_system(str(write(tmp_path, "dto.xyz", text)), ".")
    assert system.symbols == ("O", "H", "H")
    # AME2020; the relative atomic masses of CODATA 2018 are those of the bare nuclei.
    np.testing.assert_allclose(system.masses[1:], [2.01410178, 3.01604928], rtol=0, atol=1e-8)


def test_deuterium_in_a_pdb_file_is_the_same(tmp_path: Path) -> None:
    atoms = PDB.format(place=" ", o="O", q="  ")
    assert atoms.count("           H") == 2
    write(tmp_path, "d.pdb", atoms.replace("           H", "           D"))
    read = load_system("d.pdb", tmp_path)
    assert read.symbols == ("O", "H", "H")
    np.testing.assert_allclose(read.masses, [15.999, 2.0141, 2.0141], atol=1e-4)
    write(tmp_path, "q.pdb", atoms.replace("           H", "          Qq"))
    with pytest.raises(InputError, match="q.pdb': atom 2 is of an unknown element, 'Qq'"):
        load_system("q.pdb", tmp_path)


def test_a_symbol_of_no_element_is_named_with_its_atom(tmp_path: Path) -> None:
    path = write(tmp_path, "x.xyz", "2\n\nO 0 0 0\nQq 0 0 1\n")
    with pytest.raises(InputError, match="atom 2 is of an unknown element, 'Qq'"):
        load_system(str(path), ".")


def stated_at_both_doors(path: Path) -> list[tuple[int | None, int | None]]:
    """Return charge and multiplicity as a run and a label job read them."""
    system, stated = load_system(str(path), ".", charged=True), geometries.read(path).stated
    return [(system.charge, system.multiplicity), (stated.charge, stated.multiplicity)]


def commented(folder: Path, entries: str) -> Path:
    comment = f'Properties=species:S:1:pos:R:3 {entries} pbc="F F F"'
    return write(folder, "w.extxyz", WATER.format(comment=comment))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("", (None, None)),
        ("charge=2", (2, None)),
        ("total_charge=-1 multiplicity=2", (-1, 2)),
        ("net_charge=1.0 spin_multiplicity=2 charge=1", (1, 2)),
        ("uhf=2", (None, 3)),
    ],
)
def test_charge_and_multiplicity_of_a_comment_line_are_read(
    tmp_path: Path, entries: str, expected: tuple[int | None, int | None]
) -> None:
    path = commented(tmp_path, entries)
    assert stated_at_both_doors(path) == [expected, expected]
    if entries:  # whoever does not ask for them does not drop them
        with pytest.raises(InputError, match="states (charge|multiplicity)"):
            load_system(str(path), ".")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("spin=1", "states spin '1'"),
        ("charge=0.5", "states charge '0.5'; expected a whole number"),
        ("charge=many", "states charge 'many'; expected a whole number"),
        ("charge=1 total_charge=2", "contradicts itself: charge, total_charge differ"),
        ("multiplicity=0", "states multiplicity 0"),
    ],
)
def test_what_could_mean_several_things_is_refused(
    tmp_path: Path, entries: str, words: str
) -> None:
    assert all(words in message for message in both_doors(commented(tmp_path, entries)))


def test_frames_of_other_charges_are_not_one_file(tmp_path: Path) -> None:
    text = commented(tmp_path, "charge=1").read_text() + commented(tmp_path, "").read_text()
    path = write(tmp_path, "mixed.extxyz", text)
    with pytest.raises(InputError, match="frames 0 and 1 do not state the same charge"):
        geometries.read(path)


def test_a_neutral_singlet_may_say_so(tmp_path: Path) -> None:
    comment = 'Properties=species:S:1:pos:R:3 charge=0 multiplicity=1 spin=0 pbc="F F F"'
    path = write(tmp_path, "w.extxyz", WATER.format(comment=comment))
    assert load_system(str(path), ".").n_atoms == 3


@pytest.mark.parametrize(("column", "value"), [("mass", 2.0), ("initial_charges", 0.4)])
def test_columns_that_would_be_dropped_are_refused(
    tmp_path: Path, column: str, value: float
) -> None:
    lines = WATER.format(comment=f"Properties=species:S:1:pos:R:3:{column}:R:1").splitlines()
    text = "\n".join([*lines[:2], *(f"{line} {value}" for line in lines[2:]), ""])
    messages = both_doors(write(tmp_path, "w.extxyz", text))
    assert all("would be dropped" in message for message in messages)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"o": ""}, "no element in columns 77-78, the first is 1"),
        ({"place": "A"}, "alternate location A"),
        ({"q": "x-"}, "atom 1 has the charge 'x-'"),
    ],
)
def test_pdb_atoms_are_not_guessed(tmp_path: Path, change: dict[str, str], words: str) -> None:
    values = {"place": " ", "o": "O", "q": "  "}
    path = write(tmp_path, "w.pdb", PDB.format(**(values | change)))
    assert all(words in message for message in both_doors(path))


def test_the_same_pdb_file_without_these_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "w.pdb", PDB.format(place=" ", o="O", q="  "))
    assert load_system(str(path), ".").symbols == ("O", "H", "H")


@pytest.mark.parametrize(("q", "charge"), [("1-", -1), ("-1", -1), ("2+", 2), ("0 ", 0)])
def test_formal_charges_of_pdb_atoms_add_up(tmp_path: Path, q: str, charge: int) -> None:
    path = write(tmp_path, "w.pdb", PDB.format(place=" ", o="O", q=q))
    assert stated_at_both_doors(path) == [(charge, None)] * 2
    body = PDB.format(place=" ", o="O", q=q).replace("END\n", "")
    models = "".join(f"MODEL     {n:>4}\n{body}ENDMDL\n" for n in (1, 2))
    assert geometries.read(write(tmp_path, "two.pdb", models)).stated == (charge, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"charge": " 9"}, "atom 1 has the unknown charge code '9'"),
        ({"difference": " 2"}, "atom 1 has a mass difference"),
        ({"lines": "M  ISO  1   1  18\n"}, "isotopes"),
        ({"lines": "M  RAD  2   1   2   2   2\n"}, "several radicals"),
        ({"lines": "M  CHG  1   x\n"}, "is damaged"),
    ],
)
def test_mol_files_state_what_ase_does_not_read(
    tmp_path: Path, change: dict[str, str], words: str
) -> None:
    values = {"difference": " 0", "charge": " 0", "lines": ""} | change
    path = write(tmp_path, "w.mol", MOL.format(**values))
    assert all(words in message for message in both_doors(path))
    plain = MOL.format(difference=" 0", charge=" 0", lines="")
    assert load_system(str(write(tmp_path, "plain.mol", plain)), ".").n_atoms == 3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"charge": " 3"}, (1, None)),
        ({"charge": " 5"}, (-1, None)),
        ({"charge": " 4"}, (None, 2)),
        ({"lines": "M  CHG  2   1  -2   2   1\n"}, (-1, None)),
        ({"charge": " 3", "lines": "M  CHG  1   1  -1\n"}, (-1, None)),
        ({"lines": "M  CHG  1   1   1\nM  RAD  1   1   3\n"}, (1, 3)),
    ],
)
def test_charges_and_radicals_of_mol_files_are_read(
    tmp_path: Path, change: dict[str, str], expected: tuple[int | None, int | None]
) -> None:
    values = {"difference": " 0", "charge": " 0", "lines": ""} | change
    path = write(tmp_path, "w.mol", MOL.format(**values))
    assert stated_at_both_doors(path) == [expected, expected]


def test_label_refuses_what_run_refuses(tmp_path: Path) -> None:
    bohr = "3\n\nO 0 0 0\nH 1.493 1.077 0\nH -1.493 1.077 0\n"
    cases = {
        "bohr.xyz": (bohr, "O-H distance"),
        "same.xyz": ("2\n\nHe 0 0 0\nHe 0 0 0\n", "overlapping"),
    }
    for name, (text, words) in cases.items():
        assert all(words in message for message in both_doors(write(tmp_path, name, text)))


def test_one_stretched_frame_is_no_wrong_unit(tmp_path: Path) -> None:
    water = WATER.format(comment="")
    stretched = "3\n\nO 0 0 0\nH 1.9 0 0\nH 0 1.9 0\n"
    path = write(tmp_path, "scan.xyz", water + stretched)
    assert geometries.read(path)[1].shape == (2, 3, 3)


def test_isotopes_survive_the_last_structure(tmp_path: Path) -> None:
    from qmd.integrators import State
    from qmd.io import extxyz
    from qmd.system.system import System

    x = np.array([[0.0, 0, 0], [0.79, 0.57, 0], [-0.79, 0.57, 0]])
    v, masses = 0.01 * np.arange(9.0).reshape(3, 3), np.array([15.999, 2.014, 2.014])
    system = System(np.array([8, 1, 1]), x, masses, v, "heavy water")
    extxyz.write(tmp_path / "final.extxyz", system, [State(x, v, np.zeros((3, 3)), 0.0, 5)])
    kinetic = 0.5 * float((masses[:, None] * v**2).sum())
    atoms = ase.io.read(tmp_path / "final.extxyz")
    again = load_system(str(tmp_path / "final.extxyz"), ".")
    assert again.velocities is not None
    # 17 digits each way.
    assert atoms.get_kinetic_energy() == pytest.approx(kinetic, rel=1e-15, abs=0)
    np.testing.assert_array_equal(again.masses, masses)
    np.testing.assert_allclose(again.velocities, v, rtol=1e-15, atol=0)


def test_a_decimal_comma_is_named_at_both_doors(tmp_path: Path) -> None:
    path = write(tmp_path, "w.xyz", WATER.format(comment="").replace("0.79", "0,79"))
    for read in (lambda: load_system(str(path), "."), lambda: geometries.read(path)):
        with pytest.raises(InputError) as error:
            read()
        assert error.value.hint == "line 4: 0,79 has a decimal comma; write 0.79"


def test_deuterium_is_hydrogen_for_labels(tmp_path: Path) -> None:
    heavy = WATER.format(comment="").replace("H ", "D ", 1)
    path = write(tmp_path, "two.xyz", WATER.format(comment="") + heavy)
    assert geometries.read(path).numbers.tolist() == [8, 1, 1]
    pdb = PDB.format(place=" ", o="O", q="  ").replace("           H", "           D")
    assert geometries.read(write(tmp_path, "d.pdb", pdb)).numbers.tolist() == [8, 1, 1]
    strange = WATER.format(comment="") + heavy.replace("D ", "Qq ")
    path = write(tmp_path, "strange.xyz", strange)
    with pytest.raises(InputError, match="frame 1: atom 2 is of an unknown element, 'Qq'"):
        geometries.read(path)


def test_symbols_of_other_formats_are_named(tmp_path: Path) -> None:
    text = MOL.format(difference=" 0", charge=" 0", lines="").replace(" H ", " D ", 1)
    path = write(tmp_path, "d.mol", text)
    for read in (lambda: load_system(str(path), "."), lambda: geometries.read(path)):
        with pytest.raises(
            InputError, match=r"'D' is the symbol of no element \(line 6\)"
        ) as error:
            read()
        assert error.value.hint == "write H, and give the masses by `system.masses_u`"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            WATER.format(comment="Properties=species:S:1:pos:R:3:x:R:999999999"),
            "1000000003 columns",
        ),
        (WATER.format(comment='Properties="species:S:1:pos:R:5"'), "promises 6 columns, but has 4"),
        (WATER.format(comment="Properties=species:S:1:pos:R:-3"), "has no numbers of columns"),
        ("999999999" + WATER.format(comment="")[1:], "promises 999999999 atoms, but has 3"),
        ("1_000_000" + WATER.format(comment="")[1:], "expected the number of atoms"),
    ],
)
def test_what_a_file_promises_is_checked_before_the_reader_of_ase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    """The reader is a counter: it is not called at either door."""
    calls: list[object] = []
    monkeypatch.setattr(ase.io, "read", lambda *args, **options: calls.append(args))
    path = write(tmp_path, "promise.xyz", text)
    assert all(words in message for message in both_doors(path))
    with pytest.raises(InputError, match=words):
        datasets.read(path)
    assert not calls


def test_a_gen_file_has_as_many_lines_as_atoms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ase.io, "read", lambda *args, **options: pytest.fail("it was read"))
    path = write(tmp_path, "a.gen", "99999999 C\nO H\n1 1 0 0 0\n")
    with pytest.raises(InputError, match="promises 99999999 atoms, but has 1"):
        load_system(str(path), ".")


@pytest.mark.parametrize(
    "changes", [{"Z": np.array(["O"])}, {"Z": np.array([8.0])}, {"R": np.array([[["x"] * 3]])}]
)
def test_archives_of_text_are_no_geometries(tmp_path: Path, changes: dict[str, np.ndarray]) -> None:
    arrays = {"Z": np.array([8]), "R": np.zeros((1, 1, 3))}
    np.savez(tmp_path / "a.npz", **arrays)
    assert geometries.read(tmp_path / "a.npz").numbers.tolist() == [8]
    np.savez(tmp_path / "a.npz", **(arrays | changes))
    with pytest.raises(InputError, match="expected integers in Z and numbers in R"):
        geometries.read(tmp_path / "a.npz")
