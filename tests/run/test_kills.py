"""Runs of every kind that are killed end with the bytes of runs that nobody kills.

Many kills: `QMD_KILLS=1000 pytest -m slow tests/run/test_kills.py`, or `python tests/kills.py`,
which goes on where it was stopped.
"""

import os
from pathlib import Path

import pytest
from forked import Lab, kill_and_compare
from killed_runs import KINDS, MODULES, Killed, kill_all

N_KILLS = int(os.environ.get("QMD_KILLS", "200"))


def kill(folder: Path, lab: Lab, number: int, kinds: list[str], most: int = 5) -> None:
    found = {kind: Killed() for kind in kinds}
    for _ in kill_all(folder, lab, number, 1, found, most):
        pass
    assert not [line for one in found.values() for line in one.failures]
    assert sum(one.kills for one in found.values()) == number


def test_runs_of_every_kind_killed_at_random_moments_give_the_same_bytes(tmp_path: Path) -> None:
    # A training compiles for ten seconds: it is among the many kills below.
    kinds = [kind for kind in KINDS if kind != "training"]
    with Lab(*MODULES[:-1]) as lab:
        kill(tmp_path, lab, 20, kinds, most=2)


@pytest.mark.slow
def test_runs_of_every_kind_killed_many_times_give_the_same_bytes(tmp_path: Path) -> None:
    with Lab(*MODULES) as lab:
        kill(tmp_path, lab, N_KILLS, list(KINDS))


@pytest.mark.slow
@pytest.mark.parametrize("fsync", [False, True])
def test_a_run_killed_many_times_gives_the_same_bytes(tmp_path: Path, fsync: bool) -> None:
    with Lab() as lab:
        kill_and_compare(tmp_path, lab, n_kills=N_KILLS // 2, seed=2, fsync=fsync)
