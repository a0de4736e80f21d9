"""Potential that a run can use: a tree on an interpreter, or a Python function."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qmd.errors import MismatchError
from qmd.forces.origin import PotentialOrigin
from qmd.integrators import Force, python_force
from qmd.potentials import Model, evaluate, native_model
from qmd.typing import Array, EnergyAndForces

ForceSpread = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class RunnablePotential:
    """Potential on the atoms of a system."""

    source: PotentialOrigin
    model: Model | None = None
    """Tree of the potential; None if it is a Python function."""
    backend: str = "native"
    """Interpreter of the tree: native or jax."""
    function: EnergyAndForces | None = None
    """Python function of the potential; None if it is a tree."""
    variance: ForceSpread | None = None
    """Variance of the force on each atom over the members of a committee, eV^2/angstrom^2."""

    def force(self) -> Force:
        """Return the force for the integrators.

        Raises
        ------
        MismatchError
            If a part of the tree has no native form.
        """
        if self.model is None:
            return python_force(self.energy_and_forces)
        return build_force(self.model, self.backend)

    @cached_property
    def energy_and_forces(self) -> EnergyAndForces:
        """Energy and forces as a Python function; the caller owns the returned forces."""
        if self.function is not None:
            return self.function
        assert self.model is not None
        if self.backend == "native":
            return _kernel_function(self.model)
        from qmd.forces.jax_force import jax_function

        function = jax_function(self.model)

        def energy_and_forces(positions: Array) -> tuple[float, Array]:
            energy, forces = function(positions)
            return float(energy), np.array(forces)

        return energy_and_forces

    @property
    def native_model(self) -> Model | None:
        """Tree of the potential, if the native kernel interprets it; else None."""
        return self.model if self.backend == "native" else None

    @property
    def force_spread(self) -> ForceSpread | None:
        """Standard deviation of the force on each atom over a committee, eV/angstrom.

        It is a function of the positions, ``sqrt(<|F_i - <F_i>|^2>)`` over the members i.
        """
        variance = self.variance
        return None if variance is None else lambda positions: np.sqrt(variance(positions))


def build_force(model: Model, backend: str) -> Force:
    """Return the force of a model: its native kernel, or its JAX function through a callback."""
    if backend == "native":
        return _kernel(model)
    from qmd.forces.jax_force import jax_force

    return jax_force(model)


def _kernel(model: Model) -> Force:
    try:
        return native_model(model)
    except ValueError as error:
        raise MismatchError(str(error), hint="set `potential.backend: jax`") from None


def _kernel_function(model: Model) -> EnergyAndForces:
    kernel = _kernel(model)

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        energy, forces = evaluate(kernel, np.array(positions))
        return float(energy), forces

    return energy_and_forces
