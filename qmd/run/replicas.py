"""A run of many replicas: one loop, one checkpoint, guards for each of them.

All replicas make the same steps, so that the run is at one step. What a replica does depends on
its own state and stream alone: not on the others, on threads, on blocks or on restarts.
"""

import time
from collections import deque
from typing import NoReturn

import numpy as np

from qmd.errors import NumericalError
from qmd.integrators import AdvancedBatch, Batch, State, Status, kinetic_energies
from qmd.io import checkpoint, extxyz
from qmd.io.run_folder import RunPaths
from qmd.jobs.cores import available_cores
from qmd.jobs.stop import StopRequest
from qmd.run.replica_reporters import (
    LOG_COLUMNS,
    Failure,
    PerReplicaTrajectoryReporter,
    ReplicasSnapshot,
    SharedTrajectoryReporter,
    open_trajectories,
    write_table,
)
from qmd.run.reporters import LogReporter
from qmd.run.setup import RunSetup, build_replicas
from qmd.run.simulation import LAST_STATES, AbstractSimulation, RunProgress, broken_limit
from qmd.run.start import start_batch
from qmd.system.velocities import kinetic_temperature


def open_replicas(
    setup: RunSetup,
    paths: RunPaths,
    saved: checkpoint.Checkpoint | None,
    progress: RunProgress,
    stop: StopRequest,
) -> "ReplicaSimulation":
    """A run of replicas at its start, or where the checkpoint `saved` has it go on."""
    start = start_batch(setup)
    batch, failures = start, list[Failure]()
    if saved is not None:
        arrays = saved.positions, saved.velocities, saved.forces, np.asarray(saved.energy)
        cells, baths = np.zeros((len(start.energies), 3, 3)), np.zeros((len(start.energies), 0))
        batch = Batch(*arrays, cells, baths, np.array(saved.replicas, np.int64), saved.step)
        failures = [Failure(int(s), int(r), str(cause)) for s, r, cause in saved.failures or ()]
    outputs = saved.outputs if saved is not None else None
    frames = open_trajectories(setup, paths, outputs)
    n_bytes = outputs["log"]["bytes"] if outputs is not None else None
    log = LogReporter(paths.log, n_bytes, setup.config.output.log_every, LOG_COLUMNS)
    return ReplicaSimulation(setup, paths, start, batch, failures, frames, log, progress, stop)


class ReplicaSimulation(AbstractSimulation[ReplicasSnapshot]):
    """One session of a run of replicas.

    Parameters
    ----------
    setup : RunSetup
    paths : RunPaths
    start, batch : Batch
        Of all replicas at step 0; of those that still run, where to go on from.
    failures : list of Failure
        Of earlier sessions.
    frames, log : reporters
    progress : RunProgress
    stop : StopRequest
    """

    def __init__(
        self,
        setup: RunSetup,
        paths: RunPaths,
        start: Batch,
        batch: Batch,
        failures: list[Failure],
        frames: SharedTrajectoryReporter | PerReplicaTrajectoryReporter,
        log: LogReporter,
        progress: RunProgress,
        stop: StopRequest,
    ) -> None:
        super().__init__(setup, paths, frames, log, progress, stop)
        self._trajectories = frames
        self._batch, self._failures = batch, failures
        self._earlier: deque[Batch] = deque()
        progress.threads = min(setup.config.threads or available_cores(), len(batch.replicas))
        progress.replicas, progress.failed = setup.config.replicas, len(failures)
        self._replicas = build_replicas(setup, progress.threads)
        begun = self._snapshot(start)
        energies = begun.total_energies.tolist()
        self._start_energies = dict(zip(start.replicas.tolist(), energies, strict=True))

    @property
    def step(self) -> int:
        return self._batch.step

    def snapshot(self) -> ReplicasSnapshot:
        return self._snapshot(self._batch)

    def _snapshot(self, batch: Batch) -> ReplicasSnapshot:
        kinetic = kinetic_energies(batch.velocities, self._setup.system.masses)
        temperatures = np.array([kinetic_temperature(k, self._setup.dof) for k in kinetic])
        return ReplicasSnapshot(batch, batch.step * self._setup.dt, kinetic, temperatures)

    def write_final(self) -> None:
        states = [self._batch.state(row) for row in range(len(self._batch.replicas))]
        extxyz.write(self._paths.final, self._setup.system, states, self._batch.replicas.tolist())

    def close(self) -> None:
        self._replicas.close()
        super().close()

    def _make_steps(self, n: int) -> tuple[ReplicasSnapshot, float]:
        begin = time.perf_counter()
        advanced = self._replicas.advance(self._batch, n)
        seconds = time.perf_counter() - begin
        snapshot = self._snapshot(advanced.batch)
        failures = self._failed(advanced, snapshot)
        if failures:
            self._record(failures)
            lost = np.isin(advanced.batch.replicas, [failure.replica for failure in failures])
            snapshot = self._snapshot(advanced.batch.rows(~lost))
        self._accept(snapshot.batch)
        self.progress.warned_steps += int(advanced.warned.sum())
        return snapshot, seconds

    def _accept(self, batch: Batch) -> None:
        """Make `batch` the present one; the LAST_STATES steps up to it can be made again."""
        self._earlier.append(self._batch)
        while len(self._earlier) > 1 and self._earlier[1].step <= batch.step - LAST_STATES:
            self._earlier.popleft()
        self._batch = batch

    def _failed(self, advanced: AdvancedBatch, snapshot: ReplicasSnapshot) -> list[Failure]:
        """Replicas that broke a limit, in the order in which they did."""
        causes: dict[int, str | None] = {}
        if self._on_grid(snapshot.step):
            energies = zip(snapshot.batch.energies, snapshot.kinetic_energies, strict=True)
            causes = {row: self._too_energetic(*both) for row, both in enumerate(energies)}
        for row in np.flatnonzero(advanced.status != Status.OK).tolist():
            state, status = advanced.batch.state(row), int(advanced.status[row])
            causes[row] = broken_limit(self._setup, state, status)
        steps, replicas = advanced.steps, advanced.batch.replicas
        return sorted(
            Failure(int(steps[row]), int(replicas[row]), cause)
            for row, cause in causes.items()
            if cause
        )

    def _on_grid(self, step: int) -> bool:
        """Return True at steps that every run reaches between two blocks, however it was divided.

        Which replicas are dropped, and when, must not depend on the division.
        """
        output = self._setup.config.output
        every = output.trajectory_every, output.log_every, output.checkpoint_every
        return any(step % n == 0 for n in every)

    def _record(self, failures: list[Failure]) -> None:
        """Drop replicas, or stop the run."""
        if self._setup.config.guards.on_failure == "stop":
            self._give_up(failures[0])
        for failure in failures:
            self._write_last_states(failure, alone=False)
        self._failures += failures
        self.progress.failed = len(self._failures)
        if len(self._failures) == self._setup.config.replicas:
            self._write_table(self._snapshot(self._batch.rows(slice(0, 0))))
            raise NumericalError(
                f"All {len(self._failures)} replicas have failed, the last one, "
                f"{failures[-1].replica}, at step {failures[-1].step}: {failures[-1].cause}.",
                f"{self._paths.replicas} says when and why. Try a smaller `timestep_fs`, a lower "
                "temperature, or another start.",
            )

    def _give_up(self, failure: Failure) -> NoReturn:
        """Keep the last good states for the user; the checkpoint stays as it is."""
        n = self._write_last_states(failure, alone=True)
        timestep = self._setup.config.integrator.timestep_fs
        raise NumericalError(
            f"Replica {failure.replica} stopped at step {failure.step} "
            f"({failure.step * timestep / 1000:g} ps): {failure.cause}.",
            f"Its last {n} states before are in {self._paths.failure}. To go on without such "
            "replicas: `--set guards.on_failure=drop`.",
        )

    def _write_last_states(self, failure: Failure, *, alone: bool) -> int:
        paths, states = self._paths, self._last_good_states(failure)
        path = paths.failure if alone else paths.failure_of(failure.replica)
        extxyz.write(path, self._setup.system, states, [failure.replica] * len(states))
        return len(states)

    def _last_good_states(self, failure: Failure) -> list[State]:
        """The states before the failure, made again: the same steps give the same bits."""
        first = failure.step - LAST_STATES
        starts = [*self._earlier, self._batch]
        start = next((batch for batch in reversed(starts) if batch.step <= first), starts[0])
        row = np.flatnonzero(start.replicas == failure.replica)
        one, states = start.rows(row), list[State]()
        advanced = self._replicas.advance(one, max(0, first - one.step))
        while advanced.status[0] == Status.OK and advanced.batch.step < failure.step:
            states.append(advanced.batch.state(0))
            advanced = self._replicas.advance(advanced.batch, 1)
        return states

    def _save(self) -> None:
        setup, batch = self._setup, self._batch
        outputs = self._trajectories.sync() | {"log": {"bytes": self._log.sync()}}
        self._write_table(self.snapshot())
        checkpoint.write(
            self._paths.checkpoint,
            checkpoint.Checkpoint(
                step=batch.step,
                seed=setup.stream.seed,
                replica=setup.stream.replica,
                outputs=outputs,
                input_sha256=setup.identity,
                config=setup.config.model_dump(mode="json"),
                model_sha256=setup.potential.sha256,
                versions=setup.versions,
                positions=batch.positions,
                velocities=batch.velocities,
                forces=batch.forces,
                energy=batch.energies,
                replicas=batch.replicas.tolist(),
                failures=[list(failure) for failure in self._failures],
            ),
        )

    def _write_table(self, snapshot: ReplicasSnapshot) -> None:
        write_table(
            self._paths.replicas,
            snapshot,
            self._start_energies,
            self._failures,
            self._setup.config.steps,
            self._setup.config.integrator.timestep_fs / 1000,
        )
