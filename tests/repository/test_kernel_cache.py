"""Compiled kernels in a checkout never outlive a change of their sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qmd._kernel_cache import kernel_sources

ROOT = Path(__file__).parents[2]


def checkout_with_a_kernel(folder: Path) -> Path:
    """Copy the package `qmd` alone, with a kernel that uses a constant two folders down."""
    shutil.copytree(ROOT / "qmd", folder / "qmd", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    deep = folder / "qmd" / "upper" / "lower"
    deep.mkdir(parents=True)
    (deep.parent / "kernel.py").write_text(
        "import numba\n\n"
        "from qmd.upper.lower.constant import FACTOR\n\n\n"
        "@numba.njit(cache=True)\ndef value():\n    return 1.0 * FACTOR\n"
    )
    (deep / "constant.py").write_text("FACTOR = 3.0  # compiled into a numba kernel\n")
    return deep / "constant.py"


@pytest.mark.parametrize("elsewhere", [False, True], ids=["pycache", "NUMBA_CACHE_DIR"])
def test_an_edit_two_folders_down_reaches_a_cached_kernel(tmp_path: Path, elsewhere: bool) -> None:
    constant = checkout_with_a_kernel(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    del environment["NUMBA_CACHE_DIR"]
    if elsewhere:
        (tmp_path / "kernels").mkdir()
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / "kernels")
    code = (
        "from qmd.upper.kernel import value; print(value(), sum(value.stats.cache_hits.values()))"
    )

    def value_and_cache_hits() -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    assert value_and_cache_hits() == "3.0 0\n"
    assert value_and_cache_hits() == "3.0 1\n"  # the cache works, or this test shows nothing
    constant.write_text("FACTOR = 303.0  # compiled into a numba kernel\n")
    assert value_and_cache_hits() == "303.0 0\n"


@pytest.mark.parametrize("root", ["integrators", "potentials", "qmd", "benchmarks"])
def test_every_folder_is_watched_at_any_depth(tmp_path: Path, root: str) -> None:
    source = tmp_path / root / "upper" / "lower" / "kernel.py"
    source.parent.mkdir(parents=True)
    source.write_text("import numba\n")
    before, folders = kernel_sources(tmp_path)
    assert folders == [source.parent]
    source.write_text("import numba  # changed\n")
    after, _ = kernel_sources(tmp_path)
    assert after != before
    source.rename(source.with_name("renamed.py"))
    assert kernel_sources(tmp_path)[0] != after
