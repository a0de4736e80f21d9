"""Residuals of a fit and their derivatives on the native kernel: circuits, several times faster.

The derivatives of a slope ``b . grad E`` by the parameters are central differences of the exact
derivatives of E along b. Their error, 1e-6 or less of the largest, changes the path of a fit but
not where it ends: residuals are exact.
"""

from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from qmd.potentials import evaluate_all, gradient_rows, gradient_sum, native_model
from qmd.training import Array, Chunk, Loss

STEP = 2e-4
"""Of the differences, angstrom, in the norm over all atoms."""


class NativeEngine:
    """See `qmd.training.Engine`.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Its numbers say the shapes only.
    loss : Loss
    """

    def __init__(self, model: Any, loss: Loss) -> None:
        _, self._unravel = ravel_pytree(model)
        self._loss = loss

    def residuals(self, theta: Any, chunk: Chunk) -> Array:
        return self._residuals(self._model(theta), chunk)

    def linear(self, theta: Any, chunk: Chunk) -> tuple[Array, Array]:
        model = self._model(theta)
        x, _, directions, _, weights = chunk
        n, k, n_atoms, _ = directions.shape
        shifts = STEP * directions
        points = np.concatenate([x[:, None], x[:, None] + shifts, x[:, None] - shifts], axis=1)
        rows = gradient_rows(model, points.reshape(-1, n_atoms, 3)).reshape(n, 1 + 2 * k, -1)
        rows[:, 0] *= self._loss.energy_weight
        rows[:, 1 : 1 + k] -= rows[:, 1 + k :]
        rows[:, 1 : 1 + k] /= 2 * STEP
        return self._residuals(model, chunk), weights[:, None, None] * rows[:, : 1 + k]

    def normal(self, theta: Any, chunk: Chunk) -> tuple[float, Array, Array]:
        residuals, rows = self.linear(theta, chunk)
        r, j = residuals.reshape(-1), rows.reshape(-1, rows.shape[-1])
        return 0.5 * float(r @ r), j.T @ r, j.T @ j

    def loss_and_slope(self, theta: Any, chunk: Chunk) -> tuple[float, Array]:
        """Half the sum of squared residuals, and its gradient.

        The sum over directions is one slope along ``u = sum_k r_k b_k``.
        """
        model = self._model(theta)
        x, _, directions, _, weights = chunk
        residuals = self._residuals(model, chunk)
        weighted = weights[:, None] * residuals
        along = np.einsum("fk,fkax->fax", weighted[:, 1:], directions)
        size = np.sqrt(np.einsum("fax,fax->f", along, along))
        shift = STEP / np.maximum(size, 1e-300)[:, None, None] * along
        points = np.concatenate([x, x + shift, x - shift])
        slope = size / (2 * STEP)
        factors = np.concatenate([self._loss.energy_weight * weighted[:, 0], slope, -slope])
        return 0.5 * float(np.sum(residuals**2)), gradient_sum(model, points, factors)

    def _model(self, theta: Any) -> Any:
        return jax.tree.map(lambda leaf: np.asarray(leaf, float), self._unravel(theta))

    def _residuals(self, model: Any, chunk: Chunk) -> Array:
        x, labels, directions, slopes, weights = chunk
        energies, forces = evaluate_all(native_model(model), x)
        energy = self._loss.energy_weight * (energies - labels)
        along = -np.einsum("fkax,fax->fk", directions, forces) - slopes
        return np.asarray(weights[:, None] * np.concatenate([energy[:, None], along], axis=1))
