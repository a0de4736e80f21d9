"""Frames and run folders made without a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import netCDF4
import numpy as np

from qmd import units
from qmd.integrators import Batch, State
from qmd.io.netcdf import Header
from qmd.io.pdb import write_pdb
from qmd.io.snapshot import Snapshot
from qmd.io.trajectory import TrajectoryWriter
from qmd.system.topology import bonds

NUMBERS = np.array([8, 1, 1, 8, 1, 1])


WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


DIMER = np.concatenate([WATER, WATER + [2.9, 0.0, 0.0]])  # O-H...O, straight, 2.9 angstrom


class Frame(NamedTuple):
    """What one frame of a trajectory file holds, in internal units."""

    step: int
    time: float
    positions: np.ndarray
    velocities: np.ndarray
    forces: np.ndarray
    potential_energy: float
    kinetic_energy: float

    def snapshot(self) -> Snapshot:
        """As a run of one trajectory hands it to its reporters."""
        vectors = self.positions, self.velocities, self.forces
        batch = Batch.of([State(*vectors, self.potential_energy, self.step)], [0])
        return Snapshot(batch, self.time, np.array([self.kinetic_energy]), np.zeros(1))


def make_run(folder: Path, numbers=NUMBERS, positions=DIMER, n_frames: int = 6) -> Path:
    output = folder / "output"
    output.mkdir(parents=True)
    write_pdb(output / "topology.pdb", numbers, positions, bonds(numbers, positions))
    writer = TrajectoryWriter.create(output / "trajectory.nc", numbers, "dimer", "0.1.0")
    for i in range(n_frames):
        step, ones = 100 * i, np.ones_like(positions)
        time = step * 0.5 * units.fs
        frame = Frame(step, time, positions, ones, ones, -1 / (i + 1), 0.1 * i)
        writer.write(frame.snapshot())
    writer.close()
    return folder


def write_by_library(path: Path, header: Header, values: Mapping[str, Any]) -> None:
    """Write a file with this header, and the values of its variables, by the NetCDF library."""
    with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_OFFSET") as file:
        file.set_fill_off()
        file.setncatts(dict(header.attributes))
        for name, length in header.dims.items():
            file.createDimension(name, length or None)
        for name, variable in header.variables.items():
            created = file.createVariable(name, variable.type.lstrip(">"), variable.dims)
            created.setncatts(dict(variable.attributes))
        for name, array in values.items():
            file[name][:] = array
