"""The part that all methods with a bath share."""

from ..ramp import Ramp, constant, ramp
from .base import AbstractIntegrator


class AbstractThermostat(AbstractIntegrator):
    """A method with a bath, whose temperature is constant or a ramp."""

    __slots__ = ()

    kT: float | Ramp
    """Boltzmann's constant times temperature (eV)."""

    @property
    def target_kT(self) -> float | None:
        """Thermal energy (eV) of the bath; None if it changes."""
        return constant(self.kT)

    @property
    def highest_kT(self) -> float:
        """Largest thermal energy (eV) of the bath."""
        return max(ramp(self.kT)[:2])
