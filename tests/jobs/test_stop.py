"""A run is asked to stop by signals, a file or the clock, and by nothing else."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qmd.jobs.stop import MARGIN_S, StopRequest, stop_signals


class Clock:
    """Monotonic seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exit_file(tmp_path: Path) -> Path:
    return tmp_path / "EXIT"


def looked(stop: StopRequest, clock: Clock) -> str | None:
    """The answer a second later: the file is not looked for at each question."""
    clock.now += 1
    return stop.reason()


# The wall clock


@pytest.mark.parametrize("checkpoint_s", [0.0, 19.0, 30.0])
def test_a_run_stops_a_minute_or_three_checkpoints_before_its_time(
    exit_file: Path, clock: Clock, checkpoint_s: float
) -> None:
    stop, begin = StopRequest(exit_file, 3600.0, clock), clock.now
    clock.now = begin + 3600 - max(MARGIN_S, 3 * checkpoint_s) - 0.001
    assert stop.reason(checkpoint_s) is None
    clock.now += 0.002
    assert stop.reason(checkpoint_s) == "wall time"


def test_a_time_shorter_than_the_margin_is_used_to_its_half(exit_file: Path, clock: Clock) -> None:
    stop, begin = StopRequest(exit_file, 40.0, clock), clock.now
    clock.now = begin + 19.9
    assert stop.reason() is None
    clock.now = begin + 20.1
    assert stop.reason() == "wall time"


def test_without_a_limit_time_does_not_matter(exit_file: Path, clock: Clock) -> None:
    stop = StopRequest(exit_file, None, clock)
    clock.now += 1e9
    assert stop.reason() is None


# The file


def test_a_file_made_during_the_run_stops_it_and_is_removed(exit_file: Path, clock: Clock) -> None:
    stop = StopRequest(exit_file, None, clock)
    assert looked(stop, clock) is None
    exit_file.touch()
    assert looked(stop, clock) == "EXIT file"
    assert not exit_file.exists()


@pytest.mark.parametrize("lag_s", [-3600, 3600])
def test_the_clock_of_the_file_server_does_not_matter(
    exit_file: Path, clock: Clock, lag_s: float
) -> None:
    stop = StopRequest(exit_file, None, clock)
    exit_file.touch()
    changed = exit_file.stat().st_mtime + lag_s
    os.utime(exit_file, (changed, changed))
    assert looked(stop, clock) == "EXIT file"


def test_a_file_older_than_the_start_is_ignored_until_it_is_touched(
    exit_file: Path, clock: Clock
) -> None:
    exit_file.touch()
    stop = StopRequest(exit_file, None, clock)
    assert looked(stop, clock) is None and exit_file.exists()
    os.utime(exit_file, (2e9, 2e9))
    assert looked(stop, clock) == "EXIT file"


def test_a_file_that_cannot_be_removed_stops_the_run_all_the_same(
    exit_file: Path, clock: Clock
) -> None:
    stop = StopRequest(exit_file, None, clock)
    exit_file.mkdir()
    assert looked(stop, clock) == "EXIT file"


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_is_a_reason_and_no_exception(exit_file: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    stop = StopRequest(exit_file)
    with stop_signals(stop):
        assert stop.reason() is None
        os.kill(os.getpid(), number)
        assert stop.reason() == number.name
    assert signal.getsignal(number) is before


def test_a_second_signal_changes_nothing_but_the_name(exit_file: Path) -> None:
    stop = StopRequest(exit_file)
    with stop_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason() == "SIGINT"


def test_handlers_come_back_after_an_error(exit_file: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), stop_signals(StopRequest(exit_file)):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_ignored(exit_file: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = StopRequest(exit_file)
        with stop_signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.reason() is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_a_run_takes_no_signals_and_works(exit_file: Path) -> None:
    reasons = []

    def body() -> None:
        stop = StopRequest(exit_file)
        with stop_signals(stop):
            reasons.append(stop.reason())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert reasons == [None]


AFTER_THE_FIRST = """
import os, signal, sys
from pathlib import Path
from qmd.jobs.stop import StopRequest, end_with_run, stop_signals
if sys.argv[1] == "ends":
    end_with_run()
with stop_signals(StopRequest(Path("EXIT"))):
    os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(75)
"""


@pytest.mark.parametrize(("process", "code"), [("ends", 75), ("goes on", -signal.SIGTERM)])
def test_a_command_that_was_stopped_keeps_its_exit_code(tmp_path, process, code):
    """A second SIGTERM, between the end of the run and that of the process, changes nothing."""
    command = [sys.executable, "-c", AFTER_THE_FIRST, process]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == code
