"""Fit of a model to energies, forces and stresses of frames in cells.

Residuals of a frame are ``w (E - E_ref)``, the components of ``F - F_ref`` and, if there are
labels of stress, ``w' (W - W_ref)`` of the six components of the virial. A step of an optimiser on
batches needs one derivative along a displacement per frame (first order), or the rows of a few
components of the forces, chosen anew in each step (second order). So the memory does not grow with
the number of frames, nor with that of atoms times frames.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from qmd.data.padded import pairs_of
from qmd.potentials import (
    MAX_PARAMETER,
    CellGradient,
    EvaluatedInCell,
    cell_gradient,
    jax_model,
)
from qmd.train.problem import Frames, Loss
from qmd.typing import Array

VOIGT = (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)
"""Rows and columns of xx, yy, zz, yz, xz, xy in a matrix."""


def virials(stresses: Array, cells: Array) -> Array:
    """Return virials (eV), (n_frames, 6), of stresses (eV/angstrom^3) in cells."""
    volumes = np.abs(np.linalg.det(cells))
    return np.asarray(-volumes[:, None] * stresses)


def has_cell_gradient(model: Any) -> bool:
    """Return True if the model has compiled derivatives in cells."""
    try:
        cell_gradient(model)
    except ValueError:
        return False
    return True


class CellPredictor:
    """Energies, forces and stresses of a model at fixed geometries in cells.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model, of which only the shapes of the parameters are used.
    frames : Frames
    native : bool
        Use the native kernel, not JAX.
    threads : int
    """

    def __init__(self, model: Any, frames: Frames, *, native: bool, threads: int = 1) -> None:
        make = NativeFrames if native else JaxFrames
        self._frames = make(model, frames, Loss(), threads)

    def __call__(self, theta: Array) -> tuple[Array, Array]:
        """Return energies (eV), (n_frames,), and forces (eV/angstrom), (n_frames, n_atoms, 3)."""
        energies, forces, _ = self._frames.predict(theta)
        return energies, forces

    def with_stresses(self, theta: Array) -> tuple[Array, Array, Array]:
        """Return energies, forces, and stresses (eV/angstrom^3), (n_frames, 6)."""
        return self._frames.predict(theta)


class _InCells:
    """Base of both engines: the frames, their labels and their weights."""

    def __init__(self, model: Any, frames: Frames, loss: Loss, threads: int) -> None:
        assert frames.cells is not None
        self._unravel = ravel_pytree(model)[1]
        self.cells, self.loss, self.n_frames = frames.cells, loss, len(frames.energies)
        self.positions, self.energies = frames.positions, frames.energies
        self.forces = frames.forces if loss.forces else None
        self.virials = None
        if frames.stresses is not None and loss.virial_weight:
            self.virials = virials(frames.stresses, frames.cells)
        self.weights = loss.frame_weights(frames.energies)
        self._n_threads, self._pool = threads, ThreadPoolExecutor(threads)

    def _model(self, theta: Array) -> Any:
        tree = self._unravel(jnp.asarray(theta))
        return jax.tree.map(lambda leaf: np.asarray(leaf, float), tree)

    def _stresses(self, found: Array) -> Array:
        volumes = np.abs(np.linalg.det(self.cells))
        return np.asarray(-found[:, *VOIGT] / volumes[:, None])


def _plain(found: EvaluatedInCell) -> tuple[float, Array, Array]:
    return found.energy, found.forces, found.virial


class NativeFrames(_InCells):
    """Frames in cells on the native kernel: residuals, rows and gradients of any of them.

    Parameters
    ----------
    model : tree of `qmd.potentials`
    frames : Frames
    loss : Loss
    threads : int
        Number of frames at work at a time; compiled code does not hold Python's lock.
    """

    def __init__(self, model: Any, frames: Frames, loss: Loss, threads: int) -> None:
        super().__init__(model, frames, loss, threads)
        first = cell_gradient(model)
        pairs = zip(self.positions, self.cells, strict=True)
        self._around = [first.surroundings(*each) for each in pairs]

    def predict(self, theta: Array) -> tuple[Array, Array, Array]:
        kernel = cell_gradient(self._model(theta))
        found = list(
            self._pool.map(lambda f: _plain(kernel.evaluate(self._around[f])), range(self.n_frames))
        )
        energies, forces, virial = (np.array(part) for part in zip(*found, strict=True))
        return energies, forces, self._stresses(virial)

    def energy_of_first(self, theta: Array) -> float:
        """Return the energy (eV) of the first frame."""
        return cell_gradient(self._model(theta)).evaluate(self._around[0]).energy

    def loss_and_slope(self, theta: Array, index: Array) -> tuple[float, Array]:
        """Return half the sum of squared residuals of some frames, and its gradient."""
        kernel = cell_gradient(self._model(theta))
        found = list(self._pool.map(lambda f: self._of_frame(kernel, f), index.tolist()))
        return sum(loss for loss, _ in found), np.sum([slope for _, slope in found], axis=0)

    def _of_frame(self, kernel: CellGradient, frame: int) -> tuple[float, Array]:
        found, square = kernel.evaluate(self._around[frame]), self.weights[frame] ** 2
        wrong = found.energy - self.energies[frame]
        factor = square * self.loss.energy_weight**2
        loss, along, strain = factor * wrong**2, np.zeros_like(found.forces), np.zeros((3, 3))
        if self.forces is not None:
            along = square * (self.forces[frame] - found.forces)
            loss += float(np.sum(along**2)) / square
        if self.virials is not None:
            off = found.virial[VOIGT] - self.virials[frame]
            strain[VOIGT] = -square * self.loss.virial_weight**2 * off
            loss -= float(strain[VOIGT] @ off)
        return 0.5 * loss, kernel.gradient(found, factor * wrong, along, strain)

    def rows(
        self, theta: Array, index: Array, n_slopes: int | None, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return residuals (n,) of some frames and their derivatives (n, n_parameters).

        Of each frame `n_slopes` components of the forces are drawn, and weighted such that the sum
        of squares stays the same on average.
        """
        kernel = cell_gradient(self._model(theta))
        n = self.positions.shape[1] * 3
        k = 0 if self.forces is None else min(n_slopes or n, n)
        chosen = [(f, rng.permutation(n)[:k]) for f in index.tolist()]
        parts = list(self._pool.map(lambda one: self._rows_of(kernel, *one), chosen))
        residuals, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        return residuals, rows

    def _rows_of(self, kernel: CellGradient, frame: int, chosen: Array) -> tuple[Array, Array]:
        found, loss = kernel.evaluate(self._around[frame]), self.loss
        residuals = [[loss.energy_weight * (found.energy - self.energies[frame])]]
        rows = [loss.energy_weight * kernel.energy_row(found)[None]]
        if self.forces is not None:
            factor = math.sqrt(found.forces.size / len(chosen))
            wrong = (self.forces[frame] - found.forces).ravel()[chosen]
            residuals.append(factor * wrong)
            rows.append(factor * kernel.slope_rows(found, *np.divmod(chosen, 3)))
        if self.virials is not None:
            off = found.virial[VOIGT] - self.virials[frame]
            residuals.append(loss.virial_weight * off)
            still = np.zeros_like(found.forces)
            for place in zip(*VOIGT, strict=True):
                strain = np.zeros((3, 3))
                strain[place] = -loss.virial_weight
                rows.append(kernel.gradient(found, 0.0, still, strain)[None])
        weight = self.weights[frame]
        return weight * np.concatenate(residuals), weight * np.concatenate(rows)


class JaxFrames(_InCells):
    """Frames in cells by JAX, for any model and any device; pairs are filled up to one number.

    Parameters
    ----------
    model : tree of `qmd.potentials`
    frames : Frames
    loss : Loss
    threads : int
        Not used: JAX shares the work of one frame.
    """

    def __init__(self, model: Any, frames: Frames, loss: Loss, threads: int) -> None:
        super().__init__(model, frames, loss, threads)
        self._size = ravel_pytree(model)[0].size
        wanted = np.zeros((self.n_frames, 6)) if self.virials is None else self.virials
        self.geometries = self._geometries(frames, jax_model.cutoff(model))
        self.arrays: tuple[Array, ...] = (
            *self.geometries,
            self.energies,
            np.zeros_like(self.positions) if self.forces is None else self.forces,
            wanted,
            self.weights,
        )
        by_frame = (None, *(0 for _ in self.geometries))
        self._predicted = jax.jit(jax.vmap(self._evaluated, in_axes=by_frame))
        self._one_row = jax.jit(self._row_of)

    def _geometries(self, frames: Frames, cutoff: float) -> tuple[Array, ...]:
        """Return the arrays of a geometry, positions and cells first, as `_energy` takes them."""
        assert frames.cells is not None
        return frames.positions, frames.cells, *pairs_of(frames.positions, frames.cells, cutoff)

    def _energy(self, model: Any, x: Any, cell: Any, *around: Any) -> Any:
        """Return the energy of one geometry."""
        return jax_model.energy_in_cell(model, x, cell, around)

    def predict(self, theta: Array) -> tuple[Array, Array, Array]:
        found = [
            self._predicted(theta, *(part[f : f + 1] for part in self.geometries))
            for f in range(self.n_frames)
        ]
        energies, forces, virial = (np.concatenate(part) for part in zip(*found, strict=True))
        return energies, forces, self._stresses(virial)

    def energy_of_first(self, theta: Array) -> float:
        """Return the energy (eV) of the first frame."""
        return float(self._predicted(theta, *(part[:1] for part in self.geometries))[0][0])

    def sum_of_losses(self, theta: Any, batch: tuple[Any, ...]) -> Any:
        """Return half the sum of squared residuals of `batch`, a JAX scalar."""
        one = jax.checkpoint(lambda frame: self._loss_of(theta, frame))
        return jnp.sum(jax.lax.map(one, batch))

    def _loss_of(self, theta: Any, frame: tuple[Any, ...]) -> Any:
        *geometry, energy, forces, virial, weight = frame
        found = self._evaluated(theta, *geometry)
        total = (self.loss.energy_weight * (found[0] - energy)) ** 2
        if self.forces is not None:
            total = total + jnp.sum((found[1] - forces) ** 2)
        if self.virials is not None:
            off = found[2][VOIGT] - virial
            total = total + self.loss.virial_weight**2 * jnp.sum(off**2)
        return 0.5 * weight**2 * total

    def _evaluated(self, theta: Any, x: Any, cell: Any, *around: Any) -> Any:
        def energy(x: Any, strain: Any) -> Any:
            by = jnp.eye(3) + strain
            return self._energy(self._unravel(theta), x @ by, cell @ by, *around)

        value, (slopes, strain) = jax.value_and_grad(energy, argnums=(0, 1))(x, jnp.zeros((3, 3)))
        return value, -slopes, -strain

    def rows(
        self, theta: Array, index: Array, n_slopes: int | None, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return what `NativeFrames.rows` returns, one row at a time."""
        n, residuals, rows = self.positions.shape[1] * 3, [], []
        k = 0 if self.forces is None else min(n_slopes or n, n)
        for frame in index.tolist():
            arrays = tuple(part[frame] for part in self.arrays)
            factors = np.zeros((1 + k + (6 if self.virials is not None else 0), 1 + n + 6))
            factors[0, 0] = self.loss.energy_weight
            factors[np.arange(k) + 1, rng.permutation(n)[:k] + 1] = math.sqrt(n / max(k, 1))
            factors[1 + k :, 1 + n :] = self.loss.virial_weight * np.eye(6)[: len(factors) - 1 - k]
            for factor in factors:
                residual, row = self._one_row(theta, factor, arrays)
                residuals.append(float(residual))
                rows.append(np.asarray(row))
        return np.array(residuals), np.array(rows).reshape(-1, self._size)

    def _row_of(self, theta: Any, factor: Any, arrays: tuple[Any, ...]) -> Any:
        *geometry, energy, forces, virial, weight = arrays

        def residual(theta: Any) -> Any:
            found = self._evaluated(theta, *geometry)
            slopes, off = (forces - found[1]).reshape(-1), found[2][VOIGT] - virial
            parts = [(found[0] - energy)[None], slopes, off]
            return weight * jnp.dot(factor, jnp.concatenate(parts))

        return jax.value_and_grad(residual)(theta)


class CellProblem:
    """Fit to frames in cells, for optimisers on batches.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model, of which only the shapes of the parameters are used.
    frames : Frames
    loss : Loss
    native : bool
        Use the native kernel, not JAX.
    threads : int
        Number of frames at work at a time.
    trainable_mask : (n_parameters,), optional
        As in `qmd.train.problem.Problem`.
    """

    def __init__(
        self,
        model: Any,
        frames: Frames,
        loss: Loss,
        *,
        native: bool,
        threads: int = 1,
        trainable_mask: Array | None = None,
    ) -> None:
        self.n_frames, self.n_parameters = len(frames.energies), ravel_pytree(model)[0].size
        self.engine = self._make_engine(model, frames, loss, native=native, threads=threads)
        self.trainable_mask = trainable_mask

    def _make_engine(
        self, model: Any, frames: Frames, loss: Loss, *, native: bool, threads: int
    ) -> NativeFrames | JaxFrames:
        make = NativeFrames if native else JaxFrames
        return make(model, frames, loss, threads)

    @property
    def frames(self) -> tuple[Any, ...]:
        """Arrays of all frames, from which batches are drawn; their places for the native one."""
        if isinstance(self.engine, JaxFrames):
            return self.engine.arrays
        return (np.arange(self.n_frames),)

    def loss_and_slope(self, theta: Array, batch: tuple[Array, ...]) -> tuple[float, Array]:
        """Return half the sum of squared residuals of `batch`, and its gradient; native engine."""
        assert isinstance(self.engine, NativeFrames)
        if not (np.abs(theta) < MAX_PARAMETER).all():
            return math.inf, np.zeros_like(theta)
        loss, slope = self.engine.loss_and_slope(theta, batch[0])
        return loss, slope if self.trainable_mask is None else slope * self.trainable_mask

    def sampled(
        self, theta: Array, index: Array, n_slopes: int | None, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return the result of `qmd.train.problem.Problem.sampled`."""
        residuals, rows = self.engine.rows(theta, index, n_slopes, rng)
        return residuals, rows if self.trainable_mask is None else rows * self.trainable_mask

    def of_offsets(self, theta: Array, steps: Array) -> tuple[Array, Array]:
        """Return the residuals of the energies, (n,), and their changes by `steps`, (n, n_steps).

        Energies are linear in the offsets, and the same for all frames of the same atoms.
        """
        weights = self.engine.weights * self.engine.loss.energy_weight
        energies = self.engine.predict(theta)[0]
        one = self.engine.energy_of_first
        changes = [one(theta + step) - one(theta) for step in steps]
        return weights * (energies - self.engine.energies), np.outer(weights, changes)
