"""Quantum potential as data: features, circuit, head, and the trained parameters."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..parameters import check_arrays
from .circuit import Circuit
from .features import Features


class Parameters(NamedTuple):
    """All trainable arrays; a pytree (NumPy or JAX).

    The head is linear: ``E = sum_o weights_o <O_o> + offset``.
    """

    scales: Any
    """Scales of the features, shape (1 or n_layers + 1, n_scales): shared by all layers, or not.

    Linear vectors: alpha, 1/angstrom; vector densities: c, dimensionless.
    """
    couplings: Any
    """Couplings J and RZ angles, rad, shape (n_layers, n_couplings)."""
    weights: Any
    """Weights of the observables, eV, shape (n_observables,)."""
    offset: Any
    """Energy offset, eV, a scalar."""


@dataclass(frozen=True)
class Architecture:
    """Features and circuit that fit together.

    Raises
    ------
    ValueError
        If the circuit uses vectors that the features do not provide.
    """

    features: Features
    circuit: Circuit

    def __post_init__(self) -> None:
        if self.circuit.n_vectors != self.features.n_vectors:
            raise ValueError(
                f"The circuit must use all vectors of the features, but it uses "
                f"{self.circuit.n_vectors} of {self.features.n_vectors}."
            )

    def check(self, parameters: Parameters) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        circuit, features = self.circuit, self.features
        expected = Parameters(
            scales=[(1, features.n_scales), (circuit.n_layers + 1, features.n_scales)],
            couplings=[(circuit.n_layers, circuit.n_couplings)],
            weights=[(len(circuit.observables),)],
            offset=[()],
        )
        check_arrays(parameters, expected)


@dataclass(frozen=True)
class Quantum:
    """Features, circuit and linear head with their parameters."""

    architecture: Architecture
    parameters: Parameters

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return self.architecture.features.n_atoms

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        self.architecture.check(self.parameters)
