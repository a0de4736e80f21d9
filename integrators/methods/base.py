"""The base of all integrators: the interface, what each says of itself, and the two loops.

The loops over replicas and over steps are compiled once for each method: Numba compiles them for
the type of `AbstractIntegrator._parameters`, and finds the step that `step_of` has registered for
this type. A single trajectory is a batch of one.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import overload

from ..batch import Batch, IntArray
from ..compiled import INNER, NO_REFERENCES
from ..forces.force import Force, ForcePointer, pointer, require_fits
from ..kernel_cache import njit
from ..kernels import copy_into
from ..limits import Limits, Status, check, check_images, owned, require_valid
from ..noise import Stream, checked_stream
from ..state import Advanced, FloatArray, State, owned_copy
from .beside import advance_in_groups, in_groups

STEP, STATUS, WARNED = range(3)
"""Columns of what `AbstractIntegrator.advance_each` writes for each replica."""


class AbstractIntegrator(abc.ABC):
    """A method that moves a `State` through time.

    An implementation is a frozen dataclass of parameters: no state, no side effect. It says what
    it is in the properties below, and its step in a function under `step_of`.
    """

    __slots__ = ()

    dt: float
    """Time step (angstrom sqrt(u/eV))."""

    @property
    @abc.abstractmethod
    def conserves_energy(self) -> bool:
        """True if only the finite time step keeps the energy from being constant."""

    @property
    @abc.abstractmethod
    def reaches_all_momenta(self) -> bool:
        """True if all 3N momenta change, total momentum and rotation included."""

    @property
    @abc.abstractmethod
    def is_random(self) -> bool:
        """True if the noise of its stream lets a replica part from an equal start."""

    @property
    @abc.abstractmethod
    def target_kT(self) -> float | None:
        """Thermal energy (eV) of the bath; None without one."""

    @property
    def highest_kT(self) -> float | None:
        """Largest thermal energy (eV) that the bath ever has; None without one."""
        return self.target_kT

    @property
    def damping(self) -> float | None:
        """Rate at which a bath damps every momentum (sqrt(eV/u)/angstrom), if it is constant."""
        return None

    @property
    def bath_variables(self) -> tuple[str, ...]:
        """Names of the variables in `State.bath`."""
        return ()

    @property
    def changes_cell(self) -> bool:
        """True if the method moves the lattice vectors, for which it needs a virial."""
        return False

    @property
    def has_conserved_energy(self) -> bool:
        """True if `conserved_energies` exist: of a bath whose exchange of energy is recorded."""
        return False

    def conserved_energies(self, batch: Batch, kinetic: FloatArray) -> FloatArray:
        """Return what only the finite time step keeps from being constant, bath included (eV).

        Parameters
        ----------
        batch : Batch
        kinetic : float64 array, shape (n,)
            Kinetic energies (eV).

        Returns
        -------
        float64 array, shape (n,)
        """
        return batch.energies + kinetic

    def of_motion(self, dof: int, about_centre: bool) -> "AbstractIntegrator":
        """Return this method for a system in which so much motion is free.

        Parameters
        ----------
        dof : int
            Number of kinetic degrees of freedom.
        about_centre : bool
            True if they are those of the motion about the centre of mass.
        """
        return self

    def start(self, state: State, stream: Stream, force: Force | None = None) -> State:
        """Return a state with exact forces as the first one of this method.

        Parameters
        ----------
        state : State
        stream : Stream
        force : Force, optional
            For the methods whose variables depend on more than the forces: on the virial.
        """
        return state._replace(bath=np.zeros(len(self.bath_variables)))

    def on_noisy_forces(self, covariance: Force, compensate: bool) -> "AbstractIntegrator | None":
        """Return this method for forces with a noise of this covariance; None if there is none.

        Parameters
        ----------
        covariance : Force
            Writes the covariance (eV^2/angstrom^2), shape (3 n_atoms, 3 n_atoms), where a force
            writes forces.
        compensate : bool
            Whether the bath gives less by what the noise gives.
        """
        return None

    def share(self, positions: npt.ArrayLike, inv_masses: npt.ArrayLike) -> float:
        """Part of the bath's power that the noise of the forces takes over; at most 1 can be."""
        return 0.0

    def for_thread(self) -> "AbstractIntegrator":
        """Return an equal integrator that shares no scratch with this one."""
        return self

    @abc.abstractmethod
    def _parameters(self, n_atoms: int) -> NamedTuple:
        """Return what the compiled step reads: numbers, pointers, and scratch of one call."""

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
            Inverse masses (1/u); 0 of an atom that is fixed, whose velocity must be zero.
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
            If the shapes do not fit each other or the method, the force is not made for these
            atoms or this cell, `n_steps` is negative, or the stream or the limits are not valid.
        TypeError
            If `force` does not fit `FORCE_SIGNATURE`.
        """
        own, (seed, replica) = owned_copy(state), checked_stream(stream)
        w = np.array(inv_masses, dtype=np.float64, order="C")
        if w.shape != own.positions.shape[:1]:
            raise ValueError(
                f"`inv_masses` must have shape {own.positions.shape[:1]}, but have {w.shape}."
            )
        if n_steps < 0:
            raise ValueError(f"`n_steps` must not be negative, but n_steps={n_steps}.")
        address = pointer(force)
        require_fits(force, len(w), own.cell)
        while True:
            batch, ended = Batch.of_one(own, replica), np.zeros((1, 3), np.int64)
            self.advance_each(batch, ended, w, address, seed, limits, n_steps)
            if ended[0, STATUS] == Status.OK or not force.grown():
                break
            own = owned_copy(state)
        if ended[0, STATUS] != Status.OK and force.lost:
            ended[0, STATUS] = Status.LOST_PAIR
        moved = batch._replace(step=int(ended[0, STEP])).state(0)
        return Advanced(moved, Status(ended[0, STATUS]), int(ended[0, WARNED]))

    def advance_each(
        self,
        batch: Batch,
        ended: IntArray,
        inv_masses: FloatArray,
        force: ForcePointer,
        seed: int,
        limits: Limits,
        n_steps: int,
    ) -> None:
        """Make the steps of one replica after the other, in place and without any check.

        `AbstractReplicas` is the door to this; without the lock of Python, so that threads can
        share the replicas.

        Parameters
        ----------
        batch : Batch
            Writable C-contiguous arrays, which are overwritten; `step` stays.
        ended : int64 array, shape (n, 3)
            Takes step, status and warned of each replica.
        inv_masses : float64 array, shape (n_atoms,)
            In 1/u; 0 of an atom that is fixed.
        force : ForcePointer
        seed : int
        limits : Limits
        n_steps : int
        """
        if batch.baths.shape[1] != len(self.bath_variables):
            raise ValueError(
                f"`bath` must have shape ({len(self.bath_variables)},) for this method, but has "
                f"({batch.baths.shape[1]},)."
            )
        parameters = self._parameters(batch.positions.shape[1])
        previous = np.empty(batch.positions.shape[1:])
        limits, n_steps = owned(limits), int(n_steps)
        n = in_groups(parameters, force, limits, len(batch.replicas))
        if n:
            first = batch.rows(slice(n)), ended[:n]
            advance_in_groups(*first, inv_masses, parameters, force, seed, limits, n_steps)
            batch, ended = batch.rows(slice(n, None)), ended[n:]
        _advance_each(batch, ended, inv_masses, parameters, force, seed, limits, n_steps, previous)


def begin(parameters, state, inv_masses):
    """Prepare the scratch in `parameters` for steps from `state`; return a `Status`."""
    raise NotImplementedError("Compiled code only.")


def step(parameters, state, inv_masses, force, stream, now):
    """Make step `now` in place in the arrays of `state`; return the energy (eV) and a `Status`."""
    raise NotImplementedError("Compiled code only.")


_begins: dict[type, Callable[..., Any]] = {}
_steps: dict[type, Callable[..., Any]] = {}


def begin_of(parameters: type) -> Callable[[Any], Any]:
    """Register the decorated function as `begin` of a type of parameters; default: nothing."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        return _begins.setdefault(parameters, function)

    return register


def step_of(parameters: type) -> Callable[[Any], Any]:
    """Register the decorated function as `step` of a type of parameters."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        return _steps.setdefault(parameters, function)

    return register


def _begin(parameters, state, inv_masses):
    return Status.OK


@overload(begin, jit_options=INNER)
def _begin_of(parameters, state, inv_masses):
    return _begins.get(parameters.instance_class, _begin)


@overload(step, jit_options=INNER)
def _step_of(parameters, state, inv_masses, force, stream, now):
    return _steps[parameters.instance_class]


@njit(nogil=True, **NO_REFERENCES)
def _advance_each(batch, ended, inv_masses, parameters, force, seed, limits, n_steps, previous):
    require_valid(limits, batch.positions.shape[1], force.alarm)
    for r in range(batch.replicas.size):
        if not 0 <= batch.replicas[r] < 4294967296:
            raise ValueError("`replicas` must lie in 0 ... 2**32 - 1.")
        state = State(
            batch.positions[r], batch.velocities[r], batch.forces[r], batch.energies[r],
            batch.step, batch.cells[r], batch.baths[r],
        )  # fmt: skip
        stream = Stream(seed, batch.replicas[r])
        status, now, warned = begin(parameters, state, inv_masses), batch.step, 0
        while status == Status.OK and now < batch.step + n_steps:
            copy_into(previous, state.positions)
            batch.energies[r], own = step(parameters, state, inv_masses, force, stream, now)
            now += 1
            status, outside = check(
                state.positions, previous, state.forces, batch.energies[r], limits
            )
            status, outside = check_images(
                status, outside, state.positions, state.cell, limits, force.alarm
            )
            warned += outside
            if status == Status.OK:
                status = own
        ended[r, STEP], ended[r, STATUS], ended[r, WARNED] = now, status, warned
