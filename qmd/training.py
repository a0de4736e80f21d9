"""Fit a quantum potential to energies and forces by nonlinear least squares.

Small circuits (70 to 160 parameters) have exact, cheap Jacobians, which second order uses.
Residuals of one frame are ``w (E - E_ref)`` and the components of
``F - F_ref`` along the internal directions of the frame: model forces have no others, because
the energy does not change under translation and rotation.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import least_squares

from qmd.potentials import Architecture, Parameters, vqc

CHUNK = 128
"""Frames per Jacobian block, so that memory stays flat."""
RIDGE = 1e-4
"""Weight of residuals that pull each parameter to 0: without them, a coupling that changes nothing
(RH34 of the last layer of water) runs away to 1e12."""


class Frames(NamedTuple):
    """Labelled geometries of one molecule."""

    positions: np.ndarray
    """angstrom, (n_frames, n_atoms, 3)"""
    energies: np.ndarray
    """eV, (n_frames,)"""
    forces: np.ndarray
    """eV/angstrom, (n_frames, n_atoms, 3)"""


class Errors(NamedTuple):
    """Root mean squares over frames (energies) and over components (forces)."""

    energy_rmse_meV: float
    forces_rmse_meV_per_A: float


@dataclass(frozen=True)
class Fit:
    """Result of one start."""

    parameters: Parameters
    cost: float
    evaluations: int
    history: list[float] = field(default_factory=list)


def internal_directions(positions: np.ndarray) -> np.ndarray:
    """Orthonormal directions that neither translate nor rotate each frame.

    Returns an array (n_frames, 3 n_atoms - 6, n_atoms, 3); 3 n_atoms - 5 for two atoms.
    """
    n_frames, n_atoms, _ = positions.shape
    n_fixed = 5 if n_atoms == 2 else 6
    directions = np.empty((n_frames, 3 * n_atoms - n_fixed, n_atoms, 3))
    for frame, x in enumerate(positions - positions.mean(axis=1, keepdims=True)):
        shifts = np.tile(np.eye(3), (n_atoms, 1))
        turns = np.concatenate([np.cross(np.eye(3), r).T for r in x])
        basis, _, _ = np.linalg.svd(np.concatenate([shifts, turns], axis=1))
        directions[frame] = basis[:, n_fixed:].T.reshape(-1, n_atoms, 3)
    return directions


def start(architecture: Architecture, energies: np.ndarray, seed: int, *, alpha: float = 0.5,
          spread: float = 0.3) -> Parameters:  # fmt: skip
    """Random start: couplings of spread `spread`, scales `alpha` (1/angstrom), head from labels."""
    rng = np.random.default_rng(seed)
    circuit, features = architecture.circuit, architecture.features
    n_observables = len(circuit.observables)
    return Parameters(
        scales=np.full((1, features.n_scales), alpha),
        couplings=spread * rng.standard_normal((circuit.n_layers, circuit.n_couplings)),
        weights=np.full(n_observables, max(np.std(energies), 1e-3) / n_observables),
        offset=np.asarray(np.mean(energies)),
    )


def fit(
    architecture: Architecture,
    frames: Frames,
    initial: Parameters,
    *,
    energy_weight: float = 3.0,
    frame_weights: np.ndarray | None = None,
    max_evaluations: int = 150,
    report: Callable[[int, float], None] | None = None,
) -> Fit:
    """Trust-region least squares from one start.

    Parameters
    ----------
    energy_weight : float
        w of the energy residuals, 1/angstrom.
    frame_weights : (n_frames,), optional
        Weight of each frame's residuals; default 1.
    report : callable, optional
        Called with (evaluation, cost) after each Jacobian.
    """
    flat, unravel = ravel_pytree(initial)
    problem = _Problem(architecture, frames, unravel, energy_weight, frame_weights)
    history: list[float] = []

    def jacobian(theta: np.ndarray) -> np.ndarray:
        residuals, jacobian = problem.linearise(theta)
        history.append(float(0.5 * residuals @ residuals))
        if report:
            report(len(history), history[-1])
        return jacobian

    result = least_squares(
        problem.residuals, np.asarray(flat), jac=jacobian, method="trf", x_scale="jac",
        max_nfev=max_evaluations, ftol=1e-6, xtol=1e-9, gtol=1e-12,
    )  # fmt: skip
    parameters = jax.tree.map(np.asarray, unravel(jnp.asarray(result.x)))
    return Fit(parameters, float(result.cost), int(result.nfev), history)


class _Problem:
    """Residuals and Jacobian of a fit, chunk by chunk.

    Each frame needs the derivatives of its energy and of three or more slopes by all parameters:
    reverse mode over the parameters, forward mode over the internal directions.
    """

    def __init__(
        self,
        architecture: Architecture,
        frames: Frames,
        unravel: Callable[[Any], Parameters],
        energy_weight: float,
        frame_weights: np.ndarray | None,
    ) -> None:
        self._architecture, self._unravel = architecture, unravel
        self._energy_weight, self._n = energy_weight, len(frames.energies)
        directions = internal_directions(frames.positions)
        weights = np.ones(self._n) if frame_weights is None else frame_weights
        targets = np.einsum("fkax,fax->fk", directions, frames.forces)
        self._batches = _chunks((frames.positions, frames.energies, directions, targets, weights))
        self._residuals = jax.jit(functools.partial(self._map, self._frame_residuals))
        self._linear = jax.jit(functools.partial(self._map, self._frame_linear))

    def _map(self, of_frame: Any, theta: Any, batches: Any) -> Any:
        parameters = self._unravel(theta)

        def of_batch(batch: Any) -> Any:
            return jax.vmap(lambda *frame: of_frame(parameters, *frame))(*batch)

        return jax.lax.map(of_batch, batches)

    def _energy(self, parameters: Any, x: Any) -> Any:
        return vqc.energy(self._architecture, parameters, x)

    def _frame_residuals(self, parameters: Any, x: Any, e: Any, b: Any, f: Any, weight: Any) -> Any:
        value, gradient = jax.value_and_grad(self._energy, argnums=1)(parameters, x)
        return self._weighted(weight, value - e, jnp.einsum("kax,ax->k", b, gradient) + f)

    def _frame_linear(self, parameters: Any, x: Any, e: Any, b: Any, f: Any, weight: Any) -> Any:
        def by_parameters(y: Any) -> Any:
            value, slopes = jax.value_and_grad(self._energy)(parameters, y)
            return value, ravel_pytree(slopes)[0]

        (values, rows), (slopes, slope_rows) = jax.vmap(
            lambda direction: jax.jvp(by_parameters, (x,), (direction,))
        )(b)
        residuals = self._weighted(weight, values[0] - e, slopes + f)
        return residuals, self._weighted(weight, rows[0], slope_rows)

    def _weighted(self, weight: Any, energy_part: Any, force_part: Any) -> Any:
        return weight * jnp.concatenate([self._energy_weight * energy_part[None], force_part])

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        out = np.asarray(self._residuals(theta, self._batches))
        labels = out.reshape(-1, out.shape[-1])[: self._n].reshape(-1)
        return np.concatenate([labels, RIDGE * theta])

    def linearise(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        residuals, rows = self._linear(theta, self._batches)
        residuals = np.asarray(residuals).reshape(-1, residuals.shape[-1])[: self._n]
        rows = np.asarray(rows).reshape(-1, *rows.shape[2:])[: self._n]
        residuals = np.concatenate([residuals.reshape(-1), RIDGE * theta])
        return residuals, np.vstack([rows.reshape(-1, theta.size), RIDGE * np.eye(theta.size)])


def _chunks(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Reshape to (n_chunks, CHUNK, ...), the last chunk filled with its first frames."""
    n = len(arrays[0])
    index = np.resize(np.arange(n), -(-n // CHUNK) * CHUNK).reshape(-1, CHUNK)
    return tuple(np.asarray(a)[index] for a in arrays)


def predict(
    architecture: Architecture, parameters: Parameters, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Energies (eV), (n_frames,), and forces (eV/angstrom), (n_frames, n_atoms, 3)."""

    def energy(x):  # type: ignore[no-untyped-def]
        return vqc.energy(architecture, parameters, x)

    batched = jax.jit(jax.vmap(jax.value_and_grad(energy)))
    energies, gradients = batched(jnp.asarray(positions))
    return np.asarray(energies), -np.asarray(gradients)


def errors(architecture: Architecture, parameters: Parameters, frames: Frames) -> Errors:
    """RMSE of energies and of force components."""
    energies, forces = predict(architecture, parameters, frames.positions)
    return Errors(
        energy_rmse_meV=1000 * float(np.sqrt(np.mean((energies - frames.energies) ** 2))),
        forces_rmse_meV_per_A=1000 * float(np.sqrt(np.mean((forces - frames.forces) ** 2))),
    )
