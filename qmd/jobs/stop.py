"""Ask a run to stop: Ctrl-C, a scheduler's signal, a file, the wall clock."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from qmd.errors import Interrupted, StoppedEarly

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)

Reason = str | None

MARGIN_S = 60.0
"""Time (s) left for the last checkpoint and the end of the job, but never half of it or more."""
LOOK_EVERY_S = 0.2
"""Interval (s) between two looks for the EXIT file; one costs as much as five steps of water."""

_process_ends_with_run = False


def end_with_run() -> None:
    """Declare that this process is a command, which does nothing more after a stopped run."""
    global _process_ends_with_run
    _process_ends_with_run = True


def stopped_early(reason: Reason, message: str, hint: str) -> StoppedEarly:
    """Return the error of a command that has stopped for a reason: Ctrl-C stays an interrupt."""
    kind = Interrupted if reason == signal.SIGINT.name else StoppedEarly
    return kind(message, hint)


class StopRequest:
    """Says whether, and why, a run should stop cleanly.

    Parameters
    ----------
    exit_file : Path
        Stops the run once it appears, and is then removed. A file older than the start is ignored.
    wall_time_s : float, optional
        Time limit (s). The run stops early enough for a checkpoint and `MARGIN_S`.
    clock : callable
        Returns monotonic seconds.
    should_stop : callable, optional
        Returns a further reason to stop, or None; called as often as the file is looked for.
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
        """Handle a signal: remember its name."""
        self._signal = signal.Signals(number).name

    @property
    def was_signalled(self) -> bool:
        """True once a signal has been received."""
        return self._signal is not None

    def reason(self, checkpoint_s: float = 0.0) -> Reason:
        """Return the reason to stop now, or None; a checkpoint takes `checkpoint_s` seconds."""
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
        # Its time does not serve: the clock of a file server may lag behind that of this machine.
        if _identity(self._exit_file) in (None, self._old):
            return None
        with suppress(OSError):
            self._exit_file.unlink()
        return "EXIT file"


def _identity(path: Path) -> tuple[int, int] | None:
    """Return inode and time of the file that is now at `path`, or None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


@contextmanager
def stop_signals(request: StopRequest) -> Iterator[None]:
    """Let SIGINT, SIGTERM, SIGUSR1 and SIGHUP set `request` while the body runs.

    Signals that are ignored stay ignored, as `nohup` ignores SIGHUP. Only the main thread can
    receive signals; elsewhere nothing is set. After a signal, a process that ends with the run
    (`end_with_run`) ignores further ones: they would replace its exit code, which says that nothing
    is lost, by their own.
    """
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        active = (n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN)
        before = {number: signal.signal(number, request.signalled) for number in active}
    try:
        yield
    finally:
        ends = _process_ends_with_run and request.was_signalled
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if ends else handler)
