"""Kinetic temperature of a run, and the prediction for its integrator.

In a harmonic well the on-step velocities, which the files contain, are too cold in a mode of
frequency w by the fraction (w dt)^2/4 [1]_. The sum over modes is an average over the trajectory:
``<sum F^2/m> = kT sum w^2``.

References
----------
.. [1] B. Leimkuhler, C. Matthews, J. Chem. Phys. 138, 174102 (2013), for BAOAB.
"""

from typing import NamedTuple

import numpy as np

from qmd import units
from qmd.analysis import statistics
from qmd.analysis.series import Series


class Temperature(NamedTuple):
    """Temperatures, K."""

    mean: float
    error: float
    independent: float
    """Number of independent samples behind `error`."""
    predicted: float | None
    """Prediction for the thermostat and time step; None at constant energy."""
    too_cold: float
    """Deficit of the on-step velocities, due to the time step."""


def temperature(run: Series) -> Temperature:
    """Return the mean after equilibration, and the prediction for the integrator."""
    found = statistics.mean(run.log.temperature)
    bath = run.target_temperature_K
    dt = run.timestep_fs * units.fs
    squares = float(np.mean(np.sum(run.forces**2 / run.masses[:, None], axis=(1, 2))))
    too_cold = dt**2 * squares / (4 * units.kB * run.degrees_of_freedom)
    predicted = None if bath is None else bath - too_cold
    return Temperature(found.value, found.error, found.independent, predicted, too_cold)
