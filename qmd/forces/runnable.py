"""Potential that a run can use: a tree on an interpreter, or a Python function."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from qmd.errors import MismatchError
from qmd.forces.origin import PotentialOrigin
from qmd.integrators import (
    ISOLATED,
    Force,
    evaluate_virial,
    has_virial,
    python_force,
    python_force_in_cell,
)
from qmd.integrators import evaluate as _evaluate
from qmd.io.structure import WITHOUT_CELL
from qmd.potentials import Model, evaluate, families, leaves, native_model
from qmd.system.cell import is_full, volume
from qmd.system.system import System
from qmd.typing import Array, EnergyAndForces, EnergyInCell


class ForceSpread(Protocol):
    """Function of positions (angstrom) and lattice vectors that returns one number per atom."""

    def __call__(self, positions: Array, cell: Array = ISOLATED) -> Array: ...


@dataclass(frozen=True, eq=False)
class RunnablePotential:
    """Potential on the atoms of a system."""

    source: PotentialOrigin
    model: Model | None = None
    """Tree of the potential; None if it is a Python function."""
    backend: str = "native"
    """Interpreter of the tree: native or jax."""
    function: EnergyAndForces | None = None
    """Python function of the potential; None if it is a tree, or knows cells."""
    in_cell: EnergyInCell | None = None
    """Python function of the potential, if it knows periodic cells."""
    variance: ForceSpread | None = None
    """Variance of the force on each atom over the members of a committee, eV^2/angstrom^2."""

    def force(self, threads: int = 1) -> Force:
        """Return the force for the integrators.

        Parameters
        ----------
        threads : int
            Number of threads that share the work, where `shares_work` says that they can.

        Raises
        ------
        MismatchError
            If a part of the tree has no native form.
        """
        if self.in_cell is not None:
            return python_force_in_cell(self.in_cell)
        if self.model is None:
            return python_force(self.energy_and_forces)
        return build_force(self.model, self.backend, threads)

    def shares_work(self, system: System) -> bool:
        """Return True if threads can share the work of one energy of `system`."""
        return (
            system.is_periodic
            and self.native_model is not None
            and any(families.family_of(leaf).in_threads for _, leaf in leaves(self.native_model))
        )

    @cached_property
    def energy_and_forces(self) -> EnergyAndForces:
        """Energy and forces as a Python function; the caller owns the returned forces."""
        if self.function is not None:
            return self.function
        if self.in_cell is not None:
            return isolated(self.in_cell)
        assert self.model is not None
        if self.backend == "native":
            return _kernel_function(self.model)
        from qmd.forces.jax_force import jax_function

        function = jax_function(self.model)

        def energy_and_forces(positions: Array) -> tuple[float, Array]:
            energy, forces = function(positions)
            return float(energy), np.array(forces)

        return energy_and_forces

    @cached_property
    def is_periodic(self) -> bool:
        """True if the potential knows periodic cells."""
        return self.in_cell is not None or (self.model is not None and self.force().periodic)

    @cached_property
    def energy_in_cell(self) -> EnergyInCell:
        """Energy, forces and virial in a cell as a Python function.

        It raises MismatchError in a periodic cell if the potential is for isolated systems.
        """
        if self.in_cell is not None:
            return self.in_cell
        return in_cell(self.force(), self.source.name)

    @property
    def native_model(self) -> Model | None:
        """Tree of the potential, if the native kernel interprets it; else None."""
        return self.model if self.backend == "native" else None

    @property
    def force_spread(self) -> ForceSpread | None:
        """Standard deviation of the force on each atom over a committee, eV/angstrom.

        It is a function of positions and cell, ``sqrt(<|F_i - <F_i>|^2>)`` over the members i.
        """
        variance = self.variance
        if variance is None:
            return None
        return lambda positions, cell=ISOLATED: np.sqrt(variance(positions, cell))


def isolated(function: EnergyInCell) -> EnergyAndForces:
    """Return the energy and forces of isolated atoms by a function that knows cells."""

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        energy, forces, _ = function(positions, ISOLATED, False)
        return energy, forces

    return energy_and_forces


def in_cell(force: Force, name: str) -> EnergyInCell:
    """Return energy, forces and virial of a force in a cell as a Python function."""
    virials: bool | None = None  # unknown

    def energy_in_cell(
        positions: Array, cell: Array, virial: bool
    ) -> tuple[float, Array, Array | None]:
        nonlocal virials
        require_cell(force, cell, name)
        if virial and virials is None:
            virials = has_virial(force, positions, cell)
        if virial and virials:
            return evaluate_virial(force, positions, cell)
        return *_evaluate(force, positions, cell), None

    return energy_in_cell


def stress_of(function: EnergyInCell, positions: Array, cell: Array) -> Array | None:
    """Return the stress (eV/A^3) in a cell, in ASE's sign, shape (3, 3).

    It is None unless the cell is periodic in all directions and the function has a virial.
    """
    virial = function(positions, cell, True)[2] if is_full(cell) else None
    return None if virial is None else np.asarray(-(virial + virial.T) / (2 * volume(cell)))


def require_cell(force: Force, cell: Array, name: str) -> None:
    """Raise MismatchError if the system is periodic and the force of `name` is not."""
    if cell.any() and not force.periodic:
        raise MismatchError(
            f"{name} is for isolated molecules, but the system is periodic", WITHOUT_CELL
        )


def build_force(model: Model, backend: str, threads: int = 1) -> Force:
    """Return the force of a model: its native kernel, or its JAX function through a callback."""
    if backend == "native":
        return _kernel(model, threads)
    from qmd.forces.jax_force import jax_force

    return jax_force(model)


def _kernel(model: Model, threads: int = 1) -> Force:
    try:
        return native_model(model, threads)
    except ValueError as error:
        raise MismatchError(str(error), hint="set `potential.backend: jax`") from None


def _kernel_function(model: Model) -> EnergyAndForces:
    kernel = _kernel(model)

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        energy, forces = evaluate(kernel, np.array(positions))
        return float(energy), forces

    return energy_and_forces
