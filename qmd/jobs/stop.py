"""Ask a run to stop: Ctrl-C, a scheduler's signal, a file, the wall clock."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)

Reason = str | None

MARGIN_S = 60.0
"""Time (s) left for the last checkpoint and the end of the job, but never half of it or more."""
LOOK_EVERY_S = 0.2
"""How often to look for the EXIT file: a look costs as much as five steps of water."""

_process_ends_with_run = False


def end_with_run() -> None:
    """Tell that this process, a command, does nothing after a run that it was asked to stop."""
    global _process_ends_with_run
    _process_ends_with_run = True


class StopRequest:
    """Says whether, and why, a run is to stop in good order.

    Parameters
    ----------
    exit_file : Path
        Stops the run once it is made, and is then removed. One older than the start is ignored.
    wall_time_s : float, optional
        Stop so long before this many seconds that a checkpoint and `MARGIN_S` are left.
    clock : callable
        Monotonic seconds; another one in tests.
    should_stop : callable, optional
        Why somebody else wants it to stop, or None; asked as often as the file is looked for.
    """

    def __init__(
        self,
        exit_file: Path,
        wall_time_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        should_stop: Callable[[], Reason] | None = None,
    ) -> None:
        self._exit_file, self._clock, self._should_stop = exit_file, clock, should_stop
        self._begin, self._wall_time = clock(), wall_time_s
        self._looked = self._begin
        self._old = _identity(exit_file)
        self._signal: Reason = None

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        self._signal = signal.Signals(number).name

    @property
    def was_signalled(self) -> bool:
        """Whether a signal came."""
        return self._signal is not None

    def reason(self, checkpoint_s: float = 0.0) -> Reason:
        """Why to stop now, or None; `checkpoint_s` is how long a checkpoint takes."""
        if self._signal:
            return self._signal
        now = self._clock()
        if self._wall_time:
            margin = min(max(MARGIN_S, 3 * checkpoint_s), self._wall_time / 2)
            if now - self._begin >= self._wall_time - margin:
                return "wall time"
        if now - self._looked < LOOK_EVERY_S:
            return None
        self._looked = now
        if self._should_stop is not None and (reason := self._should_stop()):
            return reason
        # Not by its time: the clock of a file server may lag behind ours.
        if _identity(self._exit_file) in (None, self._old):
            return None
        with suppress(OSError):
            self._exit_file.unlink()
        return "EXIT file"


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file `path` is now, or None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


@contextmanager
def stop_signals(request: StopRequest) -> Iterator[None]:
    """Let SIGINT, SIGTERM, SIGUSR1 and SIGHUP set `request` while the body runs.

    Not those that are ignored, as `nohup` ignores SIGHUP, and none outside the main thread, which
    alone takes signals. After a signal a process that ends now (`end_with_run`) ignores further
    ones: they would turn its exit code, which says that nothing is lost, into their own.
    """
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        heard = (n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN)
        before = {number: signal.signal(number, request.signalled) for number in heard}
    try:
        yield
    finally:
        ends = _process_ends_with_run and request.was_signalled
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if ends else handler)
