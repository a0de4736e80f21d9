"""A tree of potentials as a JAX potential."""

from jaxtyping import Array, Float

from . import jax_energy as jax_model
from .nodes import Model
from .potential import AbstractPotential


class ModelPotential(AbstractPotential):
    """Any tree of `qmd.potentials.tree`, e.g. `Quantum` or `ManyBody`.

    Parameters
    ----------
    model : Model
        With NumPy arrays when trained: they become constants of a compiled program.

    Raises
    ------
    ValueError
        If parameters do not fit their architecture.
    """

    model: Model

    def __check_init__(self) -> None:
        self.model.check()

    def energy(self, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
        """Potential energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
        return jax_model.energy(self.model, positions)
