"""The three folders are one package, wherever it is imported from."""

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from ruamel.yaml import YAML

import qmd
import qmd.integrators
import qmd.potentials

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_every_package_is_shipped() -> None:
    # A folder without `__init__.py` works in a checkout, but the wheel lacks it.
    script = runpy.run_path(str(ROOT / "setup.py"))
    sources = (file for name in script["FOLDERS"].values() for file in (ROOT / name).rglob("*.py"))
    assert len({file.parent for file in sources}) == len(script["packages"]())


def test_the_version_is_the_same_everywhere() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    (newest, *_) = re.findall(r"^## (\d\S*) - \d{4}-\d\d-\d\d$", CHANGELOG, re.MULTILINE)
    versions = {pyproject["project"]["version"], citation["version"], newest}
    assert versions == {qmd.__version__}


@pytest.mark.parametrize("module", [qmd, qmd.integrators, qmd.potentials], ids=lambda m: m.__name__)
def test_public_names_are_listed_before_they_are_imported(module: ModuleType) -> None:
    assert set(module.__all__) <= set(dir(module))


def test_the_folder_that_readme_clones_into_does_not_shadow_the_package(tmp_path: Path) -> None:
    (folder,) = re.findall(r"git clone REPOSITORY (\S+)", (ROOT / "README.md").read_text())
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "qmd", tmp_path / folder / "qmd", ignore=ignored)
    run = partial(subprocess.run, cwd=tmp_path, capture_output=True, text=True, check=True)
    version = run([sys.executable, "-m", "qmd", "--version"]).stdout
    assert version == f"qmd {qmd.__version__}\n"
    run([sys.executable, "-c", "import qmd; qmd.load"])


def test_the_checkout_works_without_being_installed() -> None:
    code = "import qmd.integrators, qmd.potentials; print(qmd.potentials.__name__)"
    result = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.strip() == "qmd.potentials"


def test_sources_are_ascii_and_name_no_machine() -> None:
    folders = ("qmd", "integrators", "potentials", "tests", "runs", "benchmarks", "docs")
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            assert file.read_bytes().isascii(), file


def test_no_loader_that_executes_data_is_imported() -> None:
    banned = ("import pickle", "import joblib", "allow_pickle=True", "deserialize_and_load")
    for folder in ("qmd", "integrators", "potentials"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text()
            assert not any(word in text for word in banned), file
