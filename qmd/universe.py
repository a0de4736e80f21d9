"""A finished or running simulation as an MDAnalysis Universe."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
import numpy.typing as npt

from qmd import trajectory
from qmd.errors import CorruptError, InputError

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

    def __call__(self, ts: Any) -> Any:
        ts.data["potential_energy_eV"] = float(self.potential_energy_eV[ts.frame])
        ts.data["kinetic_energy_eV"] = float(self.kinetic_energy_eV[ts.frame])
        ts.data["step"] = int(self.step[ts.frame])
        return ts


def load(run_dir: str | PathLike[str]) -> MDAnalysis.Universe:
    """Open a run for analysis.

    Parameters
    ----------
    run_dir : path
        The folder of the run, or its folder `output/`.

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
        If it is damaged or truncated, or does not belong to the topology.

    Examples
    --------
    >>> universe = qmd.load("runs/h2o-dimer")  # doctest: +SKIP
    >>> [ts.data["potential_energy_eV"] for ts in universe.trajectory]  # doctest: +SKIP
    """
    folder = _find(Path(run_dir))
    path = folder / "trajectory.nc"
    header = trajectory.verify(path)
    if not header.n_frames:
        raise InputError(f"{path} has no frames yet.", "Frames appear with each checkpoint.")
    universe = MDAnalysis.Universe(str(folder / "topology.pdb"))
    n_atoms = header.dims["atom"]
    if universe.atoms.n_atoms != n_atoms:
        raise CorruptError(
            f"topology.pdb has {universe.atoms.n_atoms} atoms, but trajectory.nc has {n_atoms}.",
            f"Files of two runs are mixed in {folder}.",
        )
    universe.load_new(str(path), format="NCDF")
    universe.add_TopologyAttr("charges", _charges(universe.atoms))
    scalars = trajectory.read_scalars(path)
    frame_data = _FrameData(
        potential_energy_eV=scalars["potential_energy"],
        kinetic_energy_eV=scalars["kinetic_energy"],
        step=scalars["step"].astype(np.int64),
    )
    universe.trajectory.add_transformations(frame_data)
    return universe


def _find(run_dir: Path) -> Path:
    for folder in (run_dir / "output", run_dir):
        if (folder / "trajectory.nc").exists():
            if not (folder / "topology.pdb").is_file():
                raise InputError(f"{folder} has a trajectory.nc, but no topology.pdb.")
            return folder
    raise InputError(
        f"There is no trajectory.nc in {run_dir} or {run_dir / 'output'}.",
        "Give the folder of a run; `qmd run input.yaml` makes one.",
    )


def _charges(atoms: MDAnalysis.AtomGroup) -> npt.NDArray[np.float64]:
    keys = zip(atoms.resnames, (element.upper() for element in atoms.elements), strict=True)
    return np.array([CHARGES.get(key, 0.0) for key in keys])
