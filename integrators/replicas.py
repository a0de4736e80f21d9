"""Many replicas advanced together, each as if it were alone.

Threads of Python share them, since the compiled loops run without the lock of Python: no
threading layer of Numba, which a fork may not survive, and no second compilation. A replica is
computed by one thread from its own state and stream, so that nothing depends on how many there
are.
"""

import abc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import numpy.typing as npt

from .batch import AdvancedBatch, Batch, IntArray, owned_batch
from .forces.deferred import DeferredForce
from .forces.force import Force, ForcePointer, pointer, require_fits
from .forces.python_force import raise_pending
from .limits import Limits, Status, unlimited
from .methods.base import STATUS, STEP, WARNED, AbstractIntegrator
from .methods.beside import LEAST
from .noise import Stream, checked_stream
from .state import FloatArray

BatchForce = Callable[[FloatArray, IntArray], tuple[npt.ArrayLike, npt.ArrayLike]]
"""Energies (n,) and forces (n, n_atoms, 3) from positions (n, n_atoms, 3) and replicas (n,)."""


class AbstractReplicas(abc.ABC):
    """Advances batches of replicas; it holds threads, which `close` ends."""

    def __init__(
        self,
        integrator: AbstractIntegrator,
        inv_masses: npt.ArrayLike,
        seed: int,
        limits: Limits,
        threads: int,
    ) -> None:
        if threads < 1:
            raise ValueError(f"`threads` must be at least 1, but threads={threads}.")
        self._limits = limits
        self._integrators = [integrator, *(integrator.for_thread() for _ in range(threads - 1))]
        self._inv_masses = np.array(inv_masses, dtype=np.float64, order="C")
        self._seed = checked_stream(Stream(seed)).seed
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    @abc.abstractmethod
    def advance(self, batch: Batch, n_steps: int) -> AdvancedBatch:
        """Make `n_steps` steps of each replica, or fewer of one that breaks a limit.

        Parameters
        ----------
        batch : Batch
            Not changed. Its energies and forces are trusted, not computed again.
        n_steps : int

        Raises
        ------
        ValueError
            If the shapes do not fit each other or `n_steps` is negative.
        Exception
            What a Python force raised.
        """

    def audit(self) -> bool:
        """Count the pairs of all lists again; return False if one has lost a pair."""
        return True

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _checked(self, batch: Batch, n_steps: int) -> Batch:
        """A copy of `batch` to work in."""
        own = owned_batch(batch)
        if self._inv_masses.shape != own.positions.shape[1:2]:
            raise ValueError(
                f"`inv_masses` must have shape {own.positions.shape[1:2]}, "
                f"but have {self._inv_masses.shape}."
            )
        if n_steps < 0:
            raise ValueError(f"`n_steps` must not be negative, but n_steps={n_steps}.")
        return own

    def _loop(
        self, own: Batch, forces: Sequence[ForcePointer], limits: Limits, n_steps: int
    ) -> IntArray:
        """Advance `own` in place, one thread a force; step, status and warned of each replica."""
        ended = np.zeros((len(own.replicas), 3), np.int64)
        if len(forces) == 1:
            self._integrators[0].advance_each(
                own, ended, self._inv_masses, forces[0], self._seed, limits, n_steps
            )
            return ended
        shares = _shares(len(ended), len(forces))
        parts = list(zip(shares, self._integrators, forces, strict=True))

        def advance(part: slice, integrator: AbstractIntegrator, force: ForcePointer) -> None:
            integrator.advance_each(
                own.rows(part), ended[part], self._inv_masses, force, self._seed, limits, n_steps
            )

        others = [self._pool.submit(advance, *part) for part in parts[1:]] if self._pool else []
        try:
            advance(*parts[0])
        finally:
            wait(others)  # the arrays are theirs until they have ended
        for other in others:
            other.result()
        return ended


class NativeReplicas(AbstractReplicas):
    """Replicas on a compiled force: bit for bit what `AbstractIntegrator.advance` makes of each.

    Parameters
    ----------
    integrator : AbstractIntegrator
    force : Force
        Each thread gets a workspace of its own.
    inv_masses : array, shape (n_atoms,)
        Inverse masses (1/u).
    seed : int
        With the index of a replica it makes the stream of its noise.
    limits : Limits
    threads : int

    Raises
    ------
    ValueError, TypeError
        If `threads` is below 1, or the seed or the force is not valid.
    """

    def __init__(
        self,
        integrator: AbstractIntegrator,
        force: Force,
        inv_masses: npt.ArrayLike,
        seed: int,
        limits: Limits,
        threads: int,
    ) -> None:
        super().__init__(integrator, inv_masses, seed, limits, threads)
        copies = (force.for_thread() for _ in range(threads - 1))
        self._forces = [force, *copies]  # kept: a pointer does not keep its function alive
        self._pointers = [pointer(force) for force in self._forces]
        self._enough = threads * LEAST
        """Replicas from which on each thread has enough to compute side by side."""

    def advance(self, batch: Batch, n_steps: int) -> AdvancedBatch:
        own = self._checked(batch, n_steps)
        require_fits(self._forces[0], own.positions.shape[1], own.cells)
        if len(own.replicas) >= self._enough and not self._pointers[0].beside:
            self._pointers = [pointer(force, beside=True) for force in self._forces]
        while True:
            ended = self._loop(own, self._pointers, self._limits, n_steps)
            if not ended[:, STATUS].any():  # OK is 0
                break
            for force in self._forces:
                raise_pending(force)
            if any([force.lost for force in self._forces]):
                ended[ended[:, STATUS] != Status.OK, STATUS] = Status.LOST_PAIR
            if not any([force.grown() for force in self._forces]):
                break
            own = self._checked(batch, n_steps)
        moved = own._replace(step=own.step + n_steps)
        return AdvancedBatch(moved, ended[:, STEP], ended[:, STATUS], ended[:, WARNED])

    def audit(self) -> bool:
        return all([force.audit() for force in self._forces])


class BatchedReplicas(AbstractReplicas):
    """Replicas whose forces come from one call for all of them, such as a JAX batch on a GPU.

    Each step is made twice: once to learn where the forces are wanted, once with the answers;
    see `DeferredForce`. So every integrator with one force evaluation a step serves as it is.

    Parameters
    ----------
    integrator : AbstractIntegrator
    function : BatchForce
        It gets arrays that it may keep.
    inv_masses, seed, limits, threads
        As for `NativeReplicas`; the threads are those of the integrator, not of `function`.
    """

    def __init__(
        self,
        integrator: AbstractIntegrator,
        function: BatchForce,
        inv_masses: npt.ArrayLike,
        seed: int,
        limits: Limits,
        threads: int,
    ) -> None:
        super().__init__(integrator, inv_masses, seed, limits, threads)
        self._function, self._threads = function, threads

    def advance(self, batch: Batch, n_steps: int) -> AdvancedBatch:
        own = self._checked(batch, n_steps)
        ended = np.zeros((len(own.replicas), 3), np.int64)
        ended[:, STEP] = own.step
        for _ in range(n_steps):
            going = np.flatnonzero(ended[:, STATUS] == Status.OK)
            now = own._replace(step=own.step).rows(going)
            last = self._step(now)
            for whole, part in zip(own[:6], now[:6], strict=True):
                whole[going] = part
            ended[going, STEP], ended[going, STATUS] = last[:, STEP], last[:, STATUS]
            ended[going, WARNED] += last[:, WARNED]
            own = own._replace(step=own.step + 1)
        return AdvancedBatch(own, ended[:, STEP], ended[:, STATUS], ended[:, WARNED])

    def _step(self, now: Batch) -> IntArray:
        """One step of all replicas in `now`, in place."""
        if not len(now.replicas):
            return np.zeros((0, 3), np.int64)
        shares = _shares(len(now.replicas), self._threads)
        boxes = [DeferredForce(s.stop - s.start, now.positions.shape[1]) for s in shares]
        asking = [pointer(box.recorder()) for box in boxes]
        self._loop(owned_batch(now), asking, unlimited(), 1)
        positions = np.concatenate([box.positions() for box in boxes])
        energies, forces = self._function(positions, now.replicas.copy())
        energies, forces = np.asarray(energies, float), np.asarray(forces, float)
        for box, share in zip(boxes, shares, strict=True):
            box.put(energies[share], forces[share])
        return self._loop(now, [pointer(box.player()) for box in boxes], self._limits, 1)


def _shares(n: int, parts: int) -> list[slice]:
    """`n` rows in `parts` runs of rows, as even as can be."""
    edges = [n * part // parts for part in range(parts + 1)]
    return [slice(low, high) for low, high in zip(edges, edges[1:], strict=False)]
