"""`qmd train`: fit a potential from an input, resumable, and leave its package and plots."""

import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from queue import Empty
from typing import Any

from qmd import atomic, models, train_data, train_package, train_start
from qmd.errors import InputError, MismatchError, OutputError, StoppedEarly
from qmd.inputs import LoadedConfig, changed_keys
from qmd.lock import RunLock
from qmd.signals import StopRequest, stop_signals
from qmd.train_config import MAY_CHANGE_ON_RESUME, TrainConfig
from qmd.train_data import Data
from qmd.train_start import Plan, Stop, Trainer, Watch

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A checked input with its data; nothing has been written yet."""

    loaded: LoadedConfig[TrainConfig]
    family: models.Family
    data: Data

    @property
    def config(self) -> TrainConfig:
        return self.loaded.config


@dataclass(frozen=True)
class Finished:
    """What `run` leaves for a summary."""

    package: Path
    card: dict[str, Any]
    directory: Path


def prepare(loaded: LoadedConfig[TrainConfig]) -> Prepared:
    """Check the whole input, read and check the data.

    Raises
    ------
    InputError, MismatchError
        In one line.
    """
    folder = loaded.path.parent
    family = models.family(loaded.config.model, folder)
    return Prepared(loaded, family, train_data.load(loaded.config, folder, family.species))


def run(
    prepared: Prepared,
    output: Path | None = None,
    *,
    overwrite: bool = False,
    say: Say = lambda text: None,
    watch: Watch = lambda tick: None,
) -> Finished:
    """Train, going on where an earlier call stopped, and write the package.

    Parameters
    ----------
    prepared : Prepared
    output : Path, optional
        Where the package goes; default: into the folder of the training, under its name.
    overwrite : bool
        Forget an earlier training and begin again.
    say, watch : callable
        Take lines for the user, and news of the starts.

    Raises
    ------
    QmdError
        With the exit code of its class; `StoppedEarly` after the best so far has been written.
    """
    begin = time.monotonic()
    directory = folder_of(prepared.loaded.path, output)
    target = output or directory / f"{prepared.config.name}.qmdp"
    if target.suffix != ".qmdp" or not target.absolute().parent.is_dir() and output:
        raise InputError(f"--output {target}: expected a .qmdp file in a folder that exists")
    plan = _plan(prepared, directory)
    with atomic.output_errors(plan.states):
        plan.states.mkdir(parents=True, exist_ok=True)
    stop = StopRequest(directory / "EXIT")
    with RunLock(directory), stop_signals(stop):
        _check_record(prepared, plan, overwrite)
        if any(plan.states.glob("start-*.npz")):
            say(f"going on from {plan.states}")
        interrupted = _train(plan, stop, watch)
        ranked = _ranked(plan)
        if not ranked:
            raise StoppedEarly("Stopped before there was anything to keep.", _AGAIN)
        seconds = time.monotonic() - begin
        package, predicted = train_package.make(
            prepared.loaded, plan, prepared.data, prepared.family, ranked, seconds, interrupted
        )
        train_package.write(target, package, plan, prepared.data.test, predicted, directory)
    if interrupted:
        raise StoppedEarly(f"Stopped; {target} has the best so far.", _AGAIN)
    return Finished(target, dict(package.training), directory)


def folder_of(path: Path, output: Path | None) -> Path:
    """Folder of states, log and plots: one for each package, so that trainings do not meet.

    Beside the package if it is asked for by name (`h2o/` of `h2o.qmdp`); else beside the input:
    `output`, but `output-paper` of train-paper.yaml.
    """
    if output is not None:
        return output.with_suffix("")
    kind = path.stem.removeprefix("train-")
    return path.parent / ("output" if kind == path.stem else f"output-{kind}")


_AGAIN = "Run the same command again to go on."


def _plan(prepared: Prepared, directory: Path) -> Plan:
    config = prepared.config
    train, validation = train_data.with_noise(prepared.data, config.label_noise)
    if not len(train_start.judged(validation, config.starts.judged_below_eV)[0]):
        raise InputError(
            f"no validation frame is below starts.judged_below_eV = {config.starts.judged_below_eV}"
        )
    return Plan(
        config=config,
        folder=prepared.loaded.path.parent,
        states=directory / "states",
        train=train,
        validation=validation,
        rotations=prepared.family.rotations,
        threads=config.workers if config.starts.count == 1 else 1,
    )


def _check_record(prepared: Prepared, plan: Plan, overwrite: bool) -> None:
    """Refuse to go on from states of another input; write what the states are of."""
    path = plan.states / "input.json"
    record = {"input": json.loads(prepared.loaded.text), "labels_sha256": prepared.data.sha256}
    if overwrite:
        for file in (*plan.states.glob("start-*.npz"), path):
            with atomic.output_errors(file):
                file.unlink(missing_ok=True)
    if path.exists() and any(plan.states.glob("start-*.npz")):
        old = json.loads(atomic.read_bytes(path, 1 << 20))
        ignoring = [f"input.{key}" for key in MAY_CHANGE_ON_RESUME]
        if changes := changed_keys(old, record, ignoring):
            raise MismatchError(
                f"{plan.states} is of another training: {'; '.join(changes[:3])}",
                hint="--overwrite begins again; or use a copy of the input in another folder",
            )
    atomic.write_text(path, json.dumps(record, indent=1))


def _train(plan: Plan, stop: StopRequest, watch: Watch) -> bool:
    """All starts through the first stage, the finalists through the others; True if stopped."""
    config = plan.config
    everyone = range(config.starts.count)
    if _run_all(plan, everyone, range(1), stop, watch):
        return True
    finalists = _ranked(plan)[: config.starts.finalists]
    later = range(1, len(config.stages))
    return bool(later) and _run_all(plan, [start for start, _ in finalists], later, stop, watch)


def _ranked(plan: Plan) -> list[tuple[int, int]]:
    """(start, last stage) of every start that has a state, those furthest on and best first."""
    found = []
    for start in range(plan.config.starts.count):
        stages = range(len(plan.config.stages))
        states = [s for s in (train_start.load(plan, start, stage) for stage in stages) if s]
        if states:
            found.append((-len(states), states[-1].score, start))
    return [(start, -minus - 1) for minus, _, start in sorted(found)]


def _run_all(
    plan: Plan, starts: Iterable[int], stages: range, stop: StopRequest, watch: Watch
) -> bool:
    """Run `stages` of each start, in this process or in several; True if stopped."""
    open_starts = [s for s in starts if not _is_done(plan, s, stages[-1])]
    workers = min(plan.config.workers, len(open_starts))
    if workers > 1:
        return _run_in_processes(plan, open_starts, stages, stop, watch, workers)
    trainer = Trainer(plan, lambda: stop.reason() is not None, watch)
    with suppress(Stop):
        for start in open_starts:
            trainer.run(start, stages)
        return False
    return True


def _is_done(plan: Plan, start: int, stage: int) -> bool:
    state = train_start.load(plan, start, stage)
    return state is not None and state.done


def _run_in_processes(
    plan: Plan, starts: list[int], stages: range, stop: StopRequest, watch: Watch, workers: int
) -> bool:
    context = get_context("spawn")
    shared = _Shared(context.Value("i", 0), context.Event(), context.Queue())
    arguments = (plan, starts, stages, shared)
    processes = [context.Process(target=_work, args=arguments) for _ in range(workers)]
    with _one_thread_each():
        for process in processes:
            process.start()
    try:
        while any(process.is_alive() for process in processes):
            _pass_on(shared.news, watch)
            if stop.reason():
                shared.stopping.set()
        _pass_on(shared.news, watch)
    finally:
        stopped = bool(shared.stopping.is_set())
        shared.stopping.set()
        for process in processes:
            process.join()
    if dead := [process.exitcode for process in processes if process.exitcode]:
        raise OutputError(
            f"A training process ended with code {dead[0]}; out of memory?",
            "Set workers to 1, and run the same command again to go on.",
        )
    return stopped


@dataclass(frozen=True, eq=False)
class _Shared:
    """Between this process and its workers."""

    taken: Any
    """How many starts have been taken."""
    stopping: Any
    news: Any
    """Ticks, and errors."""


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes begun in the body compute on one core each."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    wanted = {"OMP_NUM_THREADS": "1", "XLA_FLAGS": flags.strip()}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _pass_on(news: Any, watch: Watch) -> None:
    """Hand on what has come; waits a moment for the first."""
    with suppress(Empty):
        item = news.get(timeout=0.1)
        while True:
            if isinstance(item, Exception):
                raise item
            watch(item)
            item = news.get_nowait()


def _work(plan: Plan, starts: list[int], stages: range, shared: _Shared) -> None:
    """Take one start after the other, until there is none, or a stop, or no parent."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the parent hears them, and says when to stop
    parent = parent_process()
    assert parent is not None

    def stopping() -> bool:
        return shared.stopping.is_set() or not parent.is_alive()

    try:
        trainer = Trainer(plan, stopping, shared.news.put)
        while not stopping():
            with shared.taken.get_lock():
                number = shared.taken.value
                shared.taken.value += 1
            if number >= len(starts):
                return
            trainer.run(starts[number], stages)
    except Stop:
        return
    except Exception as error:  # raised again by the parent
        error.add_note(traceback.format_exc())
        shared.stopping.set()
        shared.news.put(error)
