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

DEATHS = 3
"""So many workers may die of a task; then the task is taken for the cause."""

News = tuple[int | float | str | bool | None, ...]
"""What a task tells while it works: plain values only."""


@dataclass(frozen=True)
class Link:
    """What a task may say and ask while it works."""

    tell: Callable[[News], None]
    """Send news to whoever waits for the result."""
    stopping: Callable[[], bool]
    """Whether to save and return soon: the user wants to stop, or the worker is to end."""


Work = Callable[[Any, Link], Any]
"""(task, link) -> result; importable, or an instance of an importable class."""


@dataclass(frozen=True)
class Answer:
    """The end of a task."""

    number: int
    """Of the task, from 0."""
    result: Any = None
    error: Exception | None = None
    """What the task raised, if it did."""


class AbstractExecutor(abc.ABC):
    """Runs tasks, as many at a time as it has workers."""

    @abc.abstractmethod
    def answers(
        self,
        work: Work,
        tasks: Sequence[Any],
        *,
        stopping: Callable[[], bool] = lambda: False,
        hear: Callable[[News], None] = lambda news: None,
    ) -> Iterator[Answer]:
        """Yield the `Answer` to each task as it comes.

        Once `stopping` says so no task is begun; those at work are told, and awaited. Close the
        iterator, or leave the executor, and they are ended.

        Parameters
        ----------
        work : callable
            See `Work`. Sent to the workers by pickle, as are tasks and results, over pipes and
            connections of our own; nothing is read from a file.
        tasks : sequence
            Small values: numbers, paths, one geometry.
        stopping : callable
            Asked several times a second.
        hear : callable
            Takes the `News` of the tasks.

        Raises
        ------
        OutputError
            If a task has ended `DEATHS` workers, or the cluster is lost.
        """

    def close(self) -> None:  # noqa: B027  # most have nothing to give back
        """End all workers."""


class Serial(AbstractExecutor):
    """In this process, one after the other."""

    def answers(
        self,
        work: Work,
        tasks: Sequence[Any],
        *,
        stopping: Callable[[], bool] = lambda: False,
        hear: Callable[[News], None] = lambda news: None,
    ) -> Iterator[Answer]:
        link = Link(hear, stopping)
        for number, task in enumerate(tasks):
            if stopping():
                return
            yield answered(number, work, task, link)


def answered(number: int, work: Work, task: Any, link: Link) -> Answer:
    """Do a task."""
    try:
        return Answer(number, work(task, link))
    except Exception as error:
        return Answer(number, error=error)


def portable(answer: Answer) -> Answer:
    """`answer`, with its traceback as a note; an exception that pickle cannot rebuild as text."""
    if answer.error is None:
        return answer
    try:
        answer.error.add_note("".join(traceback.format_exception(answer.error)))
        ForkingPickler.dumps(copy.copy(answer.error))
    except Exception:
        text = f"{type(answer.error).__name__}: {answer.error}"
        return Answer(answer.number, error=RuntimeError(text))
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


def in_order(answers: Iterable[Answer]) -> Iterator[Any]:
    """Results in the order of their tasks; what a task raised is raised in its place."""
    early: dict[int, Answer] = {}
    due = 0
    for answer in answers:
        early[answer.number] = answer
        while due in early:
            ready = early.pop(due)
            if ready.error is not None:
                raise ready.error
            yield ready.result
            due += 1
