"""The run loop: advance to whatever is due next, report, checkpoint, stop in good order.

Results do not depend on where the loop stops between two reports, nor on how often it was
interrupted: the integrators are exact functions of state and step, and a resumed run cuts its
outputs back to the last checkpoint.
"""

import abc
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from qmd import units
from qmd.errors import NumericalError
from qmd.forces.runnable import in_cell, stress_of
from qmd.integrators import (
    LOST_PAIR,
    AbstractReplicas,
    AdvancedBatch,
    Batch,
    State,
    Status,
    kinetic_energies,
    stray,
)
from qmd.io import checkpoint, extxyz
from qmd.io.run_folder import RunPaths
from qmd.io.snapshot import Snapshot
from qmd.jobs.stop import Reason, StopRequest
from qmd.run.replica_reporters import Failure
from qmd.run.reporters import Reporter, steps_until_due
from qmd.run.setup import RunSetup
from qmd.run.start import unchecked_start
from qmd.typing import Array

BLOCK_S = 0.25
"""Longest time (s) in compiled code: Python sees signals only between two calls."""
CHECKPOINT_S = 1.0
"""A checkpoint that comes due sooner (s) after the last one is left out: it costs several ms."""
FLUSH_S = 2.0
"""Seconds between two times that readers see log and trajectory, between checkpoints."""
LONG_CHECKPOINT_S = 0.05
"""A checkpoint that takes n times as long lets the next one, and the readers, wait n times."""
LAST_STATES = 20
"""Good states before a failure that are written to failure.extxyz."""
MAX_KT = 1e6
"""The potential energy may change by this many kT, a figure without false alarms in GROMACS."""


@dataclass
class RunProgress:
    """Progress of a run in this session; `on_progress` is called after every block."""

    first_step: int
    n_steps: int
    """Total of the input."""
    begin: float = field(default_factory=time.perf_counter)
    in_kernel_s: float = 0.0
    warned_steps: int = 0
    replicas: int = 1
    threads: int = 1
    conserves_energy: bool = False
    """True if the total energy should stay as it is."""
    failed: int = 0
    """Replicas that a guard has dropped, in all sessions."""
    snapshot: Snapshot | None = None
    first: Snapshot | None = None
    on_progress: Callable[["RunProgress"], None] = lambda progress: None

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.begin

    @property
    def steps_done(self) -> int:
        """In this session."""
        return 0 if self.snapshot is None else self.snapshot.step - self.first_step


class AbstractSimulation(abc.ABC):
    """One session of a run, from where it starts to the last step or a stop.

    Parameters
    ----------
    setup : RunSetup
    paths : RunPaths
    batch : Batch
        Where to go on from; a run of one trajectory is a batch of one.
    replicas : AbstractReplicas
        The loop that advances it.
    reporters : mapping of str to Reporter
        By the names under which checkpoints keep them.
    progress : RunProgress
    stop : StopRequest
    """

    def __init__(
        self,
        setup: RunSetup,
        paths: RunPaths,
        batch: Batch,
        replicas: AbstractReplicas,
        reporters: Mapping[str, Reporter],
        progress: RunProgress,
        stop: StopRequest,
    ) -> None:
        self._setup, self._paths, self._stop = setup, paths, stop
        self._batch, self._replicas, self._reporters = batch, replicas, dict(reporters)
        self._earlier: deque[Batch] = deque()
        self._failures: list[Failure] = []
        self._block, self._flushed, self._saved = 1, time.monotonic(), time.monotonic()
        self._checkpoint_s = 0.0
        self.progress = progress
        progress.conserves_energy = setup.integrator.conserves_energy
        # That of step 0, also in a session that goes on: all sessions stop at the same limits.
        start, config = unchecked_start(setup), setup.config
        bath_K = (setup.integrator.highest_kT or 0.0) / units.kB
        first_K = self._temperatures(start.velocities[None])[1][0]
        wanted = bath_K or config.system.temperature_K or first_K
        self._start_energy, self._hottest_K = start.energy, 10 * float(wanted) + 2000

    @property
    def step(self) -> int:
        """Number of steps that the run has made."""
        return self._batch.step

    def snapshot(self) -> Snapshot:
        """The present state with what follows from it."""
        return self._snapshot(self._batch)

    @abc.abstractmethod
    def write_final(self) -> None:
        """Write final.extxyz."""

    @abc.abstractmethod
    def _make_steps(self, n: int) -> tuple[Snapshot, float]:
        """Make `n` steps and judge them; where that leads, and the seconds in compiled code."""

    def close(self) -> None:
        """Close the outputs: what a failed run has reached stays readable."""
        with ExitStack() as stack:  # one that fails must not keep the others open
            stack.callback(self._replicas.close)
            for reporter in self._reporters.values():
                stack.callback(reporter.close)

    def begin(self) -> None:
        """Report and checkpoint the state at step 0."""
        snapshot = self.snapshot()
        for reporter in self._reporters.values():
            reporter.report(snapshot)
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
            due = (steps_until_due(r, self.step) for r in self._reporters.values())
            self._advance_block(min(due))
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

    def _too_energetic(self, potential: float, temperature: float) -> str | None:
        """Describe the fault of a potential energy (eV) or temperature (K), or return None."""
        change = potential - self._start_energy
        if not abs(change) <= MAX_KT * units.kB * self._hottest_K:
            return f"the potential energy is {potential:.4g} eV"
        # Heat that a stretched start released is no sign of an explosion.
        temperature += min(0.0, change) * self._setup.thermometer.kelvin_per_eV
        if not temperature <= self._hottest_K:
            return f"the temperature is {temperature:.0f} K (limit {self._hottest_K:.0f} K)"
        return None

    def _report(self, snapshot: Snapshot) -> None:
        self.progress.snapshot = snapshot
        for reporter in self._reporters.values():
            if snapshot.step % reporter.every == 0:
                reporter.report(snapshot)
        if time.monotonic() - self._flushed > FLUSH_S * self._patience():
            for reporter in self._reporters.values():
                reporter.flush()
            self._flushed = time.monotonic()

    def _snapshot(self, batch: Batch) -> Snapshot:
        kinetic, temperatures = self._temperatures(batch.velocities)
        return Snapshot(batch, batch.step * self._setup.dt, kinetic, temperatures)

    def _temperatures(self, velocities: Array) -> tuple[Array, Array]:
        """Return kinetic energies (eV) and temperatures (K) of all replicas."""
        kinetic = kinetic_energies(velocities, self._setup.system.masses)
        return kinetic, self._setup.thermometer.temperatures(velocities, kinetic)

    def _stresses(self, states: Sequence[State]) -> list[Array | None]:
        """Return the stress (eV/A^3) of each state, where the potential has one."""
        function = in_cell(self._setup.force, self._setup.potential.name)
        return [stress_of(function, state.positions, state.cell) for state in states]

    def _stresses_of_failed(self, states: Sequence[State]) -> list[Array | None]:
        """Return stresses for `failure.extxyz`; none if a Python potential fails again."""
        with suppress(Exception):
            return self._stresses(states)
        return [None] * len(states)

    def _accept(self, batch: Batch) -> None:
        """Make `batch` the present one; the LAST_STATES steps up to it can be made again."""
        self._earlier.append(self._batch)
        while len(self._earlier) > 1 and self._earlier[1].step <= batch.step - LAST_STATES:
            self._earlier.popleft()
        self._batch = batch

    def _last_good_states(self, replica: int, bad_step: int) -> list[State]:
        """States of a replica before `bad_step`, made again: equal steps give equal bits."""
        first = bad_step - LAST_STATES
        starts = [*self._earlier, self._batch]
        start = next((batch for batch in reversed(starts) if batch.step <= first), starts[0])
        one, states = start.rows(start.replicas == replica), list[State]()
        advanced = self._replicas.advance(one, max(0, first - one.step))
        while advanced.status[0] == Status.OK and advanced.batch.step < bad_step:
            states.append(advanced.batch.state(0))
            advanced = self._replicas.advance(advanced.batch, 1)
        return states

    def checkpoint(self) -> None:
        """Count the pairs of neighbour lists anew, sync the outputs, then replace the checkpoint.

        Raises
        ------
        NumericalError
            If a list has lost a pair: the checkpoint stays as it is.
        """
        if not self._replicas.audit():
            raise NumericalError(
                f"Stopped at step {self.step}: {LOST_PAIR}.",
                "The steps since the last checkpoint are wrong. This is a fault of qmd: report it.",
            )
        begin = time.monotonic()
        self._save()
        self._saved = self._flushed = time.monotonic()
        self._checkpoint_s = self._saved - begin

    def _save(self) -> None:
        setup = self._setup
        outputs = {name: reporter.sync() for name, reporter in self._reporters.items()}
        checkpoint.write(
            self._paths.checkpoint,
            checkpoint.Checkpoint(
                batch=self._batch,
                seed=setup.stream.seed,
                replica=setup.stream.replica,
                outputs=outputs,
                input_sha256=setup.identity,
                config=setup.config.model_dump(mode="json"),
                model_sha256=setup.potential.sha256,
                versions=setup.versions,
                bath_variables=list(setup.integrator.bath_variables),
                failures=[list(failure) for failure in self._failures],
            ),
        )


class Simulation(AbstractSimulation):
    """One session of a run of one trajectory."""

    def write_final(self) -> None:
        states = [self._batch.state(0)]
        extxyz.write(self._paths.final, self._setup.system, states, stresses=self._stresses(states))

    def _make_steps(self, n: int) -> tuple[Snapshot, float]:
        begin = time.perf_counter()
        advanced = self._replicas.advance(self._batch, n)
        seconds = time.perf_counter() - begin
        if advanced.status[0] != Status.OK:
            self._fail(advanced)
        snapshot = self._snapshot(advanced.batch)
        # A guard of each block, for what the forces of each step need not notice.
        cause = self._too_energetic(snapshot.batch.energies[0], snapshot.temperatures[0])
        if cause:
            self._give_up(snapshot.step, cause)
        self._accept(advanced.batch)
        self.progress.warned_steps += int(advanced.warned[0])
        return snapshot, seconds

    def _fail(self, advanced: AdvancedBatch) -> NoReturn:
        setup, status, step = self._setup, int(advanced.status[0]), int(advanced.steps[0])
        state = advanced.batch.state(0)
        if status == Status.NOISE:
            from qmd.run.shot_noise import excess

            assert setup.config.noise is not None  # else no method ends with this status
            method, masses = setup.integrator, setup.system.masses
            self._give_up(step, *excess(method, setup.config.noise, state.positions, masses))
        self._give_up(step, broken_limit(setup, state, status))

    def _give_up(self, bad_step: int, cause: str, advice: str | None = None) -> NoReturn:
        """Keep the last good states for the user; the checkpoint stays as it is."""
        good = self._good_states(bad_step)
        stresses = self._stresses_of_failed(good)
        extxyz.write(self._paths.failure, self._setup.system, good, stresses=stresses)
        timestep = self._setup.config.integrator.timestep_fs
        advice = advice or (
            f"Try a smaller `timestep_fs` (now {timestep:g}), a lower temperature, or another start"
        )
        raise NumericalError(
            f"Stopped at step {bad_step} ({bad_step * timestep / 1000:g} ps): {cause}.",
            f"The last {len(good)} states before are in {self._paths.failure}. {advice}.",
        )

    def _good_states(self, bad_step: int) -> list[State]:
        with suppress(Exception):  # a Python force need not answer the same again, nor at all
            if states := self._last_good_states(int(self._batch.replicas[0]), bad_step):
                return states
        return [batch.state(0) for batch in (*self._earlier, self._batch)][-LAST_STATES:]


def broken_limit(setup: RunSetup, state: State, status: int) -> str:
    """Name the limit behind `status`, and the value that `state` has instead."""
    limits = setup.limits
    with np.errstate(invalid="ignore", over="ignore"):
        largest = np.linalg.norm(state.forces, axis=1).max()
    causes = {
        Status.NOT_FINITE: "the energy, a force or a position is not finite",
        Status.FORCE: f"the largest force is {largest:.4g} eV/angstrom "
        f"(limit {limits.max_force:g}, `guards.max_force_eV_per_A`)",
        Status.DISPLACEMENT: "an atom moved more than "
        f"{limits.max_displacement:g} angstrom (`guards.max_displacement_A_per_step`)",
        Status.LOST_PAIR: LOST_PAIR,
        Status.CELL: "the barostat changed the cell by more than a tenth in one step",
        Status.DOMAIN: f"{_outside(state, setup)}, outside the trained domain of "
        f"{setup.potential.name}",
    }
    return causes[Status(status)]


def _outside(state: State, setup: RunSetup) -> str:
    found = stray(setup.limits, state.positions, state.cell)
    if found is None:
        return "the geometry is"
    return f"atoms {found.i + 1} and {found.j + 1} are {found.distance:.3f} angstrom apart"
