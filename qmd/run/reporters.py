"""Reporters: one for each output of a run; each says when it is due, and takes snapshots.

To add an output, write its reporter here and list it in `OUTPUTS`. A checkpoint keeps what `sync`
returns under the name of the output, and gives it back when the run is resumed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from qmd import __version__, units
from qmd.errors import MismatchError
from qmd.integrators import evaluate_virial, has_virial
from qmd.io.run_folder import RunPaths
from qmd.io.snapshot import Snapshot
from qmd.io.text import TextWriter, synced_text
from qmd.io.trajectory import TrajectoryWriter
from qmd.run.replica_reporters import PerReplicaTrajectoryReporter, open_writers
from qmd.run.setup import RunSetup
from qmd.system.cell import is_full, volume
from qmd.typing import Array

LOG_COLUMNS = (
    "step", "time_ps", "potential_energy_eV", "kinetic_energy_eV", "total_energy_eV",
    "temperature_K",
)  # fmt: skip
SPREAD_COLUMN = "force_spread_eV_per_A"
"""One more, of a committee."""
CELL_COLUMNS = "volume_A3", "density_g_per_cm3"
"""More, of a system that is periodic in all directions."""
PRESSURE_COLUMN = "pressure_bar"
"""And one more, if its potential has a virial."""
CONSERVED_COLUMN = "conserved_eV"
"""And one more: the energy of atoms and bath, where the exchange is recorded."""
REPLICAS_LOG_COLUMNS = (
    "step", "time_ps", "replicas",
    *(f"{what}_{name}" for name in LOG_COLUMNS[2:] for what in ("mean", "min", "max")),
)  # fmt: skip


class Reporter(Protocol):
    """Takes a snapshot every `every` steps and writes it to an output of its own."""

    every: int

    def report(self, snapshot: Snapshot) -> None:
        """Take a snapshot; it may stay in memory until `flush` or `sync`."""

    def flush(self) -> None:
        """Let other processes see what was taken so far."""

    def sync(self) -> dict[str, Any]:
        """Bring what was taken to the disk; return how far the output is to be kept on resume."""

    def close(self) -> None:
        """Sync and close."""


class Output(NamedTuple):
    """An output that an input can ask for.

    Parameters
    ----------
    open : callable
        Takes the setup, the paths, and what `sync` returned before the last checkpoint, or None
        at the start. Returns a reporter, or None if the input does not ask for this output.
    files : str
        Regular expression of the names of its files in the run folder.
    """

    open: Callable[[RunSetup, RunPaths, dict[str, Any] | None], Reporter | None]
    files: str


def open_reporters(
    setup: RunSetup, paths: RunPaths, synced: Mapping[str, dict[str, Any]]
) -> dict[str, Reporter]:
    """Open the outputs that the input asks for.

    Parameters
    ----------
    setup : RunSetup
    paths : RunPaths
    synced : mapping
        `Checkpoint.outputs` of the run that is resumed; empty at the start.

    Raises
    ------
    InputError, MismatchError, CorruptError, OutputError
        If an output cannot be opened, or is not what the checkpoint says.
    """
    reporters: dict[str, Reporter] = {}
    with ExitStack() as opened:
        for name, output in OUTPUTS.items():
            reporter = output.open(setup, paths, synced.get(name))
            if reporter is not None:
                opened.callback(reporter.close)
                reporters[name] = reporter
        opened.pop_all()
    return reporters


def written_files(paths: RunPaths) -> list[Path]:
    """Everything that a run may have left in its folder, existing or not, checkpoints first."""
    return paths.written([output.files for output in OUTPUTS.values()])


def steps_until_due(reporter: Reporter, step: int) -> int:
    """Steps from `step` to the next multiple of `every`, at least 1."""
    return reporter.every - step % reporter.every


class TrajectoryReporter:
    """Frames of trajectory.nc; those of replicas by step, then by replica."""

    def __init__(self, writer: TrajectoryWriter, every: int) -> None:
        self.every, self._writer = every, writer

    def report(self, snapshot: Snapshot) -> None:
        """Write a frame of each replica."""
        self._writer.write(snapshot)

    def flush(self) -> None:
        """Bring the frames to the disk: readers trust the number of frames in the header."""
        self._writer.sync()

    def sync(self) -> dict[str, Any]:
        """Bring the frames to the disk; return frames, bytes and digests of the file."""
        return self._writer.sync()._asdict()

    def close(self) -> None:
        """Sync and close."""
        self._writer.close()


def _open_trajectory(
    setup: RunSetup, paths: RunPaths, synced: dict[str, Any] | None
) -> TrajectoryReporter | PerReplicaTrajectoryReporter:
    """Open the trajectory, or one of each replica, as the input asks for.

    Raises
    ------
    MismatchError
        If the run began with the other choice.
    InputError
        If the system does not allow so many open files.
    """
    output = setup.config.output
    separate = output.trajectories == "separate"
    if synced is not None and separate == ("frames" in synced):
        raise MismatchError(
            f"{paths.directory} holds a run whose `output.trajectories` is not "
            f"'{output.trajectories}'.",
            "Restore the input, or begin again with --overwrite.",
        )
    if separate:
        writers = open_writers(setup, paths, synced)
        return PerReplicaTrajectoryReporter(writers, output.trajectory_every)
    if synced is not None:
        writer = TrajectoryWriter.append(
            paths.trajectory, synced["frames"], synced["digest"], blocks=synced["blocks"]
        )
    else:
        writer = TrajectoryWriter.create(
            paths.trajectory, setup.system.numbers, setup.title, __version__,
            of_replicas=setup.config.replicas > 1, in_cell=setup.system.is_periodic,
        )  # fmt: skip
    return TrajectoryReporter(writer, output.trajectory_every)


class TextReporter:
    """Lines of a text file, such as log.csv.

    Parameters
    ----------
    writer : TextWriter
    every : int
        Steps between two reports.
    render : callable
        Snapshot -> its lines.
    """

    def __init__(self, writer: TextWriter, every: int, render: Callable[[Snapshot], str]) -> None:
        self.every, self._writer, self._render = every, writer, render

    def report(self, snapshot: Snapshot) -> None:
        """Take the lines of a snapshot."""
        self._writer.write(self._render(snapshot))

    def flush(self) -> None:
        """Let other processes see the lines so far."""
        self._writer.flush()

    def sync(self) -> dict[str, Any]:
        """Bring the lines to the disk; return name, size (bytes) and digests of the file."""
        return self._writer.sync()

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


class TopologyReporter:
    """Topology of the run, which is written once; checkpoints keep its digests."""

    every = 2**62

    def __init__(self, path: Path, text: str) -> None:
        self._synced = synced_text(path, text)

    def report(self, snapshot: Snapshot) -> None:
        """Do nothing: the topology is that of the start."""

    def flush(self) -> None:
        """Do nothing."""

    def sync(self) -> dict[str, Any]:
        """Return name, size (bytes) and digests of the file."""
        return self._synced

    def close(self) -> None:
        """Do nothing."""


def _open_log(setup: RunSetup, paths: RunPaths, synced: dict[str, Any] | None) -> TextReporter:
    columns, row = _log_of(setup)
    writer = TextWriter(paths.log, synced, head=_line(columns))
    every = setup.config.output.log_every
    return TextReporter(writer, every, lambda snapshot: _line(row(snapshot)))


def _line(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\n"


def _log_of(setup: RunSetup) -> tuple[Sequence[str], Callable[[Snapshot], Sequence[str]]]:
    """Columns of the log, and the function that fills them."""
    further = [*_cell_of(setup), *_conserved_of(setup)]
    if setup.config.replicas > 1:
        names = [f"{what}_{each.name}" for each in further for what in ("mean", "min", "max")]

        def replicas_row(now: Snapshot) -> list[str]:
            spreads = (_spread_over_replicas(each.values(now), each.digits) for each in further)
            return [*_replicas_row(now), *chain.from_iterable(spreads)]

        return [*REPLICAS_LOG_COLUMNS, *names], replicas_row
    further = [*_spread_of(setup), *further]

    def row(now: Snapshot) -> list[str]:
        return [*_row(now), *(f"{each.values(now)[0]:.{each.digits}f}" for each in further)]

    return [*LOG_COLUMNS, *(each.name for each in further)], row


class _Quantity(NamedTuple):
    """A column that some logs have."""

    name: str
    digits: int
    values: Callable[[Snapshot], Array]
    """Of all replicas, shape (n,)."""


def _spread_of(setup: RunSetup) -> list[_Quantity]:
    """The column of a committee."""
    spread = setup.force_spread
    if spread is None:
        return []

    def largest(now: Snapshot) -> Array:
        return np.array([spread(now.batch.positions[0], now.batch.cells[0]).max()])

    return [_Quantity(SPREAD_COLUMN, 9, largest)]


def _cell_of(setup: RunSetup) -> list[_Quantity]:
    """The columns of a system that is periodic in all directions."""
    if not is_full(setup.system.cell):
        return []
    mass = float(setup.system.masses.sum())

    def densities(now: Snapshot) -> Array:
        return mass / _volumes(now) / units.g_per_cm3

    found = [_Quantity(CELL_COLUMNS[0], 9, _volumes), _Quantity(CELL_COLUMNS[1], 12, densities)]
    if has_virial(setup.force, setup.system.positions, setup.system.cell):
        found.append(_Quantity(PRESSURE_COLUMN, 6, lambda now: _pressures(setup, now)))
    return found


def _conserved_of(setup: RunSetup) -> list[_Quantity]:
    """The column of a bath whose exchange of energy is recorded: of atoms and bath together."""
    method = setup.integrator
    if not method.has_conserved_energy:
        return []

    def conserved(now: Snapshot) -> Array:
        return np.asarray(method.conserved_energies(now.batch, now.kinetic_energies))

    return [_Quantity(CONSERVED_COLUMN, 12, conserved)]


def _volumes(now: Snapshot) -> Array:
    return np.array([volume(cell) for cell in now.batch.cells])


def _pressures(setup: RunSetup, now: Snapshot) -> Array:
    """Return the pressures (bar) of all motion and of the virial."""
    places = zip(now.batch.positions, now.batch.cells, strict=True)
    traces = np.array([np.trace(evaluate_virial(setup.force, *place)[2]) for place in places])
    return np.asarray((2 * now.kinetic_energies + traces) / (3 * _volumes(now)) / units.bar)


def _row(snapshot: Snapshot) -> list[str]:
    """Cells of `LOG_COLUMNS`."""
    energies = snapshot.batch.energies, snapshot.kinetic_energies, snapshot.total_energies
    return [
        str(snapshot.step), f"{snapshot.time / units.ps:.9f}",
        *(f"{e[0]:.12f}" for e in energies), f"{snapshot.temperatures[0]:.6f}",
    ]  # fmt: skip


def _replicas_row(snapshot: Snapshot) -> list[str]:
    """Cells of `REPLICAS_LOG_COLUMNS`: mean, least and largest value over the replicas."""
    cells = [str(snapshot.step), f"{snapshot.time / units.ps:.9f}", str(len(snapshot.temperatures))]
    energies = snapshot.batch.energies, snapshot.kinetic_energies, snapshot.total_energies
    for values, digits in (*((e, 12) for e in energies), (snapshot.temperatures, 6)):
        cells += _spread_over_replicas(values, digits)
    return cells


def _spread_over_replicas(values: Array, digits: int) -> list[str]:
    return [f"{x:.{digits}f}" for x in (values.mean(), values.min(), values.max())]


OUTPUTS = {
    "trajectory": Output(_open_trajectory, r"trajectory(-\d{4,10})?\.nc"),
    "log": Output(_open_log, r"log\.csv"),
}
"""The outputs of a run by name, in the order in which they are written."""
