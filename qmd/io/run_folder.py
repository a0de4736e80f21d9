"""Names of the files of a run: fixed, so that nobody has to read code to find them."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunPaths:
    """The files in the output folder of a run.

    ================  ====================================================================
    `trajectory.nc`   frames, AMBER NetCDF, with velocities, forces and energies
    `topology.pdb`    atoms, residues and bonds
    `log.csv`         energies and temperature, units in the header
    `checkpoint`      state to go on from; the one before is `checkpoint.prev`
    `final.extxyz`    last structure with momenta and forces
    `run.json`        input, hashes, versions, timings
    `failure.extxyz`  last good states, if a guard stopped the run
    `replicas.csv`    of a run of replicas, how far each one came and why it ended
    `EXIT`            made by the user: stop soon, resumable
    ================  ====================================================================
    """

    directory: Path

    @property
    def trajectory(self) -> Path:
        return self.directory / "trajectory.nc"

    @property
    def topology(self) -> Path:
        return self.directory / "topology.pdb"

    @property
    def log(self) -> Path:
        return self.directory / "log.csv"

    @property
    def checkpoint(self) -> Path:
        return self.directory / "checkpoint"

    @property
    def final(self) -> Path:
        return self.directory / "final.extxyz"

    @property
    def record(self) -> Path:
        return self.directory / "run.json"

    @property
    def failure(self) -> Path:
        return self.directory / "failure.extxyz"

    @property
    def replicas(self) -> Path:
        return self.directory / "replicas.csv"

    @property
    def has_checkpoint(self) -> bool:
        """True if there is a checkpoint to go on from, perhaps the one before the last."""
        return os.path.exists(self.checkpoint) or os.path.exists(self.previous)

    @property
    def previous(self) -> Path:
        """The checkpoint before the last."""
        return self.directory / "checkpoint.prev"

    def trajectory_of(self, replica: int) -> Path:
        """Return the trajectory of one replica, where each has a file."""
        return self.directory / f"trajectory-{replica:04d}.nc"

    def failure_of(self, replica: int) -> Path:
        """Last good states of a replica that a guard dropped."""
        return self.directory / f"failure-{replica:04d}.extxyz"

    @property
    def exit(self) -> Path:
        return self.directory / "EXIT"

    def written(self, others: Sequence[str] = ()) -> list[Path]:
        """Everything a run may have left here, existing or not, in the order of a removal.

        The checkpoints come first, so that an interrupted removal leaves nothing that looks
        resumable, and the record last: as long as anything is left it says whose that is.

        Parameters
        ----------
        others : sequence of str
            Regular expressions of the names of further files, which are listed if they exist.
        """
        known = [
            self.previous, self.checkpoint, self.trajectory, self.log, self.topology, self.final,
            self.failure, self.replicas, *self.of_replicas(), *self._failures(),
        ]  # fmt: skip
        found = (path for pattern in others for path in self._named(pattern))
        return [*dict.fromkeys((*known, *found)), self.record]

    def of_replicas(self) -> list[Path]:
        """The trajectories here that are each of one replica."""
        return self._named(r"trajectory-\d{4,10}\.nc")

    def _failures(self) -> list[Path]:
        return self._named(r"failure-\d{4,10}\.extxyz")

    def _named(self, pattern: str) -> list[Path]:
        if not os.path.isdir(self.directory):
            return []
        return sorted(p for p in self.directory.iterdir() if re.fullmatch(pattern, p.name))
