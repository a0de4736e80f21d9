"""What all integrators share: the interface, and the door that every run of steps goes through."""

import abc

import numpy as np
import numpy.typing as npt

from ..batch import Batch, IntArray
from ..forces.force import Force, ForcePointer, pointer
from ..limits import Limits, Status
from ..noise import Stream
from ..state import Advanced, FloatArray, State, owned_copy

LoopEnd = tuple[float, int, int, int]
"""What a compiled loop returns: energy, step, status, warned."""


class AbstractIntegrator(abc.ABC):
    """A method that moves a `State` through time.

    An implementation is a frozen dataclass of parameters: no state, no side effect.
    """

    __slots__ = ()

    @abc.abstractmethod
    def _loop(
        self,
        state: State,
        inv_masses: FloatArray,
        force: ForcePointer,
        stream: Stream,
        limits: Limits,
        n_steps: int,
    ) -> LoopEnd:
        """Make the steps in compiled code, in place in the arrays of `state`."""

    @abc.abstractmethod
    def _loop_each(
        self,
        batch: Batch,
        ended: IntArray,
        inv_masses: FloatArray,
        force: ForcePointer,
        seed: int,
        limits: Limits,
        n_steps: int,
    ) -> None:
        """Make the steps of one replica after the other, each by the code of `_loop`.

        In place in the arrays of `batch`, without the lock of Python, so that threads can share
        the replicas. Row r of `ended` takes step, status and warned of replica r.
        """

    def advance(
        self,
        state: State,
        force: Force,
        inv_masses: npt.ArrayLike,
        stream: Stream,
        limits: Limits,
        n_steps: int,
    ) -> Advanced:
        """Make `n_steps` steps, or fewer if one breaks a limit.

        The result does not depend on how the steps are divided into calls, to the last bit.

        Parameters
        ----------
        state : State
            Not changed. Its energy and forces are trusted, not computed again: `initial_state`
            makes a first one.
        force : Force
        inv_masses : array, shape (n_atoms,)
            Inverse masses (1/u).
        stream : Stream
            The noise, for the methods that need one.
        limits : Limits
            `unlimited` gives those that stop on NaN and infinity only.
        n_steps : int

        Returns
        -------
        Advanced

        Raises
        ------
        ValueError
            If the shapes do not fit each other, `n_steps` is negative, or the stream or the
            limits are not valid.
        TypeError
            If `force` does not fit `FORCE_SIGNATURE`.
        """
        own = owned_copy(state)
        w = np.array(inv_masses, dtype=np.float64, order="C")
        if w.shape != own.positions.shape[:1]:
            raise ValueError(
                f"`inv_masses` must have shape {own.positions.shape[:1]}, but have {w.shape}."
            )
        if n_steps < 0:
            raise ValueError(f"`n_steps` must not be negative, but n_steps={n_steps}.")
        energy, step, status, warned = self._loop(
            own, w, pointer(force), stream, limits, int(n_steps)
        )
        moved = State(own.positions, own.velocities, own.forces, energy, step)
        return Advanced(moved, Status(status), warned)
