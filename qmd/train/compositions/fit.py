"""Fit of a model of elements to frames of many compositions, by JAX, in one compiled function.

All frames are filled up to the same numbers of atoms and of pairs, those of the largest ones, which
are counted before anything is compiled: nothing can be left out. Missing atoms have no pairs, no
energy and no forces. Residuals are those of `qmd.train.cells`, without virials for isolated frames.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qmd.data.padded import pairs_of
from qmd.potentials import jax_model
from qmd.train.cells import CellProblem, JaxFrames
from qmd.train.problem import Frames, Loss
from qmd.typing import Array


class CompositionFrames(JaxFrames):
    """Frames of many compositions, isolated or in cells.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model of elements, of which only the shapes of the parameters are used.
    frames : Frames
        With `kinds`.
    loss : Loss
    threads : int
        Not used: JAX shares the work.
    """

    def __init__(self, model: Any, frames: Frames, loss: Loss, threads: int = 1) -> None:
        self.isolated = frames.cells is None
        cells = np.zeros((len(frames.energies), 3, 3)) if frames.cells is None else frames.cells
        super().__init__(model, frames._replace(cells=cells), loss, threads)

    def _geometries(self, frames: Frames, cutoff: float) -> tuple[Array, ...]:
        """Return positions, cells, pairs, and the kinds of the atoms, of all frames."""
        assert frames.cells is not None
        pairs = pairs_of(frames.positions, frames.cells, cutoff, frames.n_atoms)
        return frames.positions, frames.cells, *pairs, frames.kinds

    def _energy(self, model: Any, x: Any, cell: Any, *around: Any) -> Any:
        *pairs, kinds = around
        return jax_model.energy_of_kinds(model, kinds, x, cell, tuple(pairs))

    def _stresses(self, found: Array) -> Array:
        return np.zeros((len(found), 0)) if self.isolated else super()._stresses(found)

    def sum_of_losses(self, theta: Any, batch: tuple[Any, ...]) -> Any:
        """Return half the sum of squared residuals of `batch`, a JAX scalar.

        Isolated frames are small, and computed side by side; those in cells one after the other.
        """
        if not self.isolated:
            return super().sum_of_losses(theta, batch)
        return jnp.sum(jax.vmap(lambda *frame: self._loss_of(theta, frame))(*batch))

    def _loss_of(self, theta: Any, frame: tuple[Any, ...]) -> Any:
        if self.forces is not None or self.virials is not None:
            return super()._loss_of(theta, frame)
        *geometry, energy, _, _, weight = frame
        found = self._energy(self._unravel(theta), *geometry)
        return 0.5 * (weight * self.loss.energy_weight * (found - energy)) ** 2


class CompositionPredictor:
    """Energies, forces and stresses of a model of elements at frames of many compositions.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model, of which only the shapes of the parameters are used.
    frames : Frames
        With `kinds`.
    """

    def __init__(self, model: Any, frames: Frames) -> None:
        self._frames = CompositionFrames(model, frames, Loss())

    def __call__(self, theta: Array) -> tuple[Array, Array]:
        """Return energies (eV), (n_frames,), and forces (eV/angstrom), (n_frames, n_atoms, 3)."""
        return self._frames.predict(theta)[:2]

    def with_stresses(self, theta: Array) -> tuple[Array, Array, Array | None]:
        """Return energies, forces, and stresses (eV/angstrom^3), None for isolated frames."""
        energies, forces, stresses = self._frames.predict(theta)
        return energies, forces, None if self._frames.isolated else stresses


class CompositionProblem(CellProblem):
    """Fit to frames of many compositions, for `adam`; parameters as in `CellProblem`."""

    def _make_engine(
        self, model: Any, frames: Frames, loss: Loss, *, native: bool, threads: int
    ) -> CompositionFrames:
        return CompositionFrames(model, frames, loss, threads)
