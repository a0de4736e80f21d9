"""Ask a run to stop: Ctrl-C, a scheduler's signal, a file, the wall clock."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)

Reason = str | None

LOOK_EVERY_S = 0.2
"""How often to look for the EXIT file: a look costs as much as five steps of water."""


class StopRequest:
    """Says whether, and why, a run is to stop in good order.

    Parameters
    ----------
    exit_file : Path
        Stops the run once it exists, unless it is older than the start; it is then removed.
    wall_time_s : float, optional
        Stop `margin` before this many seconds.
    clock : callable
        Monotonic seconds; another one in tests.
    """

    def __init__(
        self,
        exit_file: Path,
        wall_time_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exit_file, self._clock = exit_file, clock
        self._begin, self._wall_time = clock(), wall_time_s
        self._looked = self._begin
        self._born = time.time()
        self._signal: Reason = None

    def signalled(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        self._signal = signal.Signals(number).name

    def reason(self, checkpoint_s: float = 0.0) -> Reason:
        """Why to stop now, or None; `checkpoint_s` is how long a checkpoint takes."""
        if self._signal:
            return self._signal
        now = self._clock()
        margin = max(60.0, 3 * checkpoint_s)
        if self._wall_time and now - self._begin >= self._wall_time - margin:
            return "wall time"
        if now - self._looked < LOOK_EVERY_S:
            return None
        self._looked = now
        try:
            if self._exit_file.stat().st_mtime >= self._born:
                self._exit_file.unlink()
                return "EXIT file"
        except FileNotFoundError:
            pass
        return None


@contextmanager
def stop_signals(request: StopRequest) -> Iterator[None]:
    """Let SIGINT, SIGTERM, SIGUSR1 and SIGHUP set `request` while the body runs."""
    before = {number: signal.signal(number, request.signalled) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
