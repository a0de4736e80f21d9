"""A lack of memory is one line with an exit code, and loses nothing that was saved."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest
from forked import Lab

from qmd.errors import OutOfMemoryError, memory_errors, out_of_memory
from qmd.io import trajectory
from qmd.run import session
from qmd.run.config import load_config

TOO_MANY = 2**57
INPUT = {
    "system": {"structure": "h2o", "temperature_K": 300},
    "potential": "sivqlm-h2o",
    "integrator": {"kind": "langevin_baoab", "timestep_fs": 0.5, "temperature_K": 300},
    "steps": 31,
    "output": {"trajectory_every": 7, "log_every": 3, "checkpoint_every": 10},
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@numba.njit
def compiled(n):
    return np.zeros(n)


def no_thread() -> None:
    class Refused(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")  # as CPython says it

    Refused().start()


@pytest.mark.parametrize(
    "ask", [lambda: np.zeros(TOO_MANY), lambda: compiled(TOO_MANY), no_thread],
    ids=["NumPy", "Numba", "thread"],
)  # fmt: skip
def test_a_lack_of_memory_is_known_by_whoever_reports_it(ask) -> None:
    with pytest.raises(OutOfMemoryError, match="^Out of memory: ") as found, memory_errors():
        ask()
    assert found.value.exit_code == 5
    assert "\n" not in found.value.message


def test_one_of_JAX_is_too() -> None:
    import jax

    with pytest.raises(OutOfMemoryError, match="RESOURCE_EXHAUSTED"), memory_errors():
        jax.numpy.zeros(2**57).block_until_ready()


@pytest.mark.parametrize("error", [RuntimeError("no convergence"), ValueError(), OSError("full")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert out_of_memory(error) is None
    with pytest.raises(type(error)) as raised, memory_errors():
        raise error
    assert raised.value is error


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_run_that_lacks_memory_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    path = tmp_path / "input.yaml"
    path.write_text(json.dumps(INPUT | {"replicas": replicas}))
    loaded = load_config(path)
    session.run(loaded, tmp_path / "whole")
    write, output = trajectory.TrajectoryWriter.write, tmp_path / "output"

    def fails_at_21(writer, snapshot):
        if snapshot.step == 21:
            raise MemoryError
        write(writer, snapshot)

    with monkeypatch.context() as patch:
        patch.setattr(trajectory.TrajectoryWriter, "write", fails_at_21)
        with pytest.raises(OutOfMemoryError):
            session.run(loaded, output)
    session.run(loaded, output)
    for name in ("trajectory.nc", "log.csv", "final.extxyz"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        "error return without exception set",
        "<ufunc 'add'> returned NULL without setting an exception",
    ],
    ids=["indexing", "ufunc"],
)
def test_an_allocation_in_C_that_failed_without_a_word_is_one(text: str) -> None:
    found = out_of_memory(SystemError(text))
    assert found and found.message == "Out of memory: no further details."
    assert out_of_memory(SystemError("bad argument to internal function")) is None


@pytest.mark.parametrize("left_MB", [4, 10, 32])
def test_a_start_without_memory_is_one_line_and_exit_code_5(
    tmp_path: Path, lab: Lab, left_MB: int
) -> None:
    path = tmp_path / "input.yaml"
    path.write_text(json.dumps(INPUT | {"replicas": 100_000, "threads": 1, "steps": 1}))
    # Positions, velocities and forces of all replicas are 7 MB each, several times over.
    ended = lab.qmd("run", path, more_memory=left_MB * 2**20)
    assert ended.code == 5, ended.output
    cause, advice = ended.output.splitlines()
    assert cause.startswith("qmd: Out of memory: ") and "fewer replicas" in advice


def test_a_calculator_without_memory_keeps_the_frames_before(tmp_path: Path, lab: Lab) -> None:
    frames = np.array([[[0.0, 0, 0], [0.97, 0, 0], [-0.24, 0.93, 0]]] * 4)
    frames[2, 1, 0] = 1.5  # where the made-up calculator asks for too much
    np.savez(tmp_path / "frames.npz", Z=np.array([8, 1, 1]), R=frames)
    path = tmp_path / "label.yaml"
    method = {"kind": "ase", "calculator": "bad_model.Greedy"}
    path.write_text(json.dumps({"structures": "frames.npz", "method": method}))
    ended = lab.qmd("label", path, "--trust")
    assert ended.code == 5, ended.output
    assert "Out of memory: Unable to allocate" in ended.output
    with np.load(tmp_path / "labels.npz") as labels:
        assert len(labels["E"]) == 2
