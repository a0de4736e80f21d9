"""States of a training on disk, from which it resumes."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qmd.errors import CorruptError
from qmd.io import files
from qmd.train.config import TrainConfig
from qmd.train.problem import Frames, OptimiserProgress
from qmd.typing import Array

COLUMNS = (
    "iteration", "loss", "validation_energy_rmse_meV", "validation_forces_rmse_meV_per_A",
    "seconds",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plan:
    """What a process needs to run any start."""

    config: TrainConfig
    folder: Path
    """Where relative paths of the input start."""
    states: Path
    """Where the states are kept."""
    train: Frames
    validation: Frames
    rotations: bool
    threads: int = 1
    together: tuple[tuple[Frames, Frames], ...] = ()
    """Training and validation frames of the other molecules."""


@dataclass(eq=False)
class StageState:
    """A stage of a start, as it is kept in a file."""

    progress: OptimiserProgress
    best: Array
    score: float
    """Of `best` on the validation frames, eV/angstrom; see `Trainer.score`."""
    done: bool = False
    since_best: int = 0
    """Reports since `best`."""
    rows: list[tuple[float, ...]] = field(default_factory=list)
    """`COLUMNS`, one row a report."""

    @property
    def seconds(self) -> float:
        return self.rows[-1][-1] if self.rows else 0.0


def state_path(plan: Plan, start: int, stage: int) -> Path:
    """Return the file of the state of a start in a stage."""
    return plan.states / f"start-{start:03d}-stage-{stage + 1}.npz"


def save(plan: Plan, start: int, stage: int, state: StageState) -> None:
    """Write a state such that a kill leaves the old one or the new one."""
    buffer = io.BytesIO()
    progress = state.progress
    memory: dict[str, Any] = {f"memory{i}": m for i, m in enumerate(progress.memory)}
    np.savez(
        buffer, theta=progress.theta, iteration=progress.iteration, loss=progress.loss,
        best=state.best, score=state.score, done=state.done, since_best=state.since_best,
        rows=np.array(state.rows),
        **memory,
    )  # fmt: skip
    files.replace(state_path(plan, start, stage), buffer.getvalue(), keep_previous=False)


def load(plan: Plan, start: int, stage: int) -> StageState | None:
    """The state of a stage, or None if it has not begun.

    Raises
    ------
    CorruptError
        If the file is damaged.
    """
    path = state_path(plan, start, stage)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            names = [f"memory{i}" for i in range(sum(n.startswith("memory") for n in data.files))]
            progress = OptimiserProgress(
                int(data["iteration"]), float(data["loss"]), data["theta"],
                tuple(data[name] for name in names),
            )  # fmt: skip
            rows = [tuple(map(float, row)) for row in data["rows"]]
            since_best = int(data["since_best"]) if "since_best" in data else 0  # older files
            return StageState(
                progress, data["best"], float(data["score"]), bool(data["done"]), since_best, rows
            )
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise CorruptError(
            f"{path} is damaged ({type(error).__name__}).", "Remove it, and this stage runs again."
        ) from None
