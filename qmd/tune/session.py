"""`qmd tune`: a search over the settings of a training; can be resumed, with the same points."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qmd.config.load import LoadedConfig, changed_keys
from qmd.errors import CorruptError, InputError, MismatchError, NotInstalledError, memory_errors
from qmd.io import files
from qmd.jobs.config import SerialConfig
from qmd.jobs.executor import AbstractExecutor, Message
from qmd.jobs.lock import RunLock
from qmd.jobs.open import open_executor
from qmd.jobs.stop import Reason, StopRequest, stop_signals, stopped_early
from qmd.search.samo_cobra import SamoCobra
from qmd.search.samplers import OptunaSearch
from qmd.search.search import Evaluated, Search, front_of
from qmd.search.space import Choice, Integer, Parameter, Real, Space, Value, Values
from qmd.train import session as training
from qmd.tune import report
from qmd.tune.config import NSGA2Config, ParameterConfig, SamoCobraConfig, TuneConfig
from qmd.tune.evaluate import Evaluate, Outcome, point_name, training_input

PER_COORDINATE = 40
"""Default number of evaluations for each coordinate."""
FORMAT, VERSION = "qmd-tune", 1
STATE, RESULT = "points.json", "tune.json"
AGAIN = "Run the same command again to resume."
MAY_CHANGE_ON_RESUME = "executor", "evaluations"
FIXED = (
    "name", "dataset", "test_dataset", "extra_dataset", "other_molecules", "labels", "split",
    "label_noise", "workers", "executor", "description", "level_of_theory", "citation", "licence",
)  # fmt: skip
"""Keys of a training that change the question and not the answer, or nothing."""
CHECKED_VALUES = 100
"""Largest number of values of a range that are checked one by one; of more, the ends."""


@dataclass(frozen=True)
class TuneJob:
    """Checked input, before anything has been written."""

    loaded: LoadedConfig[TuneConfig]
    base: Path
    """Input file of the trainings."""
    space: Space
    evaluations: int
    identity: dict[str, Any]
    """What must be the same when the search is resumed."""

    @property
    def config(self) -> TuneConfig:
        return self.loaded.config

    def summary(self) -> str:
        """Return one line about the search."""
        config, size = self.config, self.space.size
        points = "" if math.isinf(self.space.count) else f" of {int(self.space.count)} points"
        return (
            f"{self.evaluations} trainings of {self.base.name} by {config.method.kind}: "
            f"{len(config.parameters)} parameters in {size} coordinates{points}, objectives "
            f"{', '.join(config.objectives)}"
        )


@dataclass(frozen=True)
class Point:
    """Point of a search: its parameters, and how its training ended."""

    number: int
    """Number from 1, as in the name of its folder."""
    values: Values
    outcome: Outcome

    def evaluated(self, config: TuneConfig) -> Evaluated:
        """Return the point as a search takes it: objectives, and constraints over their limits."""
        if self.outcome.status == "failed":
            return Evaluated(self.values, None)
        found = self.outcome.quantities
        return Evaluated(
            self.values,
            tuple(found[name] for name in config.objectives),
            tuple(found[name] / limit - 1 for name, limit in config.constraints.items()),
        )


@dataclass(frozen=True)
class TuneResult:
    """Points of a search, with the Pareto front."""

    directory: Path
    """Folder of the trainings, the result and the report."""
    card: dict[str, Any]
    """Content of `tune.json`: points, front, hypervolumes."""

    @property
    def report(self) -> Path:
        """HTML report."""
        return self.directory / "report.html"

    @property
    def front(self) -> list[dict[str, Any]]:
        """Points of the Pareto front, by the first objective."""
        return list(self.card["front"])

    def summary(self) -> str:
        """Return the Pareto front as a table, and where the results are."""
        return report.summary(self.card, self.directory)


def prepare(loaded: LoadedConfig[TuneConfig]) -> TuneJob:
    """Check the whole input: the training, its data, and the values of every parameter.

    Raises
    ------
    QmdError
        In one line.
    """
    config = loaded.config
    if config.method.kind != "samo_cobra" and find_spec("optuna") is None:
        raise NotInstalledError(
            f"method.kind {config.method.kind} needs optuna, which is not installed",
            hint='install the extra, in the checkout: pip install -e ".[tune]"',
        )
    base = files.find_data(config.input, loaded.path.parent, "input", also_here=False)
    threads = _threads(config)
    job = training.prepare(training_input(base, {}, threads))
    if (threads or 1) > 1 and job.config.starts.count > 1:
        raise InputError(
            f"executor.threads is {threads}, but the starts of a training run one after the other "
            "in a worker",
            hint="use threads: 1 with more workers, or executor: {kind: serial}",
        )
    wanted = {*config.objectives, *config.constraints}
    if "forces_rmse_meV_per_A" in wanted and job.data.validation.forces is None:
        raise InputError(f"forces_rmse_meV_per_A needs forces, which {job.config.dataset} lacks")
    for key, parameter in config.parameters.items():
        _check_parameter(base, threads, key, parameter)
    space = Space(tuple(map(_parameter, config.parameters.values())))
    budget = config.evaluations or PER_COORDINATE * space.size
    identity = {
        "tune": json.loads(loaded.text),
        "training": json.loads(job.loaded.text),
        "labels_sha256": job.data.sha256,
    }
    return TuneJob(loaded, base.absolute(), space, int(min(budget, space.count)), identity)


def _threads(config: TuneConfig) -> int | None:
    """Return the cores of a training; None if they are those that its input names."""
    return None if isinstance(config.executor, SerialConfig) else config.executor.threads


def _check_parameter(base: Path, threads: int | None, key: str, parameter: ParameterConfig) -> None:
    """Refuse a key that no search should change, and values that the training refuses."""
    if key.partition(".")[0] in FIXED:
        raise InputError(
            f"parameters.{key}: a search must not change {key.partition('.')[0]}",
            "it would change the data or the names, and not the model or its training",
        )
    for value in _checked_values(_parameter(parameter)):
        try:
            training_input(base, {key: value}, threads)
        except InputError as error:
            text = error.message.removeprefix("--set: ")
            raise InputError(f"parameters.{key}: {text}", error.hint) from None


def _checked_values(parameter: Parameter) -> Iterator[Value]:
    match parameter:
        case Choice():
            yield from parameter.values
        case Integer() if parameter.count <= CHECKED_VALUES:
            yield from range(parameter.low, parameter.last + 1, parameter.step)
        case Integer():
            yield from (parameter.low, parameter.low + parameter.step, parameter.last)
        case Real():
            yield from (parameter.low, parameter.high)


def _parameter(config: ParameterConfig) -> Parameter:
    values: Any = getattr(config, config.range)
    match config.range:
        case "choice":
            return Choice(tuple(values))
        case "integer" | "log_integer":
            low, high = values
            return Integer(low, high, step=config.step, log=config.range == "log_integer")
    return Real(float(values[0]), float(values[1]), log=config.range == "log")


@memory_errors()
def run(
    prepared: TuneJob,
    output: Path | None = None,
    *,
    log: Callable[[str], None] = lambda text: None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> TuneResult:
    """Begin or resume a search, and write its result and its report.

    Parameters
    ----------
    prepared : TuneJob
    output : Path, optional
        Folder of the search; default: beside the input, named like it.
    log, on_progress : callable
        Called with lines for the user, and with the unit of progress, number done and total.

    Raises
    ------
    QmdError
        If nothing can be evaluated. A training that fails is a point, and no error. `StoppedEarly`
        after a stop: all that was found is written.
    """
    path = prepared.loaded.path
    directory = (output or path.with_suffix("")).absolute()
    if directory == path:
        raise InputError(f"{path} has no suffix to leave off; give --output")
    with files.output_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    stop = StopRequest(directory / "EXIT")
    with RunLock(directory), stop_signals(stop):
        points = _Points(prepared, directory)
        if points.known:
            log(f"Resuming from {len(points.known)} points in {directory / STATE}.")
        with open_executor(prepared.config.executor, log) as executor:
            evaluation = _Evaluation(prepared, directory, points, executor, stop, log, on_progress)
            finished = _search(prepared, points, evaluation)
        result = _write(prepared, directory, points)
    if not finished:
        reason = evaluation.stopped_by
        error = stopped_early(
            reason,
            f"Stopped by {reason}; {len(points.known)} of {prepared.evaluations} points are known.",
            AGAIN,
        )
        error.result = result
        raise error
    return result


class _Points:
    """Points that are known, on disk after each new one."""

    def __init__(self, job: TuneJob, directory: Path) -> None:
        self._job, self._path = job, directory / STATE
        self.known: dict[int, Point] = {}
        if self._path.exists():
            self._read()

    def _read(self) -> None:
        data = files.read_json(self._path)
        try:
            if (data["format"], data["version"]) != (FORMAT, VERSION):
                raise KeyError("format")
            changes = changed_keys(
                data["identity"],
                self._job.identity,
                [f"tune.{key}" for key in MAY_CHANGE_ON_RESUME]
                + ["training.workers", "training.executor"],
            )
            for number, (values, outcome) in enumerate(data["points"], 1):
                if outcome is not None:
                    self.known[number] = Point(number, tuple(values), Outcome(**outcome))
        except (KeyError, TypeError, ValueError):
            raise CorruptError(
                f"{self._path} is damaged.", "Restore it from a copy, or remove it to begin again."
            ) from None
        if changes:
            raise MismatchError(
                f"{self._path} belongs to another search: {'; '.join(changes[:3])}",
                hint="give another --output, or the input of then",
            )

    def add(self, point: Point) -> None:
        self.known[point.number] = point
        last = max(self.known)
        rows: list[Any] = [
            [list(point.values), asdict(point.outcome)] if point else [[], None]
            for point in map(self.known.get, range(1, last + 1))
        ]
        data = {
            "format": FORMAT,
            "version": VERSION,
            "identity": self._job.identity,
            "points": rows,
        }
        files.write_text(self._path, json.dumps(data, indent=1) + "\n")

    def in_order(self) -> list[Point]:
        return [self.known[number] for number in sorted(self.known)]


@dataclass
class _Evaluation:
    """Evaluates points that are not known yet."""

    job: TuneJob
    directory: Path
    points: _Points
    executor: AbstractExecutor
    stop: StopRequest
    log: Callable[[str], None]
    on_progress: Callable[[str, int, int], None]
    stopped_by: Reason = field(default=None)

    def stopping(self) -> bool:
        """Return True if the trainings are to stop, and keep the reason, which is given once."""
        self.stopped_by = self.stopped_by or self.stop.reason()
        return self.stopped_by is not None

    def __call__(self, tasks: list[tuple[int, Values]]) -> bool:
        """Evaluate points by number; True if all are known now."""
        job = self.job
        task = Evaluate(
            job.base, tuple(job.config.parameters), self.directory, _threads(job.config)
        )
        values = dict(tasks)
        results = self.executor.run_tasks(task, tasks, stopping=self.stopping, on_message=_ignore)
        for result in results:
            if result.error is not None:
                raise result.error
            number, outcome = result.result
            if outcome.status == "stopped":
                self.stopped_by = self.stopped_by or self.stop.reason() or "request"
                continue
            self.points.add(Point(number, values[number], outcome))
            if outcome.status == "failed":
                self.log(f"{point_name(number)} failed: {outcome.reason}")
            self.on_progress("trainings", len(self.points.known), job.evaluations)
        return all(number in self.points.known for number, _ in tasks)


def _ignore(message: Message) -> None:
    """Take a message of a task; trainings of a search send none."""


def make_search(job: TuneJob) -> Search:
    """Return the search of an input."""
    config, m = job.config, len(job.config.objectives)
    match config.method:
        case SamoCobraConfig():
            given = config.reference
            reference = None if given is None else [given[name] for name in config.objectives]
            return SamoCobra(
                job.space, m, len(config.constraints), config.seed,
                criterion=config.method.criterion, reference=reference,
            )  # fmt: skip
        case NSGA2Config():
            population = config.method.population
            return OptunaSearch(job.space, m, config.seed, sampler="nsga2", population=population)
    return OptunaSearch(job.space, m, config.seed, sampler="tpe")


def _search(job: TuneJob, points: _Points, evaluate: _Evaluation) -> bool:
    """Ask, evaluate and tell until the budget is used, or all points are known; True if so."""
    search, config, n = make_search(job), job.config, 0
    while n < job.evaluations:
        count = min(max(config.batch, search.n_first if n == 0 else 1), job.evaluations - n)
        known = [points.known.get(n + k) for k in range(1, count + 1)]
        if all(known):
            told = [point.evaluated(config) for point in known if point]
            asked = search.replay(told)
            _check_same(asked, n, points)
        else:
            asked = search.ask(count)
            if not asked:
                return True
            _check_same(asked, n, points)
            numbered = list(enumerate(asked, n + 1))
            if not evaluate([task for task in numbered if task[0] not in points.known]):
                return False
            search.tell([points.known[number].evaluated(config) for number, _ in numbered])
        n += len(asked)
    return True


def _check_same(asked: list[Values], n: int, points: _Points) -> None:
    """Refuse points on disk that this search would not have asked for."""
    for number, values in enumerate(asked, n + 1):
        before = points.known.get(number)
        if before is not None and repr(before.values) != repr(values):
            raise MismatchError(
                f"{point_name(number)} has other values than this search asks for",
                hint="were the points made by other versions of SciPy or optuna? Give --output",
            )


def _write(job: TuneJob, directory: Path, points: _Points) -> TuneResult:
    """Write `tune.json` and `report.html`."""
    config, known = job.config, points.in_order()
    evaluated = [point.evaluated(config) for point in known]
    front = set(front_of(evaluated))
    card = report.card(
        config,
        [
            {
                "point": point.number,
                "folder": point_name(point.number),
                "parameters": dict(zip(config.parameters, point.values, strict=True)),
                "status": point.outcome.status,
                "reason": point.outcome.reason,
                "quantities": dict(point.outcome.quantities),
                "feasible": result.feasible,
                "on_front": k in front,
            }
            for k, (point, result) in enumerate(zip(known, evaluated, strict=True))
        ],
        evaluated,
    )
    files.write_text(directory / RESULT, json.dumps(card, indent=1) + "\n")
    report.write(directory / "report.html", job.loaded.path.name, card)
    return TuneResult(directory, card)
