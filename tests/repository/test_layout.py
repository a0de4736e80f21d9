"""Layout of the sources: folders, layers, and imports that run downwards only."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_LAYERS, MAX_MODULES = 10, 20


def imports(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of pyproject.toml in `checkout`."""
    command = [sys.executable, str(ROOT / ".ci" / "imports.py"), str(checkout)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_contracts_of_the_imports_are_kept() -> None:
    checked = imports(ROOT)
    assert checked.returncode == 0, checked.stdout


def test_imports_upwards_in_circles_or_past_a_front_door_are_found(tmp_path: Path) -> None:
    for name in ("qmd", "integrators", "potentials"):
        ignored = shutil.ignore_patterns("__pycache__", "*.qmdp")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = {
        "qmd/io/files.py": "from qmd import cli",  # upwards
        "qmd/train/config.py": "from qmd.label import config",  # sideways
        "integrators/state.py": "from .batch import Batch",  # in a circle
        "potentials/parameters.py": "from qmd.integrators.state import State",  # past the door
    }
    for file, line in planted.items():
        with (tmp_path / file).open("a") as stream:
            stream.write(f"\n\n{line}\n")
    found = imports(tmp_path)
    assert found.returncode == 1
    for importer, imported in (
        ("io", "cli"), ("train", "label"), ("potentials", "integrators.state")
    ):  # fmt: skip
        assert f"qmd.{importer} is not allowed to import qmd.{imported}" in found.stdout
    assert "No cycles are allowed in qmd.integrators" in found.stdout


def test_there_are_few_layers() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = pyproject["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert len(layers) <= MAX_LAYERS


def test_no_folder_has_many_modules() -> None:
    for folder in (ROOT / "qmd", *(path.parent for path in (ROOT / "qmd").rglob("__init__.py"))):
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MAX_MODULES, folder
