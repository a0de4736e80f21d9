"""Kill a worker in the middle of a run, for the tests of executors."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


@contextmanager
def killing(victim: Path) -> Iterator[list[int]]:
    """Kill the process that holds the lock of the run in `victim`, after its second checkpoint.

    Yields the list to which the number of the killed process is appended.
    """
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            time.sleep(0.02)
            for process in psutil.Process().children(recursive=True):
                if (victim / "checkpoint.prev").exists() and _holds(process, victim / "run.lock"):
                    process.kill()
                    killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    yield killed
    killer.join()


def _holds(process: psutil.Process, path: Path) -> bool:
    try:
        return str(path) in [file.path for file in process.open_files()]
    except psutil.Error:
        return False
