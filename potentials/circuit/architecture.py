"""A quantum potential as data: features, circuit, head, and the trained numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .circuit import Circuit
from .features import Features

MAX_PARAMETER = 1e12
"""In size; beyond, an angle has no meaning left in double precision."""


class Parameters(NamedTuple):
    """Everything trainable; a pytree of arrays (NumPy or JAX).

    The head is linear: ``E = sum_o weights_o <O_o> + offset``.
    """

    scales: Any
    """Of the features, shape (1 or n_layers + 1, n_scales): shared by all layers, or not.

    Linear vectors: alpha, 1/angstrom; vector densities: c, dimensionless.
    """
    couplings: Any
    """J and RZ angles, rad, shape (n_layers, n_couplings)."""
    weights: Any
    """eV per unit of each observable, shape (n_observables,)."""
    offset: Any
    """eV, a scalar."""


@dataclass(frozen=True)
class Architecture:
    """Features and circuit that fit together.

    Raises
    ------
    ValueError
        If the circuit asks for vectors that the features do not make.
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


def check_arrays(parameters: Any, shapes: Iterable[list[tuple[int, ...]]]) -> None:
    """Raise ValueError unless all arrays of a NamedTuple are float64, finite, of allowed shapes."""
    for name, allowed, value in zip(parameters._fields, shapes, parameters, strict=True):
        array = np.asarray(value)
        if array.shape not in allowed or array.dtype != np.float64:
            raise ValueError(
                f"Parameter '{name}' must be float64 of shape {allowed[0]}, "
                f"but it is {array.dtype} of shape {array.shape}."
            )
        if not (np.abs(array) < MAX_PARAMETER).all():
            raise ValueError(f"Parameter '{name}' must be finite and below {MAX_PARAMETER:g}.")


def smooth_normals(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of unit variance, correlated over a fifth of the last axis."""
    n = shape[-1]
    apart = np.subtract.outer(np.arange(n), np.arange(n)) / (0.2 * n)
    covariance = np.exp(-(apart**2) / 2) + 1e-9 * np.eye(n)
    return np.asarray(rng.standard_normal(shape) @ np.linalg.cholesky(covariance).T)
