"""Radial interpolants with a linear tail, and the choice of one by its earlier errors.

de Winter, van Stein and Back, EMO 2021, doi:10.1007/978-3-030-72062-9_22: each objective and each
constraint has an interpolant for each kernel, of its values and of their logarithms; the one is
used that predicted the latest points best before they were evaluated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.spatial.distance import cdist

from qmd.typing import Array

Kernel = Callable[[Array], Array]
"""Function of distances in units of `width`."""


def _thin_plate(r: Array) -> Array:
    return np.asarray(r * r * np.log(np.maximum(r, 1e-300)))


KERNELS: dict[str, Kernel] = {
    "cubic": lambda r: r * r * r,
    "gaussian": lambda r: np.exp(-r * r),
    "multiquadric": lambda r: np.sqrt(1 + r * r),
    "inverse_quadric": lambda r: 1 / (1 + r * r),
    "inverse_multiquadric": lambda r: 1 / np.sqrt(1 + r * r),
    "thin_plate": _thin_plate,
}
PLAIN, PLOG = 0, 1
TRANSFORMS = "plain", "plog"
EXACT = 1e-6
"""Largest error of an interpolant at its own points, relative to the spread of its values."""


def plog(y: Array) -> Array:
    """Return sign(y) log(1 + |y|), which narrows values of many orders of magnitude."""
    return np.asarray(np.sign(y) * np.log1p(np.abs(y)))


def plog_inverse(z: Array) -> Array:
    """Return the y with ``plog(y) = z``; at the largest exponent a float holds beyond it."""
    return np.asarray(np.sign(z) * np.expm1(np.minimum(np.abs(z), 700.0)))


def width(n: int, size: int) -> float:
    """Return the width of the kernels: twice the spacing of n points spread over [-1, 1]^size."""
    return float(4 * n ** (-1 / size))


class Interpolants:
    """Interpolants of several outputs at the same points, with one kernel and linear tails.

    Parameters
    ----------
    kernel : str
        One of `KERNELS`.
    x : (n, size)
        Points, all different; at least size + 1 of them, not all in one plane.
    y : (n, m)
        Outputs.
    """

    def __init__(self, kernel: str, x: Array, y: Array) -> None:
        self._kernel, self._x = KERNELS[kernel], x
        self._width = width(*x.shape)
        n, size = x.shape
        self._middle, spread = y.mean(axis=0), np.ptp(y, axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        tail = np.column_stack([np.ones(n), x])
        self._matrix = np.zeros((n + size + 1, n + size + 1))
        self._matrix[:n, :n] = self._kernel(cdist(x, x) / self._width)
        self._matrix[:n, n:], self._matrix[n:, :n] = tail, tail.T
        right = np.zeros((n + size + 1, y.shape[1]))
        right[:n] = (y - self._middle) / self._spread
        self._weights = self._solve(right)
        errors = np.abs(self._matrix[:n] @ self._weights - right[:n])
        self.exact = np.asarray((errors < EXACT).all(axis=0))
        """False for each output that the solution misses at its own points, (m,)."""

    def _solve(self, right: Array) -> Array:
        """Solve by LU factors, or by least squares where the matrix has no inverse."""
        if 1 / np.linalg.cond(self._matrix, 1) > np.finfo(float).eps:
            return np.asarray(linalg.solve(self._matrix, right))
        return np.asarray(linalg.lstsq(self._matrix, right)[0])

    def _row(self, x: Array) -> Array:
        return np.hstack([self._kernel(cdist(x, self._x) / self._width), np.ones((len(x), 1)), x])

    def __call__(self, x: Array, outputs: Sequence[int] | slice = slice(None)) -> Array:
        """Return the interpolated `outputs` at points (k, size), (k, m)."""
        found = self._row(x) @ self._weights[:, outputs]
        return np.asarray(self._middle[outputs] + self._spread[outputs] * found)

    @cached_property
    def _inverse(self) -> Array:
        return np.asarray(linalg.pinv(self._matrix))

    def uncertainties(self, x: Array) -> Array:
        """Return the standard error of each output at points (k, size), (k, m); 0 where known.

        It is the power function of the kernel, times the size of the output in its native space;
        Bagheri et al., GECCO 2017, doi:10.1145/3071178.3071237.
        """
        n = len(self._x)
        rows = self._row(x)
        at_zero = float(self._kernel(np.zeros(1))[0])
        power = np.abs(at_zero - np.einsum("ki,ij,kj->k", rows, self._inverse, rows))
        radial = self._weights[:n]
        norms = np.abs(np.einsum("im,ij,jm->m", radial, self._matrix[:n, :n], radial)) / n
        return np.asarray(self._spread * np.sqrt(power[:, None] * norms))


class Choice(NamedTuple):
    """Kernel and transform of an output."""

    kernel: str
    transform: int

    def __str__(self) -> str:
        return f"{self.kernel}, {TRANSFORMS[self.transform]}"


FIRST = Choice("cubic", PLAIN)
"""Choice before there are errors to choose by."""


class Surrogates:
    """Interpolants of each output with each kernel and transform.

    Parameters
    ----------
    x : (n, size)
    y : (n, m)
    """

    def __init__(self, x: Array, y: Array) -> None:
        self._m = y.shape[1]
        both = np.hstack([y, plog(y)])
        self._fits = {kernel: Interpolants(kernel, x, both) for kernel in KERNELS}

    def predictions(self, x: Array) -> Array:
        """Return what each one predicts at one point (size,), (kernels, transforms, m)."""
        found = np.stack([fit(x[None])[0] for fit in self._fits.values()])
        found = found.reshape(len(KERNELS), 2, self._m)
        found[:, PLOG] = plog_inverse(found[:, PLOG])
        return found

    def best(self, errors: Array) -> tuple[Choice, ...]:
        """Return the choice for each output: the least of `errors` (kernels, transforms, m).

        One that misses its own points is not chosen, unless all do.
        """
        exact = np.stack([fit.exact for fit in self._fits.values()])
        allowed = exact.reshape(errors.shape)
        scored = np.where(allowed & np.isfinite(errors), errors, np.inf)
        kernels = list(KERNELS)
        choices = []
        for output in range(self._m):
            kernel, transform = np.unravel_index(np.argmin(scored[..., output]), scored.shape[:2])
            known = np.isfinite(scored[kernel, transform, output])
            choices.append(Choice(kernels[kernel], int(transform)) if known else FIRST)
        return tuple(choices)

    def model(self, choices: Sequence[Choice]) -> "Model":
        """Return the chosen interpolant of each output."""
        columns: dict[str, list[int]] = {}
        for output, choice in enumerate(choices):
            columns.setdefault(choice.kernel, []).append(output + self._m * choice.transform)
        parts = tuple((self._fits[kernel], tuple(c)) for kernel, c in columns.items())
        return Model(parts, self._m)


@dataclass(frozen=True, eq=False)
class Model:
    """One interpolant of each output."""

    parts: tuple[tuple[Interpolants, tuple[int, ...]], ...]
    """Interpolants with their columns; those from `n_outputs` on are of `plog` of the outputs."""
    n_outputs: int

    def __call__(self, x: Array) -> Array:
        """Return the outputs at points (k, size), (k, m)."""
        return self.lower(x, 0.0)

    def lower(self, x: Array, errors: float) -> Array:
        """Return the outputs less a number of standard errors, (k, m)."""
        found = np.empty((len(x), self.n_outputs))
        for fit, columns in self.parts:
            values = fit(x, list(columns))
            if errors:
                values = values - errors * fit.uncertainties(x)[:, list(columns)]
            for column, value in zip(columns, values.T, strict=True):
                logarithmic = column >= self.n_outputs
                output = column - self.n_outputs if logarithmic else column
                found[:, output] = plog_inverse(value) if logarithmic else value
        return found
