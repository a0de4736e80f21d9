"""Many kills: `QMD_KILLS=1000 pytest -m slow tests/slow`."""

import os
from pathlib import Path

import pytest
from forked import Lab, kill_and_compare

N_KILLS = int(os.environ.get("QMD_KILLS", "200"))


@pytest.mark.slow
@pytest.mark.parametrize("fsync", [False, True])
def test_a_run_killed_many_times_gives_the_same_bytes(tmp_path: Path, fsync: bool) -> None:
    with Lab() as lab:
        kill_and_compare(tmp_path, lab, n_kills=N_KILLS // 2, seed=2, fsync=fsync)
