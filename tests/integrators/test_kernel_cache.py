"""The cache of compiled kernels saves time, and can do no harm: without it, all is as with it."""

import errno
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import pytest
from numba.core import caching

import qmd.integrators.kernel_cache as kernel_cache

ROOT = Path(__file__).parents[2]
SOURCE = """
from qmd.integrators import njit

@njit()
def twice(x):
    return 2 * x

@njit()
def thrice(x):
    return 3 * x
"""
Start = Callable[[], ModuleType]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Import kernels as a new process would: nothing compiled, nothing said."""
    source = tmp_path / "small.py"
    source.write_text(SOURCE)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "kernels"))

    def load() -> ModuleType:
        kernel_cache._said.clear()
        spec = importlib.util.spec_from_file_location("small", source)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    kernel_cache._said.clear()


def hits(kernel: Any) -> int:
    return sum(kernel.stats.cache_hits.values())


def kept(tmp_path: Path, pattern: str) -> list[Path]:
    return sorted((tmp_path / "kernels").rglob(pattern))


def test_a_kernel_is_compiled_once(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    assert start().twice(4) == 8
    second = start()
    assert (second.twice(4), hits(second.twice)) == (8, 1)
    assert not caplog.records


@pytest.mark.parametrize("damage", ["empty", "one byte", "half", "all but one", "a bit", "zeros"])
@pytest.mark.parametrize("pattern", ["*.nbi", "*.nbc"])
def test_a_damaged_entry_is_compiled_again(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, pattern: str, damage: str
) -> None:
    first = start()
    assert (first.twice(4), first.thrice(4)) == (8, 12)
    files = kept(tmp_path, pattern)
    assert len(files) == 2
    for file in files:
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes({
            "empty": b"",
            "one byte": whole[:1],
            "half": whole[:middle],
            "all but one": whole[:-1],
            "a bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "zeros": whole[:middle] + bytes(len(whole) - middle),
        }[damage])  # fmt: skip
    second = start()
    assert (second.twice(4), second.thrice(4)) == (8, 12)
    assert (hits(second.twice), hits(second.thrice)) == (0, 0)
    assert len(caplog.records) == 1  # not one for each kernel
    assert "damaged" in caplog.text
    caplog.clear()
    third = start()
    assert (third.twice(4), hits(third.twice)) == (8, 1)
    assert not caplog.records


@pytest.mark.parametrize("function", ["_save_index", "_save_data"])
def test_a_full_disk_costs_a_line(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(caching.IndexDataCacheFile, function, full)
        for _ in range(2):
            kernels = start()
            assert (kernels.twice(4), kernels.thrice(4)) == (8, 12)
            assert [record.levelno for record in caplog.records] == [logging.WARNING]
            assert "No space left on device" in caplog.text
            caplog.clear()
    assert start().twice(4) == 8
    assert not caplog.records


def test_without_any_folder(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(self: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", read_only)
    kernels = start()
    assert not caplog.records  # nothing is missing before there is something to keep
    assert (kernels.twice(4), kernels.thrice(4)) == (8, 12)
    assert len(caplog.records) == 1
    assert "no folder for them can be written" in caplog.text


def test_without_a_home_there_is_no_folder_named_tilde(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Homeless:
        def __init__(self, **settings: Any) -> None:
            self.user_cache_dir = "~/.cache/numba"  # `expanduser` where the user has no entry

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(caching, "AppDirs", Homeless)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(
        caching.InTreeCacheLocator, "ensure_cache_path", lambda self: os.listdir("/nowhere")
    )
    assert start().twice(4) == 8
    assert not (tmp_path / "~").exists()


def test_an_entry_of_another_signature_is_not_taken(start: Start, tmp_path: Path) -> None:
    # Two processes at a first start both number their entry 1, and the later index wins.
    first = start()
    assert (first.twice(4), first.twice(4.5)) == (8, 9.0)
    integers, reals = kept(tmp_path, "small.twice*.nbc")
    shutil.copy(integers, reals)
    second = start()
    assert (second.twice(4.5), hits(second.twice)) == (9.0, 0)


def test_two_processes_at_a_first_start(start: Start, tmp_path: Path) -> None:
    del start  # it has written the source
    code = "import small; print(small.twice(4), small.thrice(1.5))"
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{tmp_path}", "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.communicate() == ("8 4.5\n", "")
        assert process.returncode == 0


def test_the_line_is_on_stderr_even_where_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SOURCE)
    code = (
        "from numba.core import caching\n"
        "def no(self): raise OSError\n"
        "caching._CacheLocator.ensure_cache_path = no\n"
        "import small; print(small.twice(4), small.thrice(4))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}, check=True,
    )  # fmt: skip
    assert done.stdout == "8 12\n"
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("qmd: compiled kernels cannot be kept (no folder")


@pytest.mark.parametrize("elsewhere", [False, True], ids=["pycache", "NUMBA_CACHE_DIR"])
def test_an_edit_two_folders_down_reaches_a_cached_kernel(tmp_path: Path, elsewhere: bool) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "integrators", tmp_path / "integrators",
        ignore=shutil.ignore_patterns("__pycache__"),
    )  # fmt: skip
    (tmp_path / "qmd").mkdir()
    shutil.copy(ROOT / "qmd" / "__init__.py", tmp_path / "qmd")
    deep = tmp_path / "potentials" / "upper" / "lower"
    deep.mkdir(parents=True)
    (tmp_path / "potentials" / "kernel.py").write_text(
        "from qmd.integrators import njit\n"
        "from qmd.potentials.upper.lower.constant import FACTOR\n\n\n"
        "@njit()\ndef value():\n    return 1.0 * FACTOR\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    del environment["NUMBA_CACHE_DIR"]
    if elsewhere:
        environment["NUMBA_CACHE_DIR"] = str(tmp_path / "kernels")
    code = (
        "from qmd.potentials.kernel import value; "
        "print(value(), sum(value.stats.cache_hits.values()))"
    )

    def value_and_cache_hits() -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    (deep / "constant.py").write_text("FACTOR = 3.0\n")
    assert value_and_cache_hits() == "3.0 0\n"
    assert value_and_cache_hits() == "3.0 1\n"  # the cache works, or this test shows nothing
    (deep / "constant.py").write_text("FACTOR = 303.0\n")
    assert value_and_cache_hits() == "303.0 0\n"


@pytest.mark.slow
def test_a_run_without_a_cache_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "ar2.xyz").write_text("2\n\nAr 0 0 0\nAr 3.9 0 0\n")
    (tmp_path / "input.yaml").write_text(
        "system: {structure: ar2.xyz, temperature_K: 100}\n"
        "potential: {kind: lennard_jones, epsilon_eV: 0.0104, sigma_A: 3.4}\n"
        "integrator: {kind: langevin_baoab, timestep_fs: 0.5, temperature_K: 100}\n"
        "steps: 100\n"
        "output: {trajectory_every: 10, log_every: 10}\n"
    )
    nowhere = (
        "from numba.core import caching\n"
        "def no(self): raise OSError\n"
        "caching._CacheLocator.ensure_cache_path = no\n"
    )
    command = "import sys; from qmd.__main__ import main; main()"
    bytes_of = {}
    for name, code in (("with", command), ("without", nowhere + command)):
        done = subprocess.run(
            [sys.executable, "-c", code, "run", "input.yaml", "--output", name, "--quiet"],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        files = ("trajectory.nc", "log.csv", "final.extxyz")
        bytes_of[name] = [(tmp_path / name / file).read_bytes() for file in files]
        assert done.stderr.count("compiled kernels cannot be kept") == (name == "without")
        assert done.stderr.count("\n") <= 1
    assert bytes_of["with"] == bytes_of["without"]
