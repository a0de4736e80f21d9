"""Trained parameters: bounds, shapes and smooth random starts."""

from collections.abc import Iterable
from typing import Any

import numpy as np

MAX_PARAMETER = 1e12
"""In size; beyond, an angle has no meaning left in double precision."""


def check_arrays(parameters: Any, shapes: Iterable[list[tuple[int, ...]]]) -> None:
    """Raise ValueError unless all arrays of a NamedTuple are float64, finite, of allowed shapes.

    An array may be None if that is its default.
    """
    for name, allowed, value in zip(parameters._fields, shapes, parameters, strict=True):
        if value is None and name in parameters._field_defaults:
            continue
        if not allowed:
            raise ValueError(f"Parameter '{name}' does not fit a model of this form.")
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
