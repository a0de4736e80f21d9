"""Run as arrays, read through MDAnalysis."""

import csv
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from qmd import units
from qmd.errors import CorruptError, InputError, one_line
from qmd.io.record import read as read_record
from qmd.system.cell import ISOLATED
from qmd.system.thermometer import Thermometer
from qmd.system.topology import fragments
from qmd.typing import Array


@dataclass(frozen=True, eq=False)
class Log:
    """Rows of log.csv."""

    times_ps: Array
    potential: Array
    """Potential energy, eV, less its first value, as absolute energies have too many digits."""
    kinetic: Array
    """Kinetic energy, eV."""
    temperature: Array
    """Kinetic temperature, K."""
    first_potential: float
    """The first value, eV."""
    volume: Array | None = None
    """Volume of the cell, angstrom^3; None unless it is periodic in all directions."""
    pressure: Array | None = None
    """Pressure, bar; None without a volume, or if the potential has no virial."""

    @property
    def total(self) -> Array:
        """Total energy, eV."""
        return self.potential + self.kinetic


@dataclass(frozen=True, eq=False)
class Series:
    """Frames and log of a run, in ASE units unless a name states another unit."""

    folder: Path
    name: str
    """Name of the potential."""
    species: tuple[str, ...]
    masses: Array
    """Masses, u, (n_atoms,)."""
    bonds: tuple[tuple[int, int], ...]
    times_ps: Array
    """Times of the frames, (n_frames,)."""
    positions: Array
    """Positions, angstrom, (n_frames, n_atoms, 3)."""
    velocities: Array
    """Velocities, sqrt(eV/u), (n_frames, n_atoms, 3)."""
    forces: Array
    """Forces, eV/angstrom, (n_frames, n_atoms, 3)."""
    potential: Array
    """Potential energies, eV, (n_frames,)."""
    kinetic: Array
    """Kinetic energies, eV, (n_frames,)."""
    log: Log
    record: dict[str, Any]
    """Content of `run.json`."""
    cells: Array | None = None
    """Lattice vectors, angstrom, (n_frames, 3, 3); None if the system is isolated."""

    @property
    def n_atoms(self) -> int:
        return len(self.species)

    @property
    def cell(self) -> Array:
        """Lattice vectors (angstrom) of the first frame; zeros if the system is isolated."""
        return ISOLATED if self.cells is None else np.asarray(self.cells[0])

    @property
    def degrees_of_freedom(self) -> int:
        return int(self.record["degrees_of_freedom"])

    @property
    def thermometer(self) -> Thermometer:
        """Return the thermometer of the run; version 0.1 counted all motion."""
        about_centre = self.record.get("temperature_about_centre", False)
        return Thermometer(self.masses, self.degrees_of_freedom, about_centre, drift=0.0)

    @property
    def timestep_fs(self) -> float:
        return float(self.record["input"]["integrator"]["timestep_fs"])

    @property
    def conserves_energy(self) -> bool:
        """True if only the finite time step keeps the energy from being constant."""
        return bool(self.record["integrator"]["conserves_energy"])

    @property
    def target_temperature_K(self) -> float | None:
        """Temperature (K) of the bath; None without one."""
        target: float | None = self.record["integrator"]["target_temperature_K"]
        return target

    @property
    def damping_per_ps(self) -> float | None:
        """Rate (1/ps) at which the bath damps every momentum, if it has one and it is constant."""
        damping: float | None = self.record["integrator"]["damping_per_ps"]
        return damping

    @property
    def molecules(self) -> tuple[tuple[int, ...], ...]:
        """Atoms of each molecule: those that bonds connect, in their order."""
        bonds = np.array(self.bonds, np.int64).reshape(-1, 2)
        return tuple(map(tuple, fragments(self.n_atoms, bonds)))


def read(run_dir: str | PathLike[str], replica: int | None = None) -> Series:
    """Open the folder of a run, or its folder `output/`.

    Parameters
    ----------
    run_dir : path
    replica : int, optional
        Replica to read, in a run of several. Its log is built from its frames.

    Raises
    ------
    InputError
        If a file is missing, or if the run has several replicas and `replica` is None.
    CorruptError
        If a file is damaged or truncated.
    """
    import qmd
    from qmd.io.trajectory import read_cells, read_scalars
    from qmd.io.universe import find, trajectory_file

    folder = find(Path(run_dir))
    record = _record(folder / "run.json")
    n_replicas = record["input"].get("replicas", 1)
    if n_replicas > 1 and replica is None:
        raise InputError(
            f"{folder} has {n_replicas} replicas, but an analysis reads one.",
            "Choose it with `--replica 7`; replicas.csv and log.csv describe all of them.",
        )
    universe = qmd.load(run_dir, replica)
    if list(record["species"]) != [element.capitalize() for element in universe.atoms.elements]:
        raise CorruptError(
            f"{folder / 'run.json'} has other atoms than the trajectory.",
            f"It is damaged, or files of two runs are mixed in {folder}.",
        )
    frames = [
        (
            ts.positions.astype(float), ts.velocities.astype(float), ts.forces.astype(float),
            ts.time, ts.data["potential_energy_eV"], ts.data["kinetic_energy_eV"],
        )
        for ts in universe.trajectory
    ]  # fmt: skip
    positions, velocities, forces, times, potential, kinetic = map(
        np.array, zip(*frames, strict=True)
    )
    path = trajectory_file(folder, replica)
    cells = read_cells(path)
    if cells is not None and replica is not None and len(cells) != len(positions):
        cells = cells[read_scalars(path)["replica"] == replica]
    if replica is None:
        log = read_log(folder / "log.csv")
    else:
        first = float(potential[0])
        log = Log(times, potential - first, kinetic, np.zeros_like(kinetic), first)
    found = Series(
        folder=folder,
        name=str(record["potential"]["name"]),
        species=tuple(record["species"]),
        masses=np.array(record["masses_u"], float),
        bonds=tuple((int(i), int(j)) for i, j in universe.bonds.indices),
        times_ps=times,
        positions=positions,
        velocities=velocities / units.ps,
        forces=forces * units.kJ_per_mol,
        potential=potential,
        kinetic=kinetic,
        log=log,
        record=record,
        cells=cells,
    )
    _check_finite(found)
    if replica is None:
        return found
    temperature = found.thermometer.temperatures(found.velocities, kinetic)
    return replace(found, log=replace(log, temperature=temperature))


def _record(path: Path) -> dict[str, Any]:
    try:
        return read_record(path)
    except FileNotFoundError:
        raise InputError(f"There is no run.json in {path.parent}.", _FOLDER) from None


def _check_finite(run: "Series") -> None:
    """Raise CorruptError where a frame has a value that no run writes."""
    for name in ("times_ps", "positions", "velocities", "forces", "potential", "kinetic"):
        values = getattr(run, name).reshape(len(run.times_ps), -1)
        bad = ~(np.abs(values) <= LARGEST).all(axis=1)
        if bad.any():
            raise CorruptError(
                f"The trajectory in {run.folder} is damaged: {name} of frame "
                f"{int(bad.argmax()) + 1} are not finite, or beyond {LARGEST:g}.",
                "Restore it from a copy; `qmd analyze --verify` names all damaged frames.",
            )


LARGEST = 1e15
"""Largest number in a log or a frame; sums of squares of such numbers are finite."""
_FOLDER = "Give the whole folder of a run, as `qmd run` leaves it."
_COLUMNS = "potential_energy_eV", "kinetic_energy_eV", "temperature_K"
_CELL_COLUMNS = "volume_A3", "pressure_bar"
"""Columns that are there for some systems only."""


def read_log(path: Path, prefix: str = "") -> Log:
    """Read log.csv.

    Parameters
    ----------
    path : Path
    prefix : str
        ``mean_`` for the means over the replicas of a run.

    Raises
    ------
    InputError
        If there is no such file.
    CorruptError
        If it is damaged, or has no rows.
    """
    names = ("time_ps", *(prefix + name for name in _COLUMNS))
    names_of_cell = tuple(prefix + name for name in _CELL_COLUMNS)
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for ever
            raise ValueError("it is no file")
        with path.open(newline="") as file:
            columns = _columns(file, names, names_of_cell)
    except FileNotFoundError:
        raise InputError(f"There is no log.csv in {path.parent}.", _FOLDER) from None
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CorruptError(f"{path} cannot be read: {reason}.", "Restore it from a copy.") from None
    times, potential, kinetic, temperature = (columns[name] for name in names)
    of_cell = (columns.get(name) for name in names_of_cell)
    return Log(times, potential - potential[0], kinetic, temperature, float(potential[0]), *of_cell)


def _columns(file: TextIO, names: Sequence[str], optional: Sequence[str]) -> dict[str, Array]:
    """Return columns of a table by their names; raises ValueError with the line and the reason."""
    rows = csv.reader(file)
    head = next(rows, [])
    if missing := [name for name in names if name not in head]:
        raise ValueError(f"it has no column {', '.join(missing)}" if head else "it is empty")
    names = [*names, *(name for name in optional if name in head)]
    places, values = [head.index(name) for name in names], array("d")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(head):
            raise ValueError(f"line {number} has {len(row)} of {len(head)} columns")
        try:
            cells = [float(cell) for cell in row]
        except ValueError as error:
            raise ValueError(f"line {number}: {one_line(str(error))[:200]}") from None
        values.extend(cells[place] for place in places)
    table = np.array(values).reshape(-1, len(names)).T
    if not table.size:
        raise ValueError("it has no rows")
    if not np.abs(table).max() <= LARGEST:
        raise ValueError(f"it has numbers that are not finite, or beyond {LARGEST:g}")
    if not (np.diff(table[0]) >= 0).all():
        raise ValueError("its times go back")
    return dict(zip(names, table, strict=True))
