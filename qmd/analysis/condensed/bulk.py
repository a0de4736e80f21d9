"""Volume, density and pressure of a run in a cell: means with their errors."""

from typing import NamedTuple

import numpy as np

from qmd import units
from qmd.analysis import statistics
from qmd.analysis.series import Series
from qmd.analysis.statistics import Mean
from qmd.system.cell import is_full
from qmd.typing import Array

SAME = 1e-9
"""Relative difference of numbers in a log that are the same."""


class Bulk(NamedTuple):
    """A quantity of the whole cell over a run."""

    name: str
    unit: str
    times_ps: Array
    values: Array
    mean: Mean
    """Mean of the equilibrated part, with its standard error; as in `qmd.analysis.statistics`."""


def bulk(run: Series) -> list[Bulk]:
    """Return volume, density and pressure; empty unless periodic in all three directions.

    They come from the log; those of a replica, which has none, from its frames, without pressure.
    """
    if run.cells is None or not is_full(run.cell):
        return []
    times, log = run.log.times_ps, run.log
    volumes = log.volume
    if volumes is None:
        times, volumes = run.times_ps, np.abs(np.linalg.det(run.cells))
    densities = run.masses.sum() / volumes / units.g_per_cm3
    found = [("density", "g/cm3", densities), ("volume", "A^3", volumes)]
    if log.pressure is not None:
        found.append(("pressure", "bar", log.pressure))
    return [Bulk(name, unit, times, x, _mean(x)) for name, unit, x in found]


def _mean(values: Array) -> Mean:
    """Return the mean; a constant cell has no error from its rounding."""
    if np.ptp(values) <= SAME * abs(values[0]):
        return Mean(float(values[0]), 0.0, 0, float(len(values)))
    return statistics.mean(values)
