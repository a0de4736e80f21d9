"""Run tasks in processes on this machine, each with a pipe of its own.

`concurrent.futures` does not serve: there a worker that is killed ends all the others, and queues
that the workers share stay locked when one dies in the middle of a message.
"""

import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from typing import Any

from qmd.environment import environment
from qmd.errors import OutputError
from qmd.jobs.executor import (
    MAX_WORKER_DEATHS,
    AbstractExecutor,
    Message,
    TaskContext,
    TaskFunction,
    TaskResult,
    as_trusted_here,
    picklable,
    run_task,
    thread_variables,
)

_LOOK_EVERY_S = 0.1
_GONE = BrokenPipeError, ConnectionResetError
"""Errors of a pipe to a dead worker; ignored, since its death is noticed when a result is due."""


class Processes(AbstractExecutor):
    """Runs tasks in spawned processes on this machine; JAX does not survive a fork.

    Parameters
    ----------
    workers : int
        Largest number of processes at a time.
    threads : int
        Cores of each.
    log : callable
        Called with a line when a worker has died.
    """

    def __init__(self, workers: int, threads: int, log: Callable[[str], None]) -> None:
        self._workers, self._threads, self._log = workers, threads, log
        self._alive: list[_Worker] = []

    def run_tasks(
        self,
        function: TaskFunction,
        tasks: Sequence[Any],
        *,
        stopping: Callable[[], bool] = lambda: False,
        on_message: Callable[[Message], None] = lambda message: None,
    ) -> Iterator[TaskResult]:
        function = as_trusted_here(function)
        waiting, deaths = deque(range(len(tasks))), Counter[int]()
        stopped = False
        try:
            while True:
                if not stopped and stopping():
                    stopped = True
                    waiting.clear()
                    for worker in self._alive:
                        worker.stop()
                self._hand_out(function, tasks, waiting)
                busy = {w.pipe: w for w in self._alive if w.number is not None}
                if not busy:
                    return
                for pipe in connection.wait(list(busy), _LOOK_EVERY_S):
                    worker = busy[pipe]  # type: ignore[index]  # a pipe that we gave it
                    number = worker.number
                    assert number is not None
                    match worker.receive():
                        case TaskResult() as result:
                            worker.number = None
                            yield result
                        case None:
                            deaths[number] += 1
                            self._bury(worker, number, deaths[number])
                            if not stopped:
                                waiting.appendleft(number)
                        case message:
                            on_message(message)
        finally:
            self.close()

    def _hand_out(self, function: TaskFunction, tasks: Sequence[Any], waiting: deque[int]) -> None:
        """Give each free worker a task, and start workers as long as tasks wait."""
        for worker in [w for w in self._alive if w.number is None][: len(waiting)]:
            number = waiting.popleft()
            worker.begin(number, tasks[number])
        while waiting and len(self._alive) < self._workers:
            with environment(thread_variables(self._threads)):
                worker = _Worker(function)
            self._alive.append(worker)
            number = waiting.popleft()
            worker.begin(number, tasks[number])

    def _bury(self, worker: "_Worker", number: int, deaths: int) -> None:
        self._alive.remove(worker)
        worker.kill()
        code = worker.process.exitcode
        if deaths >= MAX_WORKER_DEATHS:
            raise OutputError(
                f"Task {number + 1} ended {deaths} workers, the last with code {code}; out of "
                "memory?",
                "Use fewer workers, and run the same command again to resume.",
            )
        self._log(f"A worker ended with code {code}; its task begins again.")

    def close(self) -> None:
        for worker in self._alive:
            worker.kill()
        self._alive.clear()


class _Worker:
    """Worker process, and this end of its pipe."""

    def __init__(self, function: TaskFunction) -> None:
        spawn = get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(function, theirs), daemon=True)
        self.process.start()
        theirs.close()  # else the pipe would not end with the process
        self.number: int | None = None
        """Index of its current task, or None."""

    def begin(self, number: int, task: Any) -> None:
        self.number = number
        with suppress(*_GONE):
            self.pipe.send((number, task))

    def stop(self) -> None:
        with suppress(*_GONE):
            self.pipe.send(None)

    def receive(self) -> Any:
        """Return the next `TaskResult` or `Message`, or None if the process has died."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            return None

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(function: TaskFunction, pipe: Any) -> None:
    """Run tasks, in the worker, until none is left, the parent says stop, or the parent ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the parent receives them, and says when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # While a task runs only None, the request to stop, can arrive; it stays in the pipe, unread.
    context = TaskContext(pipe.send, pipe.poll)
    with suppress(EOFError):
        while (message := pipe.recv()) is not None:
            pipe.send(picklable(run_task(message[0], function, message[1], context)))


def _end_with_parent() -> None:
    """End this process, even in the middle of a task, when its parent has been killed."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
