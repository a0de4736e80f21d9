"""Where many tasks run: here, in processes, on a cluster. The results are the same everywhere.

A task is small and safe to repeat: one run directory, one label, one start of a training. One
whose worker died is begun again, by another worker, and goes on from what it had saved.

====================  ======================================================================
`Serial`              in this process
`Processes`           on this machine, `qmd.jobs.processes`
`Dask`                on this machine or a cluster, `qmd.jobs.dask_workers`
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

from qmd.jobs.config import DaskConfig, ProcessesConfig
from qmd.jobs.cores import available_cores

MAX_WORKER_DEATHS = 3
"""Give up on a task after it has killed this many workers."""

Message = tuple[int | float | str | bool | None, ...]
"""Plain values that a task sends while it works."""


@dataclass(frozen=True)
class TaskContext:
    """Lets a task send messages, and ask whether to stop, while it works."""

    send: Callable[[Message], None]
    """Send a message to the caller that waits for the result."""
    stopping: Callable[[], bool]
    """Return True when the task should save and return soon."""


TaskFunction = Callable[[Any, TaskContext], Any]
"""(task, context) -> result; importable, or an instance of an importable class."""


@dataclass(frozen=True)
class TaskResult:
    """Result of a task, or the exception that it raised."""

    number: int
    """Index of the task, from 0."""
    result: Any = None
    error: Exception | None = None
    """Exception that the task raised, or None."""


class AbstractExecutor(abc.ABC):
    """Runs tasks, as many at a time as it has workers."""

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

        Once `stopping` returns True no further task starts; running tasks are told to stop and
        waited for. Closing the iterator or the executor ends them.

        Parameters
        ----------
        function : callable
            See `TaskFunction`. It is pickled for the workers, as are tasks and results, over pipes
            and connections of this program only; nothing is read from a file.
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
    """In this process, one after the other."""

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
    """Do a task."""
    try:
        return TaskResult(number, function(task, context))
    except Exception as error:
        return TaskResult(number, error=error)


def picklable(answer: TaskResult) -> TaskResult:
    """`answer`, with its traceback as a note; an exception that pickle cannot rebuild as text."""
    if answer.error is None:
        return answer
    try:
        answer.error.add_note("".join(traceback.format_exception(answer.error)))
        ForkingPickler.dumps(copy.copy(answer.error))
    except Exception:
        text = f"{type(answer.error).__name__}: {answer.error}"
        return TaskResult(answer.number, error=RuntimeError(text))
    return answer


def workers_of(config: ProcessesConfig | DaskConfig) -> int:
    """Workers on this machine: those asked for, or as fit on the cores this process may use."""
    return config.workers or max(1, available_cores() // config.threads)


def thread_variables(threads: int) -> dict[str, str]:
    """Environment of a worker that is to compute on so many cores; read at its first imports."""
    libraries = "OMP", "OPENBLAS", "MKL", "NUMBA"
    pinned = {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    flags, flag = os.environ.get("XLA_FLAGS", ""), "--xla_cpu_multi_thread_eigen=false"
    if threads == 1 and flag not in flags:
        pinned["XLA_FLAGS"] = f"{flags} {flag}".strip()
    return pinned


def in_order(results: Iterable[TaskResult]) -> Iterator[Any]:
    """Results in the order of their tasks; what a task raised is raised in its place."""
    early: dict[int, TaskResult] = {}
    due = 0
    for answer in results:
        early[answer.number] = answer
        while due in early:
            ready = early.pop(due)
            if ready.error is not None:
                raise ready.error
            yield ready.result
            due += 1
