"""A finished or running simulation as an MDAnalysis Universe."""

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers
from MDAnalysis.coordinates.TRJ import NCDFReader
from MDAnalysis.lib.util import store_init_arguments

from qmd.errors import CorruptError, InputError
from qmd.io import files, pdb, record, trajectory
from qmd.io.run_folder import RunPaths
from qmd.io.verify import verify as verify_outputs
from qmd.typing import Array

CHARGES = {
    ("HOH", "O"): -0.834,
    ("HOH", "H"): 0.417,
    ("LIH", "LI"): 0.767,
    ("LIH", "H"): -0.767,
}
"""Partial charges (e) by residue and element, zero for all others: a label for hydrogen-bond
analysis, which picks donors and acceptors by charge, not a property of the potential. Water as
TIP3P [1]_; LiH from its dipole moment, 5.88 D at 1.596 angstrom [2]_.

References
----------
.. [1] W. L. Jorgensen et al., J. Chem. Phys. 79, 926 (1983).
.. [2] NIST Computational Chemistry Comparison and Benchmark Database, SRD 101.
"""


@dataclass(frozen=True)
class _FrameData:
    """A trajectory transformation: puts the numbers of the frame into `ts.data`.

    A module-level class, since parallel analyses pickle the Universe.
    """

    potential_energy_eV: npt.NDArray[np.float64]
    kinetic_energy_eV: npt.NDArray[np.float64]
    step: npt.NDArray[np.int64]
    replica: npt.NDArray[np.int64] | None

    def __call__(self, ts: Any) -> Any:
        ts.data["potential_energy_eV"] = float(self.potential_energy_eV[ts.frame])
        ts.data["kinetic_energy_eV"] = float(self.kinetic_energy_eV[ts.frame])
        ts.data["step"] = int(self.step[ts.frame])
        if self.replica is not None:
            ts.data["replica"] = int(self.replica[ts.frame])
        return ts


class _ReplicaReader(NCDFReader):  # type: ignore[misc]
    """Some frames of a file as a trajectory of their own: those of one replica."""

    @store_init_arguments  # type: ignore[untyped-decorator]  # a copy is made from them
    def __init__(self, filename: str, rows: npt.NDArray[np.int64], **settings: Any) -> None:
        self._rows = rows  # used before the parent has counted its frames
        super().__init__(filename, **settings)
        self.n_frames = len(rows)

    def _get_var_and_scale(self, variable: str, frame: int) -> Any:
        return super()._get_var_and_scale(variable, self._rows[frame])

    def _get_dt(self) -> Any:
        if len(self._rows) < 2:
            raise AttributeError  # MDAnalysis then takes its default
        return self._get_var_and_scale("time", 1) - self._get_var_and_scale("time", 0)


def load(
    run_dir: str | PathLike[str], replica: int | None = None, *, verify: bool = False
) -> MDAnalysis.Universe:
    """Open a run for analysis.

    Parameters
    ----------
    run_dir : path
        The folder of the run, or its folder `output/`.
    replica : int, optional
        Of a run of replicas, the one to open. Without it the frames of all of them come by step,
        then by replica, which is in `ts.data["replica"]`; not where each has a file of its own.
    verify : bool
        First compare all outputs with the digests in the last checkpoint, see `qmd.io.verify`.

    Returns
    -------
    MDAnalysis.Universe
        With elements, masses, bonds, residues and charges (see `CHARGES`). Positions are in
        angstrom, velocities in angstrom/ps, forces in kJ/(mol angstrom), times in ps, as always
        in MDAnalysis. Each frame has `ts.data["potential_energy_eV"]`,
        `ts.data["kinetic_energy_eV"]` and `ts.data["step"]`.

    Raises
    ------
    InputError
        If there is no trajectory, or no frame in it yet.
    CorruptError
        If it is damaged or truncated, or does not belong to the topology; with `verify`, if any
        output is damaged.

    Examples
    --------
    >>> universe = qmd.load("runs/h2o-dimer")  # doctest: +SKIP
    >>> [ts.data["potential_energy_eV"] for ts in universe.trajectory]  # doctest: +SKIP
    """
    folder = find(Path(run_dir))
    if verify:
        verify_outputs(folder)
    path = trajectory_file(folder, replica)
    header = trajectory.verify(path)
    if not header.n_frames:
        raise InputError(f"{path} has no frames yet.", "Frames appear with each checkpoint.")
    universe = _without_frames(folder / "topology.pdb")
    n_atoms = header.dims["atom"]
    if universe.atoms.n_atoms != n_atoms:
        raise CorruptError(
            f"topology.pdb has {universe.atoms.n_atoms} atoms, but {path.name} has {n_atoms}.",
            f"Files of two runs are mixed in {folder}.",
        )
    _check_elements(universe, path, folder)
    scalars = trajectory.read_scalars(path)
    _check_numbers(scalars, path)
    if replica is not None and "replica" in scalars:
        chosen = scalars["replica"] == replica
        if not chosen.any():
            raise _no_replica(path, replica)
        scalars = {name: values[chosen] for name, values in scalars.items()}
        universe.load_new(str(path), format=_ReplicaReader, rows=np.flatnonzero(chosen))
    else:
        universe.load_new(str(path), format="NCDF")
    universe.add_TopologyAttr("charges", _charges(universe.atoms))
    if not hasattr(universe, "bonds"):  # then every atom is a fragment
        universe.add_TopologyAttr("bonds", [])
    if (masses := _masses(folder / "run.json", n_atoms)) is not None:
        universe.add_TopologyAttr("masses", masses)
    frame_data = _FrameData(
        potential_energy_eV=scalars["potential_energy"],
        kinetic_energy_eV=scalars["kinetic_energy"],
        step=scalars["step"].astype(np.int64),
        replica=scalars["replica"].astype(np.int64) if "replica" in scalars else None,
    )
    universe.trajectory.add_transformations(frame_data)
    return universe


def _without_frames(topology: Path) -> MDAnalysis.Universe:
    try:
        content = files.read_bytes(topology, pdb.MAX_PDB_BYTES + 1)
        pdb.check_pdb(content)
        return MDAnalysis.Universe(str(topology))
    except Exception as error:  # the parser of PDB files fails in many ways
        raise CorruptError(f"{topology} cannot be read: {error}.".replace("..", ".")) from None


def _masses(path: Path, n_atoms: int) -> npt.NDArray[np.float64] | None:
    """Masses (u) of the run, isotopes included; None where there is no record of the run."""
    try:
        return np.array(record.read_atoms(path, n_atoms)["masses_u"], float)
    except FileNotFoundError:
        return None


def _check_elements(universe: MDAnalysis.Universe, path: Path, folder: Path) -> None:
    """Raise CorruptError unless topology and trajectory have the same elements."""
    numbers = trajectory.read_numbers(path)
    of_topology = [atomic_numbers[element.capitalize()] for element in universe.atoms.elements]
    if of_topology != numbers.tolist():
        raise CorruptError(
            f"topology.pdb has other elements than {path.name}.",
            f"It is damaged, or files of two runs are mixed in {folder}.",
        )


def _check_numbers(scalars: dict[str, Array], path: Path) -> None:
    """Raise CorruptError unless energies are finite, and steps and replicas whole numbers."""
    for name, values in scalars.items():
        fits = np.abs(values) < 2.0**53
        if name in ("step", "replica"):
            fits &= values == np.floor(values)
        if not fits.all():
            frame = int(np.argmin(fits))
            raise CorruptError(f"{path} is damaged: {name} of frame {frame} is {values[frame]}.")


def find(run_dir: Path) -> Path:
    """The folder with the trajectory of a run: `run_dir` or its folder `output/`.

    Raises
    ------
    InputError
        If there is none, or no topology beside it.
    """
    for folder in (run_dir / "output", run_dir):
        paths = RunPaths(folder)
        files_of_run = paths.trajectory, *paths.of_replicas()
        present = [path for path in files_of_run if os.path.exists(path)]
        if present:
            if not paths.topology.is_file():
                raise InputError(f"{folder} has a {present[0].name}, but no topology.pdb.")
            return folder
    raise InputError(
        f"There is no trajectory.nc in {run_dir} or {run_dir / 'output'}.",
        "Give the folder of a run; `qmd run input.yaml` makes one.",
    )


def trajectory_file(folder: Path, replica: int | None) -> Path:
    """The file with the frames that are asked for.

    Raises
    ------
    InputError
        If there is no such replica, or each has a file and none is chosen.
    """
    paths = RunPaths(folder)
    if replica is None:
        if not paths.trajectory.exists():
            n = len(paths.of_replicas())
            raise InputError(
                f"{folder} has {n} replicas, with a file each.",
                "Choose one: `qmd.load(run_dir, replica=7)`, `--replica 7`.",
            )
        return paths.trajectory
    if paths.trajectory.exists():
        if "replica" not in trajectory.verify(paths.trajectory).variables:
            raise InputError(f"{folder} is not a run of replicas.", "Open it without `replica`.")
        return paths.trajectory
    if not paths.trajectory_of(replica).exists():
        raise _no_replica(folder, replica)
    return paths.trajectory_of(replica)


def _no_replica(where: Path, replica: int) -> InputError:
    return InputError(
        f"There is no replica {replica} in {where}.", "replicas.csv has the list of them."
    )


def _charges(atoms: MDAnalysis.AtomGroup) -> npt.NDArray[np.float64]:
    keys = zip(atoms.resnames, (element.upper() for element in atoms.elements), strict=True)
    return np.array([CHARGES.get(key, 0.0) for key in keys])
