"""A potential that a run can use: a tree on an interpreter, or a Python function."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qmd.errors import MismatchError
from qmd.forces.origin import PotentialOrigin
from qmd.integrators import Force, python_force
from qmd.potentials import Model, NativeKernel, evaluate, native_model
from qmd.typing import Array, EnergyAndForces

ForceSpread = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class RunnablePotential:
    """A potential on the atoms of a system."""

    source: PotentialOrigin
    model: Model | None = None
    """The tree, if it is one."""
    backend: str = "native"
    """What interprets the tree: native or jax."""
    function: EnergyAndForces | None = None
    """What it is instead of a tree."""
    variance: ForceSpread | None = None
    """Of a committee: positions -> variance of the force on each atom, eV^2/angstrom^2."""

    def force(self) -> Force:
        """For the integrators.

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
        """As a Python function; the forces are the caller's own."""
        if self.function is not None:
            return self.function
        assert self.model is not None
        if self.backend == "native":
            return _by_kernel(self.model)
        from qmd.forces.jax_force import jax_function

        function = jax_function(self.model)

        def energy_and_forces(positions: Array) -> tuple[float, Array]:
            energy, forces = function(positions)
            return float(energy), np.array(forces)

        return energy_and_forces

    @property
    def native_model(self) -> Model | None:
        """The tree, if the native kernel interprets it."""
        return self.model if self.backend == "native" else None

    @property
    def force_spread(self) -> ForceSpread | None:
        """Of a committee: positions -> standard deviation of the force on each atom, eV/angstrom.

        That of the members' force vectors about their mean, ``sqrt(<|F_i - <F_i>|^2>)``.
        """
        variance = self.variance
        return None if variance is None else lambda positions: np.sqrt(variance(positions))


def build_force(model: Model, backend: str) -> Force:
    """The force of a model: its native kernel, or its JAX function through a callback."""
    if backend == "native":
        return Force(*_kernel(model))
    from qmd.forces.jax_force import jax_force

    return jax_force(model)


def _kernel(model: Model) -> NativeKernel:
    try:
        return native_model(model)
    except ValueError as error:
        raise MismatchError(str(error), hint="set `potential.backend: jax`") from None


def _by_kernel(model: Model) -> EnergyAndForces:
    kernel = _kernel(model)

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        energy, forces = evaluate(kernel, np.array(positions))
        return float(energy), forces

    return energy_and_forces
