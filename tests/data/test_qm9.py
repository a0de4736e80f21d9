"""The reader of QM9, by files that are written here in the layout of its documentation."""

import bz2

import numpy as np
import pytest
from qm9_files import CYANIDE, METHANE, archive

from qmd import units
from qmd.data import qm9
from qmd.errors import InputError


def parse(text: str) -> qm9.Molecule:
    return qm9.parse(text.encode(), "methane.xyz")


def test_a_molecule_has_what_its_file_states():
    methane = parse(METHANE)
    assert methane.number == 1 and methane.numbers.tolist() == [6, 1, 1, 1, 1]
    assert methane.positions[2].tolist() == [1.0117308433, 1.4637511618, 2e-4]  # 2.0*^-4
    assert methane.charges[-1] == 0.13
    assert methane.properties["A"] == 157.7118 and methane.properties["Cv"] == 6.469
    assert len(methane.frequencies) == 9
    assert methane.smiles == ("C", "C") and methane.inchi[0] == "InChI=1S/CH4/h1H4"
    assert methane.energy("U0") == -40.47893 * units.hartree
    # The energy of nuclei at rest: what B3LYP gives without vibrations.
    assert methane.energy("E") == (-40.47893 - 0.044749) * units.hartree
    assert [methane.energy(key) / units.hartree for key in ("U", "H", "G")] == pytest.approx(
        [-40.476062, -40.475117, -40.498597], rel=1e-14
    )


def test_linear_molecules_have_one_frequency_more():
    assert len(parse(CYANIDE).frequencies) == 4


@pytest.mark.parametrize("name", ["a.tar", "a.tar.bz2", "a.tar.gz", "a.tar.xz", "folder"])
def test_archives_and_folders_give_the_same_molecules_in_the_order_of_their_numbers(tmp_path, name):
    files = {"dsgdb9nsd_000005.xyz": CYANIDE, "dsgdb9nsd_000001.xyz": METHANE, "readme": "text"}
    path = tmp_path / name
    if path.suffix:
        archive(path, files)
    else:
        path.mkdir()
        for file, text in files.items():
            (path / file).write_text(text)
    assert qm9.is_archive(path)
    molecules, sha256 = qm9.read_archive(path)
    assert [molecule.number for molecule in molecules] == [1, 5] and len(sha256) == 64
    np.testing.assert_array_equal(molecules[1].positions, parse(CYANIDE).positions)


def replaced(old: str, new: str) -> str:
    assert old in METHANE
    return METHANE.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the number of atoms, 1 to 1000, got ''"),
        (replaced("5\n", "-5\n"), "line 1: expected the number of atoms"),
        (replaced("5\n", "99999999999\n"), "line 1: expected the number of atoms"),
        (replaced("5\n", "6\n"), "has 10 lines; expected 11 for 6 atoms"),
        (METHANE + "more\n", "has 11 lines; expected 10 for 5 atoms"),
        (replaced("gdb 1", "gdb"), "line 2: expected `gdb`, a number and 15 properties"),
        (replaced("gdb 1", "gdb 1234567890"), "line 2: the number of the molecule has 10 digits"),
        (replaced("-40.47893", "-40,47893"), "line 2: expected numbers"),
        (replaced("-40.47893", "nan"), "line 2: a number is not finite, or beyond 1e"),
        (replaced("13.21", "1*^400"), "line 2: a number is not finite"),
        (replaced("13.21", "1*^^4"), "line 2: expected numbers"),
        (replaced("C\t-0.01", "Si\t-0.01"), "line 3: expected one of C, F, H, N, O, three coord"),
        (replaced("\t-0.535689", ""), "line 3: expected one of C, F, H, N, O, three coordinates"),
        (replaced("1341.307\t", ""), "line 8: expected 9 or 10 frequencies, got 8"),
        (replaced("C\tC\t\n", "C\n"), "line 9: expected two SMILES, got 1"),
        (replaced("\tInChI", "InChI"), "line 10: expected two InChI, got 1"),
        (replaced("gdb", "gdb\u00e9"), "is not a text of ASCII characters"),
        (METHANE + " " * 70_000, "has more than 65536 bytes"),
    ],
)
def test_what_is_not_of_the_layout_is_refused_with_its_line(text, message):
    with pytest.raises(InputError) as error:
        parse(text)
    assert error.value.message.startswith("methane.xyz") and message in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"readme": "text"}, "has no files that end in .xyz"),
        ({"a.xyz": METHANE, "b.xyz": METHANE}, "has molecule 1 twice"),
        ({"a.xyz": "5\n"}, "'q.tar', a.xyz has 1 lines; expected 10"),
    ],
)
def test_archives_without_molecules_or_with_one_twice_are_refused(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        qm9.read_archive(archive(tmp_path / "q.tar", files))


def test_what_is_no_archive_is_refused_in_one_line(tmp_path):
    path = archive(tmp_path / "q.tar.bz2", {"a.xyz": METHANE})
    whole = path.read_bytes()
    for content in (b"text", whole[: len(whole) // 2], bz2.compress(b"text")):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not a usable archive|has no files") as error:
            qm9.read_archive(path)
        assert "\n" not in error.value.message


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = archive(tmp_path / "q.tar.bz2", {"zeros": "0" * 1_000_000, "a.xyz": METHANE})
    assert path.stat().st_size < 2_000
    qm9.read_archive(path)
    monkeypatch.setattr(qm9, "MAX_BYTES", 500_000)
    with pytest.raises(InputError, match="unpacks to more than 500000 bytes"):
        qm9.read_archive(path)
