"""One process per run folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qmd.errors import OutputError
from qmd.jobs.lock import RunLock

HOLD = """
import sys
from pathlib import Path
from qmd.jobs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match=str(tmp_path)) as caught, RunLock(tmp_path):
            pass
        other.kill()  # no chance to clean up: the system frees the lock
        other.wait()
    assert caught.value.exit_code == 5
    with RunLock(tmp_path):
        pass


def test_one_process_cannot_lock_twice(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(OutputError), RunLock(tmp_path):
        pass
    with RunLock(tmp_path):  # freed, though the body or the second attempt failed
        pass


def test_an_error_in_the_body_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunLock(tmp_path):
        raise ZeroDivisionError
    with RunLock(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"), RunLock(tmp_path / "nowhere"):
        pass
    (tmp_path / "run.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="symbolic"), RunLock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
