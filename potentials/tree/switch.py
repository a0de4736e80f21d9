"""Switching function of `nodes.Switched` in Numba, for energies and for their shot noise."""

from ..compilation import inner

NO_SWITCH = -1
"""Marker in place of the atoms of a switch."""


@inner
def switch(r, inner, outer):
    """Return S and its derivative."""
    t = min(max((r - inner) / (outer - inner), 0.0), 1.0)
    value = 1.0 - t * t * t * (10.0 - t * (15.0 - 6.0 * t))
    return value, -30.0 * t * t * (1.0 - t) * (1.0 - t) / (outer - inner)
