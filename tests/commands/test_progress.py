"""Progress of commands: on a terminal, in Jupyter, and where nobody looks."""

import sys
from types import SimpleNamespace

import pytest

from qmd.commands import progress
from qmd.errors import Interrupted


def test_lines_come_at_growing_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    clock = SimpleNamespace(now=0)
    lines = progress._Lines(lambda: clock.now)
    for second in range(1000):
        clock.now = second
        lines.update("steps", second, 1000, lambda: f"after {clock.now} s")
    shown = capsys.readouterr().err.splitlines()
    # At 30 s, then at twice the time before, up to 960 s.
    assert [line.split("after ")[1] for line in shown] == [f"{30 * 2**n} s" for n in range(6)]
    assert shown[0] == "steps: 30 of 1,000 (3 %) after 30 s"


def test_nothing_is_shown_where_nothing_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.display(shown=False) as screen:
        screen.update("steps", 1, 2)
        screen.end("steps", "over")
    assert capsys.readouterr() == ("", "")


def test_short_commands_import_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.display() as screen:
        assert isinstance(screen, progress._Patient) and screen.live
        screen.update("steps", 1, 2)
        assert screen._display is None


@pytest.mark.parametrize("widgets", [True, False])
def test_jupyter_gets_bars_of_tqdm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], widgets: bool
) -> None:
    if widgets:
        pytest.importorskip("ipywidgets")
    else:
        found = progress.find_spec
        monkeypatch.setattr(
            progress, "find_spec", lambda name: name != "ipywidgets" and found(name)
        )
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert progress.in_jupyter()
    monkeypatch.undo() if widgets else monkeypatch.delitem(sys.modules, "IPython")
    bars = progress._TqdmBars()
    bars.update("labels", 3, 7, lambda: "fast")
    bar = bars._bars["labels"]
    assert (bar.n, bar.total, bar.desc.rstrip(": ")) == (3, 7, "labels")
    assert type(bar).__module__ == ("tqdm.notebook" if widgets else "tqdm.std")
    bars.end("labels", "all labelled")
    bars.close()
    assert capsys.readouterr().err.endswith("all labelled\n")


def test_a_terminal_gets_bars_of_rich(capsys: pytest.CaptureFixture[str]) -> None:
    bars = progress._RichBars()
    bars.update("labels", 3, 7)
    bars.end("labels", "[all] labelled")  # no markup
    bars.close()
    assert "[all] labelled" in capsys.readouterr().err


def test_an_interrupt_becomes_one_of_ours() -> None:
    ours = Interrupted("Stopped by SIGINT at step 3.")
    for raised, message in ((KeyboardInterrupt(), "Interrupted."), (ours, ours.message)):
        with pytest.raises(Interrupted) as caught, progress.display(shown=False):
            raise raised
        assert caught.value.message == message
