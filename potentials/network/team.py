"""Threads that help with the centres of a network; `team_kernel` is the work that they do."""

import contextlib
import functools
import os
import threading
import weakref
from typing import Any

import numpy as np
from numba import int64

from .team_kernel import CLAIM, HELPERS, LINE, N_HELPERS, NEXT, READ, STOP, WRITE, help_with

Array = np.ndarray


@functools.cache
def _helping() -> Any:
    help_with.compile((int64, int64))
    return help_with


class Team:
    """Helpers of one force, as many as `n_threads` less the thread that calls the force.

    Parameters
    ----------
    n_threads : int
    """

    def __init__(self, n_threads: int) -> None:
        self._n = n_threads - 1
        words = HELPERS + LINE * self._n
        whole = np.zeros(words + LINE, np.int64)
        skip = (-whole.ctypes.data // 8) % LINE
        self._words = whole[skip : skip + words]
        self._words[CLAIM], self._words[N_HELPERS] = NEXT, self._n
        self._started = False

    @property
    def address(self) -> int:
        """Address of the words that `share` takes."""
        return self._words.ctypes.data

    def start(self) -> None:
        """Start the helpers, once.

        Raises
        ------
        RuntimeError, OSError
            If the system does not give the threads.
        """
        if self._started:
            return
        self._started, helping = True, _helping()
        threads: list[threading.Thread] = []
        own = self._words[HELPERS:].reshape(-1, LINE)
        pipes = [os.pipe() for _ in range(self._n)]
        own[:, READ : WRITE + 1] = np.array(pipes).reshape(-1, 2)
        weakref.finalize(self, _stop, self._words, pipes, threads, os.getpid())
        for helper in range(self._n):
            thread = threading.Thread(
                target=_run, args=(helping, self._words, helper), daemon=True,
                name=f"qmd-centres-{helper}",
            )  # fmt: skip
            thread.start()
            threads.append(thread)


def _run(helping: Any, words: Array, helper: int) -> None:
    helping(words.ctypes.data, helper)  # `words` live as long as this call


def _stop(
    words: Array, pipes: list[tuple[int, int]], threads: list[threading.Thread], process: int
) -> None:
    if os.getpid() != process:  # a fork has the pipes, but not the threads
        return
    words[STOP] = 1
    for _, end in pipes:
        os.write(end, b"\0")
    for thread in threads:
        thread.join()
    for end in (end for pipe in pipes for end in pipe):
        with contextlib.suppress(OSError):
            os.close(end)
