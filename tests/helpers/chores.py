"""Tasks for the tests of executors: importable, as workers need them."""

import os
import signal
import time
from pathlib import Path

from qmd.jobs.executor import TaskContext

PINNED = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "XLA_FLAGS"
PINNED_AT_IMPORT = {name: os.environ.get(name) for name in PINNED}


def cube(task: int, context: TaskContext) -> int:
    context.send((task, "done"))
    return task**3


def even(task: int, context: TaskContext) -> int:
    if task % 2:
        raise ValueError(f"{task} is odd")
    return task


class NeedsTwo(Exception):
    """What pickle cannot rebuild."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def needs_two(task: int, context: TaskContext) -> None:
    raise NeedsTwo(task, task)


def count(task: tuple[str, int], context: TaskContext) -> int:
    """Write the numbers below n to a file, going on where it ends; one has the process on it."""
    path, n = Path(task[0]), task[1]
    done = len(path.read_text().splitlines()) if path.exists() else 0
    path.with_suffix(".pid").write_text(str(os.getpid()))
    with path.open("a", buffering=1) as file:
        for k in range(done, n):
            if context.stopping():
                return k
            file.write(f"{k}\n")
            time.sleep(0.02)
    return n


def kill_worker(task: int, context: TaskContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def environment(task: int, context: TaskContext) -> tuple[dict[str, str | None], int]:
    return PINNED_AT_IMPORT, len(os.sched_getaffinity(0))
