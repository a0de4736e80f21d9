"""A run of many replicas: one loop, one checkpoint, guards for each of them.

All replicas make the same steps, so that the run is at one step. What a replica does depends on
its own state and stream alone: not on the others, on threads, on blocks or on restarts.
"""

import time
from collections.abc import Mapping
from typing import NoReturn

import numpy as np

from qmd.errors import NumericalError
from qmd.integrators import AdvancedBatch, Batch, Status
from qmd.io import extxyz
from qmd.io.run_folder import RunPaths
from qmd.io.snapshot import Snapshot
from qmd.jobs.cores import available_cores
from qmd.jobs.stop import StopRequest
from qmd.run.replica_reporters import Failure, write_table
from qmd.run.reporters import Reporter
from qmd.run.setup import RunSetup, build_replicas
from qmd.run.simulation import AbstractSimulation, RunProgress, broken_limit


class ReplicaSimulation(AbstractSimulation):
    """One session of a run of replicas.

    Parameters
    ----------
    setup : RunSetup
    paths : RunPaths
    start, batch : Batch
        Of all replicas at step 0; of those that still run, where to go on from.
    failures : list of Failure
        Of earlier sessions.
    reporters : mapping of str to Reporter
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
        reporters: Mapping[str, Reporter],
        progress: RunProgress,
        stop: StopRequest,
    ) -> None:
        progress.threads = min(setup.config.threads or available_cores(), len(batch.replicas))
        loop = build_replicas(setup, progress.threads)
        super().__init__(setup, paths, batch, loop, reporters, progress, stop)
        progress.replicas, progress.failed = setup.config.replicas, len(failures)
        self._failures = failures
        energies = self._snapshot(start).total_energies.tolist()
        self._start_energies = dict(zip(start.replicas.tolist(), energies, strict=True))

    def write_final(self) -> None:
        states = [self._batch.state(row) for row in range(len(self._batch.replicas))]
        replicas, stresses = self._batch.replicas.tolist(), self._stresses(states)
        extxyz.write(self._paths.final, self._setup.system, states, replicas, stresses)

    def _make_steps(self, n: int) -> tuple[Snapshot, float]:
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

    def _failed(self, advanced: AdvancedBatch, snapshot: Snapshot) -> list[Failure]:
        """Replicas that broke a limit, in the order in which they did."""
        causes: dict[int, str | None] = {}
        if self._on_grid(snapshot.step):
            energies = zip(snapshot.batch.energies, snapshot.temperatures, strict=True)
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
        paths, states = self._paths, self._last_good_states(failure.replica, failure.step)
        path = paths.failure if alone else paths.failure_of(failure.replica)
        replicas, stresses = [failure.replica] * len(states), self._stresses_of_failed(states)
        extxyz.write(path, self._setup.system, states, replicas, stresses)
        return len(states)

    def _save(self) -> None:
        self._write_table(self.snapshot())
        super()._save()

    def _write_table(self, snapshot: Snapshot) -> None:
        write_table(
            self._paths.replicas,
            snapshot,
            self._start_energies,
            self._failures,
            self._setup.config.steps,
            self._setup.config.integrator.timestep_fs / 1000,
        )
