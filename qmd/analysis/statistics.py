"""Means of correlated series, with their errors.

References
----------
.. [1] J. D. Chodera, J. Chem. Theory Comput. 12, 1799 (2016): end of the equilibration.
.. [2] H. Flyvbjerg, H. G. Petersen, J. Chem. Phys. 91, 461 (1989): errors from blocks.
"""

from typing import NamedTuple

import numpy as np

from qmd.typing import Array

STARTS = 20
"""Number of places, over the whole series, at which the equilibrated part may begin."""


class Mean(NamedTuple):
    """Mean of the equilibrated part of a series."""

    value: float
    error: float
    """Standard error, from the number of independent samples."""
    begin: int
    """First sample of the equilibrated part."""
    independent: float
    """Number of independent samples: all, divided by their statistical inefficiency."""


def mean(values: Array) -> Mean:
    """Return mean and standard error, after removal of the equilibration [1]_.

    Parameters
    ----------
    values : (n,)
        Evenly spaced in time, n >= 2.
    """
    begin, independent = equilibration(values)
    used = values[begin:]
    error = float(used.std(ddof=1) / np.sqrt(independent)) if len(used) > 1 else float("nan")
    return Mean(float(used.mean()), error, begin, independent)


def with_error(value: float, error: float) -> str:
    """Return ``value +- error`` with two significant digits of the error."""
    if not 0 < error < np.inf:
        return f"{value:.6g} +- {error:.2g}"
    decimals = max(0, 1 - int(np.floor(np.log10(error))))
    return f"{value:.{decimals}f} +- {error:.{decimals}f}"


def equilibration(values: Array) -> tuple[int, float]:
    """Return the start of the part with the most independent samples, and their number [1]_."""
    n = len(values)
    starts = sorted({int(k * n / STARTS) for k in range(STARTS // 2)})
    counts = {s: (n - s) / statistical_inefficiency(values[s:]) for s in starts}
    begin = max(counts, key=lambda s: counts[s])
    return begin, counts[begin]


def statistical_inefficiency(values: Array) -> float:
    """Return the statistical inefficiency ``1 + 2 sum_t (1 - t/n) C(t) >= 1``.

    C is the normalised autocorrelation; the sum ends where it is first 0 or less.
    """
    n = len(values)
    deviation = values - values.mean()
    variance = float(deviation @ deviation) / n
    if n < 3 or variance <= 1e-30 * max(1.0, float(np.abs(values).max()) ** 2):
        return 1.0
    correlation = autocorrelation(deviation) / variance
    negative = np.flatnonzero(correlation <= 0)
    end = int(negative[0]) if len(negative) else n
    lag = np.arange(1, end)
    return max(1.0, float(1 + 2 * np.sum((1 - lag / n) * correlation[1:end])))


def autocorrelation(values: Array) -> Array:
    """Return ``<x(s) x(s+t)>`` over all s, for each lag t, by Fourier transform.

    Parameters
    ----------
    values : (n, ...)
        Entries along further axes are each correlated with themselves.

    Returns
    -------
    (n, ...)
    """
    n = len(values)
    transform = np.fft.rfft(values, 2 * n, axis=0)
    products = np.fft.irfft(np.abs(transform) ** 2, 2 * n, axis=0)[:n]
    counts = np.arange(n, 0, -1).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(products / counts)


def block_errors(values: Array) -> tuple[Array, Array]:
    """Return the error of the mean from blocks of 1, 2, 4, ... samples [2]_; it reaches a plateau.

    Returns
    -------
    lengths, errors : (n_levels,)
        Lengths of the blocks and errors, down to four blocks.
    """
    lengths, errors, length = [], [], 1
    while len(values) >= 4:
        lengths.append(length)
        errors.append(float(values.std(ddof=1) / np.sqrt(len(values))))
        half = len(values) // 2
        values, length = values[: 2 * half].reshape(half, 2).mean(axis=1), 2 * length
    return np.array(lengths, float), np.array(errors)
