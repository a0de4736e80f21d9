"""Runs of many replicas: each leaves what it would leave alone, however the run was divided."""

import csv
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from forked import Lab

import qmd
from qmd.analysis import series
from qmd.errors import CorruptError, InputError, MismatchError, NumericalError
from qmd.io import checkpoint, netcdf, trajectory
from qmd.io.run_folder import RunPaths
from qmd.io.verify import verify
from qmd.jobs import cores
from qmd.run import session, simulation
from qmd.run.config import load_config
from qmd.run.setup import build_replicas, set_up
from qmd.run.start import start_batch

EMT = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
METHODS = {
    "nve": {"kind": "velocity_verlet", "timestep_fs": 0.5},
    "langevin": {"kind": "langevin_baoab", "timestep_fs": 0.5, "temperature_K": 300},
}
REPLICAS = range(3, 8)


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def write_input(folder: Path, method: str = "langevin", **settings: Any) -> Path:
    document = {
        "system": {"structure": "h2o", "temperature_K": 300},
        "potential": "sivqlm-h2o",
        "integrator": METHODS[method],
        "steps": 31,
        "replica": REPLICAS[0],
        "replicas": len(REPLICAS),
        "threads": 2,
        "output": {"trajectory_every": 7, "log_every": 3, "checkpoint_every": 10},
    }
    folder.mkdir(exist_ok=True)
    path = folder / "input.yaml"
    path.write_text(json.dumps(document | settings))
    return path


def run(folder: Path, method: str = "langevin", *overrides: str, **settings: Any) -> RunPaths:
    loaded = load_config(write_input(folder, method, **settings), overrides)
    return session.run(loaded).paths


def results(folder: Path) -> dict[str, bytes]:
    """All files but those that hold times."""
    skipped = {"run.json", "checkpoint.prev", "run.lock"}
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in skipped}


SEPARATE = "output.trajectories=separate"
GUARD = "guards.max_force_eV_per_A=1.3"
"""In 60 steps two of the five replicas meet a larger force; all of them meet 0.5 eV/angstrom."""


def alone(folder: Path, method: str, replica: int, *overrides: str) -> RunPaths:
    only = f"replica={replica}"
    loaded = load_config(write_input(folder, method, replicas=1, threads=None), [only, *overrides])
    return session.run(loaded).paths


# What is written


@pytest.mark.parametrize("method", METHODS)
def test_each_replica_leaves_the_trajectory_of_a_run_alone(tmp_path: Path, method: str) -> None:
    together = run(tmp_path / "together", method)
    separate = run(tmp_path / "separate", method, SEPARATE)
    frames = trajectory.read_frames(together.trajectory)
    for k, replica in enumerate(REPLICAS):
        expected = alone(tmp_path / str(replica), method, replica)
        assert separate.trajectory_of(replica).read_bytes() == expected.trajectory.read_bytes()
        ours = frames[frames["replica"] == replica]
        theirs = trajectory.read_frames(expected.trajectory)
        for name in theirs.dtype.names or ():
            np.testing.assert_array_equal(ours[name], theirs[name])
        for paths in (together, separate):
            last = ase.io.read(paths.final, index=k)
            np.testing.assert_array_equal(last.positions, ase.io.read(expected.final).positions)
            assert last.info["replica"] == replica
    assert frames["step"].tolist() == [s for s in range(0, 31, 7) for _ in REPLICAS]
    assert frames["replica"].tolist() == [*REPLICAS] * 5


@pytest.mark.parametrize("override", ["threads=1", "threads=9", "blocks"])
def test_threads_and_blocks_do_not_change_a_byte(
    tmp_path: Path, override: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "CHECKPOINT_S", 0.0)
    drop = ["guards.on_failure=drop", GUARD]
    expected = run(tmp_path / "two", "langevin", *drop, steps=60)
    if override == "blocks":
        monkeypatch.setattr(simulation, "BLOCK_S", 0.0)  # blocks of one step
        override = "threads=2"
    found = run(tmp_path / "other", "langevin", *drop, override, steps=60)
    ours, theirs = results(found.directory), results(expected.directory)
    kept = checkpoint.decode(ours.pop("checkpoint")), checkpoint.decode(theirs.pop("checkpoint"))
    assert ours == theirs
    np.testing.assert_array_equal(kept[0].batch.positions, kept[1].batch.positions)
    assert kept[0].failures == kept[1].failures
    assert 0 < len(kept[0].failures or ()) < len(REPLICAS)  # the guard has been at work


def test_the_log_has_mean_least_and_largest_over_the_replicas(tmp_path: Path) -> None:
    paths = run(tmp_path, output={"trajectory_every": 3, "log_every": 3})
    log = np.genfromtxt(paths.log, delimiter=",", names=True)
    frames = trajectory.read_scalars(paths.trajectory)
    for name in ("potential_energy", "kinetic_energy"):
        values = frames[name].reshape(-1, len(REPLICAS))
        for word, expected in (
            ("mean", values.mean(1)),
            ("min", values.min(1)),
            ("max", values.max(1)),
        ):
            # 12 decimals of eV are written.
            np.testing.assert_allclose(log[f"{word}_{name}_eV"], expected, rtol=0, atol=1e-12)
    assert (log["replicas"] == len(REPLICAS)).all()


def table(paths: RunPaths) -> dict[int, dict[str, str]]:
    with paths.replicas.open(newline="") as file:
        return {int(row["replica"]): row for row in csv.DictReader(file)}


# Guards


def test_a_replica_that_fails_stops_the_run_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(NumericalError, match="^Replica [3-7] stopped at step") as error:
        run(tmp_path, "langevin", GUARD, steps=60)
    replica, step = int(error.value.message.split()[1]), int(error.value.message.split()[5])
    assert "on_failure=drop" in (error.value.hint or "")
    states = ase.io.read(tmp_path / "output" / "failure.extxyz", index=":")
    assert [atoms.info["step"] for atoms in states] == [*range(max(0, step - 20), step)]
    assert {atoms.info["replica"] for atoms in states} == {replica}


def test_dropped_replicas_are_on_record_and_the_others_are_as_without_them(tmp_path: Path) -> None:
    drop = ["guards.on_failure=drop", GUARD, SEPARATE]
    paths = run(tmp_path / "all", "langevin", *drop, steps=60)
    rows = table(paths)
    assert sorted(rows) == [*REPLICAS]
    survivors = [r for r, row in rows.items() if row["end"] == "done"]
    assert 0 < len(survivors) < len(REPLICAS)
    for replica, row in rows.items():
        folder, only = tmp_path / str(replica), [GUARD, "steps=60"]
        if replica in survivors:
            expected = alone(folder, "langevin", replica, *only)
            assert row["last_step"] == "60" and not paths.failure_of(replica).exists()
        else:
            with pytest.raises(NumericalError) as error:
                alone(folder, "langevin", replica, *only)
            expected = RunPaths(folder / "output")
            assert f"step {row['last_step']} " in error.value.message
            assert row["end"] in error.value.message
            ours = ase.io.read(paths.failure_of(replica), index=-1)
            theirs = ase.io.read(expected.failure, index=-1)
            np.testing.assert_array_equal(ours.positions, theirs.positions)
        written = paths.trajectory_of(replica)
        assert written.read_bytes() == expected.trajectory.read_bytes()


def test_a_run_whose_replicas_have_all_failed_says_so(tmp_path: Path) -> None:
    with pytest.raises(NumericalError, match="^All 5 replicas have failed, the last one, [3-7], "):
        run(tmp_path, "langevin", "guards.on_failure=drop", "guards.max_force_eV_per_A=0.5")
    rows = table(RunPaths(tmp_path / "output"))
    assert sorted(rows) == [*REPLICAS]
    assert all("largest force" in row["end"] for row in rows.values())


# Restarts


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.mark.slow
@pytest.mark.parametrize("trajectories", ["together", "separate"])
def test_a_run_killed_at_random_moments_gives_the_same_bytes(
    tmp_path: Path, lab: Lab, trajectories: str
) -> None:
    guard = "guards.max_force_eV_per_A=2.0"  # one fails in the first steps, one later
    settings = ("guards.on_failure=drop", guard, f"output.trajectories={trajectories}")
    words = [word for setting in settings for word in ("--set", setting)]
    path = write_input(tmp_path, steps=1001)
    whole = lab.qmd("run", path, *words, "--output", tmp_path / "whole")
    assert whole.code == 0, whole.output
    moments = np.random.default_rng(4).uniform(0.0, 0.15, 6)
    for moment in moments:
        lab.qmd("run", path, *words, disturb=(signal.SIGKILL,), after_s=float(moment))
    ended = lab.qmd("run", path, *words)
    assert ended.code == 0, ended.output
    ours, theirs = results(tmp_path / "output"), results(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    for name in theirs:
        if not name.startswith("failure"):  # which goes back to the start of a session at most
            assert ours[name] == theirs[name], name
    assert len(checkpoint.read(tmp_path / "whole" / "checkpoint").failures or ()) == 2


def test_a_run_that_is_stopped_and_then_killed_goes_on(tmp_path: Path, lab: Lab) -> None:
    path = write_input(tmp_path)
    many = ("--set", "steps=1e9")
    output = tmp_path / "output"
    ended = lab.qmd(
        "run", path, *many, disturb=(signal.SIGTERM,), on_file=output / "checkpoint", after_s=0.1
    )
    assert ended.code == 75 and "Stopped by SIGTERM" in ended.output, ended.output
    assert ended.seconds < 5
    steps = f"steps={checkpoint.read(output / 'checkpoint').step + 11}"
    killed = lab.qmd("run", path, "--set", steps, fault="after_link:checkpoint")
    assert killed.code == 137, killed.output
    assert lab.qmd("run", path, "--set", steps).code == 0
    whole = lab.qmd("run", path, "--set", steps, "--output", tmp_path / "whole")
    assert whole.code == 0 and "5 replicas" in whole.output
    assert results(output) == results(tmp_path / "whole")


def test_only_what_does_not_change_the_replicas_may_change_on_resume(tmp_path: Path) -> None:
    run(tmp_path, "langevin", "steps=10")
    run(tmp_path, "langevin", "steps=12", "threads=1", "guards.on_failure=drop")
    for change in ("replicas=6", "replica=2", "seed=9"):
        with pytest.raises(MismatchError, match=f"{change.split('=')[0]}: "):
            run(tmp_path, "langevin", change)
    with pytest.raises(MismatchError, match="`output.trajectories` is not 'separate'"):
        run(tmp_path, "langevin", SEPARATE)


def test_beginning_again_clears_the_files_of_all_replicas(tmp_path: Path) -> None:
    paths = run(tmp_path, "langevin", SEPARATE)
    (paths.directory / "trajectory-mine.nc").touch()
    session.run(load_config(write_input(tmp_path)), overwrite=True)
    assert not paths.of_replicas()
    assert (paths.directory / "trajectory-mine.nc").exists()


@pytest.mark.parametrize("form", [(), (SEPARATE,)], ids=["together", "separate"])
def test_a_damaged_frame_of_any_replica_is_found(tmp_path: Path, form: tuple[str, ...]) -> None:
    paths = run(tmp_path, "langevin", *form)
    verify(paths.directory)
    path = paths.trajectory_of(5) if form else paths.trajectory
    content = bytearray(path.read_bytes())
    content[netcdf.read(path).begin + 50] ^= 4  # in the first frame
    path.write_bytes(content)
    of = 5 if form else 25  # frames at steps 0, 7, 14, 21 and 28, of each replica
    with pytest.raises(CorruptError, match=f"{path.name} is damaged: .* frames 1 to {of} of {of} "):
        verify(paths.directory)
    with pytest.raises(CorruptError, match=path.name):
        run(tmp_path, "langevin", "steps=40", *form)


# Inputs


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"replicas": 1}, "`threads` has no effect without `replicas`"),
        (
            {"replicas": 1, "threads": None, "output": {"trajectories": "separate"}},
            "`output.trajectories: separate` has no effect",
        ),
        (
            {"replicas": 1, "threads": None, "guards": {"on_failure": "drop"}},
            "`guards.on_failure: drop` has no effect",
        ),
        ({"replica": 2**32 - 4}, "the last stream of a seed is that of replica 4294967295"),
        ({"potential": EMT}, "`replicas: 5` needs a potential that is compiled"),
        (
            {"system": {"structure": "h2o", "velocities": "zero"}, "integrator": METHODS["nve"]},
            "all 5 replicas would be the same",
        ),
    ],
)
def test_inputs_that_cannot_be_meant_are_refused(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        set_up(load_config(write_input(tmp_path, **settings)))


def test_more_open_files_than_allowed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda which: (50, 60))
    with pytest.raises(InputError, match="keeps 5 files open"):
        run(tmp_path, "langevin", SEPARATE)


def test_threads_are_by_default_the_cores_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not tell")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5})
    assert cores.available_cores() == 3


# Readers


@pytest.mark.parametrize("setting", [SEPARATE, "output.trajectories=together"])
def test_a_replica_is_opened_by_its_index(tmp_path: Path, setting: str) -> None:
    paths = run(tmp_path / "all", "langevin", setting)
    expected = qmd.load(alone(tmp_path / "five", "langevin", 5).directory)
    universe = qmd.load(paths.directory, replica=5)
    assert len(universe.trajectory) == len(expected.trajectory) == 5
    assert universe.trajectory.dt == expected.trajectory.dt
    for copy in (universe, universe.copy()):
        for ours, theirs in zip(copy.trajectory, expected.trajectory, strict=True):
            for name in ("positions", "velocities", "forces", "time", "frame"):
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            assert {**ours.data, **theirs.data, "dt": 0} == {**ours.data, "dt": 0}
    with pytest.raises(InputError, match="There is no replica 8"):
        qmd.load(paths.directory, replica=8)
    with pytest.raises(InputError, match="not a run of replicas"):
        qmd.load(tmp_path / "five", replica=5)


def test_all_replicas_are_opened_together_or_refused(tmp_path: Path) -> None:
    universe = qmd.load(run(tmp_path / "together").directory)
    assert [ts.data["replica"] for ts in universe.trajectory] == [*REPLICAS] * 5
    separate = run(tmp_path / "separate", "langevin", SEPARATE)
    with pytest.raises(InputError, match="5 replicas, with a file each"):
        qmd.load(separate.directory)


def test_an_analysis_is_of_one_replica(tmp_path: Path) -> None:
    paths = run(tmp_path)
    with pytest.raises(InputError, match="5 replicas, but an analysis reads one"):
        series.read(tmp_path)
    found = series.read(tmp_path, 4)
    expected = series.read(alone(tmp_path / "four", "langevin", 4).directory)
    np.testing.assert_array_equal(found.positions, expected.positions)
    assert found.log.kinetic.tolist() == found.kinetic.tolist()
    assert paths.directory == found.folder


# JAX


def test_a_jax_batch_follows_single_runs_and_does_not_feel_that_a_replica_is_gone(
    tmp_path: Path,
) -> None:
    jax = {"kind": "package", "name": "sivqlm-h2o", "backend": "jax"}
    setup = set_up(load_config(write_input(tmp_path, "nve", potential=jax)))
    loop, start, n = build_replicas(setup, 2), start_batch(setup), 10
    found = loop.advance(start, n).batch
    for row, replica in enumerate(REPLICAS):
        expected = setup.integrator.advance(
            start.state(row), setup.force, 1 / setup.system.masses,
            setup.stream._replace(replica=replica), setup.limits, n,
        ).state  # fmt: skip
        # XLA orders the sums of a batch otherwise: forces agree to 1e-12 eV/angstrom. In 5 fs
        # that moves a hydrogen by F t^2 / 2m = 1e-13 angstrom, of which rounding is the larger
        # part, and changes its force (60 eV/angstrom^2) by less than 1e-11.
        np.testing.assert_allclose(found.positions[row], expected.positions, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.forces[row], expected.forces, rtol=0, atol=1e-10)
    some = np.array([0, 2, 3])
    part = loop.advance(start.rows(some), n).batch
    for ours, theirs in zip(part[:5], found.rows(some)[:5], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_run_on_jax_leaves_what_its_batch_computes(tmp_path: Path) -> None:
    jax = {"kind": "package", "name": "sivqlm-h2o", "backend": "jax"}
    finished = session.run(load_config(write_input(tmp_path, "nve", potential=jax, steps=4)))
    expected = build_replicas(finished.setup, 1).advance(start_batch(finished.setup), 4).batch
    saved = checkpoint.read(finished.paths.checkpoint)
    np.testing.assert_array_equal(saved.batch.positions, expected.positions)
    np.testing.assert_array_equal(saved.batch.energies, expected.energies)
