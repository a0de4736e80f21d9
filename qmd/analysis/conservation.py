"""Energy conservation of a run at constant energy.

References
----------
.. [1] mlipaudit, benchmark "NVE energy conservation": the fitted drift over the run divided by the
   standard deviation of the kinetic energy.
"""

from typing import NamedTuple

import numpy as np

from qmd import units
from qmd.analysis.series import Series


class Conservation(NamedTuple):
    """Straight line through the total energy, and the fluctuation about it."""

    drift_meV_per_atom_ps: float
    drift_kT_per_ns_dof: float
    """Drift in units of k times the mean temperature of the run."""
    drift_error_meV_per_atom_ps: float
    """Standard error of the slope, from its values in the quarters of the run."""
    drift_ratio: float
    """Drift ratio ``|slope * length| / std(E_kin)`` [1]_."""
    fluctuation_meV_per_atom: float
    """Root mean square deviation from the line."""


def conservation(run: Series) -> Conservation:
    """Fit a line to the total energy of the log."""
    times, total = run.log.times_ps, run.log.total
    slope = _slope(times, total)
    residuals = total - total.mean() - slope * (times - times.mean())
    mean_temperature = float(run.log.temperature.mean())
    parts = zip(np.array_split(times, 4), np.array_split(total, 4), strict=True)
    quarters = [_slope(t, e) for t, e in parts if len(t) > 2]
    # White noise: a slope over four times the length has an eighth of the error.
    error = np.std(quarters, ddof=1) / 8 if len(quarters) == 4 else np.nan
    spread = float(run.log.kinetic.std())
    length = float(times[-1] - times[0])
    per_atom = 1000 / run.n_atoms
    thermal = units.kB * mean_temperature * run.degrees_of_freedom
    return Conservation(
        slope * per_atom,
        1000 * slope / thermal if thermal > 0 else np.nan,  # nothing moves
        float(error) * per_atom,
        abs(slope) * length / spread if spread > 0 else 0.0,
        float(np.sqrt(np.mean(residuals**2))) * per_atom,
    )


def _slope(times: np.ndarray, energies: np.ndarray) -> float:
    """Return the slope, eV/ps, by least squares; 0 for a single row."""
    t = times - times.mean()
    square = float(t @ t)
    return float(t @ energies) / square if square > 0 else 0.0
