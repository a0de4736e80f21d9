"""One start of a training: its stages, saved every few seconds, so that a stop loses little."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from typing import Any
from uuid import uuid4

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from qmd.errors import NumericalError
from qmd.jobs.executor import TaskContext
from qmd.train import models
from qmd.train.cells import CellProblem
from qmd.train.config import (
    LeastSquaresConfig,
)
from qmd.train.predict import errors
from qmd.train.problem import Frames, JointProblem, OptimiserProgress, Problem
from qmd.train.stages import (
    as_loss,
    is_out_of_patience,
    length,
    make_problem,
    optimise,
    predictor,
)
from qmd.train.states import Plan, StageState, load, save
from qmd.typing import Array

SAVE_EVERY_S = 5.0


class TrainingStopped(Exception):
    """A training that the user has stopped; everything is saved."""


class _OutOfPatience(Exception):
    """A stage that ends early, since validations no longer improve."""


@dataclass(frozen=True)
class TrainingUpdate:
    """Progress of a start."""

    start: int
    stage: int
    iteration: int
    total: int
    loss: float
    energy_rmse_meV: float
    forces_rmse_meV_per_A: float
    done: bool = False


OnProgress = Callable[[TrainingUpdate], None]


class Trainer:
    """Runs starts of one plan in this process; compiled functions are shared by all of them.

    Parameters
    ----------
    plan : Plan
    stopping : callable
        Returns True to stop now; everything is saved first.
    on_progress : callable
        Called with a `TrainingUpdate` after each report.
    """

    def __init__(self, plan: Plan, stopping: Callable[[], bool], on_progress: OnProgress) -> None:
        jax.config.update("jax_enable_x64", True)
        self.plan, self._stopping, self._on_progress = plan, stopping, on_progress
        frames = [plan.validation, *(validation for _, validation in plan.others)]
        below = plan.config.starts.scored_below_eV
        self._scored = [selection_frames(part, below) for part in frames]
        self._predictors = [
            predictor(plan.config, model, part, plan.threads)
            for model, part in zip(self._models(), self._scored, strict=True)
        ]
        self._problems: dict[int, Problem | JointProblem | CellProblem] = {}

    def attach(self, stopping: Callable[[], bool], on_progress: OnProgress) -> None:
        """Use other callbacks from now on."""
        self._stopping, self._on_progress = stopping, on_progress

    def first_model(self, start: int) -> Any:
        config = self.plan.config
        seed = config.starts.seed + start
        return config.model.first_model(self.plan.folder, self.plan.train, seed)

    def _models(self) -> list[Any]:
        """Return one model per molecule; they differ in their atoms, not in their parameters."""
        config, first = self.plan.config, self.first_model(0)
        others = (models.kinds(config.model, other.species) for other in config.other_molecules)
        return [first, *(first.on(kinds) for kinds in others)]

    def run(self, start: int, stages: range) -> None:
        """Begin or resume `stages` of a start.

        Raises
        ------
        TrainingStopped
            If `stopping` returns True; the state has been saved.
        NumericalError
            If the loss is not finite.
        """
        for stage in stages:
            state = load(self.plan, start, stage) or self._begin(start, stage)
            if not state.done:
                self._run_stage(start, stage, state)

    def _begin(self, start: int, stage: int) -> StageState:
        theta = self._first(start, stage)
        return StageState(OptimiserProgress(0, np.inf, theta), theta, np.inf)

    def _first(self, start: int, stage: int) -> Array:
        """Return the initial parameters of a stage."""
        if stage == 0:
            return np.asarray(ravel_pytree(self.first_model(start))[0])
        before = load(self.plan, start, stage - 1)
        assert before is not None
        return before.best

    def _run_stage(self, start: int, stage: int, state: StageState) -> None:
        config = self.plan.config.stages[stage]
        begun, saved = time.monotonic() - state.seconds, time.monotonic()

        def report(progress: OptimiserProgress) -> None:
            nonlocal saved
            if not (np.isfinite(progress.loss) and np.isfinite(progress.theta).all()):
                raise NumericalError(
                    f"start {start}, stage {stage + 1}: the loss became {progress.loss} at "
                    f"iteration {progress.iteration}",
                    hint="use a smaller learning_rate, or other starts.seed",
                )
            scored = progress.theta if progress.scored is None else progress.scored
            score, energy, forces = self.score(scored)
            state.since_best += 1
            if score < state.score:
                state.best, state.score, state.since_best = scored, score, 0
            state.progress = progress
            now = time.monotonic()
            state.rows.append((progress.iteration, progress.loss, energy, forces, now - begun))
            self._on_progress(self._update(start, stage, state))
            if is_out_of_patience(config, state):
                raise _OutOfPatience
            if self._stopping():
                save(self.plan, start, stage, state)
                raise TrainingStopped
            if now - saved > SAVE_EVERY_S:
                save(self.plan, start, stage, state)
                saved = time.monotonic()

        problem = self._problem(stage)
        if isinstance(config, LeastSquaresConfig) and config.pull:
            assert isinstance(problem, Problem)
            problem = problem.anchored(self._first(start, stage), config.pull)
        with contextlib.suppress(_OutOfPatience):
            optimise(
                config, problem, state.progress, report, self._seed(start, stage),
                self._offset_mask(stage),
            )  # fmt: skip
        state.done = True
        save(self.plan, start, stage, state)
        self._on_progress(self._update(start, stage, state))

    def _offset_mask(self, stage: int) -> Array | None:
        """Return the mask of the energy offsets, which are solved for; None without energies."""
        config = self.plan.config
        loss = config.stages[stage].loss or config.loss
        return models.offset_mask(self.first_model(0)) if loss.energy_weight_per_A else None

    def _seed(self, start: int, stage: int) -> int:
        return (self.plan.config.starts.seed + start) * 100 + stage

    def _update(self, start: int, stage: int, state: StageState) -> TrainingUpdate:
        iteration, loss, energy, forces, _ = state.rows[-1]
        total = length(self.plan.config.stages[stage])
        return TrainingUpdate(start, stage, int(iteration), total, loss, energy, forces, state.done)

    def score(self, theta: Array) -> tuple[float, float, float]:
        """Return the score (eV/angstrom), and the validation errors (meV, meV/angstrom).

        The score weights energies and forces like the loss of the input, but all frames equally;
        several molecules count equally.
        """
        found = [
            errors(*predict(theta), frames)
            for predict, frames in zip(self._predictors, self._scored, strict=True)
        ]
        energy = _root_mean_square([each.energy_rmse_meV for each in found])
        sizes = [each.forces_rmse_meV_per_A for each in found]
        forces = _root_mean_square([np.nan if size is None else size for size in sizes])
        loss = self.plan.config.loss
        parts = [loss.energy_weight_per_A * energy]
        if loss.forces and np.isfinite(forces):
            parts.append(forces)
        return float(np.linalg.norm(parts)) / 1000, energy, forces

    def _problem(self, stage: int) -> Problem | JointProblem | CellProblem:
        if stage not in self._problems:
            plan, config = self.plan, self.plan.config.stages[stage]
            problems = [
                make_problem(
                    plan.config,
                    model,
                    frames.take(slice(config.frames)),
                    as_loss(config.loss or plan.config.loss),
                    plan.rotations,
                    plan.threads,
                )
                for model, frames in zip(
                    self._models(), [plan.train, *(train for train, _ in plan.others)],
                    strict=True,
                )
            ]  # fmt: skip
            self._problems[stage] = problems[0]
            if len(problems) > 1:
                self._problems[stage] = JointProblem(
                    [problem for problem in problems if isinstance(problem, Problem)]
                )
        return self._problems[stage]


@dataclass(frozen=True, eq=False)
class StartTask:
    """Task function of an executor: run some stages of a start; True if stopped and saved."""

    plan: Plan
    stages: range
    token: str = field(default_factory=lambda: uuid4().hex)
    """Identifier of the trainer of this task in all workers."""

    def __call__(self, start: int, context: TaskContext) -> bool:
        trainer = _trainer(self, context)
        try:
            trainer.run(start, self.stages)
        except TrainingStopped:
            return True
        return False


_cached: dict[str, Trainer] = {}
"""Last trainer of this process, whose compiled functions serve the next start."""


def _trainer(starts: StartTask, context: TaskContext) -> Trainer:
    def on_progress(update: TrainingUpdate) -> None:
        context.send(astuple(update))

    if starts.token not in _cached:
        _cached.clear()
        _cached[starts.token] = Trainer(starts.plan, context.stopping, on_progress)
    trainer = _cached[starts.token]
    trainer.attach(context.stopping, on_progress)
    return trainer


def _root_mean_square(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def selection_frames(frames: Frames, below: float | None) -> Frames:
    """Return the frames that count in the selection of starts and iterations."""
    return frames if below is None else frames.take(frames.energies < below)
