"""The page for developers is true: what it adds to a checkout works as written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

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
    assert re.search(r"\d+ passed", result.stdout)
    assert (tmp_path / "output" / "trajectory.nc").stat().st_size > 0


def test_the_page_lists_the_files_that_it_touches() -> None:
    text = PAGE.read_text()
    titles = set(re.findall(r'^```\w+ title="((?:potentials|tests)/[^"]+)"', text, re.M))
    listed = set(re.findall(r"^\| `([^`]+)` \|", text, re.M))
    new = {name for name in listed if name.endswith("/")}
    assert {name for name in titles if not name.startswith(tuple(new))} <= listed
    changes = re.findall(r'^```diff title="potentials/[^"]+"\n(.*?)^```$', text, re.M | re.S)
    assert [line for block in changes for line in block.splitlines() if line[0] in "+-"] == [
        '+    "buckingham",'
    ]
