"""What a structure file declares is checked against its size before a reader of ASE sees it."""

from pathlib import Path

import ase.io
import pytest

from qmd.data import datasets, geometries
from qmd.errors import InputError
from qmd.io import bounds, structure
from qmd.io.structure import load_system

ATOM = "ATOM      1  O   HOH A   1       0.000   0.000   0.000  1.00  0.00           O\n"
MOL = "\n\n\n{:>3}{:>3}  0  0  0  0  0  0  0  0999 V2000\n    0.0000    0.0000    0.0000 O\n"
XYZ = "1\n\nO 0 0 0\n"


@pytest.fixture
def counted(monkeypatch) -> list[object]:
    """Calls of the reader of ASE, which reads nothing."""
    calls: list[object] = []
    monkeypatch.setattr(ase.io, "read", lambda *args, **options: calls.append(args))
    return calls


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.pdb", "END\n" * 500, "frame|no atoms"),
        ("a.pdb", ATOM + "END\n" * 2, "frame|no atoms"),
        ("a.mol", MOL.format(999, 0), "promises 999 atoms, but has 1"),
        ("a.mol", MOL.format(1, 999), "promises 999 bonds, but has 0"),
        ("a.mol", MOL.format(1, 0).replace("V2000", "V3000"), "V3000"),
        ("a.mol", MOL.format(-1, 0), "expected the number of atoms"),
        ("a.gen", "999999 C\nO\n1 1 0 0 0\n", "promises 999999 atoms, but has 1"),
        ("coord", "$coord\n$end\n", "no atoms"),
        ("coord", "$coordinate\n" * 3, "no atoms"),
        ("a.xyz", "0\n\n" * 500, "number of atoms on line 1|frame 0, has no atoms"),
        ("a.sdf", MOL.format(1, 0), "not in a format that qmd reads"),
        ("a.cube", XYZ, "not in a format that qmd reads .*'cube'"),
        ("a.traj", XYZ, "not in a format that qmd reads .*'traj'"),
        ("a.json", "{}", "has no list of ids|not in a format that qmd reads .*'json'"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_read(tmp_path, counted, name, text, words) -> None:
    path = write(tmp_path, name, text)
    for read in (lambda: load_system(str(path), "."), lambda: geometries.read(path)):
        with pytest.raises(InputError, match=words) as error:
            read()
        assert "\n" not in error.value.message
    assert not counted


@pytest.mark.parametrize("name", ["a.pdb", "a.xyz"])
def test_there_are_only_so_many_frames(tmp_path, monkeypatch, counted, name) -> None:
    for module in (geometries, datasets):
        monkeypatch.setattr(module, "MAX_FRAMES", 3)
    path = write(tmp_path, name, (ATOM + "END\n" if name == "a.pdb" else XYZ) * 4)
    with pytest.raises(InputError, match="has 4 frames; at most 3"):
        geometries.read(path)
    if name == "a.xyz":
        with pytest.raises(InputError, match="dataset .* has 4 frames; at most 3"):
            datasets.read(path)
    assert not counted


def test_there_are_only_so_many_atoms(tmp_path, monkeypatch, counted) -> None:
    monkeypatch.setattr(structure, "MAX_ATOMS", 2)
    for name, text in {
        "a.pdb": ATOM * 3,
        "a.xyz": "3\n\n" + "O 0 0 0\n" * 3,
        "a.gen": "3 C\nO\n" + "1 1 0 0 0\n" * 3,
        "coord": "$coord\n" + "0 0 0 o\n" * 3 + "$end\n",
    }.items():
        with pytest.raises(InputError, match="has 3 atoms; expected 1 to 2"):
            load_system(str(write(tmp_path, name, text)), ".")
    assert not counted


def test_a_line_is_only_so_long(tmp_path, monkeypatch, counted) -> None:
    monkeypatch.setattr(bounds, "MAX_COLUMNS", 20)
    path = write(tmp_path, "a.xyz", f"1\n{'x' * 21}\nO 0 0 0\n")
    with pytest.raises(InputError, match="a line of more than 20 characters"):
        geometries.read(path)
    assert not counted


def test_one_model_with_an_end_behind_it_is_one_frame(tmp_path) -> None:
    path = write(tmp_path, "a.pdb", f"MODEL 1\n{ATOM}ENDMDL\nEND\n")
    assert load_system(str(path), ".").symbols == ("O",)
    assert geometries.read(path).positions.shape == (1, 1, 3)
