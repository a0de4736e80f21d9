"""Residuals of a fit and their derivatives on the native kernel, several times faster than JAX.

The derivatives of a slope ``b . grad E`` with respect to the parameters are central differences of
the exact derivatives of E along b. Their error, 1e-6 or less of the largest, changes the path of a
fit but not its end: residuals are exact.
"""

from threading import Lock
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.linalg.blas import dsyrk

from qmd.integrators import Force
from qmd.potentials import (
    MAX_PARAMETER,
    ParameterGradient,
    evaluate_all,
    native_model,
)
from qmd.train.problem import Chunk, Loss
from qmd.typing import Array

STEP = 2e-4
"""Step of the differences, angstrom, in the norm over all atoms."""


class NativeEngine:
    """Engine on the native kernel; see `qmd.train.problem.Engine`.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model, of which only the shapes of the parameters are used.
    loss : Loss
    """

    def __init__(self, model: Any, loss: Loss) -> None:
        _, self._unravel = ravel_pytree(model)
        self._loss = loss
        self._lock, self._theta = Lock(), b""
        self._last: _Packed | None = None

    def residuals(self, theta: Any, chunk: Chunk) -> Array:
        """Return the residuals; infinite if a parameter exceeds the largest allowed value."""
        if not (np.abs(theta) < MAX_PARAMETER).all():
            return np.full((len(chunk[0]), 1 + chunk[2].shape[1]), np.inf)
        return self._residuals(self._packed(theta).kernel, chunk)

    def linear(self, theta: Any, chunk: Chunk) -> tuple[Array, Array]:
        packed = self._packed(theta)
        x, _, directions, _, weights = chunk
        n, k, n_atoms, _ = directions.shape
        shifts = STEP * directions
        points = np.concatenate([x[:, None], x[:, None] + shifts, x[:, None] - shifts], axis=1)
        rows = packed.gradient.rows(points.reshape(-1, n_atoms, 3)).reshape(n, 1 + 2 * k, -1)
        rows[:, 0] *= self._loss.energy_weight
        rows[:, 1 : 1 + k] -= rows[:, 1 + k :]
        rows[:, 1 : 1 + k] /= 2 * STEP
        return self._residuals(packed.kernel, chunk), weights[:, None, None] * rows[:, : 1 + k]

    def normal(self, theta: Any, chunk: Chunk) -> tuple[float, Array, Array]:
        residuals, rows = self.linear(theta, chunk)
        r, j = residuals.reshape(-1), rows.reshape(-1, rows.shape[-1])
        upper = dsyrk(1.0, j.T)  # half the work of j.T @ j
        return 0.5 * float(r @ r), j.T @ r, upper + np.triu(upper, 1).T

    def loss_and_slope(self, theta: Any, chunk: Chunk) -> tuple[float, Array]:
        """Return half the sum of squared residuals, and its gradient.

        The sum over directions is one slope along ``u = sum_k r_k b_k``.
        """
        packed = self._packed(theta)
        x, _, directions, _, weights = chunk
        residuals = self._residuals(packed.kernel, chunk)
        weighted = weights[:, None] * residuals
        along = np.einsum("fk,fkax->fax", weighted[:, 1:], directions)
        size = np.sqrt(np.einsum("fax,fax->f", along, along))
        shift = STEP / np.maximum(size, 1e-300)[:, None, None] * along
        points = np.concatenate([x + shift, x - shift])
        slope = size / (2 * STEP)
        # The derivatives of E itself are the mean of those on both sides, up to STEP**2.
        half = 0.5 * self._loss.energy_weight * weighted[:, 0]
        factors = np.concatenate([half + slope, half - slope])
        return 0.5 * float(np.sum(residuals**2)), packed.gradient.sum(points, factors)

    def _packed(self, theta: Any) -> "_Packed":
        """Return kernel and gradient, which are built once for all chunks of a theta."""
        key = np.asarray(theta).tobytes()
        with self._lock:
            if self._last is None or self._theta != key:
                model = jax.tree.map(lambda leaf: np.asarray(leaf, float), self._unravel(theta))
                self._last = _Packed(native_model(model), ParameterGradient(model))
                self._theta = key
            return self._last

    def _residuals(self, kernel: Force, chunk: Chunk) -> Array:
        x, labels, directions, slopes, weights = chunk
        own = kernel.for_thread()
        energies, forces = evaluate_all(own, x)
        energy = self._loss.energy_weight * (energies - labels)
        along = -np.einsum("fkax,fax->fk", directions, forces) - slopes
        return np.asarray(weights[:, None] * np.concatenate([energy[:, None], along], axis=1))


class NativePredictor:
    """Energies and forces of a model at fixed geometries, on the native kernel.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model, of which only the shapes of the parameters are used.
    positions : (n_frames, n_atoms, 3)
        Positions, angstrom.
    """

    def __init__(self, model: Any, positions: Array) -> None:
        _, self._unravel = ravel_pytree(model)
        self._positions = positions

    def __call__(self, theta: Any) -> tuple[Array, Array]:
        """Return energies (eV), (n_frames,), and forces (eV/angstrom), (n_frames, n_atoms, 3)."""
        model = jax.tree.map(lambda leaf: np.asarray(leaf, float), self._unravel(theta))
        energies, forces = evaluate_all(native_model(model), self._positions)
        return energies, forces


class _Packed(NamedTuple):
    kernel: Force
    gradient: ParameterGradient
