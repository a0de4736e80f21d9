"""Display of a run: a live progress bar, and a summary at the end."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qmd import units

if TYPE_CHECKING:  # an error of the command line must appear at once
    from qmd.run.session import RunResult
    from qmd.run.simulation import RunProgress

SHOW_AFTER_S = 1.0
"""Length of a run (s) from which a bar is drawn; shorter runs do not import rich."""
PATIENCE_S = 2.0
"""Length of a start (s) after which a note says that kernels are being compiled."""


def error(message: str, hint: str | None = None) -> None:
    """Print one line on stderr, and a second one with advice."""
    print(f"qmd: {message}", file=sys.stderr)
    if hint:
        print(f"     {hint}", file=sys.stderr)


def note(text: str) -> None:
    """Print a line for the user, which is not an error, on stderr."""
    print(text, file=sys.stderr)


@contextmanager
def progress_bar(
    timestep_fs: float, *, quiet: bool = False
) -> Iterator["Callable[[RunProgress], None]"]:
    """Yield a callback for `RunProgress` that draws a bar on a terminal, for longer runs.

    A note appears there if the start takes long.
    """
    bar = _Bar(timestep_fs, sys.stderr.isatty() and not quiet)
    try:
        yield bar.on_progress
    finally:
        bar.close()


@contextmanager
def bars(*, quiet: bool = False) -> Iterator["Callable[[str, int, int], None]"]:
    """Yield a callback for (unit of progress, number done, total).

    On a terminal it draws a bar for each unit.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda what, done, of: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        tasks: dict[str, Any] = {}

        def on_progress(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what, total=of)
            drawn.update(tasks[what], completed=done, total=of)

        yield on_progress


class _Bar:
    def __init__(self, timestep_fs: float, shown: bool) -> None:
        self._timestep_fs = timestep_fs
        self._bar: Any = None
        self._drawn = 0.0
        self._shown = shown
        text = "compiling kernels: a quarter of a minute, on the first run only ..."
        self._wait = threading.Timer(PATIENCE_S, note, [text])
        self._wait.daemon = True
        if shown:
            self._wait.start()

    def on_progress(self, progress: "RunProgress") -> None:
        self._wait.cancel()
        now = time.perf_counter()
        if not self._shown or now - self._drawn < 0.2 or progress.seconds < SHOW_AFTER_S:
            return
        self._drawn = now
        if self._bar is None:
            self._open(progress)
        done = progress.first_step + progress.steps_done
        self._bar.update(0, completed=done, text=self._text(progress))

    def _open(self, progress: "RunProgress") -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            BarColumn(bar_width=20), TaskProgressColumn(), TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(), console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._bar.add_task("", total=progress.n_steps, text="")
        self._bar.start()

    def _text(self, progress: "RunProgress") -> str:
        assert progress.snapshot is not None and progress.first is not None
        rate = progress.steps_done / progress.seconds
        parts = [
            f"{rate:,.0f} steps/s",
            f"{ns_per_day(rate, self._timestep_fs):,.1f} ns/day",
            f"{progress.snapshot.temperature_K:.0f} K",
        ]
        if progress.replicas > 1:
            left = progress.replicas - progress.failed
            parts.append(f"{left} of {progress.replicas} replicas")
        if progress.conserves_energy and not progress.failed:
            change = progress.snapshot.total_energy - progress.first.total_energy
            parts.append(f"dE {1000 * change:+.3f} meV")
        return "  ".join(parts)

    def close(self) -> None:
        self._wait.cancel()
        if self._bar is not None:
            self._bar.stop()


def ns_per_day(steps_per_s: float, timestep_fs: float) -> float:
    """Return the speed of a run in nanoseconds per day."""
    return steps_per_s * timestep_fs * 86400 * 1e-6


def summary(finished: "RunResult") -> str:
    """Return a few lines about a finished session."""
    progress, setup, paths = finished.progress, finished.setup, finished.paths
    timestep = setup.config.integrator.timestep_fs
    total = progress.first_step + progress.steps_done
    title = f"{setup.system.name} on {setup.potential.name}"
    many = f"{progress.replicas} replicas of " if progress.replicas > 1 else ""
    lines = [f"{many}{title}: {total} steps, {total * timestep / 1000:g} ps"]
    if progress.steps_done:
        rate = progress.steps_done / progress.seconds
        share = 1 - progress.in_kernel_s / progress.seconds
        lines.append(
            f"{progress.steps_done} steps in {progress.seconds:.2f} s: {rate:,.0f} steps/s, "
            f"{ns_per_day(rate, timestep):,.1f} ns/day, {1e6 / rate:.2f} us/step "
            f"({100 * share:.0f} % for output); start-up {finished.start_s:.2f} s"
        )
        if progress.replicas > 1:
            lines.append(
                f"all replicas: {progress.replicas * rate:,.0f} steps/s, "
                f"{ns_per_day(progress.replicas * rate, timestep):,.1f} ns/day, "
                f"on {progress.threads} thread{'s' if progress.threads > 1 else ''}"
            )
    if progress.snapshot is not None and progress.first is not None:
        first, last = progress.first, progress.snapshot
        change = 1000 * (last.total_energy - first.total_energy)
        about = " about the drifting centre of mass" if setup.thermometer.drift else ""
        text = f"temperature {last.temperature_K:.1f} K ({setup.dof} degrees of freedom{about})"
        if not progress.failed:  # means over different replicas cannot be compared
            text += (
                f", total energy {change:+.4f} meV in {(last.time - first.time) / units.ps:g} ps"
            )
        lines.append(text + (", means over the replicas" if progress.replicas > 1 else ""))
    if progress.failed:
        lines.append(
            f"warning: {progress.failed} of {progress.replicas} replicas failed; "
            f"{paths.replicas.name} says when and why"
        )
    if progress.warned_steps:
        lines.append(
            f"warning: {progress.warned_steps} steps were outside the range of the training data"
        )
    lines.append(f"results in {paths.directory}")
    return "\n".join(lines)
