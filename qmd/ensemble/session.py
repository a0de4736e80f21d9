"""`qmd ensemble`: one input, many runs, each in a folder of its own; resumable."""

import csv
import io
import itertools
import json
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qmd.config.load import LoadedConfig
from qmd.ensemble.config import EnsembleConfig, Value
from qmd.errors import InputError, QmdError, StoppedEarly
from qmd.io import files
from qmd.jobs.executor import Message, TaskContext
from qmd.jobs.lock import RunLock
from qmd.jobs.open import open_executor
from qmd.jobs.stop import StopRequest, stop_signals
from qmd.run.config import load_config

MAX_RUNS = 10_000
TELL_EVERY_S = 0.5
SAVE_EVERY_S = 5.0

Status = Literal["finished", "stopped", "failed", "waiting"]


@dataclass(frozen=True)
class EnsembleMember:
    """One run of an ensemble."""

    name: str
    """Of its folder."""
    changes: dict[str, Value]
    """Keys of the input, and what they are here."""

    @property
    def overrides(self) -> list[str]:
        """The changes as ``--set`` takes them."""
        return [f"{key}={json.dumps(value)}" for key, value in self.changes.items()]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: Status
    exit_code: int
    step: int
    reason: str = ""
    hint: str | None = None


@dataclass(frozen=True)
class EnsembleJob:
    """A checked input and its runs; nothing has been written yet."""

    loaded: LoadedConfig[EnsembleConfig]
    base: Path
    cells: list[EnsembleMember]
    steps: int
    """Of all runs together."""


@dataclass(frozen=True)
class EnsembleResult:
    """What `run` leaves for a summary; runs that were not begun have no outcome."""

    directory: Path
    outcomes: list[tuple[EnsembleMember, Outcome | None]]

    @property
    def first_failure(self) -> tuple[EnsembleMember, Outcome] | None:
        """A run that failed, and how."""
        failed = ((cell, o) for cell, o in self.outcomes if o and o.status == "failed")
        return next(failed, None)

    @property
    def exit_code(self) -> int:
        """That of the first run that failed; 75 if some are not done; else 0."""
        if failed := self.first_failure:
            return failed[1].exit_code
        done = all(outcome and outcome.status == "finished" for _, outcome in self.outcomes)
        return 0 if done else StoppedEarly.exit_code


def prepare(loaded: LoadedConfig[EnsembleConfig]) -> EnsembleJob:
    """Check the input of every run.

    Raises
    ------
    InputError
        In one line, with the changes that cannot be.
    """
    config = loaded.config
    base = loaded.path.parent / config.input
    number = math.prod(len(next(iter(axis.values()))) for axis in config.vary)
    if number > MAX_RUNS:
        raise InputError(f"vary has {number} combinations; expected at most {MAX_RUNS}")
    cells = list(_cells(config))
    steps = sum(load_config(base, cell.overrides).config.steps for cell in cells)
    return EnsembleJob(loaded, base, cells, steps)


def run(
    prepared: EnsembleJob,
    output: Path | None = None,
    *,
    log: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> EnsembleResult:
    """Run everything that is not finished, and write `runs.csv`.

    Parameters
    ----------
    prepared : EnsembleJob
    output : Path, optional
        Folder of the folders of the runs; default: beside the input, named like it.
    log, on_progress : callable
        Take lines for the user; and what is counted, how much of it is done, of how much.

    Raises
    ------
    QmdError
        If the executor cannot be used. A run that fails is an outcome, and stops no other.
    """
    path = prepared.loaded.path
    directory = (output or path.with_suffix("")).absolute()
    if directory == path:
        raise InputError(f"{path} has no suffix to leave off; give --output")
    with files.output_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    stop = StopRequest(directory / "EXIT")
    board = _Outcomes(prepared, on_progress)
    with (
        RunLock(directory),
        stop_signals(stop),
        open_executor(prepared.loaded.config.executor, log) as executor,
    ):
        results = executor.run_tasks(
            Runs(prepared.base, directory), list(enumerate(prepared.cells)),
            stopping=lambda: stop.reason() is not None, on_message=board.on_message,
        )  # fmt: skip
        saved = -math.inf
        try:
            for answer in results:
                if answer.error is not None:
                    raise answer.error
                board.put(answer.number, answer.result)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    board.save(directory / "runs.csv")
                    saved = time.monotonic()
        finally:
            board.save(directory / "runs.csv")
    return EnsembleResult(directory, board.outcomes)


class _Outcomes:
    """Keeps what is known of each run."""

    def __init__(self, prepared: EnsembleJob, on_progress: Callable[[str, int, int], None]) -> None:
        self._steps, self._of, self._on_progress = Counter[int](), prepared.steps, on_progress
        self.outcomes: list[tuple[EnsembleMember, Outcome | None]] = [
            (c, None) for c in prepared.cells
        ]

    def on_message(self, message: Message) -> None:
        """A run has come to a step."""
        number, step = message
        assert isinstance(number, int) and isinstance(step, int)
        self._steps[number] = step
        self._on_progress("steps", self._steps.total(), self._of)

    def put(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = self.outcomes[number][0], outcome
        self.on_message((number, outcome.step))
        ended = sum(outcome is not None for _, outcome in self.outcomes)
        self._on_progress("runs", ended, len(self.outcomes))

    def save(self, path: Path) -> None:
        """One row a run: its folder, how it ended, and what it varies."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        keys = list(self.outcomes[0][0].changes)
        rows.writerow(["folder", "status", "exit_code", "step", "reason", *keys])
        for cell, ended in self.outcomes:
            told = ended or Outcome("waiting", 75, 0)
            rows.writerow(
                [cell.name, told.status, told.exit_code, told.step, told.reason]
                + [json.dumps(v) if not isinstance(v, str) else v for v in cell.changes.values()]
            )
        files.write_text(path, text.getvalue())


@dataclass(frozen=True)
class Runs:
    """The work of an executor: run a cell, or go on with it."""

    base: Path
    directory: Path

    def __call__(self, task: tuple[int, EnsembleMember], context: TaskContext) -> Outcome:
        from qmd.run import session
        from qmd.run.simulation import RunProgress

        number, cell = task
        told, step = time.monotonic(), 0

        def on_progress(progress: RunProgress) -> None:
            nonlocal told, step
            step = progress.first_step + progress.steps_done
            if time.monotonic() - told > TELL_EVERY_S:
                told = time.monotonic()
                context.send((number, step))

        def should_stop() -> str | None:
            return "request" if context.stopping() else None

        try:
            loaded = load_config(self.base, cell.overrides)
            session.run(
                loaded, self.directory / cell.name, on_progress=on_progress, should_stop=should_stop
            )
        except StoppedEarly as error:
            return Outcome("stopped", error.exit_code, step, error.message, error.hint)
        except QmdError as error:
            return Outcome("failed", error.exit_code, step, error.message, error.hint)
        return Outcome("finished", 0, loaded.config.steps)


def _cells(config: EnsembleConfig) -> Iterator[EnsembleMember]:
    """Every combination; the last axis changes fastest."""
    names = _names(config)
    axes = [
        [dict(zip(axis, values, strict=True)) for values in zip(*axis.values(), strict=True)]
        for axis in config.vary
    ]
    taken = Counter[str]()
    for parts in itertools.product(*axes):
        changes = {key: value for part in parts for key, value in part.items()}
        words = (f"{names[key]}-{_word(value)}" for key, value in changes.items())
        name = "_".join(dict.fromkeys(words))[:200]
        taken[name] += 1
        if taken[name] > 1:
            raise InputError(
                f"vary gives the folder {name} to two runs",
                "Values must differ in letters, digits or one of `.+-`.",
            )
        yield EnsembleMember(name, changes)


def _names(config: EnsembleConfig) -> dict[str, str]:
    """What each key is called in a folder: its last part, unless another one ends alike.

    Keys that always have the same value, as the temperatures of start and bath, share it.
    """
    lists = {key: (n, values) for n, axis in enumerate(config.vary) for key, values in axis.items()}
    last = {key: key.rpartition(".")[2] for key in lists}
    return {
        key: last[key]
        if all(lists[other] == lists[key] for other in lists if last[other] == last[key])
        else key
        for key in lists
    }


def _word(value: Value) -> str:
    """A value as part of the name of a folder."""
    if not isinstance(value, str):
        return json.dumps(value)
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", value).strip(".-") or "empty"
