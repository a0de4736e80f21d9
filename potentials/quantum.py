"""A trained circuit as a JAX potential."""

import equinox as eqx
from jaxtyping import Array, Float

from . import vqc
from .base import AbstractPotential
from .model import Architecture, Parameters


class QuantumPotential(AbstractPotential):
    """Features, circuit and linear head [1]_ with their parameters.

    Parameters
    ----------
    architecture : Architecture
    parameters : Parameters
        NumPy arrays when trained: they become constants of a compiled program.

    Raises
    ------
    ValueError
        If the parameters do not fit the architecture.

    References
    ----------
    .. [1] Le et al., New J. Phys. 27, 023015 (2025).
    """

    architecture: Architecture = eqx.field(static=True)
    parameters: Parameters

    def __check_init__(self) -> None:
        self.architecture.check(self.parameters)

    def energy(self, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
        """Potential energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
        return vqc.energy(self.architecture, self.parameters, positions)
