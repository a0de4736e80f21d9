"""Diffusion of the centre of mass, for runs in which it is meaningful."""

from typing import NamedTuple

import numpy as np

from qmd import units
from qmd.analysis.series import Series


class Diffusion(NamedTuple):
    """Diffusion coefficients, angstrom^2/ps."""

    coefficient: float
    """Coefficient from the mean square displacement between one and four times 1/friction."""
    einstein: float
    """Coefficient ``kT / (M friction)`` of a free molecule in Langevin dynamics."""


def diffusion(run: Series) -> Diffusion | None:
    """Return the diffusion of the centre of mass, or None where it has no meaning.

    At constant energy the centre of mass rests or moves uniformly, in a sphere it is bounded, and a
    cluster of a few molecules has no liquid to diffuse in. Only Langevin dynamics of a free cluster
    has a known law. In a cell, `displacement` has the diffusion of its atoms and molecules.
    """
    friction, temperature = run.damping_per_ps, run.target_temperature_K
    if friction is None or temperature is None or run.record["input"].get("confinement"):
        return None
    if run.cells is not None:  # see `displacement`
        return None
    interval = float(np.diff(run.times_ps).mean())
    if not friction * interval * len(run.positions) > 1:  # nor 0, from a damaged record
        return None
    first, last = round(1 / friction / interval), round(4 / friction / interval)
    if not (0 < first < last < len(run.positions) // 4):
        return None
    centre = np.einsum("a,fax->fx", run.masses / run.masses.sum(), run.positions)
    lags = np.unique(np.linspace(first, last, 20).round().astype(int))
    moved = [float(np.mean(np.sum((centre[k:] - centre[:-k]) ** 2, axis=1))) for k in lags]
    slope = float(np.polyfit(lags * interval, moved, 1)[0])
    einstein = units.kB * temperature / run.masses.sum() / friction * units.ps**2
    return Diffusion(slope / 6, einstein)
