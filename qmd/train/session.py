"""`qmd train`: fit a potential, and write its package, log, plots and report; can be resumed."""

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qmd.config.load import LoadedConfig, changed_keys, rename_keys
from qmd.errors import InputError, MismatchError, memory_errors
from qmd.io import files
from qmd.jobs.config import ExecutorConfig, SerialConfig, executor_or_workers
from qmd.jobs.executor import AbstractExecutor, Message
from qmd.jobs.lock import RunLock
from qmd.jobs.open import open_executor
from qmd.jobs.stop import Reason, StopRequest, stop_signals, stopped_early
from qmd.potentials import families, leaves
from qmd.system.topology import formula
from qmd.train import data as train_data
from qmd.train import frame_errors, states, trainer
from qmd.train import package as packaging
from qmd.train.architectures.base import ModelTraits
from qmd.train.compositions import data as many_compositions
from qmd.train.config import MAY_CHANGE_ON_RESUME, TrainConfig
from qmd.train.data import Data
from qmd.train.stages import check_installed
from qmd.train.states import Plan
from qmd.train.trainer import OnProgress, StartTask, TrainingUpdate

Log = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """Checked input with its data, before anything has been written."""

    loaded: LoadedConfig[TrainConfig]
    traits: ModelTraits
    data: Data
    elements: tuple[str, ...] = ()
    """Elements of a package that is to serve any number of atoms of them; empty for molecules."""

    @property
    def config(self) -> TrainConfig:
        return self.loaded.config

    def summary(self) -> str:
        """Return one line about a valid input, and notes about its data."""
        config, data = self.config, (self.data, *self.data.others)
        notes = dict.fromkeys(note for each in data for note in each.notes)
        frames = ", ".join(f"{len(x.energies)} {part}" for part, x in self.data.parts.items())
        line = (
            f"{config.name}: {config.model.kind} ({self._atoms()}), {frames} "
            f"frames, {_number(config.starts.count, 'start')} of "
            f"{_number(len(config.stages), 'stage')}"
        )
        return "\n".join([line, *notes])

    def _atoms(self) -> str:
        cells = " in cells" if self.data.train.cells is not None else ""
        species = self.traits.species
        if self.data.train.kinds is not None:
            return f"{' '.join(self.elements)}, many compositions{cells}"
        return f"{formula(species) if self.elements else ' '.join(species)}{cells}"


@dataclass(frozen=True)
class TrainingResult:
    """A finished training: the package, and its card with all errors."""

    package: Path
    """The .qmdp file."""
    card: dict[str, Any]
    """Training card: data, stages, starts, errors, versions."""
    directory: Path
    """Folder of states, log, plots and report."""

    @property
    def report(self) -> Path:
        """HTML report."""
        return self.directory / "report.html"

    @property
    def log(self) -> Path:
        """Reports of all starts, CSV."""
        return self.directory / "log.csv"

    @property
    def errors(self) -> dict[str, Any]:
        """Errors by part of the data and by group of frames, with units in the keys."""
        return dict(self.card["errors"])

    def summary(self) -> str:
        """Return a few lines about the training, as `qmd train` prints them."""
        lines = []
        for part, groups in self.errors.items():
            for group, errors in groups.items():
                line = f"{part:10}  {group:12}  {errors['frames']:5} frames  "
                line += f"energy {errors['energy_rmse_meV']:.3g} meV"
                if (per_atom := errors.get("energy_rmse_meV_per_atom")) is not None:
                    line += f" ({per_atom:.3g} meV/atom)"
                if errors["forces_rmse_meV_per_A"] is not None:
                    line += f"  forces {errors['forces_rmse_meV_per_A']:.3g} meV/A"
                if (stress := errors.get("stress_rmse_meV_per_A3")) is not None:
                    line += f"  stress {stress:.3g} meV/A^3"
                lines.append(line)
        lines.append("(root mean squares)")
        by_frame = self.card["errors_by_test_frame"]
        for name, *values in frame_errors.rows(by_frame):
            spread = "  ".join(map(" ".join, zip(frame_errors.HEAD, values, strict=True)))
            lines.append(f"test, error of the {name}: {spread}")
        lines += frame_errors.sentences(by_frame)
        return "\n".join([*lines, f"{self.package}; report and plots in {self.directory}"])


def prepare(loaded: LoadedConfig[TrainConfig]) -> TrainingJob:
    """Check the whole input, read and check the data.

    Raises
    ------
    InputError, MismatchError
        In one line.
    """
    check_installed(loaded.config.stages)
    if many_compositions.are_wanted(loaded.config):
        return _prepare_compositions(loaded)
    folder, written = loaded.path.parent, loaded.config.model
    if not written.traits(folder).species:
        species = train_data.species_of(loaded.config, folder)
        config = loaded.config.model_copy(update={"model": written.on_labels(species)})
        loaded = replace(loaded, config=config)
    traits = loaded.config.model.traits(folder)
    data = train_data.load(loaded.config, folder, traits.species)
    others = train_data.load_others(loaded.config, folder)
    _check_cells(loaded.config, data)
    elements = loaded.config.model.known_elements if written.serves_elements else None
    return TrainingJob(loaded, traits, replace(data, others=others), elements or ())


def _prepare_compositions(loaded: LoadedConfig[TrainConfig]) -> TrainingJob:
    """Check the input of a training on many compositions; read and check the data."""
    folder, written = loaded.path.parent, loaded.config.model
    found = many_compositions.elements_of(loaded.config, folder)
    model = written.on_labels(found)
    elements = model.known_elements
    assert elements is not None  # the input allows no others
    data, species = many_compositions.load(loaded.config, folder, elements)
    model = model.model_copy(update={"species": list(species), "elements": list(elements)})
    config = loaded.config.model_copy(update={"model": model})
    return TrainingJob(replace(loaded, config=config), model.traits(folder), data, elements)


def _check_cells(config: TrainConfig, data: Data) -> None:
    """Refuse what frames in cells cannot be fitted with."""
    if data.train.cells is None:
        return
    first = config.model.first_model(Path(), data.train, 0)
    if any(families.family_of(leaf).jax_in_cell is None for _, leaf in leaves(first)):
        raise InputError(
            f"the dataset has periodic frames, which a model of kind {config.model.kind} cannot be "
            "fitted to",
            hint="use model.kind: qnn-revised, perceptron or allegro",
        )
    for stage in config.stages:
        if stage.kind not in ("adam", "gauss_newton"):
            raise InputError(
                f"the dataset has periodic frames, which a stage of kind {stage.kind} cannot fit",
                hint="use stages of kind gauss_newton or adam",
            )


@memory_errors()
def run(
    prepared: TrainingJob,
    output: Path | None = None,
    *,
    overwrite: bool = False,
    log: Log = lambda text: None,
    on_progress: OnProgress = lambda update: None,
    should_stop: Callable[[], Reason] | None = None,
) -> TrainingResult:
    """Begin or resume a training, and write the package.

    Parameters
    ----------
    prepared : TrainingJob
    output : Path, optional
        Path of the package; default: its name, in the folder of the training.
    overwrite : bool
        Discard an earlier training and begin again.
    log, on_progress : callable
        Called with lines for the user, and with the progress of the starts.
    should_stop : callable, optional
        Returns a further reason to stop, or None.

    Raises
    ------
    QmdError
        With the exit code of its class; `StoppedEarly` after the best result has been written.
    """
    begin = time.monotonic()
    directory = training_folder(prepared.loaded.path, output)
    target = output or directory / f"{prepared.config.name}.qmdp"
    if target.suffix != ".qmdp" or not os.path.isdir(target.absolute().parent) and output:
        raise InputError(f"--output {target}: expected a .qmdp file in a folder that exists")
    plan = _plan(prepared, directory)
    with files.output_errors(plan.states):
        plan.states.mkdir(parents=True, exist_ok=True)
    stop = StopRequest(directory / "EXIT", should_stop=should_stop)
    with RunLock(directory), stop_signals(stop):
        _check_record(prepared, plan, overwrite)
        if any(plan.states.glob("start-*.npz")):
            log(f"Resuming from {plan.states}.")
        with open_executor(_executor(prepared.config), log) as executor:
            interrupted = _train(plan, executor, stop, on_progress)
        ranked = _ranked(plan)
        if not ranked:
            raise stopped_early(stop.reason(), "Stopped before there was anything to save.", _AGAIN)
        seconds = time.monotonic() - begin
        package, predicted = packaging.make(
            prepared.loaded, plan, prepared.data, prepared.traits, ranked, seconds, interrupted,
            prepared.elements,
        )  # fmt: skip
        packaging.write(target, package, plan, prepared.data.test, predicted, directory)
    if interrupted:
        raise stopped_early(stop.reason(), f"Stopped; {target} has the best so far.", _AGAIN)
    return TrainingResult(target, dict(package.training), directory)


def training_folder(path: Path, output: Path | None) -> Path:
    """Return the folder of states, log and plots: one for each package, so that none is shared.

    It lies beside the package if that is given (`h2o/` for `h2o.qmdp`), or else beside the input:
    `output`, or `output-paper` for train-paper.yaml.
    """
    if output is not None:
        return output.with_suffix("")
    kind = path.stem.removeprefix("train-")
    return path.parent / ("output" if kind == path.stem else f"output-{kind}")


def _number(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n > 1 else ''}"


_AGAIN = "Run the same command again to resume."


def _plan(prepared: TrainingJob, directory: Path) -> Plan:
    config = prepared.config
    everything = (prepared.data, *prepared.data.others)
    (train, validation), *others = (
        train_data.with_noise(data, config.label_noise) for data in everything
    )
    below = config.starts.scored_below_eV
    for frames in (validation, *(validation for _, validation in others)):
        if not len(trainer.selection_frames(frames, below).energies):
            raise InputError(f"no validation frame is below starts.scored_below_eV = {below}")
    return Plan(
        config=config,
        folder=prepared.loaded.path.parent,
        states=directory / "states",
        train=train,
        validation=validation,
        rotations=prepared.traits.rotations,
        threads=_threads(config),
        others=tuple(others),
    )


def _executor(config: TrainConfig) -> ExecutorConfig:
    """Return the executor of the input, or else as many processes as there are starts."""
    return executor_or_workers(config.executor, min(config.workers, config.starts.count))


def _threads(config: TrainConfig) -> int:
    """Return the number of parts of the data that one start computes at a time."""
    if config.executor is None:
        return config.workers if config.starts.count == 1 else 1
    return 1 if isinstance(config.executor, SerialConfig) else config.executor.threads


def _check_record(prepared: TrainingJob, plan: Plan, overwrite: bool) -> None:
    """Refuse to resume from states of another input; record the input of the states."""
    path = plan.states / "input.json"
    written = json.loads(prepared.loaded.text)
    for other in written["other_molecules"]:  # data are identified by their hash
        del other["dataset"], other["test_dataset"]
    record = {
        "input": written,
        "labels_sha256": prepared.data.sha256
        | {str(i): other.sha256 for i, other in enumerate(prepared.data.others, 1)},
    }
    if overwrite:
        for file in (*plan.states.glob("start-*.npz"), path):
            files.remove(file)
    if path.exists() and any(plan.states.glob("start-*.npz")):
        old = files.read_json(path)
        rename_keys(old["input"], TrainConfig.renamed_keys)
        ignoring = [f"input.{key}" for key in MAY_CHANGE_ON_RESUME]
        if changes := changed_keys(old, record, ignoring):
            raise MismatchError(
                f"{plan.states} belongs to another training: {'; '.join(changes[:3])}",
                hint="--overwrite begins again; or use a copy of the input in another folder",
            )
    files.write_text(path, json.dumps(record, indent=1))


def _train(
    plan: Plan, executor: AbstractExecutor, stop: StopRequest, on_progress: OnProgress
) -> bool:
    """Run the first stage of all starts, then the others of the finalists; True if stopped."""
    config = plan.config
    everyone = range(config.starts.count)
    if _run_all(plan, executor, everyone, range(1), stop, on_progress):
        return True
    finalists = [start for start, _ in _ranked(plan)[: config.starts.finalists]]
    later = range(1, len(config.stages))
    return bool(later) and _run_all(plan, executor, finalists, later, stop, on_progress)


def _ranked(plan: Plan) -> list[tuple[int, int]]:
    """Rank the starts that have a state as (start, last stage): most stages, then best, first."""
    found = []
    for start in range(plan.config.starts.count):
        stages = range(len(plan.config.stages))
        reached = [s for s in (states.load(plan, start, stage) for stage in stages) if s]
        if reached:
            found.append((-len(reached), reached[-1].score, start))
    return [(start, -minus - 1) for minus, _, start in sorted(found)]


def _run_all(
    plan: Plan,
    executor: AbstractExecutor,
    starts: Iterable[int],
    stages: range,
    stop: StopRequest,
    on_progress: OnProgress,
) -> bool:
    """Run `stages` of each start; True if stopped. An error of one start stops the others, too."""
    open_starts = [s for s in starts if not _is_done(plan, s, stages[-1])]
    failed: list[Exception] = []

    def stopping() -> bool:
        return bool(failed) or stop.reason() is not None

    def on_message(message: Message) -> None:
        on_progress(TrainingUpdate(*message))  # type: ignore[arg-type]  # as `StartTask` sends it

    for result in executor.run_tasks(
        StartTask(plan, stages), open_starts, stopping=stopping, on_message=on_message
    ):  # fmt: skip
        if result.error is not None:
            failed.append(result.error)
    if failed:
        raise failed[0]
    return not all(_is_done(plan, start, stages[-1]) for start in open_starts)


def _is_done(plan: Plan, start: int, stage: int) -> bool:
    state = states.load(plan, start, stage)
    return state is not None and state.done
