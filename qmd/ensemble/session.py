"""`qmd ensemble`: one input, many runs, each in a folder of its own; can be resumed."""

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
from qmd.errors import InputError, QmdError, StoppedEarly, memory_errors, of_exit_code
from qmd.io import files
from qmd.jobs.executor import Message, TaskContext
from qmd.jobs.lock import RunLock
from qmd.jobs.open import open_executor
from qmd.jobs.stop import Reason, StopRequest, stop_signals
from qmd.run.config import load_config

MAX_RUNS = 10_000
REPORT_EVERY_S = 0.5
SAVE_EVERY_S = 5.0
SHOWN = 40
"""Largest number of rows of a table; longer ones show only the runs that did not finish."""
AGAIN = "Run the same command again to resume."

Status = Literal["finished", "stopped", "failed", "waiting"]


@dataclass(frozen=True)
class EnsembleMember:
    """One run of an ensemble."""

    name: str
    """Name of its folder."""
    changes: dict[str, Value]
    """Keys of the input, and their values in this run."""

    @property
    def overrides(self) -> list[str]:
        """Changes in the form of ``--set`` options."""
        return [f"{key}={json.dumps(value)}" for key, value in self.changes.items()]


@dataclass(frozen=True)
class Outcome:
    """End of a run: its status, exit code, step and reason."""

    status: Status
    exit_code: int
    step: int
    reason: str = ""
    hint: str | None = None


@dataclass(frozen=True)
class EnsembleJob:
    """Checked input and its runs, before anything has been written."""

    loaded: LoadedConfig[EnsembleConfig]
    base: Path
    members: list[EnsembleMember]
    steps: int
    """Number of steps of all runs together."""


@dataclass(frozen=True)
class EnsembleResult:
    """Result of `run`; members that were not begun have no outcome."""

    directory: Path
    """Parent of the run folders, with `runs.csv`."""
    outcomes: list[tuple[EnsembleMember, Outcome | None]]
    stopped_by: Reason = None
    """Why the runs were asked to stop; None if they were not."""

    @property
    def finished(self) -> int:
        """Number of runs that are finished."""
        return sum(o is not None and o.status == "finished" for _, o in self.outcomes)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Output folders of the finished runs, for `qmd.load` and `qmd.analyze`."""
        done = (member for member, o in self.outcomes if o and o.status == "finished")
        return tuple(self.directory / member.name for member in done)

    @property
    def first_failure(self) -> tuple[EnsembleMember, Outcome] | None:
        """First run that failed, and its outcome; None if there is none."""
        failed = ((member, o) for member, o in self.outcomes if o and o.status == "failed")
        return next(failed, None)

    @property
    def exit_code(self) -> int:
        """Exit code of the first run that failed; 75 if some are not finished; else 0."""
        if failed := self.first_failure:
            return failed[1].exit_code
        done = all(outcome and outcome.status == "finished" for _, outcome in self.outcomes)
        return 0 if done else StoppedEarly.exit_code

    def check(self) -> None:
        """Raise the error of the first run that failed, or `StoppedEarly` if some wait."""
        if failed := self.first_failure:
            member, outcome = failed
            reason = f"{member.name}: {outcome.reason}"
            raise of_exit_code(outcome.exit_code, reason, outcome.hint)
        if self.exit_code:
            raise StoppedEarly("Some runs are not finished.", AGAIN)

    def summary(self) -> str:
        """Return a table of the outcomes; of many runs, only those that did not finish."""
        rows = [("run", "status", "step", "reason")]
        for member, outcome in self.outcomes:
            if outcome is None:
                rows.append((member.name, "waiting", "", ""))
            elif outcome.status != "finished" or len(self.outcomes) <= SHOWN:
                rows.append((member.name, outcome.status, str(outcome.step), outcome.reason))
        widths = [max(len(row[n]) for row in rows) for n in range(3)]
        lines = [
            f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip()
            for a, b, c, d in rows
        ]
        end = f"{self.finished} of {len(self.outcomes)} runs finished; {self.directory}/runs.csv"
        return "\n".join([*lines, end])


def prepare(loaded: LoadedConfig[EnsembleConfig]) -> EnsembleJob:
    """Check the input of every run.

    Raises
    ------
    InputError
        In one line, which names the changes that are not possible.
    """
    config = loaded.config
    base = loaded.path.parent / config.input
    number = math.prod(len(next(iter(axis.values()))) for axis in config.vary)
    if number > MAX_RUNS:
        raise InputError(f"vary has {number} combinations; expected at most {MAX_RUNS}")
    members = list(_members(config))
    steps = sum(load_config(base, member.overrides).config.steps for member in members)
    return EnsembleJob(loaded, base, members, steps)


@memory_errors()
def run(
    prepared: EnsembleJob,
    output: Path | None = None,
    *,
    log: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> EnsembleResult:
    """Run all members that are not finished, and write `runs.csv`.

    Parameters
    ----------
    prepared : EnsembleJob
    output : Path, optional
        Parent of the run folders; default: a folder beside the input that is named like it.
    log, on_progress : callable
        Called with lines for the user, and with the unit of progress, number done and total.

    Raises
    ------
    QmdError
        If the executor cannot be used. A run that fails is an outcome, and stops no other run.
    """
    path = prepared.loaded.path
    directory = (output or path.with_suffix("")).absolute()
    if directory == path:
        raise InputError(f"{path} has no suffix to leave off; give --output")
    with files.output_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    stop = StopRequest(directory / "EXIT")
    outcomes = _Outcomes(prepared, on_progress)
    with (
        RunLock(directory),
        stop_signals(stop),
        open_executor(prepared.loaded.config.executor, log) as executor,
    ):
        results = executor.run_tasks(
            Runs(prepared.base, directory), list(enumerate(prepared.members)),
            stopping=lambda: outcomes.stopping(stop), on_message=outcomes.on_message,
        )  # fmt: skip
        saved = -math.inf
        try:
            for result in results:
                if result.error is not None:
                    raise result.error
                outcomes.put(result.number, result.result)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    outcomes.save(directory / "runs.csv")
                    saved = time.monotonic()
        finally:
            outcomes.save(directory / "runs.csv")
    return EnsembleResult(directory, outcomes.outcomes, outcomes.stopped_by)


class _Outcomes:
    """Outcomes and progress of all runs."""

    def __init__(self, prepared: EnsembleJob, on_progress: Callable[[str, int, int], None]) -> None:
        self._steps, self._total, self._on_progress = Counter[int](), prepared.steps, on_progress
        self.outcomes: list[tuple[EnsembleMember, Outcome | None]] = [
            (c, None) for c in prepared.members
        ]
        self.stopped_by: Reason = None

    def stopping(self, stop: StopRequest) -> bool:
        """Return True if the runs are to stop, and keep the reason, which is given once only."""
        self.stopped_by = self.stopped_by or stop.reason()
        return self.stopped_by is not None

    def on_message(self, message: Message) -> None:
        """Record the step that a run has reached."""
        number, step = message
        assert isinstance(number, int) and isinstance(step, int)
        self._steps[number] = step
        self._on_progress("steps", self._steps.total(), self._total)

    def put(self, number: int, outcome: Outcome) -> None:
        self.outcomes[number] = self.outcomes[number][0], outcome
        self.on_message((number, outcome.step))
        ended = sum(outcome is not None for _, outcome in self.outcomes)
        self._on_progress("runs", ended, len(self.outcomes))

    def save(self, path: Path) -> None:
        """Write one row per run: its folder, its outcome, and its values of the varied keys."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        keys = list(self.outcomes[0][0].changes)
        rows.writerow(["folder", "status", "exit_code", "step", "reason", *keys])
        for member, ended in self.outcomes:
            outcome = ended or Outcome("waiting", 75, 0)
            rows.writerow(
                [member.name, outcome.status, outcome.exit_code, outcome.step, outcome.reason]
                + [json.dumps(v) if not isinstance(v, str) else v for v in member.changes.values()]
            )
        files.write_text(path, text.getvalue())


@dataclass(frozen=True)
class Runs:
    """Task function of an executor: begin or resume the run of a member."""

    base: Path
    directory: Path

    def __call__(self, task: tuple[int, EnsembleMember], context: TaskContext) -> Outcome:
        from qmd.run import session
        from qmd.run.simulation import RunProgress

        number, member = task
        reported, step = time.monotonic(), 0

        def on_progress(progress: RunProgress) -> None:
            nonlocal reported, step
            step = progress.first_step + progress.steps_done
            if time.monotonic() - reported > REPORT_EVERY_S:
                reported = time.monotonic()
                context.send((number, step))

        def should_stop() -> str | None:
            return "request" if context.stopping() else None

        try:
            loaded = load_config(self.base, member.overrides)
            session.run(
                loaded,
                self.directory / member.name,
                on_progress=on_progress,
                should_stop=should_stop,
            )
        except StoppedEarly as error:
            return Outcome("stopped", error.exit_code, step, error.message, error.hint)
        except QmdError as error:
            return Outcome("failed", error.exit_code, step, error.message, error.hint)
        return Outcome("finished", 0, loaded.config.steps)


def _members(config: EnsembleConfig) -> Iterator[EnsembleMember]:
    """Yield every combination; the last axis changes fastest."""
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
    """Return a short name for each key in folder names: its last part, unless that is ambiguous.

    Keys that always have the same value, such as the temperatures of start and bath, share a name.
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
    """Return a value in a form that can be part of a folder name."""
    if not isinstance(value, str):
        return json.dumps(value)
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", value).strip(".-") or "empty"
