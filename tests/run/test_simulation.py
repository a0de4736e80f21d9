"""What a run writes: every row and frame at its step, and files that others read."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.io
import ase.units
import MDAnalysis
import numpy as np
import pytest
from forked import Lab, everything

from qmd import units
from qmd.analysis import series
from qmd.commands.dynamics import result_of
from qmd.integrators import State
from qmd.io import checkpoint, trajectory
from qmd.io.run_folder import RunPaths
from qmd.run import session, simulation
from qmd.run.config import load_config
from qmd.run.reporters import LOG_COLUMNS

METHODS = {
    "nve": {"kind": "velocity_verlet", "timestep_fs": 0.5},
    "langevin": {"kind": "langevin_baoab", "timestep_fs": 0.25, "temperature_K": 300},
}


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def write_input(folder: Path, method: str = "nve", **settings: Any) -> Path:
    document = {
        "system": {"structure": "h2o", "temperature_K": 300},
        "potential": "sivqlm-h2o",
        "integrator": METHODS[method],
        "steps": 100,
        "output": {"trajectory_every": 7, "log_every": 3, "checkpoint_every": 10},
    }
    path = folder / "input.yaml"
    path.write_text(json.dumps(document | settings))
    return path


def run(folder: Path, method: str = "nve", **settings: Any) -> session.RunSession:
    return session.run(load_config(write_input(folder, method, **settings)))


def read_log(paths: RunPaths) -> np.ndarray:
    return np.genfromtxt(paths.log, delimiter=",", names=True)


# Reports


@pytest.mark.parametrize("method", METHODS)
def test_rows_and_frames_stand_at_multiples_of_their_cadence(tmp_path: Path, method: str) -> None:
    paths = run(tmp_path, method).paths
    log, frames = read_log(paths), trajectory.read_scalars(paths.trajectory)
    assert paths.log.read_text().splitlines()[0] == ",".join(LOG_COLUMNS)
    assert log["step"].tolist() == [*range(0, 101, 3)]
    assert frames["step"].tolist() == [*range(0, 101, 7)]
    timestep_ps = METHODS[method]["timestep_fs"] / 1000
    np.testing.assert_allclose(log["time_ps"], log["step"] * timestep_ps, atol=5e-10)  # 9 decimals
    np.testing.assert_allclose(frames["time"], frames["step"] * timestep_ps, rtol=1e-15)


@pytest.mark.parametrize(("method", "dof"), [("nve", 6), ("langevin", 9)])
def test_the_log_agrees_with_itself_and_with_the_trajectory(
    tmp_path: Path, method: str, dof: int
) -> None:
    finished = run(tmp_path, method, output={"trajectory_every": 6, "log_every": 3})
    log, frames = read_log(finished.paths), trajectory.read_scalars(finished.paths.trajectory)
    potential, kinetic = log["potential_energy_eV"], log["kinetic_energy_eV"]
    # 12 decimals of eV are written, and 6 of K.
    np.testing.assert_allclose(log["total_energy_eV"], potential + kinetic, atol=2e-12)
    np.testing.assert_allclose(log["temperature_K"], 2 * kinetic / (dof * units.kB), atol=1e-6)
    np.testing.assert_allclose(frames["potential_energy"], potential[::2], atol=1e-12)
    np.testing.assert_allclose(frames["kinetic_energy"], kinetic[::2], atol=1e-12)
    assert finished.setup.dof == dof


@pytest.mark.parametrize("method", METHODS)
def test_the_length_of_blocks_does_not_change_a_byte(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "CHECKPOINT_S", 0.0)
    contents = []
    for block_s in (0.0, 1e-4, 10.0):
        monkeypatch.setattr(simulation, "BLOCK_S", block_s)
        (folder := tmp_path / str(block_s)).mkdir()
        output = run(folder, method).paths.directory
        contents.append(everything(output) | {"run.json": b""})  # holds times
    assert contents[0] == contents[1] == contents[2]


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    states = []
    for seed in (1, 2):
        (folder := tmp_path / str(seed)).mkdir()
        states.append(last_state(run(folder, seed=seed).paths))
    assert not np.allclose(states[0].positions, states[1].positions)


def test_readers_follow_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "FLUSH_S", 0.0)
    paths, seen = RunPaths(tmp_path / "output"), []

    def on_progress(progress: simulation.RunProgress) -> None:
        step = progress.first_step + progress.steps_done
        assert trajectory.read_scalars(paths.trajectory)["step"][-1] == step // 7 * 7
        assert paths.log.read_text().splitlines()[-1].startswith(f"{step // 3 * 3},")
        assert json.loads(paths.record.read_text())["input"]["steps"] == 100
        seen.append(step)

    session.run(load_config(write_input(tmp_path)), on_progress=on_progress)
    assert seen == sorted(set(seen)) and seen[-1] == 100


def test_checkpoints_that_come_due_too_soon_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    write = checkpoint.write
    monkeypatch.setattr(checkpoint, "write", lambda p, c: (steps.append(c.step), write(p, c)))
    run(tmp_path, steps=95)
    assert steps == [0, 95]
    monkeypatch.setattr(simulation, "CHECKPOINT_S", 0.0)
    run(tmp_path, steps=122)
    assert steps == [0, 95, 100, 110, 120, 122]


# Files for others


def last_state(paths: RunPaths) -> State:
    return checkpoint.read(paths.checkpoint).batch.state(0)


def test_the_final_structure_is_the_last_state_to_the_last_bit(tmp_path: Path) -> None:
    finished = run(tmp_path, "langevin", steps=31)
    atoms, state = ase.io.read(finished.paths.final), last_state(finished.paths)
    np.testing.assert_array_equal(atoms.positions, state.positions)
    np.testing.assert_array_equal(atoms.get_forces(), state.forces)
    momenta = finished.setup.system.masses[:, None] * state.velocities
    np.testing.assert_array_equal(atoms.get_momenta(), momenta)
    assert atoms.get_potential_energy() == state.energy
    assert atoms.info["step"] == 31 and not atoms.pbc.any()


def test_a_run_can_start_where_another_one_ended(tmp_path: Path) -> None:
    first = run(tmp_path, steps=40).paths
    (folder := tmp_path / "second").mkdir()
    system = {"structure": str(first.final), "velocities": "file"}
    second = run(folder, steps=60, system=system).paths
    whole = run(tmp_path, steps=100).paths
    # Velocities are momenta divided by masses again: one rounding, grown over 60 steps.
    np.testing.assert_allclose(
        last_state(second).positions, last_state(whole).positions, atol=1e-11
    )


def test_mdanalysis_opens_a_run_without_our_help(tmp_path: Path) -> None:
    paths = run(tmp_path, steps=70).paths
    universe = MDAnalysis.Universe(str(paths.topology), str(paths.trajectory))
    assert [atom.element for atom in universe.atoms] == ["O", "H", "H"]
    assert len(universe.bonds) == 2 and len(universe.trajectory) == 11
    np.testing.assert_allclose([ts.time for ts in universe.trajectory], 0.0035 * np.arange(11))
    state = last_state(paths)  # step 70 is a frame; coordinates are single precision
    universe.trajectory[-1]
    np.testing.assert_allclose(universe.atoms.positions, state.positions, atol=1e-6)
    velocities = state.velocities * units.ps
    np.testing.assert_allclose(universe.atoms.velocities, velocities, rtol=1e-6, atol=1e-6)


def test_the_record_tells_input_potential_and_versions(tmp_path: Path) -> None:
    finished = run(tmp_path, "langevin")
    record = json.loads(finished.paths.record.read_text())
    assert record["begun"] is True
    assert record["input"] == json.loads(finished.setup.loaded.text)
    assert record["input"]["guards"]["max_force_eV_per_A"] == 50  # defaults are filled in
    assert record["potential"]["sha256"] == finished.setup.potential.sha256
    assert record["species"] == ["O", "H", "H"] and record["degrees_of_freedom"] == 9
    assert np.allclose(record["masses_u"], [15.999, 1.008, 1.008])
    assert {"qmd", "python", "numpy", "numba", "llvmlite"} == record["versions"].keys()
    last = record["last_session"]
    assert (last["steps"], last["last_step"]) == (100, 100)
    assert 0 < last["force_and_integration_s"] <= last["wall_s"] < 60 and last["start_s"] > 0
    run(tmp_path, "langevin", steps=130)
    last = json.loads(finished.paths.record.read_text())["last_session"]
    assert (last["steps"], last["last_step"]) == (30, 130)


# The two backends


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def test_the_jax_backend_runs_the_same_trajectory(tmp_path: Path, lab: Lab) -> None:
    states = []
    for backend in ("native", "jax"):
        (folder := tmp_path / backend).mkdir()
        potential = {"kind": "package", "name": "sivqlm-h2o", "backend": backend}
        path = write_input(folder, steps=200, potential=potential)
        ended = lab.qmd("run", path)
        assert ended.code == 0, ended.output
        states.append(last_state(RunPaths(folder / "output")))
        record = json.loads((folder / "output" / "run.json").read_text())
        assert ("jax" in record["versions"]) == (backend == "jax")
    # The forces agree to 1e-10 eV/angstrom; water is not chaotic enough to lose that in 0.1 ps.
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_a_drift_is_named_and_no_temperature(tmp_path: Path) -> None:
    (still := tmp_path / "still").mkdir()
    (flying := tmp_path / "flying").mkdir()
    atoms = ase.io.read(run(still, steps=99).paths.final)
    atoms.set_velocities(atoms.get_velocities() + [0, 0, 0.01 / ase.units.fs])  # 10 angstrom/ps
    ase.io.write(flying / "start.extxyz", atoms)
    system = {"structure": "start.extxyz", "velocities": "file"}
    lines: list[str] = []
    path = write_input(
        flying, system=system, steps=99, output={"trajectory_every": 3, "log_every": 3}
    )
    finished = session.run(load_config(path), log=lines.append)
    # Eight digits of the momenta: the speed is known to 1e-7.
    energy = 1000 * 0.5 * finished.setup.system.masses.sum() * (10 / units.ps) ** 2
    assert lines == [
        f"The centre of mass drifts at 10 angstrom/ps ({energy:.4g} meV); temperatures are those "
        "of the motion about it."
    ]
    log, record = read_log(finished.paths), json.loads(finished.paths.record.read_text())
    internal = log["kinetic_energy_eV"] - energy / 1000
    # Momenta of 1 to 1e-8, energies of 0.1 eV: the temperature is known to 1e-4 K.
    np.testing.assert_allclose(log["temperature_K"], 2 * internal / (6 * units.kB), atol=1e-3)
    assert record["drift_A_per_ps"] == pytest.approx(10, abs=1e-6)
    assert record["degrees_of_freedom"] == 6 and record["temperature_about_centre"]
    # The first row goes on where the other run ended.
    assert log["temperature_K"][0] == pytest.approx(
        finished_temperature(still / "output"), abs=1e-3
    )
    text = result_of(finished).summary()
    assert "(6 degrees of freedom about the drifting centre of mass)" in text
    assert f"{log['temperature_K'][-1]:.1f} K at the last step" in text
    found = series.read(flying)
    assert found.thermometer.temperatures(found.velocities, found.kinetic) == pytest.approx(
        log["temperature_K"], abs=1e-3
    )


def finished_temperature(output: Path) -> float:
    return float(np.genfromtxt(output / "log.csv", delimiter=",", names=True)["temperature_K"][-1])
