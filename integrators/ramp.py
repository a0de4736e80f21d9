"""Temperatures that change along a run."""

import math
from typing import NamedTuple

from .compiled import inner


class Ramp(NamedTuple):
    """A thermal energy that is a function of the step: linear, then constant.

    Parameters
    ----------
    first, last : float
        Thermal energies (eV) of step 0, and from step `steps` on.
    steps : int
        At least 1.
    """

    first: float
    last: float
    steps: int

    @property
    def mean(self) -> float:
        """Thermal energy (eV) half way."""
        return 0.5 * (self.first + self.last)


def ramp(kT: float | Ramp) -> Ramp:
    """Return `kT` (eV), a number or a ramp, as a ramp of plain numbers.

    Raises
    ------
    ValueError
        If a thermal energy is negative or not finite, or `steps` is below 1.
    """
    if not isinstance(kT, Ramp):
        kT = Ramp(kT, kT, 1)
    for value in (kT.first, kT.last):
        if not 0 <= value < math.inf:
            raise ValueError(f"`kT` must be finite and not negative, but kT={value}.")
    if not kT.steps >= 1:
        raise ValueError(f"`steps` of a ramp must be at least 1, but steps={kT.steps}.")
    return Ramp(float(kT.first), float(kT.last), int(kT.steps))


def constant(kT: float | Ramp) -> float | None:
    """Return a thermal energy (eV) that does not change; None for one that does."""
    if not isinstance(kT, Ramp):
        return kT
    return kT.first if kT.first == kT.last else None


@inner
def kT_at(ramp, step):
    """Return the thermal energy (eV) of `ramp` at `step`."""
    if step >= ramp.steps:
        return ramp.last
    return ramp.first + (ramp.last - ramp.first) * (step / ramp.steps)
