"""Optimisers of the stages of a training."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

from qmd.errors import InputError, NotInstalledError
from qmd.potentials import families, leaves, native_model
from qmd.train.cells import CellPredictor, CellProblem, has_cell_gradient
from qmd.train.compositions.fit import CompositionPredictor, CompositionProblem
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
from qmd.train.optimisers import gauss_newton, least_squares
from qmd.train.predict import Predictor
from qmd.train.problem import (
    Frames,
    JointProblem,
    Loss,
    MakeEngine,
    OptimiserProgress,
    Problem,
)
from qmd.train.states import StageState
from qmd.typing import Array

Predictions = Callable[[Array], tuple[Array, Array]]
"""Function of the parameters: energies (eV), (n,), and forces (eV/angstrom), (n, n_atoms, 3)."""


def engine(config: TrainConfig, model: Any) -> MakeEngine:
    """Return the engine of the input, or else the fastest one that can be used."""
    if config.backend:
        return NativeEngine if config.backend == "native" else JaxEngine
    by_jax = any(families.family_of(leaf).trained_on == "jax" for _, leaf in leaves(model))
    if by_jax or any(isinstance(stage, LBFGSConfig) for stage in config.stages):
        return JaxEngine
    try:
        native_model(model)
    except ValueError:  # a circuit that the kernel cannot take
        return JaxEngine
    return NativeEngine


def is_native_in_cells(config: TrainConfig, model: Any) -> bool:
    """Return True if frames in cells are fitted on the native kernel.

    Raises
    ------
    InputError
        If the input asks for the native kernel, and the model has none in cells.
    """
    native = config.backend != "jax" and has_cell_gradient(model)
    if config.backend == "native" and not native:
        raise InputError(
            f"a model of kind {config.model.kind} is trained in cells by JAX only",
            hint="set backend: jax, or leave it out",
        )
    return native


def make_problem(
    config: TrainConfig, model: Any, frames: Frames, loss: Loss, rotations: bool, threads: int
) -> Problem | CellProblem:
    """Return the fit of a model to frames: isolated, in cells, or of many compositions."""
    mask = config.model.trainable_mask(model)
    if frames.kinds is not None:
        return CompositionProblem(model, frames, loss, native=False, trainable_mask=mask)
    if frames.cells is None:
        return Problem(
            model, frames, loss, engine(config, model), rotations=rotations, threads=threads,
            trainable_mask=mask,
        )  # fmt: skip
    native = is_native_in_cells(config, model)
    return CellProblem(model, frames, loss, native=native, threads=threads, trainable_mask=mask)


def predictor(config: TrainConfig, model: Any, frames: Frames, threads: int = 1) -> Predictions:
    """Return a function for energies and forces at `frames`, on the backend of the engine."""
    if frames.kinds is not None:
        return CompositionPredictor(model, frames)
    if frames.cells is not None:
        native = is_native_in_cells(config, model)
        return CellPredictor(model, frames, native=native, threads=threads)
    make = NativePredictor if engine(config, model) is NativeEngine else Predictor
    return make(model, frames.positions)


def optimise(
    config: StageConfig,
    problem: Problem | JointProblem | CellProblem,
    begin: OptimiserProgress,
    report: Callable[[OptimiserProgress], None],
    seed: int,
    offset_mask: Array | None,
) -> None:
    """Run the optimiser of a stage; for `offset_mask` see `gauss_newton.minimise`."""
    if isinstance(config, GaussNewtonConfig):
        settings = gauss_newton.Settings(
            steps=config.steps, batch=config.batch, slopes=config.slopes,
            learning_rate=config.learning_rate, momentum=config.momentum,
            damping=config.damping, report_every=config.report_every, seed=seed,
        )  # fmt: skip
        gauss_newton.minimise(problem, begin, settings, report, offset_mask)
        return
    assert not isinstance(problem, JointProblem)  # the input allows no others
    if isinstance(config, LeastSquaresConfig):
        assert isinstance(problem, Problem)
        least_squares.minimise(problem, begin, config.evaluations, report)
        return
    from qmd.train.optimisers import first_order  # needs optax

    match config:
        case AdamConfig():
            first_order.adam(
                problem, begin, report, steps=config.steps, batch=config.batch,
                learning_rate=config.learning_rate, final_fraction=config.final_fraction,
                weight_decay=config.weight_decay, ema=config.ema,
                report_every=config.report_every, seed=seed,
            )  # fmt: skip
        case LBFGSConfig():
            assert isinstance(problem, Problem)
            first_order.lbfgs(
                problem, begin, report, steps=config.steps, memory=config.memory,
                report_every=config.report_every,
            )  # fmt: skip


def check_installed(stages: Iterable[StageConfig]) -> None:
    """Raise NotInstalledError if a stage needs a package that is not installed."""
    kinds = [stage.kind for stage in stages if isinstance(stage, AdamConfig | LBFGSConfig)]
    if kinds and find_spec("optax") is None:
        raise NotInstalledError(
            f"a stage of kind {kinds[0]} needs optax, which is not installed",
            hint='install the extra, in the checkout: pip install -e ".[train]"',
        )


def is_out_of_patience(config: StageConfig, state: StageState) -> bool:
    """Return True if validations have not improved for `patience` reports."""
    patience = getattr(config, "patience", None)
    return patience is not None and state.since_best >= patience


def length(config: StageConfig) -> int:
    """Return the number of iterations of a stage."""
    return config.evaluations if isinstance(config, LeastSquaresConfig) else config.steps


def as_loss(config: LossConfig) -> Loss:
    """Return the loss of the input for the fit."""
    return Loss(
        energy_weight=config.energy_weight_per_A,
        forces=config.forces,
        high_energy=config.high_energy_eV,
        power=config.high_energy_power,
        virial_weight=config.virial_weight_per_A,
    )
