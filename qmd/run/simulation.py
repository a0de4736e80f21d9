"""The run loop: advance to whatever is due next, report, checkpoint, stop in good order.

Results do not depend on where the loop stops between two reports, nor on how often it was
interrupted: the integrators are exact functions of state and step, and a resumed run cuts its
outputs back to the last checkpoint.
"""

import abc
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar

import numpy as np

from qmd import units
from qmd.errors import NumericalError
from qmd.integrators import (
    Advanced,
    State,
    Status,
    kinetic_energy,
    raise_pending,
)
from qmd.io import checkpoint, extxyz
from qmd.io.run_folder import RunPaths
from qmd.io.trajectory import TrajectoryWriter
from qmd.jobs.stop import Reason, StopRequest
from qmd.run.reporters import (
    LogReporter,
    Reporter,
    RunSnapshot,
    Snapshot,
    TrajectoryReporter,
    steps_until_due,
)
from qmd.run.setup import RunSetup
from qmd.run.start import unchecked_start
from qmd.system.velocities import kinetic_temperature

BLOCK_S = 0.25
"""Longest time (s) in compiled code: Python sees signals only between two calls."""
CHECKPOINT_S = 1.0
"""A checkpoint that comes due sooner (s) after the last one is left out: it costs several ms."""
FLUSH_S = 2.0
"""How often (s) log and trajectory are shown to readers between checkpoints."""
LONG_CHECKPOINT_S = 0.05
"""A checkpoint that takes n times as long lets the next one, and the readers, wait n times."""
LAST_STATES = 20
"""Good states before a failure that are written to failure.extxyz."""
MAX_KT = 1e6
"""The potential energy may change by this many kT, a figure without false alarms in GROMACS."""


@dataclass
class RunProgress:
    """What a run has done in this session; `on_progress` is called after every block."""

    first_step: int
    n_steps: int
    """Total of the input."""
    begin: float = field(default_factory=time.perf_counter)
    in_kernel_s: float = 0.0
    warned_steps: int = 0
    replicas: int = 1
    threads: int = 1
    conserves_energy: bool = False
    """Whether the total energy should stay as it is."""
    failed: int = 0
    """Replicas that a guard has dropped, in all sessions."""
    snapshot: RunSnapshot | None = None
    first: RunSnapshot | None = None
    on_progress: Callable[["RunProgress"], None] = lambda progress: None

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begin

    @property
    def steps_done(self) -> int:
        """In this session."""
        return 0 if self.snapshot is None else self.snapshot.step - self.first_step


S = TypeVar("S", bound=RunSnapshot)


class AbstractSimulation(abc.ABC, Generic[S]):
    """One session of a run, from where it starts to the last step or a stop.

    Parameters
    ----------
    setup : RunSetup
    paths : RunPaths
    frames, log : Reporter
    progress : RunProgress
    stop : StopRequest
    """

    def __init__(
        self,
        setup: RunSetup,
        paths: RunPaths,
        frames: Reporter[S],
        log: LogReporter,
        progress: RunProgress,
        stop: StopRequest,
    ) -> None:
        self._setup, self._paths, self._stop = setup, paths, stop
        self._frames, self._log = frames, log
        self._block, self._flushed, self._saved = 1, time.monotonic(), time.monotonic()
        self._checkpoint_s = 0.0
        self.progress = progress
        progress.conserves_energy = setup.integrator.conserves_energy
        # That of step 0, also in a session that goes on: all sessions stop at the same limits.
        start, config = unchecked_start(setup), setup.config
        kinetic = kinetic_energy(start.velocities, setup.system.masses)
        bath_K = (setup.integrator.target_kT or 0.0) / units.kB
        wanted = bath_K or config.system.temperature_K or kinetic_temperature(kinetic, setup.dof)
        self._start_energy, self._hottest_K = start.energy, 10 * float(wanted) + 2000

    @property
    @abc.abstractmethod
    def step(self) -> int:
        """Where the run is."""

    @abc.abstractmethod
    def snapshot(self) -> S:
        """The present state with what follows from it."""

    @abc.abstractmethod
    def write_final(self) -> None:
        """Write final.extxyz."""

    @abc.abstractmethod
    def _make_steps(self, n: int) -> tuple[S, float]:
        """Make `n` steps and judge them; where that leads, and the seconds in compiled code."""

    @abc.abstractmethod
    def _save(self) -> None:
        """Sync the outputs, then replace the checkpoint."""

    def close(self) -> None:
        """Close the outputs: what a failed run has reached stays readable."""
        try:
            self._log.close()
        finally:
            self._frames.close()

    def begin(self) -> None:
        """Report and checkpoint the state at step 0."""
        snapshot = self.snapshot()
        self._frames.report(snapshot)
        self._log.report(snapshot)
        self.checkpoint()

    def run(self) -> Reason:
        """Go to the last step; returns why the run stopped before it, else None.

        Raises
        ------
        NumericalError
            If a guard stopped it; the last checkpoint stays as it is.
        OutputError
            If results cannot be written.
        """
        progress = self.progress
        progress.first = progress.snapshot = self.snapshot()
        while self.step < progress.n_steps:
            reason = self._stop.reason(self._checkpoint_s)
            if reason:
                self.checkpoint()
                return reason
            self._advance_block(min(steps_until_due(r, self.step) for r in self._due()))
            if self._checkpoint_is_due():
                self.checkpoint()
            progress.on_progress(progress)
        if progress.steps_done:  # a finished run is left as it is
            self.checkpoint()
        return None

    def _checkpoint_is_due(self) -> bool:
        on_grid = self.step % self._setup.config.output.checkpoint_every == 0
        return on_grid and time.monotonic() - self._saved >= CHECKPOINT_S * self._patience()

    def _patience(self) -> float:
        """Factor on CHECKPOINT_S and FLUSH_S where syncing takes longer than usual."""
        return max(1.0, self._checkpoint_s / LONG_CHECKPOINT_S)

    def _due(self) -> tuple[Reporter[S], ...]:
        return self._frames, self._log

    def _advance_block(self, until_due: int) -> None:
        """At most to the next report, checkpoint or end, and not for longer than BLOCK_S."""
        every = self._setup.config.output.checkpoint_every
        step = self.step
        n = min(until_due, every - step % every, self.progress.n_steps - step, self._block)
        snapshot, seconds = self._make_steps(n)
        if n == self._block:  # grow step by step: the first call compiles or loads the loop
            self._block = max(1, min(4 * n, int(n * BLOCK_S / max(seconds, 1e-9))))
        self.progress.in_kernel_s += seconds
        self._report(snapshot)

    def _too_energetic(self, potential: float, kinetic: float) -> str | None:
        """What is wrong with these energies (eV), or None."""
        change = potential - self._start_energy
        if not abs(change) <= MAX_KT * units.kB * self._hottest_K:
            return f"the potential energy is {potential:.4g} eV"
        # Heat that a stretched start released is no sign of an explosion.
        temperature = kinetic_temperature(kinetic + min(0.0, change), self._setup.dof)
        if not temperature <= self._hottest_K:
            return f"the temperature is {temperature:.0f} K (limit {self._hottest_K:.0f} K)"
        return None

    def _report(self, snapshot: S) -> None:
        self.progress.snapshot = snapshot
        for reporter in self._due():
            if snapshot.step % reporter.every == 0:
                reporter.report(snapshot)
        if time.monotonic() - self._flushed > FLUSH_S * self._patience():
            self._log.flush()
            self._frames.sync()
            self._flushed = time.monotonic()

    def checkpoint(self) -> None:
        """Sync the outputs, then replace the checkpoint."""
        begin = time.monotonic()
        self._save()
        self._saved = self._flushed = time.monotonic()
        self._checkpoint_s = self._saved - begin


class Simulation(AbstractSimulation[Snapshot]):
    """One session of a run of one trajectory.

    Parameters
    ----------
    setup : RunSetup
    paths : RunPaths
    state : State
        Where to go on from.
    writer : TrajectoryWriter
    log : LogReporter
    progress : RunProgress
    stop : StopRequest
    """

    def __init__(
        self,
        setup: RunSetup,
        paths: RunPaths,
        state: State,
        writer: TrajectoryWriter,
        log: LogReporter,
        progress: RunProgress,
        stop: StopRequest,
    ) -> None:
        self._writer, self._state = writer, state
        self._inv_masses = 1 / setup.system.masses
        self._earlier: deque[State] = deque()
        frames = TrajectoryReporter(writer, setup.config.output.trajectory_every)
        super().__init__(setup, paths, frames, log, progress, stop)

    @property
    def step(self) -> int:
        return self._state.step

    def snapshot(self) -> Snapshot:
        """The present state with time, kinetic energy and temperature."""
        return self._snapshot(self._state)

    def write_final(self) -> None:
        extxyz.write(self._paths.final, self._setup.system, [self._state])

    def _snapshot(self, state: State) -> Snapshot:
        kinetic = kinetic_energy(state.velocities, self._setup.system.masses)
        return Snapshot(
            state=state,
            time=state.step * self._setup.dt,
            kinetic_energy=kinetic,
            temperature_K=kinetic_temperature(kinetic, self._setup.dof),
        )

    def _make_steps(self, n: int) -> tuple[Snapshot, float]:
        begin = time.perf_counter()
        advanced = self._advance(self._state, n)
        seconds = time.perf_counter() - begin
        if advanced.status != Status.OK:
            self._fail(advanced)
        snapshot = self._snapshot(advanced.state)
        self._check_energies(snapshot)
        self._accept(advanced.state)
        self.progress.warned_steps += advanced.warned
        return snapshot, seconds

    def _advance(self, state: State, n_steps: int) -> Advanced:
        setup = self._setup
        return setup.integrator.advance(
            state, setup.force, self._inv_masses, setup.stream, setup.limits, n_steps
        )

    def _check_energies(self, snapshot: Snapshot) -> None:
        """Guards of each block, which the forces of each step need not notice."""
        cause = self._too_energetic(snapshot.state.energy, snapshot.kinetic_energy)
        if cause:
            self._give_up(snapshot.state, cause)

    def _accept(self, state: State) -> None:
        """Make `state` the present one; the LAST_STATES steps up to it can be made again."""
        self._earlier.append(self._state)
        while len(self._earlier) > 1 and self._earlier[1].step <= state.step - LAST_STATES:
            self._earlier.popleft()
        self._state = state

    def _save(self) -> None:
        setup, state = self._setup, self._state
        trajectory, log_bytes = self._writer.sync(), self._log.sync()
        checkpoint.write(
            self._paths.checkpoint,
            checkpoint.Checkpoint(
                step=state.step,
                seed=setup.stream.seed,
                replica=setup.stream.replica,
                outputs={"trajectory": trajectory._asdict(), "log": {"bytes": log_bytes}},
                input_sha256=setup.identity,
                config=setup.config.model_dump(mode="json"),
                model_sha256=setup.potential.sha256,
                versions=setup.versions,
                positions=state.positions,
                velocities=state.velocities,
                forces=state.forces,
                energy=state.energy,
            ),
        )

    def _fail(self, advanced: Advanced) -> NoReturn:
        raise_pending(self._setup.force)
        if advanced.status == Status.NOISE:
            self._give_up(advanced.state, *self._noise(advanced.state))
        self._give_up(advanced.state, broken_limit(self._setup, advanced.state, advanced.status))

    def _noise(self, state: State) -> tuple[str, str]:
        from qmd.run.shot_noise import excess

        setup = self._setup
        assert setup.config.noise is not None  # else no method ends with this status
        return excess(setup.integrator, setup.config.noise, state.positions, setup.system.masses)

    def _give_up(self, bad: State, cause: str, advice: str | None = None) -> NoReturn:
        """Keep the last good states for the user; the checkpoint stays as it is."""
        good = self._last_good_states(bad.step)
        extxyz.write(self._paths.failure, self._setup.system, good)
        timestep = self._setup.config.integrator.timestep_fs
        advice = advice or (
            f"Try a smaller `timestep_fs` (now {timestep:g}), a lower temperature, or another start"
        )
        raise NumericalError(
            f"Stopped at step {bad.step} ({bad.step * timestep / 1000:g} ps): {cause}.",
            f"The last {len(good)} states before are in {self._paths.failure}. {advice}.",
        )

    def _last_good_states(self, bad_step: int) -> list[State]:
        """The states before `bad_step`, made again: the same steps give the same bits."""
        first = bad_step - LAST_STATES
        starts = [*self._earlier, self._state]
        start = next((state for state in reversed(starts) if state.step <= first), starts[0])
        advanced, states = self._advance(start, max(0, first - start.step)), []
        while advanced.status == Status.OK and advanced.state.step < bad_step:
            states.append(advanced.state)
            advanced = self._advance(advanced.state, 1)
        return states or starts[-LAST_STATES:]  # a Python force need not answer the same again


def broken_limit(setup: RunSetup, state: State, status: int) -> str:
    """What the limit of `status` was, and what `state` has instead."""
    limits = setup.limits
    with np.errstate(invalid="ignore", over="ignore"):
        largest = np.linalg.norm(state.forces, axis=1).max()
    causes = {
        Status.NOT_FINITE: "the energy, a force or a position is not finite",
        Status.FORCE: f"the largest force is {largest:.4g} eV/angstrom "
        f"(limit {limits.max_force:g}, `guards.max_force_eV_per_A`)",
        Status.DISPLACEMENT: "an atom moved more than "
        f"{limits.max_displacement:g} angstrom (`guards.max_displacement_A_per_step`)",
        Status.DOMAIN: f"{_outside(state, setup)}, outside the trained domain of "
        f"{setup.potential.name}",
    }
    return causes[Status(status)]


def _outside(state: State, setup: RunSetup) -> str:
    for (i, j), (low, high) in zip(setup.limits.pairs, setup.limits.stop, strict=True):
        distance = float(np.linalg.norm(state.positions[i] - state.positions[j]))
        if not low <= distance <= high:
            return f"atoms {i + 1} and {j + 1} are {distance:.3f} angstrom apart"
    return "the geometry is"
