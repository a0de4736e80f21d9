"""Width of the vectors of the kernels: how it is decided, and that caches keep widths apart."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import codegen, config

import qmd.integrators.vector_width as vector_width
from qmd.integrators import VECTOR_WIDTH

ROOT = Path(__file__).parents[2]
SOURCE = """
from qmd.integrators import VECTOR_WIDTH, njit

@njit()
def width():
    return VECTOR_WIDTH
"""


@pytest.mark.parametrize(("features", "width"), [
    ("+avx2,+fma", 4), ("+avx2,-avx512f", 4), ("+avx2,+avx512f,+avx512vl", 8), ("", 4),
])  # fmt: skip
def test_the_width_is_that_of_the_processor_that_numba_compiles_for(
    monkeypatch: pytest.MonkeyPatch, features: str, width: int
) -> None:
    monkeypatch.delenv(vector_width.VARIABLE, raising=False)
    monkeypatch.setattr(codegen, "get_host_cpu_features", lambda: features)
    assert vector_width.decided() == width
    monkeypatch.setattr(config, "CPU_FEATURES", "+avx512f")
    assert vector_width.decided() == 8
    monkeypatch.setattr(config, "CPU_FEATURES", "")
    assert vector_width.decided() == 4


@pytest.mark.parametrize("width", [4, 8])
def test_the_variable_decides(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv(vector_width.VARIABLE, str(width))
    assert vector_width.decided() == width


@pytest.mark.parametrize("text", ["16", "0", "eight", "-4", "4.0"])
def test_other_widths_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(vector_width.VARIABLE, text)
    with pytest.raises(ValueError, match="QMD_VECTOR_WIDTH must be 4 or 8, but is"):
        vector_width.decided()


def test_a_kernel_of_the_other_width_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SOURCE)
    code = "import small; print(small.width(), sum(small.width.stats.cache_hits.values()))"
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{tmp_path}", "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
    }  # fmt: skip

    def width_and_hits(width: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
            env=environment | {vector_width.VARIABLE: str(width)},
        ).stdout  # fmt: skip

    assert [width_and_hits(width) for width in (4, 8)] == ["4 0\n", "8 0\n"]
    # Both are kept, side by side.
    assert [width_and_hits(width) for width in (4, 8)] == ["4 1\n", "8 1\n"]


def test_this_process_has_one_of_the_widths() -> None:
    assert VECTOR_WIDTH in vector_width.WIDTHS
