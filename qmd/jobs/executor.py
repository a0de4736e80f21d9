"""Executors run many tasks in this process, in others, or on a cluster, with equal results.

A task is small and safe to repeat: one run folder, one label, one start of a training. If a worker
dies, another one begins its task again, and the task resumes from what it had saved.

====================  ======================================================================
`Serial`              runs tasks in this process
`Processes`           runs them on this machine, `qmd.jobs.processes`
`Dask`                runs them on this machine or a cluster, `qmd.jobs.dask_workers`
====================  ======================================================================
"""

import abc
import copy
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

from qmd.config.trust import is_trusting, trusting
from qmd.jobs.config import DaskConfig, ProcessesConfig
from qmd.jobs.cores import available_cores

MAX_WORKER_DEATHS = 3
"""Give up on a task after it has killed this many workers."""

Message = tuple[int | float | str | bool | None, ...]
"""Plain values that a task sends while it runs."""


@dataclass(frozen=True)
class TaskContext:
    """Lets a running task send messages and ask whether to stop."""

    send: Callable[[Message], None]
    """Send a message to the caller that waits for the result."""
    stopping: Callable[[], bool]
    """Return True when the task should save and return soon."""


TaskFunction = Callable[[Any, TaskContext], Any]
"""Function (task, context) -> result; importable, or an instance of an importable class."""


@dataclass(frozen=True)
class TaskResult:
    """Result of a task, or the exception that it raised."""

    number: int
    """Index of the task, from 0."""
    result: Any = None
    error: Exception | None = None
    """Exception that the task raised, or None."""


class AbstractExecutor(abc.ABC):
    """Runs tasks, one at a time on each of its workers."""

    @abc.abstractmethod
    def run_tasks(
        self,
        function: TaskFunction,
        tasks: Sequence[Any],
        *,
        stopping: Callable[[], bool] = lambda: False,
        on_message: Callable[[Message], None] = lambda message: None,
    ) -> Iterator[TaskResult]:
        """Yield the `TaskResult` of each task as it ends.

        Once `stopping` returns True no further task starts; running tasks are asked to stop and
        waited for. Closing the iterator or the executor ends them.

        Parameters
        ----------
        function : callable
            See `TaskFunction`. It is pickled for the workers, as are tasks and results, over pipes
            and connections of this program only; nothing is unpickled from a file.
        tasks : sequence
            Small values: numbers, paths, one geometry.
        stopping : callable
            Called several times a second.
        on_message : callable
            Called with each `Message` of the tasks.

        Raises
        ------
        OutputError
            If a task has ended `MAX_WORKER_DEATHS` workers, or the cluster is lost.
        """

    def close(self) -> None:  # noqa: B027  # most have nothing to give back
        """End all workers."""


class Serial(AbstractExecutor):
    """Runs tasks in this process, one after the other."""

    def run_tasks(
        self,
        function: TaskFunction,
        tasks: Sequence[Any],
        *,
        stopping: Callable[[], bool] = lambda: False,
        on_message: Callable[[Message], None] = lambda message: None,
    ) -> Iterator[TaskResult]:
        context = TaskContext(on_message, stopping)
        for number, task in enumerate(tasks):
            if stopping():
                return
            yield run_task(number, function, task, context)


def run_task(number: int, function: TaskFunction, task: Any, context: TaskContext) -> TaskResult:
    """Run a task and return its result, or the exception that it raised."""
    try:
        return TaskResult(number, function(task, context))
    except Exception as error:
        return TaskResult(number, error=error)


@dataclass(frozen=True)
class _Trusting:
    """Task function that may use the foreign code that its input names, also in other processes."""

    function: TaskFunction

    def __call__(self, task: Any, context: TaskContext) -> Any:
        with trusting():
            return self.function(task, context)


def as_trusted_here(function: TaskFunction) -> TaskFunction:
    """Return the function for other processes: trusting foreign code if this one does."""
    return _Trusting(function) if is_trusting() else function


def picklable(result: TaskResult) -> TaskResult:
    """Return `result` with its traceback as a note.

    An exception that pickle cannot rebuild is replaced by a RuntimeError with its text.
    """
    if result.error is None:
        return result
    try:
        result.error.add_note("".join(traceback.format_exception(result.error)))
        ForkingPickler.dumps(copy.copy(result.error))
    except Exception:
        text = f"{type(result.error).__name__}: {result.error}"
        return TaskResult(result.number, error=RuntimeError(text))
    return result


def workers_of(config: ProcessesConfig | DaskConfig) -> int:
    """Return the number of workers of `config`; default: as many as fit on the available cores."""
    return config.workers or max(1, available_cores() // config.threads)


def thread_variables(threads: int) -> dict[str, str]:
    """Return the environment of a worker with `threads` cores; libraries read it when imported."""
    libraries = "OMP", "OPENBLAS", "MKL", "NUMBA"
    pinned = {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    flags, flag = os.environ.get("XLA_FLAGS", ""), "--xla_cpu_multi_thread_eigen=false"
    if threads == 1 and flag not in flags:
        pinned["XLA_FLAGS"] = f"{flags} {flag}".strip()
    return pinned


def in_order(results: Iterable[TaskResult]) -> Iterator[Any]:
    """Yield results in the order of their tasks; raise the exception of a task in its place."""
    early: dict[int, TaskResult] = {}
    next_number = 0
    for result in results:
        early[result.number] = result
        while next_number in early:
            ready = early.pop(next_number)
            if ready.error is not None:
                raise ready.error
            yield ready.result
            next_number += 1
