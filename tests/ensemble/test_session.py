"""`qmd ensemble`: every run in its folder is the run that `qmd run` would give."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest
from killer import killing

from qmd.cli.app import app
from qmd.config.load import load
from qmd.ensemble import session as ensemble_session
from qmd.ensemble.config import EnsembleConfig
from qmd.ensemble.session import EnsembleResult
from qmd.errors import InputError
from qmd.run import session
from qmd.run.config import load_config

INPUT = """\
system: {structure: h2o, temperature_K: 300}
potential: sivqlm-h2o
integrator: {kind: langevin_baoab, timestep_fs: 0.5, temperature_K: 300}
output: {trajectory_every: 5, log_every: 5, checkpoint_every: 10}
steps: 20
"""
FILES = "trajectory.nc", "log.csv", "checkpoint", "final.extxyz", "topology.pdb"
SERIAL = {"kind": "serial"}


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def write(folder: Path, *vary: dict, executor=SERIAL, text=INPUT) -> Path:
    (folder / "input.yaml").write_text(text)
    path = folder / "many.yaml"
    content = {"input": "input.yaml", "vary": list(vary or [{"seed": [1, 2]}])}
    path.write_text(json.dumps(content | {"executor": executor}))
    return path


def prepare(path: Path, *changes: str) -> ensemble_session.EnsembleJob:
    return ensemble_session.prepare(load(path, EnsembleConfig, changes))


def run(path: Path, *changes: str, **options) -> EnsembleResult:
    return ensemble_session.run(prepare(path, *changes), **options)


def statuses(ended: EnsembleResult) -> list[str]:
    return [outcome.status if outcome else "waiting" for _, outcome in ended.outcomes]


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "runs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_run_is_what_qmd_run_would_give(tmp_path):
    seen = []
    path = write(tmp_path, {"seed": {"first": 3, "last": 4}})
    ended = run(path, on_progress=lambda *news: seen.append(news))
    assert statuses(ended) == ["finished"] * 2 and ended.exit_code == 0
    assert seen[-2:] == [("steps", 40, 40), ("runs", 2, 2)]
    for seed in (3, 4):
        alone = tmp_path / f"alone-{seed}"
        session.run(load_config(tmp_path / "input.yaml", [f"seed={seed}"]), alone)
        assert content(tmp_path / "many" / f"seed-{seed}") == content(alone)
    assert [(row["folder"], row["status"], row["step"], row["seed"])
            for row in table(tmp_path / "many")] == [
        ("seed-3", "finished", "20", "3"), ("seed-4", "finished", "20", "4"),
    ]  # fmt: skip
    again = run(path)  # nothing changes
    assert statuses(again) == ["finished"] * 2


def test_every_combination_has_a_folder_that_says_what_it_is(tmp_path):
    together = {"system.temperature_K": [280, 300.5], "integrator.temperature_K": [280, 300.5]}
    apart = {"seed": [1, 2]}, together, {"potential": ["../a/b.qmdp", "sivqlm-h2o"]}
    members = prepare(write(tmp_path, *apart)).members
    assert len(members) == 8
    assert [member.name for member in members[:3]] == [
        "seed-1_temperature_K-280_potential-a-b.qmdp",
        "seed-1_temperature_K-280_potential-sivqlm-h2o",
        "seed-1_temperature_K-300.5_potential-a-b.qmdp",
    ]
    assert members[0].changes == {
        "seed": 1, "system.temperature_K": 280, "integrator.temperature_K": 280,
        "potential": "../a/b.qmdp",
    }  # fmt: skip
    unequal = {"system.temperature_K": [280, 300], "integrator.temperature_K": [300, 300]}
    assert prepare(write(tmp_path, unequal)).members[0].name == (
        "system.temperature_K-280_integrator.temperature_K-300"
    )


def test_a_run_that_fails_stops_no_other_and_gives_the_exit_code(tmp_path, capsys):
    path = write(tmp_path, {"system.temperature_K": [1e5, 300]})
    with pytest.raises(SystemExit) as end:
        app(["ensemble", str(path)])
    out, err = capsys.readouterr()
    assert end.value.code == 4
    assert [line.split()[:3] for line in out.splitlines()[:3]] == [
        ["run", "status", "step"], ["temperature_K-100000.0", "failed", "0"],
        ["temperature_K-300", "finished", "20"],
    ]  # fmt: skip
    assert "1 of 2 runs finished" in out
    assert "qmd: temperature_K-100000.0: " in err and "Traceback" not in err
    first, second = table(tmp_path / "many")
    assert (first["status"], first["exit_code"]) == ("failed", "4") and first["reason"]
    assert (second["status"], second["exit_code"]) == ("finished", "0")


def test_a_stop_is_resumable_and_leaves_no_trace(tmp_path, capsys, monkeypatch):
    path = write(tmp_path)
    whole = run(path, output=tmp_path / "whole").directory
    monkeypatch.setattr("qmd.jobs.stop.LOOK_EVERY_S", 0.0)

    def interrupt(what: str, done: int, of: int) -> None:
        if what == "runs":  # after the first, as Ctrl-C does
            os.kill(os.getpid(), signal.SIGINT)

    ended = run(path, on_progress=interrupt)
    assert statuses(ended) == ["finished", "waiting"] and ended.exit_code == 75
    assert [row["status"] for row in table(tmp_path / "many")] == ["finished", "waiting"]
    with pytest.raises(SystemExit) as end:
        app(["ensemble", str(path)])
    assert not end.value.code and "2 of 2 runs finished" in capsys.readouterr().out
    for seed in (1, 2):
        assert content(tmp_path / "many" / f"seed-{seed}") == content(whole / f"seed-{seed}")


def test_a_run_is_stopped_in_the_middle_and_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    long = INPUT.replace("steps: 20", "steps: 20000").replace("every: 5", "every: 100")
    path = write(tmp_path, {"seed": [1]}, text=long)
    whole = run(path, output=tmp_path / "whole").directory
    monkeypatch.setattr("qmd.jobs.stop.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(ensemble_session, "REPORT_EVERY_S", 0.0)
    ended = run(path, on_progress=lambda *news: (tmp_path / "many" / "EXIT").touch())
    assert statuses(ended) == ["stopped"] and ended.exit_code == 75
    assert 0 < ended.outcomes[0][1].step < 20000
    assert statuses(run(path)) == ["finished"]
    assert content(tmp_path / "many" / "seed-1") == content(whole / "seed-1")


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ([{"sed": [1]}], "unknown key 'sed'. Did you mean 'seed'"),
        ([{"seed": [1, "two"]}], "--set: seed: expected a whole number"),
        ([{"seed": []}], "vary"),
        ([{"seed": [1, 2]}, {"seed": [3]}], "vary has seed twice"),
        ([{"seed": [1, 2], "steps": [1]}], "unequal length: seed 2, steps 1"),
        ([{"seed": [1, 1]}], "gives the folder seed-1 to two runs"),
        ([{"seed": {"first": 2, "last": 1}}], "must have last >= first"),
        ([{"seed": {"first": 1, "last": 20_000}}], "20000 combinations; expected at most 10000"),
        ([{"seed; rm": [1]}], "vary"),
    ],
)
def test_what_cannot_be_is_one_clear_line_and_leaves_nothing(tmp_path, vary, message):
    path = write(tmp_path, *vary)
    with pytest.raises(InputError, match=message):
        run(path)
    assert {p.name for p in tmp_path.iterdir()} == {"input.yaml", "many.yaml"}


def test_a_check_prints_the_runs_and_runs_nothing(tmp_path, capsys):
    path = write(tmp_path)
    with pytest.raises(SystemExit) as end:
        app(["ensemble", str(path), "--check"])
    assert not end.value.code and not (tmp_path / "many").exists()
    assert capsys.readouterr().out.splitlines() == [
        "seed-1  seed=1", "seed-2  seed=2", "2 runs, 40 steps, executor serial",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_a_worker_that_is_killed_changes_no_byte(tmp_path, kind):
    long = INPUT.replace("steps: 20", "steps: 500000").replace("every: 5", "every: 100")
    vary = {"seed": [1, 2, 3]}
    undisturbed = run(write(tmp_path, vary, text=long), output=tmp_path / "whole")
    assert statuses(undisturbed) == ["finished"] * 3
    path = write(tmp_path, vary, text=long, executor={"kind": kind, "workers": 2})
    victim = tmp_path / "many" / "seed-2"
    with killing(victim) as killed:
        ended = run(path)
    assert killed and statuses(ended) == ["finished"] * 3
    for seed in (1, 2, 3):
        folders = undisturbed.directory / f"seed-{seed}", ended.directory / f"seed-{seed}"
        assert content(folders[0]) == content(folders[1])
