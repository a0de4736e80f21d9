"""Predictions of a model in batches, and their errors."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from qmd.potentials import jax_model
from qmd.train.jax_engine import KEPT, unraveller
from qmd.train.problem import CHUNK, Frames, frames_in_chunks
from qmd.typing import Array


class Predictor:
    """Energies and forces of a model at fixed geometries.

    They are compiled once for models of one structure and chunks of one size.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model, of which only the shapes of the parameters are used.
    positions : (n_frames, n_atoms, 3)
        Positions, angstrom.
    """

    def __init__(self, model: Any, positions: Array) -> None:
        self._n_frames = len(positions)
        size = min(CHUNK, self._n_frames)
        self._chunks = [x for x, _ in frames_in_chunks((positions, np.ones(self._n_frames)), size)]
        self._function = _program(unraveller(model))

    def __call__(self, theta: Array) -> tuple[Array, Array]:
        """Return energies (eV), (n_frames,), and forces (eV/angstrom), (n_frames, n_atoms, 3)."""
        parts = [self._function(theta, x) for x in self._chunks]
        energies, gradients = (
            np.concatenate(part)[: self._n_frames] for part in zip(*parts, strict=True)
        )
        return energies, -gradients


@functools.lru_cache(maxsize=KEPT)
def _program(unravel: Callable[[Any], Any]) -> Any:
    def energy_and_gradient(theta: Any, x: Any) -> Any:
        return jax.value_and_grad(lambda y: jax_model.energy(unravel(theta), y))(x)

    return jax.jit(jax.vmap(energy_and_gradient, in_axes=(None, 0)))


class Errors(NamedTuple):
    """Errors of energies (over frames) and forces (over components); None without force labels."""

    energy_rmse_meV: float
    energy_mae_meV: float
    forces_rmse_meV_per_A: float | None
    forces_mae_meV_per_A: float | None
    energy_mse_eV2: float
    forces_mse_eV2_per_A2: float | None


def errors(energies: Array, forces: Array, labels: Frames) -> Errors:
    """Return the errors of predicted `energies` and `forces`."""
    energy = energies - labels.energies
    rmse, mae, mse = _size(energy)
    if labels.forces is None:
        return Errors(1000 * rmse, 1000 * mae, None, None, mse, None)
    force_rmse, force_mae, force_mse = _size((forces - labels.forces)[labels.present])
    return Errors(
        energy_rmse_meV=1000 * rmse,
        energy_mae_meV=1000 * mae,
        forces_rmse_meV_per_A=1000 * force_rmse,
        forces_mae_meV_per_A=1000 * force_mae,
        energy_mse_eV2=mse,
        forces_mse_eV2_per_A2=force_mse,
    )


def _size(errors: Array) -> tuple[float, float, float]:
    """Return root mean square, mean absolute value and mean square."""
    mse = float(np.mean(errors**2))
    return math.sqrt(mse), float(np.mean(np.abs(errors))), mse
