"""The three folders are one package, wherever it is imported from."""

import subprocess
import sys
import tomllib
from pathlib import Path

import qmd

ROOT = Path(__file__).parents[1]


def test_every_package_is_shipped() -> None:
    # An unlisted subpackage works in a checkout, but the wheel lacks it.
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    sources = pyproject["tool"]["setuptools"]["package-dir"].values()
    found = {d.parent for s in sources for d in (ROOT / s).rglob("__init__.py")}
    assert len(found) == len(pyproject["tool"]["setuptools"]["packages"])


def test_the_version_is_the_same_everywhere() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == qmd.__version__


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
