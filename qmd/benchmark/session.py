"""`qmd benchmark`: every potential in every measure, each in a folder of its own; can be resumed.

A task that has a result for the same potential, measure and data is not measured again.
"""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qmd.benchmark.config import (
    AnyMeasure,
    BenchmarkConfig,
    ErrorsConfig,
    NVEConfig,
    PathConfig,
    ResourcesConfig,
    SpeedConfig,
    StabilityConfig,
    SymmetryConfig,
)
from qmd.benchmark.geometries import LabelledFrames, Measured
from qmd.config.load import LoadedConfig
from qmd.errors import InputError, QmdError, StoppedEarly, memory_errors
from qmd.forces.config import PackageConfig, PotentialConfig
from qmd.io import files
from qmd.jobs import provenance
from qmd.jobs.executor import Message, TaskContext
from qmd.jobs.lock import RunLock
from qmd.jobs.open import open_executor
from qmd.jobs.stop import Reason, StopRequest, stop_signals, stopped_early
from qmd.system.system import System

MAX_TASKS = 100_000
RESULT = "cell.json"
FORMAT, VERSION = "qmd-benchmark", 1


@dataclass(frozen=True)
class BenchmarkTask:
    """One potential in one measure."""

    label: str
    potential: PotentialConfig
    measure: AnyMeasure
    variation: tuple[tuple[str, float], ...] = ()
    """Pairs (key, value) that distinguish the tasks of one measure."""

    @property
    def name(self) -> str:
        return self.measure.name or self.measure.kind

    @property
    def folder(self) -> str:
        """Folder of the task, relative to that of the results."""
        parts = [self.name, re.sub(r"[^A-Za-z0-9.+-]+", "-", self.label).strip(".-")]
        if self.variation:
            parts.append("_".join(f"{key}-{value:g}" for key, value in self.variation))
        return "/".join(parts)


@dataclass(frozen=True)
class BenchmarkJob:
    """Checked input and its tasks, before anything has been written."""

    loaded: LoadedConfig[BenchmarkConfig]
    tasks: list[BenchmarkTask]
    speeds: list[SpeedConfig]


@dataclass(frozen=True)
class BenchmarkResult:
    """Result of `run`."""

    directory: Path
    results: dict[str, Any]
    """Content of `results.json`."""

    @property
    def report(self) -> Path:
        """HTML report; `qmd.benchmark` writes it."""
        return self.directory / "report.html"

    @property
    def tables(self) -> Path:
        """The tables in Markdown."""
        return self.directory / "results.md"

    def summary(self) -> str:
        """Return the tables, as `qmd benchmark` prints them."""
        from qmd.benchmark import tables

        return f"{tables.markdown(self.results)}\nreport: {self.report}"


def prepare(loaded: LoadedConfig[BenchmarkConfig]) -> BenchmarkJob:
    """Build the tasks, with absolute paths of potentials and structures.

    Raises
    ------
    InputError
        If two tasks share a folder, or there are too many tasks.
    """
    config, base = loaded.config, loaded.path.parent
    tasks = [
        BenchmarkTask(
            label, _absolute(config.potentials[label], base), _structure(measure, base), variation
        )
        for measure in config.measures
        if not isinstance(measure, SpeedConfig)
        for label in measure.potentials or config.potentials
        for variation in _variations(measure)
    ]
    if len(tasks) > MAX_TASKS:
        raise InputError(f"the input has {len(tasks)} tasks; expected at most {MAX_TASKS}")
    folders = [task.folder for task in tasks]
    if len(set(folders)) < len(folders):
        raise InputError("two labels of potentials give the same folder; change one of them")
    speeds = [_structure(m, base) for m in config.measures if isinstance(m, SpeedConfig)]
    return BenchmarkJob(loaded, tasks, speeds)


def _variations(measure: AnyMeasure) -> Iterator[tuple[tuple[str, float], ...]]:
    match measure:
        case NVEConfig():
            key, values = "timestep_fs", measure.timesteps_fs
        case StabilityConfig():
            key, values = "temperature_K", measure.temperatures_K
        case _:
            yield ()
            return
    for value, seed in itertools.product(values, range(1, measure.seeds + 1)):
        yield (key, value), ("seed", seed)


def _absolute(potential: PotentialConfig, base: Path) -> PotentialConfig:
    """Return the potential with absolute paths, for the inputs of tasks in other folders."""
    if isinstance(potential, PackageConfig) and os.path.isfile(base / potential.name):
        return potential.model_copy(update={"name": str((base / potential.name).resolve())})
    parts = {key: getattr(potential, key, None) for key in ("terms", "members")}
    changes = {k: [_absolute(part, base) for part in v] for k, v in parts.items() if v}
    return potential.model_copy(update=changes) if changes else potential


def _structure(measure: Any, base: Path) -> Any:
    name = getattr(measure, "structure", None)
    if name is None or not os.path.isfile(base / name):
        return measure
    return measure.model_copy(update={"structure": str((base / name).resolve())})


@memory_errors()
def run(
    prepared: BenchmarkJob,
    output: Path | None = None,
    *,
    log: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> BenchmarkResult:
    """Run the measurements that have no result yet, and write `results.json`.

    Parameters
    ----------
    prepared : BenchmarkJob
    output : Path, optional
        Output folder; default: ``output`` in a folder beside the input that is named like it.
    log, on_progress : callable
        Called with lines for the user, and with the unit of progress, number done and total.

    Raises
    ------
    QmdError
        If the input does not fit the potentials. A run that fails is a result, not an error.
    """
    path, config = prepared.loaded.path, prepared.loaded.config
    directory = (output or path.with_suffix("") / "output").absolute()
    with files.output_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    stop = StopRequest(directory / "EXIT")
    tasks, done = prepared.tasks, 0
    with (
        RunLock(directory),
        stop_signals(stop),
        open_executor(config.executor, log) as executor,
    ):
        ended = executor.run_tasks(
            MeasureTask(path.parent, directory), tasks, stopping=lambda: stop.reason() is not None
        )
        for answer in ended:
            if answer.error is not None:
                raise answer.error
            done += bool(answer.result)
            on_progress("tasks", done, len(tasks))
    if stop.reason() or done < len(tasks):
        why = stop.reason() or "its executor"
        raise stopped_early(
            stop.reason(),
            f"Stopped by {why} after {done} of {len(tasks)} tasks; all is saved.",
            "Run the same command again to resume.",
        )
    speeds = {
        measure.name or measure.kind: _speed(prepared, measure, directory, on_progress)
        for measure in prepared.speeds
    }
    results = _collect(prepared, directory, speeds)
    files.write_text(directory / "results.json", json.dumps(results, indent=1) + "\n")
    return BenchmarkResult(directory, results)


@dataclass(frozen=True)
class MeasureTask:
    """Task function of an executor: measure a task unless it has a result."""

    base: Path
    directory: Path

    def __call__(self, task: BenchmarkTask, context: TaskContext) -> bool:
        def should_stop() -> Reason:
            return "request" if context.stopping() else None

        def send(step: int) -> None:
            message: Message = (task.folder, step)
            context.send(message)

        folder = self.directory / task.folder
        try:
            return _measured(task, self.base, folder, should_stop, send)
        except StoppedEarly:
            return False
        except QmdError as error:
            kind = type(error)
            raise kind(f"{task.label}, {task.name}: {error.message}", error.hint) from None


def _measured(
    task: BenchmarkTask,
    base: Path,
    folder: Path,
    should_stop: Callable[[], Reason],
    send: Callable[[int], None],
) -> bool:
    from qmd.benchmark import dynamics, geometries
    from qmd.forces.build import build_potential

    measure, variation = task.measure, dict(task.variation)
    system, data, labels = measured_system(measure, base)
    potential = build_potential(task.potential, system, base)
    identity = _identity(task, potential.source.sha256, data)
    if _saved_result(folder / RESULT, identity) is not None:
        return True
    with files.output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if _saved_identity(folder / RESULT) != identity:  # earlier outputs belong to another input
        for outputs in (folder / "output").glob("*"):
            outputs.unlink()
        files.write_text(folder / RESULT, json.dumps({"identity": identity}) + "\n")
    result: Measured
    match measure:
        case ErrorsConfig():
            assert labels is not None
            result = geometries.errors(potential.energy_and_forces, labels)
        case PathConfig():
            result = geometries.along_path(potential.energy_and_forces, measure, base)
        case SymmetryConfig():
            result = geometries.symmetry(potential.energy_and_forces, measure, system)
        case ResourcesConfig():
            result = {"parameters": geometries.n_parameters(potential)}
            result |= geometries.resources(potential)
        case NVEConfig():
            result = dynamics.nve(measure, task.potential, variation, folder, should_stop, send)
        case StabilityConfig():
            result = dynamics.stability(
                measure, task.potential, variation, folder, should_stop, send
            )
        case SpeedConfig():
            raise AssertionError("speed is measured separately")
    saved = {"identity": identity, "potential": _about(potential), "result": result}
    files.write_text(folder / RESULT, json.dumps(saved, indent=1) + "\n")
    return True


def measured_system(measure: AnyMeasure, base: Path) -> tuple[System, str, LabelledFrames | None]:
    """Read the atoms on which a measure is taken.

    Returns
    -------
    system : System
    sha256 : str
        Hash of the data that the measure reads, if any.
    labels : LabelledFrames or None
        Labels of the measure `errors`.

    Raises
    ------
    InputError, MismatchError
        In one line, if something that the measure names cannot be read.
    """
    from qmd.benchmark import geometries
    from qmd.io.structure import load_system

    if isinstance(measure, ErrorsConfig):
        labels = geometries.read_frames(measure, base)
        return _system_of(labels.symbols, labels.positions[0]), labels.sha256, labels
    if isinstance(measure, PathConfig):
        folder = files.find_data(measure.reference, base, "reference", also_here=False)
        return *_system_of_run(folder), None
    return load_system(measure.structure, base), "", None


def _about(potential: Any) -> dict[str, str]:
    return {"name": potential.source.name, "sha256": potential.source.sha256}


def _system_of(symbols: tuple[str, ...], positions: Any) -> System:
    import numpy as np
    from ase.data import atomic_masses, atomic_numbers

    numbers = np.array([atomic_numbers[s] for s in symbols])
    return System(numbers, positions, atomic_masses[numbers], None, "the labels")


def _system_of_run(folder: Path) -> tuple[System, str]:
    from qmd.analysis import series
    from qmd.analysis.potential_of_run import system

    run = series.read(folder)
    return system(run), hashlib.sha256((run.folder / "trajectory.nc").read_bytes()).hexdigest()


def _identity(task: BenchmarkTask, potential_sha256: str, data_sha256: str) -> str:
    content = [
        task.potential.model_dump(mode="json"), potential_sha256, data_sha256,
        task.measure.model_dump(mode="json", exclude={"potentials"}), task.variation,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _saved_result(path: Path, identity: str | None = None) -> dict[str, Any] | None:
    """Return the saved result of a task, or None if there is none with this `identity`."""
    try:
        saved = json.loads(path.read_text())
        saved["result"], saved["potential"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return saved if identity in (None, saved.get("identity")) else None


def _saved_identity(path: Path) -> str | None:
    """Return the identity of a task that has begun, finished or not."""
    try:
        return str(json.loads(path.read_text())["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _speed(
    prepared: BenchmarkJob,
    measure: SpeedConfig,
    directory: Path,
    on_progress: Callable[[str, int, int], None],
) -> dict[str, Measured]:
    """Measure all speeds together, unless there is a result for the same potentials."""
    from qmd.benchmark import speed
    from qmd.forces.build import build_potential
    from qmd.io.structure import load_system

    config, base = prepared.loaded.config, prepared.loaded.path.parent
    system = load_system(measure.structure, base)
    configs = {
        label: _absolute(config.potentials[label], base)
        for label in measure.potentials or config.potentials
    }
    potentials = {label: (c, build_potential(c, system, base)) for label, c in configs.items()}
    hashes = [p.source.sha256 for _, p in potentials.values()]
    task = BenchmarkTask("all", next(iter(configs.values())), measure)
    identity = _identity(task, ",".join([*potentials, *hashes]), "")
    folder = directory / (measure.name or measure.kind)
    if (saved := _saved_result(folder / RESULT, identity)) is not None:
        return dict(saved["result"])
    found = speed.speed(potentials, system, measure, on_progress)
    with files.output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    saved = {"identity": identity, "potential": {"name": "all"}, "result": found}
    files.write_text(folder / RESULT, json.dumps(saved, indent=1) + "\n")
    return found


def _collect(
    prepared: BenchmarkJob, directory: Path, speeds: dict[str, dict[str, Measured]]
) -> dict[str, Any]:
    """Collect all results, as `qmd schema benchmark-results` describes them."""
    config = prepared.loaded.config
    about: dict[str, Any] = {}
    rows = []
    for task in prepared.tasks:
        saved = _saved_result(directory / task.folder / RESULT)
        assert saved is not None
        about[task.label] = saved["potential"]
        rows.append(_row(task, saved["result"]))
    for measure in prepared.speeds:
        name = measure.name or measure.kind
        for label, result in speeds[name].items():
            task = BenchmarkTask(label, config.potentials[label], measure)
            rows.append(_row(task, result) | {"folder": name})  # one folder for all
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": config.title,
        "text": config.text,
        "input": json.loads(prepared.loaded.text),
        "potentials": {label: about.get(label, {}) for label in config.potentials},
        "cells": rows,
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }


def _row(task: BenchmarkTask, result: Measured) -> dict[str, Any]:
    return {
        "measure": task.name,
        "kind": task.measure.kind,
        "potential": task.label,
        "variation": dict(task.variation),
        "folder": task.folder,
        "result": result,
    }
