"""Fit of a model to energies and forces: residuals and their derivatives.

The fit is generic over the models of `qmd.potentials`: the parameters are those of the tree,
flattened. Residuals of one frame are ``w (E - E_ref)`` and the components of ``F - F_ref`` along
the internal directions of the frame: a model that is invariant under translation and rotation has
no others. An `Engine` computes them and their derivatives.
"""

import copy
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from qmd.typing import Array

CHUNK = 128
"""Number of frames whose derivatives are stored at a time, which bounds the memory."""
RIDGE = 1e-4
"""Weight of residuals that pull each parameter to 0; without them, a coupling without effect (RH34
of the last layer of water) diverges to 1e12."""


class Frames(NamedTuple):
    """Labelled geometries of one molecule, or of many compositions if they have `kinds`."""

    positions: Array
    """Positions, angstrom, (n_frames, n_atoms, 3)."""
    energies: Array
    """Energies, eV, (n_frames,)."""
    forces: Array | None
    """Forces, eV/angstrom, (n_frames, n_atoms, 3)."""
    cells: Array | None = None
    """Lattice vectors in rows, angstrom, (n_frames, 3, 3); None if the frames are isolated."""
    stresses: Array | None = None
    """Stress as in `qmd.data.datasets.Dataset`, eV/angstrom^3, (n_frames, 6)."""
    kinds: Any = None
    """Place of the element of each atom among those of the model, (n_frames, n_atoms), -1 after the
    atoms of a frame, whose positions and forces are 0 there; None: all have the same atoms."""

    @property
    def n_atoms(self) -> Any:
        """Number of atoms of each frame, (n_frames,)."""
        n_frames, n_atoms = self.positions.shape[:2]
        return np.full(n_frames, n_atoms) if self.kinds is None else (self.kinds >= 0).sum(axis=1)

    @property
    def present(self) -> Any:
        """Mask of the atoms that are not missing, (n_frames, n_atoms)."""
        every = np.ones(self.positions.shape[:2], bool)
        return every if self.kinds is None else self.kinds >= 0

    def take(self, index: Any) -> "Frames":
        """Return the frames at `index`, which can be anything that selects rows of an array."""
        parts: Any = (None if part is None else part[index] for part in self)
        return Frames(*parts)

    def joined(self, other: "Frames") -> "Frames":
        """Return these frames, then the others; what one of them lacks is left out."""
        pairs = zip(self, other, strict=True)
        parts: Any = (None if a is None or b is None else np.concatenate([a, b]) for a, b in pairs)
        return Frames(*parts)


@dataclass(frozen=True)
class Loss:
    """Loss function of a fit.

    Parameters
    ----------
    energy_weight : float
        Weight w of the energy residuals, 1/angstrom.
    forces : bool
        True if forces are fitted.
    high_energy : float, optional
        Energy (eV) at which all residuals of a frame have half the weight.
    power : int
        Power in the weight ``1 / (1 + (E / high_energy)**power)``.
    virial_weight : float
        Weight of the residuals of the virial, where frames have stresses, 1/angstrom.
    """

    energy_weight: float = 3.0
    forces: bool = True
    high_energy: float | None = None
    power: int = 2
    virial_weight: float = 0.1

    def frame_weights(self, energies: Array) -> Array:
        """Return the weight of each frame, (n_frames,)."""
        if self.high_energy is None:
            return np.ones_like(energies)
        weights: Array = 1 / (1 + (np.maximum(energies, 0) / self.high_energy) ** self.power)
        return weights


class OptimiserProgress(NamedTuple):
    """Progress of an optimiser, from which it can resume."""

    iteration: int
    loss: float
    """Half the sum of squared residuals, per frame."""
    theta: Array
    memory: tuple[Array, ...] = ()
    """Arrays that the optimiser keeps from earlier steps."""
    scored: Array | None = None
    """Parameters that are scored and saved in place of `theta`, such as an average."""


Report = Callable[[OptimiserProgress], None]
"""Function of the progress, which may raise an exception to stop the fit."""

Chunk = tuple[Array, ...]
"""Arrays of some frames: positions (n, n_atoms, 3), energies (n,), directions (n, k, n_atoms, 3),
slopes of the energy along them (n, k), weights (n,)."""


class Engine(Protocol):
    """Computes residuals (n, 1 + k) of a chunk, and their derivatives by all parameters."""

    def residuals(self, theta: Any, chunk: Chunk) -> Any: ...

    def linear(self, theta: Any, chunk: Chunk) -> Any:
        """Return residuals and their derivatives, (n, 1 + k, n_parameters)."""

    def normal(self, theta: Any, chunk: Chunk) -> Any:
        """Return half the sum of squares, its gradient, and its Gauss-Newton Hessian."""


@runtime_checkable
class SlopeEngine(Engine, Protocol):
    """Engine that computes the gradient of the loss itself, without JAX."""

    def loss_and_slope(self, theta: Any, chunk: Chunk) -> tuple[float, Array]: ...


MakeEngine = Callable[[Any, Loss], Engine]
"""Function of (model, loss) that returns an engine; only the shapes of the model are used."""


class Problem:
    """Residuals of a fit as functions of the flat parameters, chunk by chunk.

    Parameters
    ----------
    model : tree of `qmd.potentials`
        Model, of which only the shapes of the parameters are used.
    frames : Frames
    loss : Loss
    engine : callable
        `jax_engine.JaxEngine` or `native_engine.NativeEngine`.
    rotations : bool
        True if the model is invariant under rotation.
    threads : int
        Number of chunks that are computed at a time; compiled code does not hold Python's lock.
    trainable_mask : (n_parameters,), optional
        1 for each parameter that a fit in batches may change, 0 for the others; default: all.
    """

    def __init__(
        self,
        model: Any,
        frames: Frames,
        loss: Loss,
        engine: MakeEngine,
        *,
        rotations: bool = True,
        threads: int = 1,
        trainable_mask: Array | None = None,
    ) -> None:
        self.n_frames, self.n_parameters = len(frames.energies), ravel_pytree(model)[0].size
        n_atoms = frames.positions.shape[1]
        directions = np.zeros((self.n_frames, 0, n_atoms, 3))
        slopes = np.zeros((self.n_frames, 0))
        if loss.forces:
            assert frames.forces is not None
            directions = internal_directions(frames.positions, rotations=rotations)
            slopes = -np.einsum("fkax,fax->fk", directions, frames.forces)
        weights = loss.frame_weights(frames.energies)
        arrays: Chunk = (frames.positions, frames.energies, directions, slopes, weights)
        size = min(CHUNK, math.ceil(self.n_frames / threads))
        self._chunks = list(frames_in_chunks(arrays, size))
        self._n_threads, self._pool = threads, ThreadPoolExecutor(threads)
        self.engine = engine(model, loss)
        self.trainable_mask = trainable_mask
        self._anchor, self._pull = np.zeros(self.n_parameters), 0.0

    def residuals(self, theta: Array) -> Array:
        """Return the residuals of all frames, then those of the ridge."""
        rows = self._map(self.engine.residuals, theta)
        parts = [np.asarray(row).reshape(-1) for row in rows]
        return np.concatenate(
            [np.concatenate(parts)[: self._n_residuals(rows)], *self._penalties(theta)]
        )

    def linearise(self, theta: Array) -> tuple[Array, Array]:
        """Return `residuals` and their Jacobian, (n_residuals, n_parameters)."""
        chunks = self._map(self.engine.linear, theta)
        n = self._n_residuals([r for r, _ in chunks])
        residuals = np.concatenate([np.asarray(r).reshape(-1) for r, _ in chunks])[:n]
        jacobian = np.concatenate([np.asarray(j).reshape(-1, theta.size) for _, j in chunks])[:n]
        return (
            np.concatenate([residuals, *self._penalties(theta)]),
            np.concatenate([jacobian, *(w * np.eye(theta.size) for w in self._weights)]),
        )

    def of_offsets(self, theta: Array, steps: Array) -> tuple[Array, Array]:
        """Return `residuals`, and their changes by `steps`, (n_residuals, n_steps)."""
        return _changed_residuals(self, theta, steps)

    def cost(self, theta: Array) -> float:
        """Return half the sum of squared residuals."""
        residuals = self.residuals(theta)
        return float(0.5 * residuals @ residuals)

    def normal(self, theta: Array) -> tuple[float, Array, Array]:
        """Return cost, gradient and Gauss-Newton Hessian, accumulated without the Jacobian."""
        cost, gradient, hessian = (
            np.sum([np.asarray(part) for part in parts], axis=0)
            for parts in zip(*self._map(self.engine.normal, theta), strict=True)
        )
        return (
            float(cost + 0.5 * sum(p @ p for p in self._penalties(theta))),
            gradient
            + sum(w * p for w, p in zip(self._weights, self._penalties(theta), strict=True)),
            hessian + sum(w**2 for w in self._weights) * np.eye(theta.size),
        )

    def anchored(self, theta: Array, weight: float) -> Self:
        """Return the problem with the additional residuals ``weight (parameters - theta)``."""
        other = copy.copy(self)
        other._anchor, other._pull = theta, weight
        return other

    @property
    def _weights(self) -> tuple[float, ...]:
        return (RIDGE, self._pull) if self._pull else (RIDGE,)

    def _penalties(self, theta: Array) -> list[Array]:
        """Return the residuals of the parameters themselves, for each of the weights."""
        return [RIDGE * theta] + ([self._pull * (theta - self._anchor)] if self._pull else [])

    @functools.cached_property
    def frames(self) -> Chunk:
        """Arrays of all frames, from which batches are drawn."""
        joined = (
            np.concatenate(parts)[: self.n_frames] for parts in zip(*self._chunks, strict=True)
        )
        return tuple(joined)

    def sampled(
        self, theta: Array, index: Array, n_slopes: int | None, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return residuals of some frames, (n,), and their derivatives, (n, n_parameters).

        For each frame `n_slopes` directions are drawn, and weighted such that the sum of squares
        stays the same on average; by default all are used.
        """
        x, energies, directions, slopes, weights = (part[index] for part in self.frames)
        n = directions.shape[1]
        k = min(n_slopes or n, n)
        if k < n:
            chosen = np.argsort(rng.random((len(index), n)), axis=1)[:, :k]
            directions = np.take_along_axis(directions, chosen[:, :, None, None], axis=1)
            slopes = np.take_along_axis(slopes, chosen, axis=1)
        factor = np.concatenate([[1.0], np.full(k, math.sqrt(n / max(k, 1)))])
        batch = (x, energies, directions, slopes, weights)
        parts = self._pool.map(lambda part: self.engine.linear(theta, part), self._split(batch))
        residuals, rows = (np.concatenate(p) for p in zip(*parts, strict=True))
        rows = rows * (
            factor[:, None]
            if self.trainable_mask is None
            else factor[:, None] * self.trainable_mask
        )
        return (residuals * factor).reshape(-1), rows.reshape(-1, theta.size)

    @property
    def chunks(self) -> Chunk:
        """Arrays (n_chunks, n_frames_of_a_chunk, ...); padding frames have no weight."""
        return tuple(np.stack(parts) for parts in zip(*self._chunks, strict=True))

    def loss_and_slope(self, theta: Array, batch: Chunk) -> tuple[float, Array]:
        """Return half the sum of squared residuals of `batch`, and its gradient; native engine."""
        assert isinstance(self.engine, SlopeEngine)
        engine = self.engine
        found = list(
            self._pool.map(lambda part: engine.loss_and_slope(theta, part), self._split(batch))
        )
        slope = np.sum([slope for _, slope in found], axis=0)
        return sum(
            loss for loss, _ in found
        ), slope if self.trainable_mask is None else slope * self.trainable_mask

    def _split(self, batch: Chunk) -> list[Chunk]:
        """Return parts of a batch, one for each thread."""
        n = len(batch[0])
        size = math.ceil(n / self._n_threads)
        return [tuple(array[i : i + size] for array in batch) for i in range(0, n, size)]

    def _map(self, function: Any, theta: Array) -> list[Any]:
        return list(
            self._pool.map(
                lambda chunk: jax.block_until_ready(function(theta, chunk)), self._chunks
            )
        )

    def _n_residuals(self, rows: list[Any]) -> int:
        return self.n_frames * int(rows[0].shape[1])


class JointProblem:
    """Fit of several molecules with one set of parameters, for `qmd.train.optimisers.gauss_newton`.

    Parameters
    ----------
    problems : sequence of Problem
        Problems of models with the same parameters.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self._problems = problems
        self._ends = np.cumsum([problem.n_frames for problem in problems])
        self.n_frames = int(self._ends[-1])

    def residuals(self, theta: Array) -> Array:
        """Return the residuals of all frames of all molecules."""
        return np.concatenate([problem.residuals(theta) for problem in self._problems])

    def of_offsets(self, theta: Array, steps: Array) -> tuple[Array, Array]:
        """Return `residuals`, and their changes by `steps`, (n_residuals, n_steps)."""
        return _changed_residuals(self, theta, steps)

    def sampled(
        self, theta: Array, index: Array, n_slopes: int | None, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Return the result of `Problem.sampled`, with frames counted through all molecules."""
        molecule = np.searchsorted(self._ends, index, side="right")
        parts = [
            problem.sampled(
                theta, index[molecule == i] - (self._ends[i] - problem.n_frames), n_slopes, rng
            )
            for i, problem in enumerate(self._problems)
            if (molecule == i).any()
        ]
        residuals, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        return residuals, rows


def _changed_residuals(
    problem: Problem | JointProblem, theta: Array, steps: Array
) -> tuple[Array, Array]:
    residuals = problem.residuals(theta)
    columns = [problem.residuals(theta + step) - residuals for step in steps]
    return residuals, np.stack(columns, axis=1)


def frames_in_chunks(arrays: tuple[Array, ...], size: int) -> Iterator[tuple[Array, ...]]:
    """Yield chunks of `size` frames; the last one is padded with frames whose weight is 0."""
    n = len(arrays[0])
    for begin in range(0, n, size):
        index = np.arange(begin, begin + size)
        *parts, weights = (a[np.minimum(index, n - 1)] for a in arrays)
        yield *parts, np.where(index < n, weights, 0.0)


def internal_directions(positions: Array, *, rotations: bool = True) -> Array:
    """Return orthonormal directions that neither translate nor rotate each frame.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3)
    rotations : bool
        True to exclude rotations as well as translations.

    Returns
    -------
    (n_frames, 3 n_atoms - 6, n_atoms, 3)
        Directions: 3 n_atoms - 5 for two atoms, and 3 n_atoms - 3 with rotations included.
    """
    n_frames, n_atoms, _ = positions.shape
    n_fixed = 3 + (0 if not rotations else 2 if n_atoms == 2 else 3)
    directions = np.empty((n_frames, 3 * n_atoms - n_fixed, n_atoms, 3))
    for frame, x in enumerate(positions - positions.mean(axis=1, keepdims=True)):
        shifts = np.tile(np.eye(3), (n_atoms, 1))
        turns = np.concatenate([np.cross(np.eye(3), r).T for r in x])
        fixed = np.concatenate([shifts, turns], axis=1) if rotations else shifts
        basis, _, _ = np.linalg.svd(fixed)
        directions[frame] = basis[:, n_fixed:].T.reshape(-1, n_atoms, 3)
    return directions
