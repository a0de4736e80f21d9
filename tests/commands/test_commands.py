"""The commands as functions: every form of an input, plain results, typed errors, interrupts."""

import dataclasses
import inspect
import json
import os
import pydoc
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import INPUT, WATER

import qmd
from qmd.commands.dynamics import RunResult
from qmd.ensemble.session import EnsembleResult
from qmd.errors import InputError, Interrupted, MismatchError, NumericalError, StoppedEarly
from qmd.run.config import RunConfig, load_config

ROOT = Path(__file__).parents[2]
WATER_RUN: dict[str, Any] = {
    "system": {"structure": "water.xyz", "temperature_K": 300},
    "potential": "sivqlm-h2o",
    "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
    "steps": 20,
}
"""The same as `command_line.INPUT`."""
OFTEN = {"output.log_every": 1, "output.trajectory_every": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.yaml").write_text(INPUT)
    (tmp_path / "water.xyz").write_text(WATER)
    return tmp_path


@pytest.fixture
def silent() -> dict[str, Any]:
    return {"progress": False, "log": lambda text: None}


# Inputs


def test_a_file_a_mapping_and_a_config_are_the_same_run(folder: Path, silent) -> None:
    structure = {"structure": folder / "water.xyz", "temperature_K": np.float64(300)}
    config = RunConfig.model_validate(WATER_RUN)
    forms = {
        "file": "input.yaml",
        "path": folder / "input.yaml",
        "mapping": WATER_RUN | {"steps": np.int64(20)},
        "config": config,
        "loaded": load_config("input.yaml"),
    }
    results = {name: qmd.run(given, output=name, **silent) for name, given in forms.items()}
    first = results["file"].trajectory.read_bytes()
    for name, result in results.items():
        assert isinstance(result, RunResult) and result.directory == Path(name)
        assert result.trajectory.read_bytes() == first, name
    # An absolute path is another setting, but the same atoms.
    moved = qmd.run(WATER_RUN | {"system": structure}, output="moved", **silent)
    assert moved.trajectory.read_bytes() == first


def test_changes_are_those_of_the_command_line(silent) -> None:
    bath = {"kind": "langevin_baoab", "timestep_fs": 0.25, "temperature_K": 300,
            "friction_per_ps": 2.0}  # fmt: skip
    mapping = qmd.run("input.yaml", set={"steps": 30, "integrator": bath}, output="a", **silent)
    lines = [f"integrator.{key}={value}" for key, value in bath.items()]
    listed = qmd.run(WATER_RUN, set=["steps=3e1", *lines], output="b", **silent)
    for result in (mapping, listed):
        assert (result.steps, result.timestep_fs, result.conserves_energy) == (30, 0.25, False)
    assert mapping.trajectory.read_bytes() == listed.trajectory.read_bytes()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (WATER_RUN | {"step": 3}, ("input of input", "step", "steps")),
        ({"steps": 3}, ("missing",)),
        (WATER_RUN | {"steps": float("nan")}, ("steps", "nan")),
        (7, ("path", "mapping", "RunConfig", "int")),
        ("nowhere.yaml", ("nowhere.yaml",)),
    ],
)
def test_a_wrong_input_is_an_input_error(given: Any, words: tuple[str, ...], silent) -> None:
    with pytest.raises(InputError) as error:
        qmd.run(given, **silent)
    assert all(word in f"{error.value.message} {error.value.hint}" for word in words), error.value
    assert not Path("output").exists()


def test_a_change_without_a_key_is_refused(silent) -> None:
    with pytest.raises(InputError, match="--set"):
        qmd.run(WATER_RUN, set={"output.": 3}, **silent)


def test_outputs_of_a_mapping_lie_in_the_current_folder(folder: Path, silent) -> None:
    assert qmd.run(WATER_RUN, **silent).record.resolve() == folder / "output" / "run.json"


# Results


def test_the_result_of_a_run_has_its_files_and_the_numbers_of_its_log(silent) -> None:
    result = qmd.run("input.yaml", set={"steps": 200, **OFTEN}, **silent)
    for path in (result.trajectory, result.topology, result.log, result.record, result.final):
        assert path.is_file()
    log = np.genfromtxt(result.log, delimiter=",", names=True)
    total, heat = log["total_energy_eV"], log["temperature_K"]
    assert result.rows == 201 and result.length_ps == pytest.approx(0.1)
    # The log has 12 decimals of an energy and 6 of a temperature.
    assert result.energy_change_eV == pytest.approx(total[-1] - total[0], abs=2e-12)
    assert result.energy_fluctuation_eV == pytest.approx(total.std(), abs=2e-12)
    assert result.last_temperature_K == pytest.approx(heat[-1], abs=1e-6)
    mean = result.temperature_K
    assert mean.value == pytest.approx(heat[mean.begin :].mean(), abs=1e-6)
    # The error is that of as many independent samples as it says.
    expected = heat[mean.begin :].std(ddof=1) / np.sqrt(mean.independent)
    assert mean.error == pytest.approx(expected, rel=1e-9)
    assert mean.independent < len(heat)
    assert result.steps_per_s > 0 and result.ns_per_day > 0
    assert len(result.load().trajectory) == 201


def test_results_are_frozen_and_short(silent) -> None:
    result = qmd.run("input.yaml", **silent)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.steps = 3
    assert len(repr(result)) < 2000


def test_a_run_is_analysed_and_compared_with_itself(folder: Path, silent) -> None:
    result = qmd.run("input.yaml", set={"steps": 64, **OFTEN}, **silent)
    found = qmd.analyze(result, timestep=False)
    assert found.report == result.directory / "report.html" and found.report.is_file()
    assert found.data["temperature"]["mean_K"] == pytest.approx(result.temperature_K.value)
    none = qmd.analyze(result.directory, timestep=False, report=False, json_file="numbers.json")
    assert none.report is None and none.summary() in found.summary()
    assert json.loads(Path("numbers.json").read_text())["frames"] == 65
    same = qmd.compare(result, result, points=0, progress=False, report=folder / "same.html")
    assert same.verdict == "same" and (folder / "same.html").is_file()
    assert all(row["value"] <= row["limit"] for row in same.data["criteria"])


def test_labels_are_counted(folder: Path, silent) -> None:
    method = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
    config = {"structures": "water.xyz", "method": method}
    result = qmd.label(config, **silent)
    assert (result.frames, result.labels.resolve()) == (1, folder / "labels.npz")
    assert result.card.is_file() and str(result.labels) in result.summary()


def test_an_ensemble_tells_what_failed(folder: Path, silent) -> None:
    vary = [{"integrator.timestep_fs": [0.5, 15.0]}]
    config = {"input": "input.yaml", "vary": vary, "executor": {"kind": "serial"}}
    ended = qmd.ensemble(config, **silent)
    assert (ended.finished, len(ended.outcomes)) == (1, 2)
    assert ended.directory == folder / "ensemble"
    assert len(qmd.load(ended.folders[0]).trajectory) == 1
    with pytest.raises(NumericalError, match="timestep_fs-15"):
        ended.check()


# Errors and interrupts


def test_errors_are_those_of_the_command_line(silent) -> None:
    qmd.run("input.yaml", **silent)
    with pytest.raises(MismatchError, match="timestep_fs"):
        qmd.run("input.yaml", set={"integrator.timestep_fs": 0.25}, **silent)
    with pytest.raises(NumericalError):
        qmd.run("input.yaml", set={"integrator.timestep_fs": 15}, output="wild", **silent)


def interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_an_interrupt_leaves_a_run_that_goes_on(silent) -> None:
    endless = WATER_RUN | {"steps": 10**9}
    qmd.run(WATER_RUN, **silent)  # compiled, and begun
    interrupt_after(1.0)
    with pytest.raises(KeyboardInterrupt) as stopped:
        qmd.run(endless, **silent)
    assert isinstance(stopped.value, StoppedEarly) and stopped.value.exit_code == 75
    step = int(stopped.value.message.split("at step ")[1].split()[0])
    assert step > 20
    result = qmd.run(WATER_RUN, set={"steps": step + 20}, **silent)
    assert (result.steps, result.session_steps) == (step + 20, 20)
    whole = qmd.run(WATER_RUN, set={"steps": step + 20}, output="whole", **silent)
    assert whole.trajectory.read_bytes() == result.trajectory.read_bytes()


def test_an_interrupt_of_an_ensemble_brings_its_outcomes(silent) -> None:
    vary = [{"seed": [1, 2]}, {"steps": [10**9]}]
    config = {"input": "input.yaml", "vary": vary, "executor": {"kind": "serial"}}
    interrupt_after(2.0)
    with pytest.raises(Interrupted) as stopped:
        qmd.ensemble(config, **silent)
    ended = stopped.value.result
    if isinstance(ended, EnsembleResult):  # None while the kernels were compiled
        assert [outcome and outcome.status for _, outcome in ended.outcomes][1] is None


def test_a_script_without_a_guard_is_told_so(folder: Path) -> None:
    config = {"input": "input.yaml", "vary": [{"seed": [1, 2]}], "executor": {"kind": "processes"}}
    (folder / "script.py").write_text(f"import qmd\nqmd.ensemble({config}).check()\n")
    ended = subprocess.run(
        [sys.executable, "script.py"], env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "a worker process imports this script, which calls qmd again" in ended.stderr
    assert 'under `if __name__ == "__main__":`' in ended.stderr  # the hint is shown, too
    assert "Another qmd process" not in ended.stderr


# Names


@pytest.mark.parametrize("name", ["run", "train", "label", "benchmark", "ensemble"])
def test_a_command_and_its_package_share_a_name(name: str) -> None:
    package = getattr(qmd, name)
    assert sys.modules[f"qmd.{name}"] is package
    parameters = inspect.signature(package).parameters
    assert list(parameters)[:2] == ["input", "set"] and "output" in parameters
    assert pydoc.render_doc(package).count("Raises") == 1  # help(qmd.run) is that of the function
    assert package.__doc__ == inspect.getdoc(package.command)


def test_importing_qmd_imports_nothing_heavy() -> None:
    code = (
        "import qmd, sys; dir(qmd); qmd.run, qmd.train, qmd.label, qmd.benchmark, qmd.ensemble\n"
        "print(*sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    heavy = {"numpy", "numba", "jax", "MDAnalysis", "pydantic", "typer", "rich", "tqdm"}
    assert not heavy & set(found.stdout.split())
