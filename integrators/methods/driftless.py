"""Wrapper of a method that removes the motion of the centre of mass at regular intervals."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from ..batch import Batch
from ..forces.force import Force
from ..kernels import centre_velocity
from ..noise import Stream
from ..state import FloatArray, State
from .base import AbstractIntegrator, begin, begin_of, step, step_of


class _Parameters(NamedTuple):
    method: NamedTuple
    every: int
    centre: FloatArray


@dataclass(frozen=True, slots=True)
class Driftless(AbstractIntegrator):
    """A method whose centre of mass is brought to rest after every `every`-th step of a run.

    After the steps n = every, 2 every, ... the velocity of the centre of mass is subtracted from
    all velocities. So the temperature is that of the motion about the centre, of
    ``3 n_atoms - 3`` degrees of freedom, whatever moves the centre in between: noise, or forces
    whose sum is not zero.

    Parameters
    ----------
    method : AbstractIntegrator
        For systems of which no atom is fixed.
    every : int

    Raises
    ------
    ValueError
        If `every` is below 1.
    """

    method: AbstractIntegrator
    every: int

    def __post_init__(self) -> None:
        if not self.every >= 1:
            raise ValueError(f"`every` must be at least 1, but every={self.every}.")

    @property
    def dt(self) -> float:  # type: ignore[override]  # read only, as in every frozen method
        """Time step (angstrom sqrt(u/eV))."""
        return self.method.dt

    @property
    def conserves_energy(self) -> bool:
        """Return that of the method."""
        return self.method.conserves_energy

    @property
    def reaches_all_momenta(self) -> bool:
        """False: the total momentum stays zero."""
        return False

    @property
    def is_random(self) -> bool:
        """Return that of the method."""
        return self.method.is_random

    @property
    def target_kT(self) -> float | None:
        """Return that of the method (eV)."""
        return self.method.target_kT

    @property
    def highest_kT(self) -> float | None:
        """Return that of the method (eV)."""
        return self.method.highest_kT

    @property
    def bath_variables(self) -> tuple[str, ...]:
        """Return that of the method."""
        return self.method.bath_variables

    @property
    def changes_cell(self) -> bool:
        """Return that of the method."""
        return self.method.changes_cell

    @property
    def has_conserved_energy(self) -> bool:
        """Return that of the method."""
        return self.method.has_conserved_energy

    def conserved_energies(self, batch: Batch, kinetic: FloatArray) -> FloatArray:
        """Return that of the method (eV), shape (n,)."""
        return self.method.conserved_energies(batch, kinetic)

    def of_motion(self, dof: int, about_centre: bool) -> Self:
        """Return this method for a system with `dof` degrees of freedom.

        Raises
        ------
        ValueError
            If atoms are fixed or held, so that the centre of mass is not free.
        """
        if not about_centre:
            raise ValueError("Only a system without fixed or held atoms can drift.")
        return replace(self, method=self.method.of_motion(dof, about_centre))

    def start(self, state: State, stream: Stream, force: Force | None = None) -> State:
        """Return that of the method."""
        return self.method.start(state, stream, force)

    def for_thread(self) -> Self:
        """Return an equal integrator that shares no scratch with this one."""
        return replace(self, method=self.method.for_thread())

    def _parameters(self, n_atoms: int) -> _Parameters:
        return _Parameters(self.method._parameters(n_atoms), int(self.every), np.empty(3))


@begin_of(_Parameters)
def _begin(parameters, state, inv_masses):
    return begin(parameters.method, state, inv_masses)


@step_of(_Parameters)
def _step(parameters, state, inv_masses, force, stream, now):
    energy, status = step(parameters.method, state, inv_masses, force, stream, now)
    if (now + 1) % parameters.every == 0:
        v, centre = state.velocities, parameters.centre
        centre_velocity(v, inv_masses, True, centre)
        for i in range(v.shape[0]):
            for k in range(3):
                v[i, k] -= centre[k]
    return energy, status
