"""Random parameters and inputs of circuits, and means with their standard errors."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qmd.potentials import RotationProgram

Array = np.ndarray


class Estimate(NamedTuple):
    """Number from random draws, or from a count."""

    value: float
    error: float | None
    """Standard error; None if nothing was drawn."""

    def __str__(self) -> str:
        return f"{self.value:.4g}" + ("" if self.error is None else f" +- {self.error:.1g}")


def parameters(program: RotationProgram, n: int, rng: np.random.Generator) -> Array:
    """Draw parameters (n, P), each uniform over its period."""
    return np.asarray(rng.uniform(size=(n, program.n_parameters)) * np.array(program.periods))


def inputs(program: RotationProgram, n: int, rng: np.random.Generator) -> Array:
    """Draw inputs (n, I): angles over the full circle; vectors of any direction up to length pi."""
    found = rng.uniform(-np.pi, np.pi, (n, program.n_inputs))
    for first in program.vectors:
        found[:, first] = rng.uniform(0.0, np.pi, n)
        found[:, first + 1] = np.arccos(rng.uniform(-1.0, 1.0, n))
    return found


def mean(values: Array) -> Estimate:
    """Return the mean of independent values, with its standard error."""
    spread = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return Estimate(float(np.mean(values)), spread)


def jackknife(function: Callable[[Array], float], rows: Array) -> Estimate:
    """Return a function of independent rows, with the standard error that leaving out one gives."""
    n, value = len(rows), float(function(rows))
    if n < 3:
        return Estimate(value, None)
    without = np.array([function(np.delete(rows, k, axis=0)) for k in range(n)])
    return Estimate(value, float(np.sqrt((n - 1) * without.var())))
