"""States of a training on disk, from which it can resume."""

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
    """Everything that a process needs to run any start."""

    config: TrainConfig
    folder: Path
    """Folder to which paths of the input are relative."""
    states: Path
    """Folder in which the states are saved."""
    train: Frames
    validation: Frames
    rotations: bool
    threads: int = 1
    others: tuple[tuple[Frames, Frames], ...] = ()
    """Training and validation frames of the other molecules."""


@dataclass(eq=False)
class StageState:
    """State of a stage of a start, as it is saved in a file."""

    progress: OptimiserProgress
    best: Array
    score: float
    """Score of `best` on the validation frames, eV/angstrom; see `Trainer.score`."""
    done: bool = False
    since_best: int = 0
    """Number of reports since `best`."""
    rows: list[tuple[float, ...]] = field(default_factory=list)
    """Values of `COLUMNS`, one row per report."""

    @property
    def seconds(self) -> float:
        return self.rows[-1][-1] if self.rows else 0.0


def state_path(plan: Plan, start: int, stage: int) -> Path:
    """Return the file of the state of a start in a stage."""
    return plan.states / f"start-{start:03d}-stage-{stage + 1}.npz"


def save(plan: Plan, start: int, stage: int, state: StageState) -> None:
    """Write a state, so that a kill leaves either the old or the new one intact."""
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
    """Return the state of a stage, or None if it has not begun.

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
