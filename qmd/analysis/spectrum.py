"""Velocity autocorrelation and vibrational density of states.

References
----------
.. [1] P. D. Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967): overlapping segments, variance.
.. [2] D. J. Thomson, A. D. Chave, in Advances in Spectrum Analysis (1991), ch. 2: jackknife.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal import find_peaks

from qmd.analysis import statistics
from qmd.analysis.series import Series
from qmd.errors import InputError
from qmd.typing import Array, Integers

SPEED_OF_LIGHT_CM_PER_PS = 0.0299792458
PADDING = 8
"""Length of the transform relative to the data; padding interpolates between its points."""
PROMINENCE = 0.01
"""Smallest prominence of a peak, relative to the largest peak."""
LOWEST_PER_CM = 10.0
"""Lowest wavenumber of a peak; below it, peaks of a short run come from its length."""
MIN_FRAMES = 16
SEGMENT_PS = 4.0
"""Length of the segments, overlapping by half, over which the spectra of long runs are averaged."""
MIN_SEGMENTS = 4
"""Least number of segments whose scatter gives errors."""
SHARED = 1 / 36
"""Correlation of the powers of neighbouring segments in noise: the overlap of the Hann window with
itself, shifted by half its length, is 1/6 of its square."""
CHUNK = 64
"""Number of atoms that are transformed at once."""
NEEDED_PER_CM = 4500.0
"""Highest wavenumber that the frames must resolve: above the stretch of any bond."""


class Spectrum(NamedTuple):
    """Vibrational density of states."""

    wavenumbers: Array
    """Wavenumbers, 1/cm."""
    density: Array
    """Density of states, normalised to an integral of 1."""
    peaks: Array
    """Wavenumbers of the peaks, 1/cm, ascending."""
    heights: Array
    """Heights of the peaks."""
    errors: Array | None
    """Standard errors of `density`; None for fewer than `MIN_SEGMENTS` segments."""
    peak_errors: Array | None
    """Standard errors of `peaks`, 1/cm, by the jackknife; None where `errors` is."""
    resolution_per_cm: float
    """Full width of a sharp line at half its height."""


def velocity_autocorrelation(run: Series) -> Array:
    """Return ``sum_i m_i <v_i(0).v_i(t)>``, divided by its value at 0, (n_frames,)."""
    weighted = run.velocities * np.sqrt(run.masses)[:, None]
    parts = (weighted[:, a : a + CHUNK] for a in range(0, run.n_atoms, CHUNK))
    summed = sum(statistics.autocorrelation(x.reshape(len(x), -1)).sum(axis=1) for x in parts)
    return np.asarray(summed / summed[0])


def spectrum(run: Series) -> Spectrum:
    """Return the mass-weighted power spectrum of the velocities by Welch's method [1]_.

    The window is that of Hann. By the Wiener-Khinchin theorem the spectrum is the transform of the
    velocity autocorrelation. Frequencies are those of the discrete trajectory: velocity Verlet at
    0.5 fs shifts a stretch of 3700 1/cm up by 19 1/cm, for a model and its reference equally.

    Errors come from the scatter of the segments: of the density by its variance, with the overlap
    taken into account, of the peaks by leaving out one segment at a time [2]_. They hold where the
    segments are long against what is correlated, and say nothing about a run that is too short to
    leave where it began.

    Raises
    ------
    InputError
        If there are too few frames, or they are too far apart or unevenly spaced.
    """
    why = missing(run)
    if why:
        raise InputError(f"{run.folder}: {why}")
    interval = float(np.diff(run.times_ps).mean())
    n = min(len(run.times_ps), max(MIN_FRAMES, round(SEGMENT_PS / interval)))
    window = np.hanning(n + 1)[:n, None, None]
    weighted = run.velocities * np.sqrt(run.masses)[:, None]
    starts = range(0, len(weighted) - n + 1, max(1, n // 2))
    powers = np.array([_power(weighted[s : s + n] * window) for s in starts])
    frequencies = np.asarray(np.fft.rfftfreq(PADDING * n, interval), np.float64)
    wavenumbers = frequencies / SPEED_OF_LIGHT_CM_PER_PS
    densities = powers / (powers.mean(axis=0).sum() * (wavenumbers[1] - wavenumbers[0]))
    density = densities.mean(axis=0)
    places, heights = peaks(wavenumbers, density)
    resolution = 2.0 / (n * interval * SPEED_OF_LIGHT_CM_PER_PS)  # Hann: 2 bins at half height
    errors = peak_errors = None
    if len(densities) >= MIN_SEGMENTS:
        errors = np.sqrt(_inflation(len(densities))) * densities.std(axis=0, ddof=1)
        peak_errors = _peak_errors(wavenumbers, densities, places, resolution)
    return Spectrum(wavenumbers, density, places, heights, errors, peak_errors, resolution)


def missing(run: Series) -> str | None:
    """Return the reason why a run has no spectrum, or None if it has one."""
    if len(run.times_ps) < MIN_FRAMES:
        return f"there are {len(run.times_ps)} frames; a spectrum needs {MIN_FRAMES} or more"
    intervals = np.diff(run.times_ps)
    interval = float(intervals.mean())
    if not np.allclose(intervals, interval, rtol=1e-3):
        return "the frames are not evenly spaced in time"
    longest = 1 / (2 * SPEED_OF_LIGHT_CM_PER_PS * NEEDED_PER_CM)
    if interval > longest:
        return (
            f"frames are {1000 * interval:g} fs apart; a spectrum needs {1000 * longest:.1f} fs or "
            "less (output.trajectory_every)"
        )
    if not run.velocities.any():
        return "nothing moves"
    return None


def _power(velocities: Array) -> Array:
    power: Array = np.zeros(PADDING * len(velocities) // 2 + 1)
    for begin in range(0, velocities.shape[1], CHUNK):
        atoms = velocities[:, begin : begin + CHUNK]
        transform = np.fft.rfft(atoms, PADDING * len(velocities), axis=0)
        power += (np.abs(transform) ** 2).sum(axis=(1, 2))
    return power


def _inflation(n: int) -> float:
    """Return the variance of the mean of n overlapping segments over that of one."""
    return (1 + 2 * SHARED * (n - 1) / n) / n


def _peak_errors(wavenumbers: Array, densities: Array, places: Array, width: float) -> Array:
    """Return jackknife errors of the places, the highest points within a width of each, (n_peaks,).

    The errors of independent segments grow by what neighbours share, as those of the density do.
    """
    n = len(densities)
    without = (densities.sum(axis=0) - densities) / (n - 1)
    found = np.array([[_highest(wavenumbers, one, x, width) for x in places] for one in without])
    scatter = found.reshape(n, len(places)).var(axis=0)
    return np.asarray(np.sqrt((n - 1) * n * _inflation(n) * scatter))


def _highest(wavenumbers: Array, density: Array, place: float, width: float) -> float:
    inner = np.flatnonzero(np.abs(wavenumbers - place) < width)
    index = inner[[np.argmax(density[inner])]]
    return float(_vertices(wavenumbers, density, index)[0])


def peaks(wavenumbers: Array, density: Array) -> tuple[Array, Array]:
    """Return the maxima, by a parabola through the logarithms of three points."""
    index, _ = find_peaks(density, prominence=PROMINENCE * density.max())
    index = index[wavenumbers[index] > LOWEST_PER_CM]
    return _vertices(wavenumbers, density, index), density[index]


def _vertices(wavenumbers: Array, density: Array, index: Integers) -> Array:
    """Return where parabolas through three points around each index have their vertices."""
    left, middle, right = (np.log(density[index + k]) for k in (-1, 0, 1))
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    return np.asarray(wavenumbers[index] + shift * (wavenumbers[1] - wavenumbers[0]))
