"""Evenly spaced Gaussians by two exponentials, for the kernels.

With u = (r - low) / s, neighbours differ by a factor: ``G_{g+1} = G_g exp(u) exp(-g - 1/2)``.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Numba carries the types here.

import math

from ..compilation import inner

FROM_THE_FIRST = 30.0
"""Largest distance, in spacings, at which the recurrence starts from the first Gaussian, 1e-196."""
NOTHING = 39.0
"""Distance from its centre, in spacings, at which a Gaussian is 0: exp(-760)."""


@inner
def fill_gaussians(w, at, n, u, steps):
    """``exp(-(u - g)^2 / 2)``, g < n, in every second number from `at`; False if all are 0.

    `steps` is where `w` has ``exp(-g - 1/2)``.
    """
    if u > n - 1 + NOTHING:
        return False
    nearest = 0 if u < FROM_THE_FIRST else min(n - 1, int(u + 0.5))
    up = math.exp(u)
    first = math.exp(-(u - nearest) * (u - nearest) / 2.0)
    value = first
    for g in range(nearest, n):
        w[at + 2 * g] = value
        value *= up * w[steps + g]
    value = first
    for g in range(nearest - 1, -1, -1):
        value /= up * w[steps + g]
        w[at + 2 * g] = value
    return True
