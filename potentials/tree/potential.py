"""Potentials in JAX: their interface, and its implementation by trees."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from . import jax_energy as jax_model
from .nodes import Model


class AbstractPotential(eqx.Module):
    """Differentiable potential energy surface, in eV and angstrom.

    Implementations are final; compose them by wrapping.
    """

    @abc.abstractmethod
    def energy(self, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
        """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""

    def energy_and_forces(
        self, positions: Float[Array, "atoms 3"]
    ) -> tuple[Float[Array, ""], Float[Array, "atoms 3"]]:
        """Return energy (eV) and forces (eV/angstrom), shape (n_atoms, 3)."""
        energy, gradient = jax.value_and_grad(self.energy)(positions)
        return energy, -gradient


class ModelPotential(AbstractPotential):
    """Potential of any tree, e.g. `Quantum` or `ManyBody`.

    Parameters
    ----------
    model : Model
        Tree; NumPy arrays in it become constants of a compiled program.

    Raises
    ------
    ValueError
        If parameters do not fit their architecture.
    """

    model: Model

    def __check_init__(self) -> None:
        self.model.check()

    def energy(self, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
        """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
        return jax_model.energy(self.model, positions)


def compiled(
    potential: AbstractPotential,
) -> Callable[[ArrayLike], tuple[Float[Array, ""], Float[Array, "atoms 3"]]]:
    """Return the jitted `energy_and_forces` with the parameters as constants of the program.

    With constant parameters, the layers of circuits are multiplied out once, at compile time.

    Raises
    ------
    RuntimeError
        If JAX is not in double precision.
    """
    require_float64()
    return jax.jit(lambda positions: potential.energy_and_forces(positions))


def require_float64() -> None:
    """Raise RuntimeError unless JAX computes in double precision (its default is single)."""
    if jnp.result_type(float) != jnp.float64:
        raise RuntimeError(
            "Potentials need float64, but JAX is in its default single precision. "
            'Call jax.config.update("jax_enable_x64", True) first.'
        )
