"""What a run of replicas writes: trajectories together or one each, a log over all, a table."""

import csv
import io
import resource
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from qmd import __version__, units
from qmd.errors import InputError, MismatchError
from qmd.integrators import Batch
from qmd.io import files
from qmd.io.run_folder import RunPaths
from qmd.io.trajectory import Frame, ReplicaFrames, TrajectoryWriter
from qmd.run.setup import RunSetup
from qmd.typing import Array

_QUANTITIES = (
    "potential_energy_eV", "kinetic_energy_eV", "total_energy_eV", "temperature_K",
)  # fmt: skip
LOG_COLUMNS = (
    "step", "time_ps", "replicas",
    *(f"{what}_{name}" for name in _QUANTITIES for what in ("mean", "min", "max")),
)  # fmt: skip
TABLE_COLUMNS = (
    "replica", "last_step", "time_ps", "temperature_K", "total_energy_change_eV", "end",
)  # fmt: skip
_BUFFERED_FRAMES = 10_000
"""In memory, of all replicas together, where each has a file."""
_OTHER_FILES = 64
"""Open files that are not trajectories."""


class Failure(NamedTuple):
    """A replica that a guard has dropped."""

    step: int
    replica: int
    cause: str


class ReplicasSnapshot(NamedTuple):
    """The states of all replicas that run, with what follows from them; arrays of shape (n,)."""

    batch: Batch
    time: float
    """Internal units."""
    kinetic_energies: Array
    """eV"""
    temperatures: Array
    """K"""

    @property
    def step(self) -> int:
        return self.batch.step

    @property
    def total_energies(self) -> Array:
        """Total energy of each replica, eV."""
        return self.batch.energies + self.kinetic_energies

    @property
    def temperature_K(self) -> float:
        """Mean over the replicas."""
        return float(self.temperatures.mean())

    @property
    def total_energy(self) -> float:
        """Mean over the replicas, eV."""
        return float(self.total_energies.mean())

    def log_row(self) -> str:
        """Mean, least and largest value over the replicas."""
        numbers = [f"{self.step},{self.time / units.ps:.9f},{len(self.batch.replicas)}"]
        energies = self.batch.energies, self.kinetic_energies, self.total_energies
        for values, digits in (*((e, 12) for e in energies), (self.temperatures, 6)):
            numbers += [f"{x:.{digits}f}" for x in (values.mean(), values.min(), values.max())]
        return ",".join(numbers)


class SharedTrajectoryReporter:
    """Frames of all replicas in trajectory.nc: by step, then by replica."""

    def __init__(self, writer: TrajectoryWriter, every: int) -> None:
        self.every, self._writer = every, writer

    def report(self, snapshot: ReplicasSnapshot) -> None:
        batch = snapshot.batch
        self._writer.write_replicas(
            ReplicaFrames(
                step=batch.step,
                time=snapshot.time,
                replicas=batch.replicas,
                positions=batch.positions,
                velocities=batch.velocities,
                forces=batch.forces,
                potential_energies=batch.energies,
                kinetic_energies=snapshot.kinetic_energies,
            )
        )

    def sync(self) -> dict[str, dict[str, Any]]:
        return {"trajectory": self._writer.sync()._asdict()}

    def close(self) -> None:
        self._writer.close()


class PerReplicaTrajectoryReporter:
    """Frames of each replica in a file of its own, that of a run of this replica alone."""

    def __init__(self, writers: Mapping[int, TrajectoryWriter], every: int) -> None:
        self.every, self._writers = every, dict(writers)

    def report(self, snapshot: ReplicasSnapshot) -> None:
        for row, replica in enumerate(snapshot.batch.replicas):
            state = snapshot.batch.state(row)
            self._writers[int(replica)].write(
                Frame(
                    step=state.step,
                    time=snapshot.time,
                    positions=state.positions,
                    velocities=state.velocities,
                    forces=state.forces,
                    potential_energy=state.energy,
                    kinetic_energy=float(snapshot.kinetic_energies[row]),
                )
            )

    def sync(self) -> dict[str, dict[str, Any]]:
        return {_key(r): writer.sync()._asdict() for r, writer in self._writers.items()}

    def close(self) -> None:
        with ExitStack() as stack:  # one that fails must not keep the others open
            for writer in self._writers.values():
                stack.callback(writer.close)


def open_trajectories(
    setup: RunSetup, paths: RunPaths, synced: Mapping[str, Any] | None
) -> SharedTrajectoryReporter | PerReplicaTrajectoryReporter:
    """Trajectories as the input asks for; `synced` is what a checkpoint says of them.

    Raises
    ------
    MismatchError
        If the run began with the other choice.
    InputError
        If the system does not allow so many open files.
    """
    output, numbers = setup.config.output, setup.system.numbers
    separate = output.trajectories == "separate"
    if synced is not None and separate == ("trajectory" in synced):
        raise MismatchError(
            f"{paths.directory} holds a run whose `output.trajectories` is not "
            f"'{output.trajectories}'.",
            "Restore the input, or begin again with --overwrite.",
        )
    if separate:
        n, first = setup.config.replicas, setup.config.replica
        _allow_open_files(n)
        block = max(1, _BUFFERED_FRAMES // n)
        writers = {}
        for replica in range(first, first + n):
            path, end = paths.trajectory_of(replica), synced and synced[_key(replica)]
            writers[replica] = (
                TrajectoryWriter.append(path, end["frames"], end["digest"], block=block)
                if end
                else TrajectoryWriter.create(path, numbers, setup.title, __version__, block=block)
            )
        return PerReplicaTrajectoryReporter(writers, output.trajectory_every)
    if synced is not None:
        end = synced["trajectory"]
        writer = TrajectoryWriter.append(paths.trajectory, end["frames"], end["digest"])
    else:
        writer = TrajectoryWriter.create(
            paths.trajectory, numbers, setup.title, __version__, of_replicas=True
        )
    return SharedTrajectoryReporter(writer, output.trajectory_every)


def _key(replica: int) -> str:
    return f"trajectory-{replica}"


def _allow_open_files(n: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise InputError(
            f"`output.trajectories: separate` keeps {n} files open, but the system allows "
            f"{hard - _OTHER_FILES} more",
            hint="use `together`, or fewer replicas at a time",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def write_table(
    path: Path,
    snapshot: ReplicasSnapshot,
    start_energies: Mapping[int, float],
    failures: Sequence[Failure],
    n_steps: int,
    timestep_ps: float,
) -> None:
    """replicas.csv: how far each replica has come, and why it ended.

    Parameters
    ----------
    path : Path
        Replaced in one step.
    snapshot : ReplicasSnapshot
        Of those that run.
    start_energies : mapping
        Total energy (eV) of each replica at step 0.
    failures : sequence of Failure
    n_steps, timestep_ps : int, float
        Of the input.
    """
    end = "running" if snapshot.step < n_steps else "done"
    rows: dict[int, tuple[int, str, str, str]] = {}
    numbers = snapshot.batch.replicas.tolist(), snapshot.temperatures, snapshot.total_energies
    for replica, temperature, energy in zip(*numbers, strict=True):
        change = f"{energy - start_energies[replica]:.12f}"
        rows[replica] = snapshot.step, f"{temperature:.6f}", change, end
    for failure in failures:
        rows[failure.replica] = failure.step, "", "", failure.cause
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(TABLE_COLUMNS)
    for replica in sorted(rows):
        step, *others = rows[replica]
        table.writerow([replica, step, f"{step * timestep_ps:.9f}", *others])
    files.write_text(path, text.getvalue())
