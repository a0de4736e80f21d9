"""JAX's cache is used where a trial shows that it works, and is silent in any case."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from qmd.forces import jax_cache

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    made: dict[str, Any] = {}
    monkeypatch.setattr(jax.config, "update", made.__setitem__)
    return made


def answer_trials(monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, float, str]) -> list[str]:
    """Replace both processes of a trial; the returned list grows by a folder for each."""
    folders: list[str] = []

    def attempt(folder: str) -> tuple[int, float, str]:
        folders.append(folder)
        return answers[len(folders) - 1]

    monkeypatch.setattr(jax_cache, "_attempt", attempt)
    return folders


@pytest.mark.filterwarnings("default")
def test_a_cache_that_works_is_used(home, settings, monkeypatch) -> None:
    tried = answer_trials(monkeypatch, (0, 2.0, ""), (1, 0.1, ""))
    folder = jax_cache.use_compilation_cache()
    assert folder is not None and folder.is_relative_to(home)
    assert settings["jax_compilation_cache_dir"] == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(tried) == 2 and tried[0] == tried[1]
    assert not Path(tried[0]).exists()
    assert jax_cache.use_compilation_cache() == folder
    assert len(tried) == 2  # once for a machine


@pytest.mark.parametrize(
    "second",
    [(0, 0.1, ""), (1, 3.0, ""), (1, 0.1, "E0000 cpu_aot_loader.cc: feature not supported\n")],
    ids=["not read", "no faster", "refused with an error"],
)
def test_a_cache_that_does_not_work_is_left_alone(home, settings, monkeypatch, second) -> None:
    tried = answer_trials(monkeypatch, (0, 2.0, ""), second)
    assert jax_cache.use_compilation_cache() is None
    assert jax_cache.use_compilation_cache() is None
    assert len(tried) == 2
    assert not settings


def test_a_trial_that_fails_is_no_error(home, settings, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", str(home / "no-python"))
    assert jax_cache.use_compilation_cache() is None
    assert not settings


def test_a_damaged_record_is_tried_again(home, settings, monkeypatch) -> None:
    answer_trials(monkeypatch, (0, 2.0, ""), (1, 0.1, ""), (0, 2.0, ""), (0, 2.0, ""))
    folder = jax_cache.use_compilation_cache()
    assert folder is not None
    for content in ("", "[]", "{"):
        (folder / "trial.json").write_text(content)
        assert jax_cache._works(folder / "trial.json") is False
        answer_trials(monkeypatch, (0, 2.0, ""), (0, 2.0, ""))


@pytest.mark.parametrize("content", [None, "a file"])
def test_without_a_folder_there_is_no_cache(home, settings, monkeypatch, content) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nope" if content is None else str(home / "file"))
    (home / "file").write_text("a file")
    assert jax_cache.use_compilation_cache() is None
    assert not settings


@pytest.mark.slow
def test_the_second_use_is_silent(home: Path) -> None:
    code = (
        "import jax; from qmd.forces.jax_cache import use_compilation_cache\n"
        "use_compilation_cache()\n"
        "print(jax.jit(lambda x: jax.numpy.sin(x @ x).sum())(jax.numpy.ones((3, 3))))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
            check=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert outputs[0].stdout == outputs[1].stdout
    assert outputs[1].stderr == ""
