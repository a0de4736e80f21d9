"""Frames of a run as `ase.Atoms`, in ASE's units.

ASE's own reader of AMBER NetCDF needs the cell of a periodic system, takes velocities in
angstrom/ps for its own unit, and gives every atom the usual mass of its element.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_masses

from qmd import units
from qmd.errors import CorruptError
from qmd.io import record, trajectory
from qmd.io.run_folder import RunPaths
from qmd.system.cell import lattice_vectors, periodic
from qmd.typing import Array, Integers


def read_qmd_trajectory(path: str | Path, index: int | slice = -1, **options: Any) -> Any:
    """Read frames; `ase.io.read` calls it.

    Parameters
    ----------
    path : path
        `trajectory.nc` of a run. Another NetCDF file of this name is left to ASE's own reader.
    index : int or slice
        Frames.

    Returns
    -------
    Atoms or list of Atoms
        With momenta, masses of the run, and a calculator that has the energies (eV) and the forces
        (eV/angstrom); `info` has `step`, `time_ps`, of replicas
        `replica`, and the charge and multiplicity that the structure states.

    Raises
    ------
    CorruptError
        If the file of a run is damaged or truncated.
    """
    path = Path(path)
    try:
        trajectory.verify(path)
    except CorruptError:
        if RunPaths(path.parent).record.exists():  # it is the file of a run
            raise
        from ase.io.netcdftrajectory import read_netcdftrajectory

        return read_netcdftrajectory(str(path), index, **options)
    if isinstance(index, slice):
        return list(frames(path, index))
    stored = trajectory.read_frames(path)
    numbers = trajectory.read_numbers(path)
    return _atoms(stored[index], numbers, _masses(path, numbers), _stated(path, len(numbers)))


def frames(path: Path, rows: slice = slice(None), replica: int | None = None) -> Iterator[Atoms]:
    """Yield frames of a trajectory one by one.

    Parameters
    ----------
    path : Path
    rows : slice
    replica : int, optional
        Only the frames of one replica, where replicas share the file; `rows` counts those.
    """
    stored: Any = trajectory.read_frames(path)
    if replica is not None:
        stored = stored[np.flatnonzero(stored["replica"] == replica)]
    numbers = trajectory.read_numbers(path)
    masses, stated = _masses(path, numbers), _stated(path, len(numbers))
    for frame in stored[rows]:
        yield _atoms(frame, numbers, masses, stated)


def _atoms(frame: Any, numbers: Integers, masses: Array, stated: dict[str, int]) -> Atoms:
    velocities = np.asarray(frame["velocities"], float) / units.ps
    atoms = Atoms(
        numbers, np.asarray(frame["coordinates"], float), masses=masses,
        momenta=masses[:, None] * velocities,
    )  # fmt: skip
    if "cell_lengths" in frame.dtype.names:
        lengths, angles = (np.asarray(frame[key], float) for key in ("cell_lengths", "cell_angles"))
        cell = lattice_vectors(lengths, angles)
        atoms.cell, atoms.pbc = cell, periodic(cell)
    atoms.info |= stated
    atoms.info["step"] = int(frame["step"])
    atoms.info["time_ps"] = float(frame["time"])
    if "replica" in frame.dtype.names:
        atoms.info["replica"] = int(frame["replica"])
    atoms.calc = SinglePointCalculator(
        atoms,
        energy=float(frame["potential_energy"]),
        forces=np.asarray(frame["forces"], float) * units.kcal_per_mol,
    )
    return atoms


def _masses(path: Path, numbers: Integers) -> Array:
    """Masses (u) of the run, isotopes included; the usual ones where there is no record of it."""
    if (content := _content(path, len(numbers))) is None:
        return np.asarray(atomic_masses[numbers])
    return np.array(content["masses_u"], float)


def _stated(path: Path, n_atoms: int) -> dict[str, int]:
    """Charge and multiplicity that the structure of the run states, as far as it does."""
    content = _content(path, n_atoms) or {}
    names = "charge", "multiplicity"
    return {name: content[name] for name in names if content.get(name) is not None}


def _content(path: Path, n_atoms: int) -> dict[str, Any] | None:
    try:
        return record.read_atoms(RunPaths(path.parent).record, n_atoms)
    except FileNotFoundError:
        return None
