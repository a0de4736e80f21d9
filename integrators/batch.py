"""Replicas side by side: copies of one system that differ in velocities and noise."""

from typing import NamedTuple, Self

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from .compiled import inner
from .kernels import kinetic_energy
from .state import FloatArray, State

IntArray = npt.NDArray[np.int64]
STEP, STATUS, WARNED = range(3)
"""Columns of what `AbstractIntegrator._loop_each` writes for each replica."""


class Batch(NamedTuple):
    """States of n replicas at one step; row r is what `State` is of a single run.

    Parameters
    ----------
    positions, velocities, forces : float64 array, shape (n, n_atoms, 3), C-contiguous
        In angstrom, sqrt(eV/u) and eV/angstrom.
    energies : float64 array, shape (n,)
        Potential energies (eV).
    replicas : int64 array, shape (n,)
        Index of each: `Stream.replica`, from 0 to 2**32 - 1.
    step : int
        Number of steps that all of them have made.
    """

    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray
    energies: FloatArray
    replicas: IntArray
    step: int

    def state(self, row: int) -> State:
        """The state of one replica; its arrays are views."""
        x, v, f = self.positions[row], self.velocities[row], self.forces[row]
        return State(x, v, f, float(self.energies[row]), self.step)

    def rows(self, chosen: slice | npt.NDArray[np.bool_] | IntArray) -> Self:
        """Some of the replicas: views for a slice, else copies."""
        return self._replace(
            positions=self.positions[chosen],
            velocities=self.velocities[chosen],
            forces=self.forces[chosen],
            energies=self.energies[chosen],
            replicas=self.replicas[chosen],
        )


class AdvancedBatch(NamedTuple):
    """What the replicas are after some steps.

    Parameters
    ----------
    batch : Batch
        A row whose status is not `Status.OK` holds the state that broke a limit.
    steps, status, warned : int64 array, shape (n,)
        For each replica the step it has reached, a member of `Status`, and the number of its
        steps outside `Limits.warn`.
    """

    batch: Batch
    steps: IntArray
    status: IntArray
    warned: IntArray


def owned_batch(batch: Batch) -> Batch:
    """Copy `batch` into new writable C-contiguous arrays, for a kernel to work in.

    Raises
    ------
    ValueError
        If the shapes do not fit each other, `step` is negative, or a replica is out of range.
    """
    vectors = [np.array(a, dtype=np.float64, order="C") for a in batch[:3]]
    energies = np.array(batch.energies, dtype=np.float64, order="C")
    replicas = np.array(batch.replicas, dtype=np.int64, order="C")
    shape = (*replicas.shape, *vectors[0].shape[1:2], 3)
    if len(shape) != 3 or energies.shape != shape[:1] or {v.shape for v in vectors} != {shape}:
        raise ValueError(
            "A batch must have vectors of one shape (n, n_atoms, 3) and n energies and replicas, "
            f"but has {', '.join(str(np.shape(a)) for a in batch[:5])}."
        )
    if batch.step < 0:
        raise ValueError(f"`step` must not be negative, but step={batch.step}.")
    if not ((replicas >= 0) & (replicas < 2**32)).all():
        raise ValueError("`replicas` must lie in 0 ... 2**32 - 1.")
    return Batch(vectors[0], vectors[1], vectors[2], energies, replicas, int(batch.step))


@register_jitable(no_cfunc_wrapper=True)
def replica_state(batch, r):
    """State of replica `r`; its arrays are views."""
    return State(
        batch.positions[r], batch.velocities[r], batch.forces[r], batch.energies[r], batch.step
    )


@inner
def put(batch, ended, r, finished):
    """Store what the loop returned for replica `r`."""
    energy, step, status, warned = finished
    batch.energies[r] = energy
    ended[r, STEP], ended[r, STATUS], ended[r, WARNED] = step, status, warned


@numba.njit(cache=True)
def kinetic_energies(velocities, masses):
    """`kinetic_energy` (eV) of each replica; `velocities` of shape (n, n_atoms, 3)."""
    energies = np.empty(velocities.shape[0])
    for r in range(velocities.shape[0]):
        energies[r] = kinetic_energy(velocities[r], masses)
    return energies
