"""Outputs that only a run of replicas has: a trajectory for each, and the table replicas.csv."""

import csv
import io
import resource
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from qmd import __version__
from qmd.errors import CorruptError, InputError
from qmd.io import files
from qmd.io.blocks import RESTORE
from qmd.io.run_folder import RunPaths
from qmd.io.snapshot import Snapshot
from qmd.io.trajectory import TrajectoryWriter
from qmd.run.setup import RunSetup

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


class PerReplicaTrajectoryReporter:
    """Frames of each replica in a file of its own, that of a run of this replica alone."""

    def __init__(self, writers: Mapping[int, TrajectoryWriter], every: int) -> None:
        self.every, self._writers = every, dict(writers)

    def report(self, snapshot: Snapshot) -> None:
        """Write a frame to the file of each replica that runs."""
        for row, replica in enumerate(snapshot.batch.replicas.tolist()):
            self._writers[replica].write(snapshot.rows(slice(row, row + 1)))

    def flush(self) -> None:
        """Bring the frames to the disk."""
        self.sync()

    def sync(self) -> dict[str, Any]:
        """Bring the frames to the disk; return frames, bytes and digest of each file."""
        return {str(r): writer.sync()._asdict() for r, writer in self._writers.items()}

    def close(self) -> None:
        """Sync and close all files."""
        with ExitStack() as stack:  # one that fails must not keep the others open
            for writer in self._writers.values():
                stack.callback(writer.close)


def open_writers(
    setup: RunSetup, paths: RunPaths, synced: Mapping[str, Any] | None
) -> dict[int, TrajectoryWriter]:
    """Open a trajectory for each replica; `synced` is what a checkpoint says of them.

    Raises
    ------
    InputError
        If the system does not allow so many open files.
    CorruptError
        If the checkpoint lacks one of them, or a file is not what it says.
    """
    n, first = setup.config.replicas, setup.config.replica
    _allow_open_files(n)
    known = [] if synced is None else [r for r, end in synced.items() if "frames" in end]
    missing = [r for r in range(first, first + n) if str(r) not in known]
    if synced is not None and missing:
        raise CorruptError(
            f"{paths.checkpoint} is damaged: it says nothing of trajectory {missing[0]}.", RESTORE
        )
    block = max(1, _BUFFERED_FRAMES // n)
    writers = {}
    for replica in range(first, first + n):
        path, end = paths.trajectory_of(replica), synced and synced[str(replica)]
        writers[replica] = (
            TrajectoryWriter.append(
                path, end["frames"], end["digest"], blocks=end["blocks"], block=block
            )
            if end
            else TrajectoryWriter.create(
                path,
                setup.system.numbers,
                setup.title,
                __version__,
                in_cell=setup.system.is_periodic,
                block=block,
            )  # fmt: skip
        )
    return writers


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
    snapshot: Snapshot,
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
    snapshot : Snapshot
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
