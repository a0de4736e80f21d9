"""Run folders written without a run."""

from pathlib import Path

import numpy as np

from qmd import units
from qmd.io.pdb import write_pdb
from qmd.io.trajectory import Frame, TrajectoryWriter
from qmd.system.topology import bonds

NUMBERS = np.array([8, 1, 1, 8, 1, 1])


WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


DIMER = np.concatenate([WATER, WATER + [2.9, 0.0, 0.0]])  # O-H...O, straight, 2.9 angstrom


def make_run(folder: Path, numbers=NUMBERS, positions=DIMER, n_frames: int = 6) -> Path:
    output = folder / "output"
    output.mkdir(parents=True)
    write_pdb(output / "topology.pdb", numbers, positions, bonds(numbers, positions))
    writer = TrajectoryWriter.create(output / "trajectory.nc", numbers, "dimer", "0.1.0")
    for i in range(n_frames):
        step, ones = 100 * i, np.ones_like(positions)
        time = step * 0.5 * units.fs
        writer.write(Frame(step, time, positions, ones, ones, -1 / (i + 1), 0.1 * i))
    writer.close()
    return folder
