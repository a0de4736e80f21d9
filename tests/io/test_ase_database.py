"""Databases of ASE are read as ASE reads them, and what they declare is not believed."""

import json
import sqlite3
from pathlib import Path

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from qmd.data import datasets
from qmd.data.datasets import Labels
from qmd.errors import InputError
from qmd.io.foreign import ase_database
from qmd.io.structure import load_system


def frames() -> list[Atoms]:
    rng, found = np.random.default_rng(1), []
    for _ in range(3):
        atoms = Atoms("OHH", rng.standard_normal((3, 3)), masses=[16, 2, 2])
        results = {"energy": rng.standard_normal(), "forces": rng.standard_normal((3, 3))}
        atoms.calc = SinglePointCalculator(atoms, **results, dipole=rng.standard_normal(3))
        found.append(atoms)
    return found


def write(path: Path) -> Path:
    with ase.db.connect(path) as database:
        for n, atoms in enumerate(frames()):
            data = {"E": -n, "F": np.full((3, 3), 0.5 * n), "text": "x", "deep": {"a": [1, 2]}}
            database.write(atoms, data=data, number=n)
    return path


@pytest.mark.parametrize("suffix", [".json", ".db"])
def test_rows_are_those_that_ase_reads(tmp_path, suffix) -> None:
    path = write(tmp_path / f"a{suffix}")
    found = datasets.read(path)
    for n, atoms in enumerate(frames()):
        np.testing.assert_array_equal(found.positions[n], atoms.positions)
        assert found.energies[n] == atoms.get_potential_energy()
        np.testing.assert_array_equal(found.forces[n], atoms.get_forces())
    np.testing.assert_array_equal(found.numbers, [8, 1, 1])
    other = datasets.read(path, Labels(energy_key="E", forces_key="F"))
    np.testing.assert_array_equal(other.energies, [0, -1, -2])
    np.testing.assert_array_equal(other.forces[2], np.ones((3, 3)))
    read = ase_database.read_json if suffix == ".json" else ase_database.read_sqlite
    with ase.db.connect(path) as database:
        for ours, row in zip(read(path.read_bytes(), "a"), database.select(), strict=True):
            for key in ("masses", "dipole", "energy"):
                np.testing.assert_array_equal(ours.labels[key], row[key])


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ([[10**9], "float64", [1.0]], "declares a shape"),
        ([[-3], "float64", [1.0]], "declares a shape"),
        ([[1] * 9, "float64", [1.0]], "declares a shape"),
        ([[1], "object", [1.0]], "declares a shape"),
        ([[1], "V99999999", [1.0]], "declares a shape"),
        ([[1], "float64", 1.0], "declares a shape"),
        ([[1], "float64"], "declares a shape"),
        ([[True], "float64", [1.0]], "declares a shape"),
        ([[1], "int64", [10**30]], "declares a shape"),
        ([[3, 1], "float64", [0.0, 0.0, 0.0]], "positions of shape"),
    ],
)
def test_an_array_of_json_is_as_large_as_its_data(tmp_path, declared, words) -> None:
    path = write(tmp_path / "a.json")
    content = json.loads(path.read_text())
    content["2"]["positions"] = {"__ndarray__": declared}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"row 2.*{words}"):
        datasets.read(path)


@pytest.mark.parametrize(
    "text",
    ["", "[", "[" * 10_000, "[1]", "{}", '{"ids": 3}', '{"ids": [1, 1, 1]}', '{"ids": [1]}',
     '{"1": 3, "ids": [1]}', '{"1": {"numbers": [1], "positions": [[0, 0], [1]]}, "ids": [1]}',
     '{"1": {"numbers": [200], "positions": [[0, 0, 0]]}, "ids": [1]}'],
)  # fmt: skip
def test_odd_json_is_one_line(tmp_path, text) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        datasets.read(path)
    assert "\n" not in error.value.message


def test_json_has_a_largest_size(tmp_path, monkeypatch) -> None:
    path = write(tmp_path / "a.json")
    monkeypatch.setattr(ase_database, "MAX_JSON_BYTES", 100)
    monkeypatch.setattr(ase_database.json, "loads", lambda text: pytest.fail("it has been read"))
    with pytest.raises(InputError, match="at most 100 as JSON"):
        datasets.read(path)


def changed(folder: Path, *statements: str) -> Path:
    path = write(folder / "a.db")
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return path


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (["DROP TABLE systems"], "no table systems"),
        (
            ["ALTER TABLE systems RENAME TO s", "CREATE VIEW systems AS SELECT * FROM s"],
            "no table systems",
        ),
        (
            ["DROP TABLE systems", "CREATE TABLE systems (numbers BLOB, positions BLOB AS "
             "(zeroblob(24)))", "INSERT INTO systems VALUES (x'01000000')"],
            "computed columns",
        ),
        (["UPDATE systems SET numbers = x'00' WHERE id = 2"], "row 2, 'numbers': 1 bytes"),
        (["UPDATE systems SET positions = NULL WHERE id = 2"], "row 2 has no numbers"),
        (["UPDATE systems SET forces = x'0000000000000000' WHERE id = 2"], "no vectors"),
        (["UPDATE systems SET data = 'x' WHERE id = 2"], "row 2 has data that is no JSON"),
        (["UPDATE systems SET numbers = x'C8000000C8000000C8000000'"], "no atomic number"),
    ],
)  # fmt: skip
def test_odd_tables_are_one_line(tmp_path, statements, words) -> None:
    with pytest.raises(InputError, match=words) as error:
        datasets.read(changed(tmp_path, *statements))
    assert "\n" not in error.value.message


def test_the_work_of_a_table_and_the_size_of_its_rows_have_bounds(tmp_path, monkeypatch) -> None:
    content = write(tmp_path / "a.db").read_bytes()
    with sqlite3.connect(":memory:") as connection:
        connection.deserialize(content)
        rows = ase_database._rows(connection, 100, "a")
        with pytest.raises(InputError, match="rows are larger than the file"):
            list(rows)
    connection.close()
    monkeypatch.setattr(ase_database, "STEPS", 0)
    monkeypatch.setattr(ase_database, "MAX_STEPS_PER_BYTE", 0)
    monkeypatch.setattr(ase_database, "EVERY", 1)
    with pytest.raises(InputError, match="not a usable ASE database .OperationalError"):
        ase_database.read_sqlite(content, "a")


def test_a_file_that_is_no_database_is_one_line(tmp_path) -> None:
    path = tmp_path / "a.db"
    whole = write(path).read_bytes()
    for content in (b"x" * 4096, whole[:5000], whole.replace(b"username", b"user\xeeame")):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a usable ASE database"):
            datasets.read(path)
        path.unlink()


# Structures: one row


@pytest.mark.parametrize("suffix", [".json", ".db"])
def test_a_row_is_a_structure_with_its_cell_momenta_and_charge(tmp_path, suffix) -> None:
    tilted = Atoms(
        "OHH", [[0.1, 0, 0], [0.97, 0.2, 0], [-0.24, 0.94, 0]], masses=[16, 2.014, 2.014],
        cell=[[9, 0, 0], [1, 10, 0], [-1, 2, 11]], pbc=True,
        momenta=np.random.default_rng(2).standard_normal((3, 3)),
    )  # fmt: skip
    path = tmp_path / f"waters{suffix}"
    with ase.db.connect(path) as database:
        for _ in range(3):
            database.write(tilted)
        database.delete([1])
        number = database.write(Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]), charge=-1)
    found = load_system(f"{path.name}@id=3", tmp_path, periodic=True)
    np.testing.assert_array_equal(found.cell, tilted.cell)
    np.testing.assert_array_equal(found.positions, tilted.positions)
    np.testing.assert_array_equal(found.masses, tilted.get_masses())
    np.testing.assert_array_equal(found.velocities, tilted.get_velocities())
    assert found.charge is None
    assert load_system(f"{path.name}@id={number}", tmp_path, charged=True).charge == -1
    with pytest.raises(InputError, match="states charge -1"):
        load_system(f"{path.name}@id={number}", tmp_path)
    with pytest.raises(InputError, match="is periodic"):
        load_system(f"{path.name}@id=2", tmp_path)
    with pytest.raises(InputError, match="has 3 rows, none with id 1") as error:
        load_system(f"{path.name}@id=1", tmp_path)
    assert error.value.hint == f"name one by its id: `{path.name}@id=2`"
    with pytest.raises(InputError, match="has 3 rows\n"):
        load_system(path.name, tmp_path)


def test_a_database_of_one_row_needs_no_id(tmp_path) -> None:
    with ase.db.connect(tmp_path / "one.db") as database:
        database.write(Atoms("LiH", [[0, 0, 0], [0, 0, 1.6]]))
    assert load_system("one.db", tmp_path).symbols == ("Li", "H")


def test_fixed_atoms_and_odd_arrays_of_a_row_are_refused(tmp_path) -> None:
    atoms = Atoms("LiH", [[0, 0, 0], [0, 0, 1.6]], constraint=FixAtoms([0]))
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(atoms)
    with pytest.raises(InputError, match="row 1: constraints"):
        load_system("a.db", tmp_path)
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("UPDATE systems SET constraints = NULL, masses = x'0000000000000000'")
    connection.close()
    with pytest.raises(InputError, match=r"row 1: masses of shape \(1,\), expected \(2,\)"):
        load_system("a.db", tmp_path)
