"""A run that goes wrong stops at once, says where and why, and spoils nothing."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest

from qmd.errors import MismatchError, NumericalError, StoppedEarly
from qmd.integrators import python_force
from qmd.io import checkpoint, trajectory
from qmd.io.structure import BUILT_IN, load_system
from qmd.potentials.package.files import find, load
from qmd.run import session
from qmd.run.config import load_config
from qmd.run.setup import build_limits
from qmd.units import fs

Function = Callable[[np.ndarray], tuple[Any, Any]]

WATER = np.array(BUILT_IN["h2o"][1])
PAIRS = ((0, 1), (0, 2), (1, 2))
MASSES = np.array([15.999, 1.008, 1.008])
NVE = {"kind": "velocity_verlet", "timestep_fs": 0.5}
THERMAL = {"structure": "h2o", "temperature_K": 300}
FREE = {"max_force_eV_per_A": 1e6, "max_displacement_A_per_step": 10, "on_leaving_domain": "warn"}


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


class Run:
    """A run of water from chosen positions (angstrom) and velocities (angstrom/fs)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder, folder / "output"
        self.positions, self.velocities = WATER.copy(), np.zeros((3, 3))

    def __call__(
        self, log: Callable[[str], None] = lambda line: None, **settings: Any
    ) -> session.RunSession:
        lines = ["3", 'Properties=species:S:1:pos:R:3:momenta:R:3 pbc="F F F"']
        momenta = MASSES[:, None] * self.velocities / fs
        for symbol, x, p in zip("OHH", self.positions, momenta, strict=True):
            lines.append(" ".join([symbol, *(f"{number:.17g}" for number in (*x, *p))]))
        (self.folder / "start.xyz").write_text("\n".join(lines) + "\n")
        document = {
            "system": {"structure": "start.xyz", "velocities": "file"},
            "potential": "sivqlm-h2o",
            "integrator": NVE,
            "steps": 60,
            "output": {"trajectory_every": 4, "log_every": 1},
        }
        (self.folder / "input.yaml").write_text(json.dumps(document | settings))
        return session.run(load_config(self.folder / "input.yaml"), log=log)

    def failure_steps(self) -> list[int]:
        """Steps of the frames in failure.extxyz, which are all finite."""
        frames = ase.io.read(self.output / "failure.extxyz", index=":")
        for atoms in frames:
            assert np.isfinite([atoms.positions, atoms.get_momenta(), atoms.get_forces()]).all()
            assert np.isfinite(atoms.get_potential_energy())
        return [atoms.info["step"] for atoms in frames]

    def frame_steps(self) -> list[float]:
        """Steps of the frames in trajectory.nc, which are all finite."""
        scalars = trajectory.read_scalars(self.output / "trajectory.nc")
        header = trajectory.verify(self.output / "trajectory.nc")
        frames = np.fromfile(self.output / "trajectory.nc", header.record, offset=header.begin)
        assert all(np.isfinite(frames[name]).all() for name in header.record.names if name)
        return list(scalars["step"])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture
def use_force(monkeypatch: pytest.MonkeyPatch) -> Callable[[Function], None]:
    """Let runs take a Python function in place of the potential."""

    def use(function: Function) -> None:
        force = python_force(function)
        monkeypatch.setattr("qmd.forces.runnable.build_force", lambda *arguments: force)

    return use


def springs(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Springs of 40 eV/angstrom^2 between the atoms, as long as in water."""
    energy, forces = 0.0, np.zeros((3, 3))
    for i, j in PAIRS:
        arm = x[j] - x[i]
        stretch = float(np.linalg.norm(arm) - np.linalg.norm(WATER[j] - WATER[i]))
        pull = 40 * stretch * arm / np.linalg.norm(arm)
        energy += 20 * stretch**2
        forces[i] += pull
        forces[j] -= pull
    return energy, forces


# The molecule as a whole moves along z, which no spring does: its place tells the step, and the
# faults below are functions of the positions, the same whenever a step is made again.
SPEED = np.array([0.0, 0.0, 0.01])  # angstrom/fs, 0.005 angstrom in a step
BREAK = 23


def is_broken(x: np.ndarray) -> bool:
    return bool(x[0, 2] > 0.005 * (BREAK - 0.5))


def broken(energy: float | None = None, force: float | None = None) -> Function:
    """`springs` with another energy, or another component of a force, from step BREAK on."""

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        right, forces = springs(x)
        if is_broken(x) and force is not None:
            forces[1, 2] = force
        return energy if is_broken(x) and energy is not None else right, forces

    return function


FAULTS: dict[str, dict[str, float]] = {
    "energy nan": {"energy": np.nan},
    "energy inf": {"energy": np.inf},
    "energy -inf": {"energy": -np.inf},
    "energy 1e300": {"energy": 1e300},
    "energy -1e300": {"energy": -1e300},
    "force nan": {"force": np.nan},
    "force inf": {"force": np.inf},
    "force 1e300": {"force": 1e300},
    "force 51": {"force": 51.0},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_answer_stops_the_run_at_its_step_and_spoils_nothing(
    run: Run, use_force, fault: str
) -> None:
    use_force(broken(**FAULTS[fault]))
    run.velocities[:] = SPEED
    run(steps=20)
    before = (run.output / "checkpoint").read_bytes()
    messages = []
    for _ in range(2):  # the second time it goes on from the same checkpoint, to the same end
        with pytest.raises(NumericalError) as caught:
            run()
        messages.append(caught.value.message)
        assert (run.output / "checkpoint").read_bytes() == before
        assert run.frame_steps() == [0, 4, 8, 12, 16, 20]
        assert run.failure_steps() == [20, 21, 22]  # no further back than the session
        log = np.genfromtxt(run.output / "log.csv", delimiter=",", skip_header=1)
        assert np.isfinite(log).all() and log[-1, 0] == BREAK - 1
    assert messages[0] == messages[1]
    cause = "the potential energy is" if fault.startswith("energy") else "the largest force is"
    if fault.endswith(("nan", "inf")):
        cause = "the energy, a force or a position is not finite"
    assert messages[0].startswith(f"Stopped at step {BREAK} (0.0115 ps): {cause}")
    assert "`timestep_fs` (now 0.5)" in str(caught.value.hint)


@pytest.mark.parametrize("stop", [True, False])
def test_the_limits_are_those_of_the_words(run: Run, stop: bool) -> None:
    domain = load(find("sivqlm-h2o")).domain
    words = {"on_leaving_domain": "stop" if stop else "warn"}
    run(steps=1, guards=words | {"max_force_eV_per_A": 43.5, "max_displacement_A_per_step": 0.07})
    config = load_config(run.folder / "input.yaml").config
    water = load_system("h2o", run.folder)
    limits = build_limits(config, domain, water)
    assert (limits.max_force, limits.max_displacement) == (43.5, 0.07)
    np.testing.assert_array_equal(limits.pairs, domain.pairs)
    np.testing.assert_array_equal(limits.warn, domain.warn)
    np.testing.assert_array_equal(limits.stop, domain.stop if stop else [[0, np.inf]] * 3)
    in_cell = build_limits(config, domain, replace(water, cell=np.eye(3) * 9))
    assert (in_cell.least[..., 1].max() > 0) == stop  # of the images of its atoms
    np.testing.assert_array_equal(in_cell.least[..., 0], domain.least(water.symbols)[1][..., 0])
    np.testing.assert_array_equal(in_cell.stop, limits.stop)


@pytest.mark.parametrize("every", [1, 6, 1000])
def test_the_last_20_states_before_a_failure_are_kept(run: Run, use_force, every: int) -> None:
    use_force(broken(energy=np.nan))
    run.velocities[:] = SPEED
    with pytest.raises(NumericalError) as caught:
        run(output={"trajectory_every": 1000, "log_every": every})
    assert "The last 20 states before are in" in str(caught.value.hint)
    assert run.failure_steps() == [*range(BREAK - 20, BREAK)]
    for atoms in ase.io.read(run.output / "failure.extxyz", index=":"):
        # Rounding: 17 digits are written, and a straight flight of 23 steps adds some ulps.
        np.testing.assert_allclose(atoms.positions[:, 2], 0.005 * atoms.info["step"], atol=1e-13)


def test_states_that_cannot_be_made_again_are_left_out(run: Run, use_force) -> None:
    calls = iter(range(10**6))
    use_force(lambda x: (np.nan if next(calls) > 30 else 0.0, np.zeros((3, 3))))
    with pytest.raises(NumericalError, match=r"Stopped at step (\d+)") as caught:
        run(output={"trajectory_every": 1000, "log_every": 1000})
    steps = run.failure_steps()
    assert steps and steps == sorted(steps) and steps[-1] < int(caught.value.message.split()[3])


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_of_the_force_surfaces_as_itself_and_the_run_can_go_on(
    run: Run, use_force, error: type[BaseException]
) -> None:
    def failing(x: np.ndarray) -> tuple[float, np.ndarray]:
        if is_broken(x):
            raise error("from the force")
        return springs(x)

    use_force(failing)
    run.velocities[:] = SPEED
    with pytest.raises(error, match="from the force"):
        run()
    assert run.frame_steps() == [0, 4, 8, 12, 16, 20]
    use_force(springs)
    run()
    assert run.frame_steps() == [*range(0, 61, 4)]


def test_a_signal_during_a_force_stops_the_run_in_good_order(run: Run, use_force) -> None:
    def interrupted(x: np.ndarray) -> tuple[float, np.ndarray]:
        if is_broken(x):
            os.kill(os.getpid(), signal.SIGINT)
        return springs(x)

    use_force(interrupted)
    run.velocities[:] = SPEED
    with pytest.raises(StoppedEarly, match=f"Stopped by SIGINT at step {BREAK} of 60"):
        run()
    assert checkpoint.read(run.output / "checkpoint").step == BREAK


def test_heating_without_an_energy_to_pay_for_it_is_an_explosion(run: Run, use_force) -> None:
    def heating(x: np.ndarray) -> tuple[float, np.ndarray]:
        energy, forces = springs(x)
        return energy, forces + (100 * (x - x.mean(axis=0)) if is_broken(x) else 0.0)

    use_force(heating)
    run.velocities[:] = SPEED
    with pytest.raises(NumericalError, match=r"the temperature is \d+ K \(limit 2000 K\)"):
        run(guards=FREE)
    # 10 T0 + 2000 K, where T0 is 0: the flight of the whole is no heat.
    assert len(run.failure_steps()) == 20


def test_heat_that_a_stretched_start_releases_is_no_explosion(run: Run, use_force) -> None:
    # 3.6 eV in the springs at rest: 28 000 K in 3 degrees of freedom, for it does not turn,
    # when they have relaxed, where 2000 K is the limit of a start at rest.
    use_force(springs)
    run.positions[1] *= 1.35
    for steps in (37, 400):  # also for a session that begins in the heat
        finished = run(steps=steps, guards=FREE, output={"log_every": 1})
    log = np.genfromtxt(run.output / "log.csv", delimiter=",", skip_header=1)
    assert log[:, 5].max() > 2000 and finished.progress.snapshot.step == 400


def test_forces_that_are_not_the_gradient_are_refused_before_anything_is_written(
    run: Run, use_force
) -> None:
    use_force(lambda x: (springs(x)[0], 1.001 * springs(x)[1]))
    run.positions[1] *= 1.1
    with pytest.raises(NumericalError, match="The force on atom . is .* but the energy gives"):
        run()
    assert not run.output.exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 51.0])
def test_a_start_with_a_bad_force_is_refused_before_anything_is_written(
    run: Run, use_force, bad: float
) -> None:
    use_force(lambda x: (0.0, np.array([[0, 0, 0], [0, bad, 0], [0, 0, 0]])))
    with pytest.raises(NumericalError, match=r"At the start .*\(limit 50\)"):
        run()
    assert not run.output.exists()


# The shipped potential


def test_too_long_a_time_step_is_stopped_within_100_steps(run: Run) -> None:
    with pytest.raises(NumericalError) as caught:
        run(
            system={"structure": "h2o", "temperature_K": 2000},
            integrator={"kind": "velocity_verlet", "timestep_fs": 3},
            steps=1000,
        )
    assert int(caught.value.message.split()[3]) <= 100
    assert "Try a smaller `timestep_fs` (now 3)" in str(caught.value.hint)
    assert checkpoint.read(run.output / "checkpoint").step == 0
    assert len(run.failure_steps()) <= 20 and run.frame_steps()[0] == 0


def test_leaving_the_trained_domain_is_stopped_in_a_hot_bath(run: Run) -> None:
    bath = {"kind": "langevin_baoab", "timestep_fs": 0.25, "temperature_K": 20000}
    with pytest.raises(NumericalError, match="outside the trained domain of sivqlm-h2o"):
        run(
            system={"structure": "h2o", "temperature_K": 300},
            integrator=bath | {"friction_per_ps": 100},
            guards={"max_displacement_A_per_step": 1, "max_force_eV_per_A": 1000},
            steps=20000,
        )


@pytest.fixture
def leaving(run: Run) -> tuple[Run, float]:
    """One O-H distance just below its stop level, growing by 0.05 angstrom a step."""
    domain = load(find("sivqlm-h2o")).domain
    (row,) = np.flatnonzero((domain.pairs == (0, 1)).all(axis=1))
    limit = float(domain.stop[row, 1])
    direction = WATER[1] / np.linalg.norm(WATER[1])
    run.positions[1] = (limit - 0.02) * direction
    run.velocities[1] = 0.1 * direction
    return run, limit


def test_a_pulled_out_atom_stops_the_run_at_the_stop_level(leaving: tuple[Run, float]) -> None:
    run, limit = leaving
    with pytest.raises(NumericalError, match="Stopped at step 1 .*: atoms 1 and 2 are ") as caught:
        run()
    distance = float(caught.value.message.split(" are ")[1].split()[0])
    assert limit <= distance <= limit + 0.05
    assert run.failure_steps() == [0]


def test_on_request_a_run_warns_and_goes_on_beyond_the_domain(leaving: tuple[Run, float]) -> None:
    run, _ = leaving
    finished = run(steps=4, guards={"on_leaving_domain": "warn"})
    assert finished.progress.warned_steps == 4
    record = json.loads((run.output / "run.json").read_text())
    assert record["last_session"]["steps_outside_training_range"] == 4


# A start that failed


def test_a_run_that_failed_at_its_first_step_leaves_its_folder_to_another_input(run: Run) -> None:
    with pytest.raises(NumericalError, match="Stopped at step 1 "):
        run(guards={"max_displacement_A_per_step": 1e-9}, system=THERMAL)
    assert (run.output / "failure.extxyz").exists()
    lines: list[str] = []
    run(system=THERMAL, steps=4, log=lines.append)
    assert len(lines) == 1 and "guards.max_displacement_A_per_step: 1e-09 -> 0.1" in lines[0]
    assert "has saved no step, and this input takes its place" in lines[0]
    assert run.frame_steps() == [0, 4] and not (run.output / "failure.extxyz").exists()
    with pytest.raises(MismatchError, match="holds a run of another input: seed: . -> 7"):
        run(system=THERMAL, steps=4, seed=7)
    assert run.frame_steps() == [0, 4]


def test_a_start_that_cannot_be_used_removes_nothing(run: Run) -> None:
    with pytest.raises(NumericalError, match="Stopped at step 1 "):
        run(guards={"max_displacement_A_per_step": 1e-9}, system=THERMAL)
    before = sorted(run.output.iterdir())
    with pytest.raises(NumericalError, match="At the start"):
        run(guards={"max_force_eV_per_A": 1e-9}, system=THERMAL)
    assert sorted(run.output.iterdir()) == before


def test_a_long_run_whose_last_checkpoint_is_damaged_is_not_replaced(run: Run) -> None:
    with pytest.raises(NumericalError, match="Stopped at step 1 "):
        run(guards={"max_displacement_A_per_step": 1e-9}, system=THERMAL)
    last = run.output / "checkpoint"
    last.rename(run.output / "checkpoint.prev")
    last.write_bytes(b"damaged")
    with pytest.raises(MismatchError, match="holds a run of another input"):
        run(system=THERMAL)
