"""The page for developers is true: what it adds to a checkout works as written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "extending.md"


def test_a_checkout_is_extended_as_written(tmp_path: Path) -> None:
    for folder in ("qmd", "integrators", "potentials", "tests/helpers"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in ("pyproject.toml", "tests/conftest.py", "tests/repository/test_docs.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "NUMBA_"))}
    environment = inherited | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "tests/repository/test_docs.py", str(PAGE)],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^model +Buckingham between 3 atoms, 9\d{3}\.\d+ eV", result.stdout, re.M)
    assert (tmp_path / "output" / "trajectory.nc").stat().st_size > 0
    assert result.stdout.count(" passed") == 3
    assert re.search(r"^fine: the atoms gained 0\.0\d+ eV, the error is", result.stdout, re.M)


FILES = {"Add a potential family": 2, "Add an integrator": 3, "Add an output format": 3}
"""Places to touch: files, and folders that are new as a whole; and a test for each section."""


@pytest.mark.parametrize("section", FILES)
def test_a_section_lists_the_files_that_it_touches(section: str) -> None:
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    titles = re.findall(r'^```\w+ title="((?:potentials|integrators|qmd|tests)/[^"]+)"', text, re.M)
    listed = re.findall(r"^\| `([^`]+/[^`]*)` \|", text, re.M)
    folders = tuple(name for name in listed if name.endswith("/"))
    touched = {next((f for f in folders if name.startswith(f)), name) for name in titles}
    assert touched == set(listed) and len(listed) == len(set(listed))
    tests = {name for name in touched if name.startswith("tests/")}
    assert (len(touched - tests), len(tests)) == (FILES[section], 1)


def test_a_family_and_an_integrator_are_one_line_in_the_lists() -> None:
    for file, line in (
        ("potentials/families.py", '    "buckingham",'),
        ("qmd/run/setup.py", '    "nose_hoover": ('),
    ):
        (block,) = re.findall(
            rf'^```diff title="{file}"\n(.*?)^```$', PAGE.read_text(), re.M | re.S
        )
        changed = [text for text in block.splitlines() if text[0] in "+-"]
        assert len(changed) == 1 and changed[0].startswith(f"+{line}")
