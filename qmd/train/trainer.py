"""One start of a training: its stages, saved as they go, so that a stop loses seconds."""

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from qmd.errors import CorruptError, NumericalError
from qmd.io import files as atomic
from qmd.jobs.executor import Link
from qmd.potentials import InvariantPolynomial, Vqlm, leaves, native_model
from qmd.train import models
from qmd.train.config import (
    AdamConfig,
    GaussNewtonConfig,
    LBFGSConfig,
    LeastSquaresConfig,
    LossConfig,
    StageConfig,
    TrainConfig,
)
from qmd.train.jax_engine import JaxEngine
from qmd.train.native_engine import NativeEngine, NativePredictor
from qmd.train.optimisers import first_order, gauss_newton, least_squares
from qmd.train.problem import (
    Array,
    Frames,
    JointProblem,
    Loss,
    MakeEngine,
    Predictor,
    Problem,
    Progress,
    errors,
)

SAVE_EVERY_S = 5.0
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
class State:
    """A stage of a start, as it is kept in a file."""

    progress: Progress
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


class Stop(Exception):
    """The user wants to stop; all is saved."""


class _NoBetter(Exception):
    """A stage ends early: validations no longer improve."""


@dataclass(frozen=True)
class Tick:
    """News of a start for whoever watches."""

    start: int
    stage: int
    iteration: int
    total: int
    loss: float
    energy_rmse_meV: float
    forces_rmse_meV_per_A: float
    done: bool = False


Watch = Callable[[Tick], None]
Predict = Callable[[Array], tuple[Array, Array]]
"""Parameters -> energies (eV), (n,), and forces (eV/angstrom), (n, n_atoms, 3)."""


class Trainer:
    """Runs starts of one plan in this process; compiled functions are shared by all of them.

    Parameters
    ----------
    plan : Plan
    stopping : callable
        Whether to stop now, in good order.
    watch : callable
        Takes a `Tick` after each report.
    """

    def __init__(self, plan: Plan, stopping: Callable[[], bool], watch: Watch) -> None:
        jax.config.update("jax_enable_x64", True)
        self.plan, self._stopping, self._watch = plan, stopping, watch
        frames = [plan.validation, *(validation for _, validation in plan.together)]
        below = plan.config.starts.judged_below_eV
        self._judged = [judged(part, below) for part in frames]
        self._predictors = [
            predictor(plan.config, model, part.positions)
            for model, part in zip(self._models(), self._judged, strict=True)
        ]
        self._problems: dict[int, Problem | JointProblem] = {}

    def listen(self, stopping: Callable[[], bool], watch: Watch) -> None:
        """Ask and tell others from now on."""
        self._stopping, self._watch = stopping, watch

    def first_model(self, start: int) -> Any:
        config = self.plan.config
        seed = config.starts.seed + start
        return models.start(config.model, self.plan.folder, self.plan.train, seed)

    def _models(self) -> list[Any]:
        """One for each molecule; they differ in their atoms, not in their numbers."""
        config, first = self.plan.config, self.first_model(0)
        others = (models.kinds(config.model, other.species) for other in config.together)
        return [first, *(first.on(kinds) for kinds in others)]

    def run(self, start: int, stages: range) -> None:
        """Run, or go on with, `stages` of a start.

        Raises
        ------
        Stop
            After saving, if `stopping` says so.
        NumericalError
            If the loss is not finite.
        """
        for stage in stages:
            state = load(self.plan, start, stage) or self._begin(start, stage)
            if not state.done:
                self._run_stage(start, stage, state)

    def _begin(self, start: int, stage: int) -> State:
        theta = self._first(start, stage)
        return State(Progress(0, np.inf, theta), theta, np.inf)

    def _first(self, start: int, stage: int) -> Array:
        """Parameters that a stage begins with."""
        if stage == 0:
            return np.asarray(ravel_pytree(self.first_model(start))[0])
        before = load(self.plan, start, stage - 1)
        assert before is not None
        return before.best

    def _run_stage(self, start: int, stage: int, state: State) -> None:
        config = self.plan.config.stages[stage]
        begun, saved = time.monotonic() - state.seconds, time.monotonic()

        def report(progress: Progress) -> None:
            nonlocal saved
            if not (np.isfinite(progress.loss) and np.isfinite(progress.theta).all()):
                raise NumericalError(
                    f"start {start}, stage {stage + 1}: the loss became {progress.loss} at "
                    f"iteration {progress.iteration}",
                    hint="use a smaller learning_rate, or other starts.seed",
                )
            judged = progress.theta if progress.judged is None else progress.judged
            score, energy, forces = self.score(judged)
            state.since_best += 1
            if score < state.score:
                state.best, state.score, state.since_best = judged, score, 0
            state.progress = progress
            now = time.monotonic()
            state.rows.append((progress.iteration, progress.loss, energy, forces, now - begun))
            self._watch(self._tick(start, stage, state))
            if _is_patient(config, state):
                raise _NoBetter
            if self._stopping():
                save(self.plan, start, stage, state)
                raise Stop
            if now - saved > SAVE_EVERY_S:
                save(self.plan, start, stage, state)
                saved = time.monotonic()

        problem = self._problem(stage)
        if isinstance(config, LeastSquaresConfig) and config.pull:
            assert isinstance(problem, Problem)
            problem = problem.pulled(self._first(start, stage), config.pull)
        with contextlib.suppress(_NoBetter):
            optimise(
                config, problem, state.progress, report, self._seed(start, stage),
                self._levelled(stage),
            )  # fmt: skip
        state.done = True
        save(self.plan, start, stage, state)
        self._watch(self._tick(start, stage, state))

    def _levelled(self, stage: int) -> Array | None:
        """Numbers that the energies of all frames settle, if energies weigh anything."""
        config = self.plan.config
        loss = config.stages[stage].loss or config.loss
        return models.constants(self.first_model(0)) if loss.energy_weight_per_A else None

    def _seed(self, start: int, stage: int) -> int:
        return (self.plan.config.starts.seed + start) * 100 + stage

    def _tick(self, start: int, stage: int, state: State) -> Tick:
        iteration, loss, energy, forces, _ = state.rows[-1]
        total = length(self.plan.config.stages[stage])
        return Tick(start, stage, int(iteration), total, loss, energy, forces, state.done)

    def score(self, theta: Array) -> tuple[float, float, float]:
        """Validation errors in one number (eV/angstrom), and apart (meV, meV/angstrom).

        The number weighs energies and forces like the loss of the input, but all frames alike;
        molecules that are fitted together count alike.
        """
        found = [
            errors(*predict(theta), frames)
            for predict, frames in zip(self._predictors, self._judged, strict=True)
        ]
        energy = _root_mean_square([each.energy_rmse_meV for each in found])
        sizes = [each.forces_rmse_meV_per_A for each in found]
        forces = _root_mean_square([np.nan if size is None else size for size in sizes])
        loss = self.plan.config.loss
        parts = [loss.energy_weight_per_A * energy]
        if loss.forces and np.isfinite(forces):
            parts.append(forces)
        return float(np.linalg.norm(parts)) / 1000, energy, forces

    def _problem(self, stage: int) -> Problem | JointProblem:
        if stage not in self._problems:
            plan, config = self.plan, self.plan.config.stages[stage]
            problems = [
                Problem(
                    model,
                    frames.take(slice(config.frames)),
                    as_loss(config.loss or plan.config.loss),
                    engine(plan.config, model),
                    rotations=plan.rotations,
                    threads=plan.threads,
                    free=models.free(plan.config.model, model),
                )
                for model, frames in zip(
                    self._models(), [plan.train, *(train for train, _ in plan.together)],
                    strict=True,
                )
            ]  # fmt: skip
            joint = len(problems) > 1
            self._problems[stage] = JointProblem(problems) if joint else problems[0]
        return self._problems[stage]


@dataclass(frozen=True, eq=False)
class Starts:
    """The work of an executor: run some stages of a start; True if it was stopped, and saved."""

    plan: Plan
    stages: range
    token: str = field(default_factory=lambda: uuid4().hex)
    """Goes to all workers, and tells there which trainer is ours."""

    def __call__(self, start: int, link: Link) -> bool:
        trainer = _trainer(self, link)
        try:
            trainer.run(start, self.stages)
        except Stop:
            return True
        return False


_kept: dict[str, Trainer] = {}
"""The last trainer of this process: what it has compiled serves the next start."""


def _trainer(starts: Starts, link: Link) -> Trainer:
    def watch(tick: Tick) -> None:
        link.tell(astuple(tick))

    if starts.token not in _kept:
        _kept.clear()
        _kept[starts.token] = Trainer(starts.plan, link.stopping, watch)
    trainer = _kept[starts.token]
    trainer.listen(link.stopping, watch)
    return trainer


def engine(config: TrainConfig, model: Any) -> MakeEngine:
    """That of the input, or the faster one of those that serve."""
    if config.backend:
        return NativeEngine if config.backend == "native" else JaxEngine
    generic = any(isinstance(leaf, Vqlm | InvariantPolynomial) for _, leaf in leaves(model))
    if generic or any(isinstance(stage, LBFGSConfig) for stage in config.stages):
        return JaxEngine
    try:
        native_model(model)
    except ValueError:  # a circuit that the kernel cannot take
        return JaxEngine
    return NativeEngine


def predictor(config: TrainConfig, model: Any, positions: Array) -> Predict:
    """Energies and forces at `positions` by the numbers of `model`, on the engine's backend."""
    make = NativePredictor if engine(config, model) is NativeEngine else Predictor
    return make(model, positions)


def _root_mean_square(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def optimise(
    config: StageConfig,
    problem: Problem | JointProblem,
    begin: Progress,
    report: Callable[[Progress], None],
    seed: int,
    constants: Array | None,
) -> None:
    """Run the optimiser of a stage; `constants` as in `gauss_newton.minimise`."""
    if isinstance(config, GaussNewtonConfig):
        settings = gauss_newton.Settings(
            steps=config.steps, batch=config.batch, slopes=config.slopes,
            learning_rate=config.learning_rate, momentum=config.momentum,
            damping=config.damping, report_every=config.report_every, seed=seed,
        )  # fmt: skip
        gauss_newton.minimise(problem, begin, settings, report, constants)
        return
    assert isinstance(problem, Problem)  # the input allows no others
    match config:
        case LeastSquaresConfig():
            least_squares.minimise(problem, begin, config.evaluations, report)
        case AdamConfig():
            first_order.adam(
                problem, begin, report, steps=config.steps, batch=config.batch,
                learning_rate=config.learning_rate, final_fraction=config.final_fraction,
                weight_decay=config.weight_decay, ema=config.ema,
                report_every=config.report_every, seed=seed,
            )  # fmt: skip
        case LBFGSConfig():
            first_order.lbfgs(
                problem, begin, report, steps=config.steps, memory=config.memory,
                report_every=config.report_every,
            )  # fmt: skip


def _is_patient(config: StageConfig, state: State) -> bool:
    """Whether there was no better validation for as long as the stage waits."""
    patience = getattr(config, "patience", None)
    return patience is not None and state.since_best >= patience


def length(config: StageConfig) -> int:
    """Iterations of a stage."""
    return config.evaluations if isinstance(config, LeastSquaresConfig) else config.steps


def as_loss(config: LossConfig) -> Loss:
    """Loss of the input as the fit takes it."""
    return Loss(
        energy_weight=config.energy_weight_per_A,
        forces=config.forces,
        high_energy=config.high_energy_eV,
        power=config.high_energy_power,
    )


def judged(frames: Frames, below: float | None) -> Frames:
    """The frames that count in choosing."""
    return frames if below is None else frames.take(frames.energies < below)


def state_path(plan: Plan, start: int, stage: int) -> Path:
    return plan.states / f"start-{start:03d}-stage-{stage + 1}.npz"


def save(plan: Plan, start: int, stage: int, state: State) -> None:
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
    atomic.replace(state_path(plan, start, stage), buffer.getvalue(), keep_previous=False)


def load(plan: Plan, start: int, stage: int) -> State | None:
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
            progress = Progress(
                int(data["iteration"]), float(data["loss"]), data["theta"],
                tuple(data[name] for name in names),
            )  # fmt: skip
            rows = [tuple(map(float, row)) for row in data["rows"]]
            since_best = int(data["since_best"]) if "since_best" in data else 0  # older files
            return State(
                progress, data["best"], float(data["score"]), bool(data["done"]), since_best, rows
            )
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise CorruptError(
            f"{path} is damaged ({type(error).__name__}).", "Remove it, and this stage runs again."
        ) from None
