"""Replicas side by side: copies of one system that differ in velocities and noise."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from .state import FloatArray, State

IntArray = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """States of n replicas at one step; row r of each array is the field of a `State`.

    Parameters
    ----------
    positions, velocities, forces : float64 array, shape (n, n_atoms, 3), C-contiguous
        In angstrom, sqrt(eV/u) and eV/angstrom.
    energies : float64 array, shape (n,)
        Potential energies (eV).
    cells : float64 array, shape (n, 3, 3)
        Lattice vectors (angstrom) in rows; zeros for isolated systems.
    baths : float64 array, shape (n, n_bath)
        Variables of a thermostat or barostat.
    replicas : int64 array, shape (n,)
        Index of each: `Stream.replica`, from 0 to 2**32 - 1.
    step : int
        Number of steps that all of them have made.
    """

    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray
    energies: FloatArray
    cells: FloatArray
    baths: FloatArray
    replicas: IntArray
    step: int

    @classmethod
    def of(cls, states: Sequence[State], replicas: Sequence[int]) -> Self:
        """Stack the states of `replicas`, which have made equally many steps; arrays are copies."""
        x, v, f, energies, steps, cells, baths = map(np.array, zip(*states, strict=True))
        return cls(x, v, f, energies, cells, baths, np.array(replicas, np.int64), int(steps[0]))

    @classmethod
    def of_one(cls, state: State, replica: int) -> Self:
        """Return a batch whose arrays are views of those of `state`, but for the energy."""
        x, v, f, energy, step, cell, bath = state
        energies, replicas = np.array([energy], np.float64), np.array([replica], np.int64)
        return cls(x[None], v[None], f[None], energies, cell[None], bath[None], replicas, step)

    def state(self, row: int) -> State:
        """Return the state of one replica; its arrays are views."""
        return State(
            self.positions[row], self.velocities[row], self.forces[row],
            float(self.energies[row]), self.step, self.cells[row], self.baths[row],
        )  # fmt: skip

    def as_arrays(self) -> dict[str, Any]:
        """Return the arrays by their names, each with a row for each replica."""
        arrays = self._asdict()
        del arrays["step"]
        return arrays

    def rows(self, chosen: slice | npt.NDArray[np.bool_] | IntArray) -> Self:
        """Return some of the replicas: views for a slice, else copies."""
        return self._replace(**{name: a[chosen] for name, a in self.as_arrays().items()})


class AdvancedBatch(NamedTuple):
    """States of the replicas after some steps, and how the steps ended.

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
        If the shapes do not fit each other, or `step` is negative.
    """
    x, v, f, energies, cells, baths = (np.array(a, np.float64, order="C") for a in batch[:6])
    replicas, shape, n = np.array(batch.replicas, np.int64), x.shape, len(x)
    if not (
        shape == v.shape == f.shape
        and shape[2:] == (3,)
        and energies.shape == replicas.shape == baths.shape[:-1] == (n,)
        and cells.shape == (n, 3, 3)
    ):
        raise ValueError(
            "A batch must have vectors of one shape (n, n_atoms, 3), n energies and replicas, "
            "cells of shape (n, 3, 3) and baths of shape (n, n_bath), but has "
            f"{', '.join(str(np.shape(a)) for a in batch[:7])}."
        )
    if batch.step < 0:
        raise ValueError(f"`step` must not be negative, but step={batch.step}.")
    return Batch(x, v, f, energies, cells, baths, replicas, int(batch.step))
