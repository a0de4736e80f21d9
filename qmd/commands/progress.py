"""Progress of a command: bars on a terminal and in Jupyter, else a line now and then.

rich draws on terminals, and tqdm in notebooks, with widgets where ipywidgets is installed. Where
there is neither, or stderr is a file, plain lines appear at growing intervals: a log of a batch job
stays short.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

from qmd.errors import Interrupted

SHOW_AFTER_S = 1.0
"""Length of a command (s) from which something is shown; shorter ones import no display."""
DRAW_EVERY_S = 0.2
FIRST_LINE_S = 30.0
"""Time (s) to the first line without a display; each interval is twice the one before."""

OnProgress = Callable[[str, int, int], None]
"""Function of the current activity, the amount done, and the total."""


def note(text: str) -> None:
    """Print a line for the user, which is not an error, on stderr."""
    print(text, file=sys.stderr)


Text = Callable[[], str]
"""Function that is called when its text is drawn."""


def _no_text() -> str:
    return ""


class Display(Protocol):
    """Shows how far several activities are."""

    live: bool
    """True if someone looks on."""

    def update(self, activity: str, done: int, total: int, text: Text = _no_text) -> None:
        """Show that `done` of `total` are done, with a text about them."""

    def end(self, activity: str, line: str) -> None:
        """Show an activity no longer, but a line that stays."""

    def close(self) -> None:
        """Leave the screen as it was."""


@contextmanager
def display(shown: bool = True) -> Iterator[Display]:
    """Open the display that fits the place where stderr leads to; see `interruptible`, too."""
    opened = _fitting() if shown else _Nothing()
    try:
        with interruptible():
            yield opened
    finally:
        opened.close()


@contextmanager
def bars(shown: bool = True) -> Iterator[OnProgress]:
    """Yield a callback that shows each activity."""
    with display(shown) as opened:
        yield lambda activity, done, total: opened.update(activity, done, total)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn a bare `KeyboardInterrupt` into `Interrupted`, which a command raises in good order.

    Commands keep what they have as they go: after an interrupt at any moment they resume.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if isinstance(error, Interrupted):
            raise
        raise Interrupted("Interrupted.", "Run the same command again.") from None


def in_jupyter() -> bool:
    """Return True in a kernel of Jupyter, whose output is no terminal but a page."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def _fitting() -> Display:
    if in_jupyter() and find_spec("tqdm"):
        return _Patient(_TqdmBars)
    if sys.stderr.isatty() and find_spec("rich"):
        return _Patient(_RichBars)
    return _Lines()


class _Nothing:
    live = False

    def update(self, activity: str, done: int, total: int, text: Text = _no_text) -> None:
        pass

    def end(self, activity: str, line: str) -> None:
        pass

    def close(self) -> None:
        pass


class _Lines:
    """Prints a line when an activity ends, and now and then before."""

    live = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin, self._next = clock(), FIRST_LINE_S

    def update(self, activity: str, done: int, total: int, text: Text = _no_text) -> None:
        passed = self._clock() - self._begin
        if passed < self._next:
            return
        while self._next <= passed:
            self._next *= 2
        share = 100 * done / total if total else 100
        note(f"{activity}: {done:,} of {total:,} ({share:.0f} %) {text()}".rstrip())

    def end(self, activity: str, line: str) -> None:
        note(line)

    def close(self) -> None:
        pass


class _Patient:
    """Opens a display for the commands that take long, and draws it a few times a second."""

    live = True

    def __init__(self, open_display: Callable[[], Display]) -> None:
        self._open = open_display
        self._display: Display | None = None
        self._begin = time.monotonic()
        self._drawn: dict[str, float] = {}

    def update(self, activity: str, done: int, total: int, text: Text = _no_text) -> None:
        now = time.monotonic()
        if now - self._begin < SHOW_AFTER_S:
            return
        if now - self._drawn.get(activity, 0.0) < DRAW_EVERY_S and done < total:
            return
        self._drawn[activity] = now
        self._opened().update(activity, done, total, text)

    def end(self, activity: str, line: str) -> None:
        if self._display is None:
            note(line)
        else:
            self._display.end(activity, line)

    def close(self) -> None:
        if self._display is not None:
            self._display.close()

    def _opened(self) -> Display:
        if self._display is None:
            self._display = self._open()
        return self._display


class _RichBars:
    live = True

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=20), TaskProgressColumn(),
            TextColumn("{task.fields[text]}"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._tasks: dict[str, Any] = {}
        self._bars.start()

    def update(self, activity: str, done: int, total: int, text: Text = _no_text) -> None:
        shown = text() or f"{done:,}/{total:,}"
        if activity not in self._tasks:
            self._tasks[activity] = self._bars.add_task(activity, total=total, text=shown)
        self._bars.update(self._tasks[activity], completed=done, total=total, text=shown)

    def end(self, activity: str, line: str) -> None:
        if activity in self._tasks:
            self._bars.remove_task(self._tasks.pop(activity))
        self._bars.console.print(line, highlight=False, markup=False)

    def close(self) -> None:
        self._bars.stop()


class _TqdmBars:
    live = True

    def __init__(self) -> None:
        if find_spec("ipywidgets"):
            from tqdm.notebook import tqdm
        else:
            from tqdm.std import tqdm
        self._tqdm = tqdm
        self._bars: dict[str, Any] = {}

    def update(self, activity: str, done: int, total: int, text: Text = _no_text) -> None:
        if activity not in self._bars:
            self._bars[activity] = self._tqdm(total=total, desc=activity, leave=False)
        bar = self._bars[activity]
        bar.total = total
        bar.set_postfix_str(text(), refresh=False)
        bar.update(done - bar.n)

    def end(self, activity: str, line: str) -> None:
        if activity in self._bars:
            self._bars.pop(activity).close()
        note(line)

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()
