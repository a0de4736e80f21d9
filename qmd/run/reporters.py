"""Reporters: each says when it is due, and takes what the run has reached."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from qmd import units
from qmd.errors import CorruptError
from qmd.integrators import State
from qmd.io import files
from qmd.io.trajectory import Frame, Synced, TrajectoryWriter

LOG_COLUMNS = (
    "step", "time_ps", "potential_energy_eV", "kinetic_energy_eV", "total_energy_eV",
    "temperature_K",
)  # fmt: skip
SPREAD_COLUMN = "force_spread_eV_per_A"
"""One more, of a committee."""


S = TypeVar("S", contravariant=True)


class Snapshot(NamedTuple):
    """A state with what follows from it."""

    state: State
    time: float
    """Internal units."""
    kinetic_energy: float
    """eV"""
    temperature_K: float

    @property
    def step(self) -> int:
        return self.state.step

    @property
    def total_energy(self) -> float:
        """Total energy, eV."""
        return self.state.energy + self.kinetic_energy

    def log_row(self) -> str:
        return (
            f"{self.step},{self.time / units.ps:.9f},{self.state.energy:.12f},"
            f"{self.kinetic_energy:.12f},{self.total_energy:.12f},{self.temperature_K:.6f}"
        )


class RunSnapshot(Protocol):
    """What a run has reached, be it of one trajectory or of many."""

    @property
    def step(self) -> int: ...
    @property
    def time(self) -> float: ...
    @property
    def temperature_K(self) -> float: ...
    @property
    def total_energy(self) -> float: ...
    def log_row(self) -> str:
        """A row of log.csv."""


class Reporter(Protocol[S]):
    """Takes a snapshot every `every` steps; `sync` brings all of them to the disk."""

    every: int

    def report(self, snapshot: S) -> None: ...
    def sync(self) -> object: ...
    def close(self) -> None: ...


def steps_until_due(reporter: Reporter[S], step: int) -> int:
    """Steps from `step` to the next multiple of `every`, at least 1."""
    return reporter.every - step % reporter.every


class TrajectoryReporter:
    """Frames of trajectory.nc."""

    def __init__(self, writer: TrajectoryWriter, every: int) -> None:
        self.writer, self.every = writer, every

    def report(self, snapshot: Snapshot) -> None:
        state = snapshot.state
        self.writer.write(
            Frame(
                step=state.step,
                time=snapshot.time,
                positions=state.positions,
                velocities=state.velocities,
                forces=state.forces,
                potential_energy=state.energy,
                kinetic_energy=snapshot.kinetic_energy,
            )
        )

    def sync(self) -> Synced:
        return self.writer.sync()

    def close(self) -> None:
        self.writer.close()


class LogReporter:
    """Rows of log.csv; kept in memory until `flush` or `sync`.

    Parameters
    ----------
    path : Path
    n_bytes : int or None
        Length that a checkpoint recorded: what follows is cut off. None starts a new file.
    every : int
        Steps between rows.
    columns : sequence of str
        What `RunSnapshot.log_row` of the snapshots writes, and then `more`.
    more : callable, optional
        Snapshot -> further cells of its row, each after a comma.

    Raises
    ------
    CorruptError
        If the file is shorter than `n_bytes`, or missing.
    OutputError
        If the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        n_bytes: int | None,
        every: int,
        columns: Sequence[str] = LOG_COLUMNS,
        more: Callable[[Any], str] | None = None,
    ) -> None:
        self.every, self._path, self._more = every, path, more
        self._rows: list[str] = []
        if n_bytes is not None:
            _check_length(path, n_bytes)
        with files.output_errors(path):
            flags = os.O_WRONLY | os.O_NOFOLLOW
            if n_bytes is None:
                flags |= os.O_CREAT | os.O_EXCL
                self._rows.append(",".join(columns) + "\n")
            self._fd = os.open(path, flags, 0o644)
            self._size = n_bytes or 0
            os.ftruncate(self._fd, self._size)

    def report(self, snapshot: RunSnapshot) -> None:
        more = self._more(snapshot) if self._more else ""
        self._rows.append(f"{snapshot.log_row()}{more}\n")

    def flush(self) -> None:
        """Let other processes see the rows so far."""
        data = "".join(self._rows).encode()
        self._rows.clear()
        with files.output_errors(self._path):
            try:
                files.write_all(self._fd, data, self._size)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._fd, self._size)  # no half of a row
                raise
        self._size += len(data)

    def sync(self) -> int:
        """Bring all rows to the disk; the size of the file in bytes."""
        self.flush()
        with files.output_errors(self._path):
            os.fsync(self._fd)
        return self._size

    def close(self) -> None:
        self.flush()
        os.close(self._fd)


def _check_length(path: Path, n_bytes: int) -> None:
    if not path.exists():
        raise CorruptError(f"{path} is missing; the checkpoint counts {n_bytes} bytes in it.")
    size = path.stat().st_size
    if not size >= n_bytes:  # cutting it would fill it up with zeros
        raise CorruptError(
            f"{path} is truncated: {size} of {n_bytes} bytes present.",
            "Restore it from a copy, or begin again with --overwrite.",
        )
