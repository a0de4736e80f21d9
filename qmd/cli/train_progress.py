"""Display of a training: live bars on a terminal, else a line per stage."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qmd.cli.console import note
from qmd.train.session import TrainingJob, TrainingResult
from qmd.train.trainer import OnProgress, TrainingUpdate


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[OnProgress]:
    """Yield a callback that draws each `TrainingUpdate`: bars, or a line for each stage."""
    if quiet:
        yield lambda update: None
    elif not sys.stderr.isatty():
        yield _line
    else:
        with _bars() as bars:
            yield _Bars(bars).on_progress


def _line(update: TrainingUpdate) -> None:
    if update.done:
        note(f"{_title(update)}: {update.iteration} of {update.total}, {_errors(update)}")


def _title(update: TrainingUpdate) -> str:
    return f"start {update.start}, stage {update.stage + 1}"


def _errors(update: TrainingUpdate) -> str:
    return (
        f"loss {update.loss:.4g}, validation {update.energy_rmse_meV:.3g} meV, "
        f"{update.forces_rmse_meV_per_A:.3g} meV/A"
    )


def _bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[errors]}"),
        TimeElapsedColumn(), console=Console(stderr=True),
    )  # fmt: skip


class _Bars:
    """Bars for the stages of the starts; a line replaces the bar of a finished stage."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: dict[tuple[int, int], Any] = {}

    def on_progress(self, update: TrainingUpdate) -> None:
        key = (update.start, update.stage)
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(_title(update), total=update.total, errors="")
        task = self._tasks[key]
        if update.done:
            self._bars.remove_task(task)
            self._bars.console.print(f"{_title(update)}: {update.iteration}, {_errors(update)}")
        else:
            self._bars.update(task, completed=update.iteration, errors=_errors(update))


def plan_text(prepared: TrainingJob) -> str:
    """Return one line about a valid input."""
    config, parts = prepared.config, prepared.data.parts
    frames = ", ".join(f"{len(frames.energies)} {part}" for part, frames in parts.items())
    starts = f"{config.starts.count} start{'s' if config.starts.count > 1 else ''}"
    return (
        f"{config.name}: {config.model.kind} ({' '.join(prepared.traits.species)}), {frames} "
        f"frames, {starts} of {len(config.stages)} stage{'s' if len(config.stages) > 1 else ''}"
    )


def summary(finished: TrainingResult) -> str:
    """Return a few lines about a finished training."""
    lines = []
    for part, groups in finished.card["errors"].items():
        for group, errors in groups.items():
            line = f"{part:10}  {group:12}  {errors['frames']:5} frames  "
            line += f"energy {errors['energy_rmse_meV']:.3g} meV"
            if errors["forces_rmse_meV_per_A"] is not None:
                line += f"  forces {errors['forces_rmse_meV_per_A']:.3g} meV/A"
            lines.append(line)
    lines.append(
        f"(root mean squares) {finished.package}; report and plots in {finished.directory}"
    )
    return "\n".join(lines)
