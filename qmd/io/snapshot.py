"""The state that a run has reached: one record, from the loop to every file and display."""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from qmd.integrators import Batch
from qmd.typing import Array


class Snapshot(NamedTuple):
    """States of all replicas of a run at one step, and what follows from them.

    A run of one trajectory is a run of one replica.

    Parameters
    ----------
    batch : Batch
    time : float
        Internal units: angstrom sqrt(u/eV).
    kinetic_energies : array, shape (n,)
        In eV.
    temperatures : array, shape (n,)
        Kinetic temperatures (K).
    """

    batch: Batch
    time: float
    kinetic_energies: Array
    temperatures: Array

    @property
    def step(self) -> int:
        """Number of steps since the start of the run."""
        return self.batch.step

    @property
    def total_energies(self) -> Array:
        """Total energy (eV) of each replica, shape (n,)."""
        return self.batch.energies + self.kinetic_energies

    @property
    def temperature_K(self) -> float:
        """Mean temperature (K) over the replicas."""
        return float(self.temperatures.mean())

    @property
    def total_energy(self) -> float:
        """Mean total energy (eV) over the replicas."""
        return float(self.total_energies.mean())

    def rows(self, chosen: slice | npt.NDArray[np.bool_]) -> Self:
        """Return the snapshot of some of the replicas."""
        return self._replace(
            batch=self.batch.rows(chosen),
            kinetic_energies=self.kinetic_energies[chosen],
            temperatures=self.temperatures[chosen],
        )
