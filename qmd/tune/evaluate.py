"""One point of a search: a training in a folder of its own, and what it is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qmd.config.load import LoadedConfig, from_mapping, read_document
from qmd.errors import CorruptError, OutOfMemoryError, OutputError, QmdError, StoppedEarly
from qmd.jobs.executor import TaskContext
from qmd.search.space import Value, Values
from qmd.train.config import TrainConfig

Status = Literal["finished", "failed", "stopped"]


@dataclass(frozen=True)
class Outcome:
    """End of a training: its quantities, or the reason why there are none."""

    status: Status
    quantities: Mapping[str, float]
    reason: str = ""


def training_input(
    base: Path, changes: Mapping[str, Value], threads: int | None
) -> LoadedConfig[TrainConfig]:
    """Return the input of a training with changed keys.

    Parameters
    ----------
    base : Path
        Input file.
    changes : mapping
        Values by dotted key.
    threads : int, optional
        Cores of the training, in this process; default: those that the input names.

    Raises
    ------
    InputError
        In one line, if the changes are not possible.
    """
    data = dict(read_document(base).data)
    if threads is not None:
        data.pop("workers", None)
        # With one core, starts run one after the other; with more, the input has one start.
        executor = {"executor": {"kind": "serial"}} if threads == 1 else {"workers": threads}
        data = {key: value for key, value in data.items() if key != "executor"} | executor
    return from_mapping(data, base, TrainConfig, changes)


@dataclass(frozen=True)
class Evaluate:
    """Task function of an executor: train one point, or resume it."""

    base: Path
    """Input file of the trainings."""
    keys: tuple[str, ...]
    directory: Path
    threads: int | None
    """Cores of a training; None: those that the input names."""

    def __call__(self, task: tuple[int, Values], context: TaskContext) -> tuple[int, Outcome]:
        number, values = task
        try:
            found = self._train(number, values, context)
        except StoppedEarly as error:
            return number, Outcome("stopped", {}, error.message)
        except (CorruptError, OutputError) as error:
            if not isinstance(error, OutOfMemoryError):
                raise  # of the disk, and not of the point
            return number, Outcome("failed", {}, error.message)
        except QmdError as error:
            return number, Outcome("failed", {}, error.message)
        return number, Outcome("finished", found)

    def _train(self, number: int, values: Values, context: TaskContext) -> dict[str, float]:
        from qmd.forces.catalogue import load_package
        from qmd.train import session
        from qmd.tune.measure import quantities

        changes = dict(zip(self.keys, values, strict=True))
        job = session.prepare(training_input(self.base, changes, self.threads))
        folder = self.directory / point_name(number)
        folder.mkdir(parents=True, exist_ok=True)
        done = session.run(
            job,
            folder / f"{job.config.name}.qmdp",
            should_stop=lambda: "request" if context.stopping() else None,
        )
        return quantities(load_package(str(done.package), Path()))


def point_name(number: int) -> str:
    """Return the name of the folder of a point; points are counted from 1."""
    return f"point-{number:04d}"
