"""Exports: the file, its card, and the StableHLO programs in a process without `qmd`."""

import dataclasses
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
from exports import geometries, in_jax, native, run_alone, water
from typer.testing import CliRunner

from qmd.cli import export as cli_export  # noqa: F401  for its command
from qmd.cli.app import app
from qmd.errors import InputError
from qmd.export import program as export_program
from qmd.export import to_stablehlo
from qmd.export.formats import Format, default_path, export
from qmd.potentials import ManyBody, Package, ShortRangeWall, Switched, find, load, shipped

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "export.md").read_text()
SCRIPTS = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```$', PAGE, re.M | re.S))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with water in all forms, and the scripts of the page."""
    folder = tmp_path_factory.mktemp("exports")
    for to in Format:
        export(water(), to, folder / default_path(water(), to))
    for name, script in SCRIPTS.items():
        (folder / name).write_text(script)
    return folder


def test_the_programs_run_in_a_fresh_process_without_qmd(folder: Path) -> None:
    package = water()
    positions = geometries(package, 7)
    np.save(folder / "positions.npy", positions)
    printed = run_alone(
        "import numpy as np\n"
        "from load_stablehlo import batch, single\n"
        "x = np.load('positions.npy')\n"
        "energies, forces = batch(x)\n"
        "np.savez('results.npz', energies=energies, forces=forces,\n"
        "    one=batch(x[:1])[0], single=[single(y)[0] for y in x],\n"
        "    single_forces=[single(y)[1] for y in x])\n",
        folder,
    )
    assert re.search(r"\d\.\d{6} eV\nTrue$", printed.strip()), printed
    energies, forces = native(package, positions)
    with np.load(folder / "results.npz") as found:
        assert {array.dtype for array in found.values()} == {np.dtype(float)}
        for name in ("energies", "single"):
            np.testing.assert_allclose(found[name], energies, rtol=0, atol=1e-12)
        for name in ("forces", "single_forces"):
            np.testing.assert_allclose(found[name], forces, rtol=0, atol=1e-10)
        np.testing.assert_allclose(found["one"], energies[:1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", sorted(SCRIPTS.keys() - {"load_stablehlo.py"}))
def test_the_other_scripts_of_the_page_run_as_written(name: str, folder: Path) -> None:
    if "openmm" in name and find_spec("openmm") is None:
        pytest.skip("OpenMM is not installed")
    printed = run_alone(SCRIPTS[name], folder)
    energy = native(water(), water().test_positions[:1])[0][0]
    expected = {
        "load_tojax.py": rf"^{energy:.6f} eV",
        "relax.py": r"^-?0\.0\d+ eV, O-H 0\.9\d+ angstrom",
        "run_openmm.py": r"\d kJ/mol",
    }
    assert re.search(expected[name], printed), printed


@pytest.mark.slow
def test_bytes_depend_on_the_package_alone(folder: Path) -> None:
    """Another process writes the same bytes, and they name no source file of this machine."""
    script = "from exports import water; from qmd.export.formats import *\n" + "".join(
        f"export(water(), Format('{to}'), Path('again') / default_path(water(), Format('{to}')))\n"
        for to in Format
    )
    (folder / "again").mkdir()
    defaults = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    subprocess.run(
        [sys.executable, "-c", script], cwd=folder, check=True,
        env=defaults | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'helpers'}"},
    )  # fmt: skip
    for again in sorted((folder / "again").iterdir()):
        data = (folder / again.name).read_bytes()
        assert again.read_bytes() == data
        members = [data] if again.suffix == ".py" else _members(data).values()
        assert all(str(ROOT).encode() not in member for member in members)
    assert len(list((folder / "again").iterdir())) == len(Format)


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_card_says_what_the_programs_are(folder: Path) -> None:
    package = water()
    members = _members((folder / default_path(package, Format.STABLEHLO)).read_bytes())
    card = json.loads(members.pop("card.json"))
    assert card["sha256"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in members.items()
    }
    assert card["signature"].keys() == members.keys()
    assert card["species"] == ["O", "H", "H"]
    assert card["units"] == {"length": "angstrom", "energy": "eV", "forces": "eV/angstrom"}
    assert card["reference_energy_eV"] == package.reference_energy_eV
    assert card["package_sha256"] == package.sha256
    energies, forces = native(package, package.test_positions)
    assert card["test_vectors"]["energies_eV"] == energies.tolist()
    assert card["test_vectors"]["forces_eV_per_A"] == forces.tolist()
    assert [key for key in card if f"`{key}`" not in PAGE] == []


def test_a_file_that_is_there_stays(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(to_stablehlo, "encode", lambda package: b"new")
    kept = tmp_path / "kept.zip"
    kept.write_bytes(b"kept")
    with pytest.raises(InputError, match=r"kept\.zip exists"):
        export(water(), Format.STABLEHLO, kept)
    assert kept.read_bytes() == b"kept"
    export(water(), Format.STABLEHLO, kept, overwrite=True)
    assert kept.read_bytes() == b"new"


@pytest.mark.parametrize("target", ["", "missing/file.zip"])
def test_the_target_must_be_a_file_in_a_folder(target: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a file in an existing folder"):
        export(water(), Format.STABLEHLO, tmp_path / target)


def test_the_command_says_what_it_wrote_and_refuses_to_write_again(tmp_path: Path) -> None:
    path = tmp_path / "water_ase.py"
    command = ["potential", "export", "sivqlm-h2o", "-o", str(path), "--to"]
    result = CliRunner().invoke(app, [*command, "ase"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{path}: sivqlm-h2o for ase, ")
    assert "class ExportedPotential" in path.read_text()
    assert CliRunner().invoke(app, [*command, "ase"]).exit_code == InputError.exit_code


@pytest.mark.parametrize(
    ("name", "guess"), [("openmm", "openmm-jax"), ("tojaz", "tojax"), ("ASE", "ase"), ("onnx", "")]
)
def test_an_unknown_format_is_one_line_with_the_nearest_one(
    name: str, guess: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    with pytest.raises(SystemExit) as end:
        app(["potential", "export", "sivqlm-h2o", "-o", str(path), "--to", name], prog_name="qmd")
    assert end.value.code == InputError.exit_code and not path.exists()
    expected = f"qmd: --to '{name}': expected one of stablehlo, ase, openmm-jax, tojax."
    assert (
        capfd.readouterr().err == expected + (f" Did you mean '{guess}'?" if guess else "") + "\n"
    )


LARGE = {
    name: pytest.mark.slow
    for name in (
        "sivqlm-h2o-dimer",
        "qnn-aspirin",
        "qnn-benzene",
        "qnn-malonaldehyde",
        "qnn-ethanol",
    )
}
"""JAX compiles them for long; `qnn-organic` is of the same kind as the last ones."""


WITHOUT_KERNEL = ("allegro-benzene",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=LARGE.get(name, ())) for name in shipped()]
)
def test_every_shipped_potential_can_be_exported(name: str) -> None:
    assert_exported(load(find(name)))


def test_a_composed_potential_is_exported_whole() -> None:
    monomer = water()
    between = tuple((i, j) for i in range(3) for j in range(3, 6))
    wall = ShortRangeWall(between, (4.0,) * 9, 0.1)
    pair = Switched(wall, between=(0, 3), inner=2.5, outer=6.0)
    x = monomer.test_positions[:3]
    dimer = dataclasses.replace(
        monomer,
        species=monomer.species * 2,
        model=ManyBody(monomer.model, pair),
        test_positions=np.concatenate([x, x + [2.6, 0.4, 0.1]], axis=1),
    )
    assert (native(dimer, dimer.test_positions)[0] > 2 * native(monomer, x)[0] + 0.1).all()
    assert_exported(dimer)


def assert_exported(package: Package) -> None:
    """The program gives what the native kernel gives, or JAX where there is none."""
    program = jax.jit(jax.export.deserialize(bytearray(export_program.batch(package))).call)
    energies, forces = (in_jax if package.name in WITHOUT_KERNEL else native)(
        package, package.test_positions
    )
    found = program(package.test_positions)
    np.testing.assert_allclose(found[0], energies, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found[1], forces, rtol=0, atol=1e-10)
