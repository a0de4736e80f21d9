"""Mean square displacements and diffusion coefficients in cells, of elements and of molecules.

References
----------
.. [1] I.-C. Yeh, G. Hummer, J. Phys. Chem. B 108, 15873 (2004): finite-size correction.
.. [2] S. von Buelow, J. T. Bullerjahn, G. Hummer, J. Chem. Phys. 153, 021101 (2020): positions in
   a cell that changes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from qmd import units
from qmd.analysis import statistics
from qmd.analysis.series import Series
from qmd.system.cell import completed, is_full, lengths_and_angles, periodic
from qmd.system.topology import formula
from qmd.typing import Array

BLOCKS = 4
"""Number of parts of the run from which the error of a coefficient comes."""
FIT_FROM, FIT_TO = 0.1, 0.5
"""Lags of the straight line, as shares of the length of a block."""
MIN_FRAMES = 80
"""Least number of frames: eight lags of the line, in blocks of twenty frames."""
DIFFUSIVE = 0.8, 1.2
"""Exponents of the growth with time that count as diffusion, whose exponent is 1."""
YEH_HUMMER = 2.837297
"""Constant of a cubic cell, xi in [1]_."""
CHUNK = 64
"""Number of particles that are transformed at once."""


class Displacement(NamedTuple):
    """Mean square displacement of an element or of a kind of molecules."""

    name: str
    """Element, or formula of a molecule, whose centre of mass is followed."""
    lags_ps: Array
    values: Array
    """Mean square displacements, angstrom^2, (n_lags,)."""
    coefficient: float
    """Diffusion coefficient in this cell, angstrom^2/ps: the slope over twice the dimensions."""
    error: float
    """Standard error of the coefficient, from blocks."""
    exponent: float | None
    """Exponent p of a growth with time as t^p; None if nothing moves."""
    corrected: float | None
    """Coefficient without the effect of the cell's size [1]_; None without a viscosity, or
    if nothing diffuses."""

    @property
    def diffuses(self) -> bool:
        """True if the displacement grows nearly linearly with time."""
        return self.exponent is not None and DIFFUSIVE[0] <= self.exponent <= DIFFUSIVE[1]


def missing(run: Series) -> str | None:
    """Return the reason why a run has no diffusion in a cell, or None if it has one."""
    if run.cells is None:
        return "the system is isolated"
    if run.n_atoms < 2:
        return "it is that of a single atom about itself"
    if len(run.times_ps) < MIN_FRAMES:
        return f"there are {len(run.times_ps)} frames; a diffusion needs {MIN_FRAMES} or more"
    intervals = np.diff(run.times_ps)
    if not np.allclose(intervals, intervals.mean(), rtol=1e-3):
        return "the frames are not evenly spaced in time"
    return None


def displacements(run: Series, viscosity_mPa_s: float | None = None) -> list[Displacement]:
    """Return the displacements of each element and each kind of molecules; empty if `missing`.

    Displacements are those along the periodic directions, about the centre of mass of all atoms.

    Parameters
    ----------
    run : Series
    viscosity_mPa_s : float, optional
        Viscosity, from which the finite-size correction of a cubic cell comes [1]_.
    """
    if missing(run):
        return []
    assert run.cells is not None
    axes = _axes(run.cell)
    moved = paths(run.positions, run.cells) @ axes.T
    moved -= np.einsum("a,fax->fx", run.masses / run.masses.sum(), moved)[:, None]
    interval = float(np.diff(run.times_ps).mean())
    length = len(moved) // BLOCKS
    fitted = np.arange(max(1, round(FIT_FROM * length)), round(FIT_TO * length) + 1)
    lags: Array = np.asarray(interval * np.arange(fitted[-1] + 1), np.float64)
    times = lags[fitted]
    correction = finite_size_correction(run, viscosity_mPa_s)
    found = []
    for name, x in _particles(run, moved):
        values = mean_square_displacement(x, int(fitted[-1]) + 1)
        blocks = [x[k * length : (k + 1) * length] for k in range(BLOCKS)]
        slopes = [
            _slope(times, mean_square_displacement(block, int(fitted[-1]) + 1)[fitted])
            for block in blocks
        ]
        per_slope = 1 / (2 * len(axes))
        plain = Displacement(
            name=name,
            lags_ps=lags,
            values=values,
            coefficient=_slope(times, values[fitted]) * per_slope,
            error=float(np.std(slopes, ddof=1)) / np.sqrt(BLOCKS) * per_slope,
            exponent=_exponent(times, values[fitted]),
            corrected=None,
        )
        if correction is not None and plain.diffuses:
            plain = plain._replace(corrected=plain.coefficient + correction)
        found.append(plain)
    return found


def notes(run: Series, viscosity_mPa_s: float | None = None) -> list[str]:
    """Return what a reader of the coefficients has to know, in sentences."""
    found = []
    bath = str(run.record["input"]["integrator"]["kind"])
    if run.damping_per_ps is not None or "langevin" in bath:
        found.append(
            "Langevin friction damps every atom: this is no physical diffusion. Use velocity "
            "rescaling, Nose-Hoover chains or constant energy."
        )
    if run.cells is not None and not _is_cubic(run.cell):
        found.append("The finite-size correction is known for cubic cells only: not applied.")
    elif viscosity_mPa_s is None:
        found.append(
            "Without a viscosity (--viscosity) the finite-size correction of Yeh and Hummer is "
            "not applied: coefficients are those in this cell."
        )
    return found


def finite_size_correction(run: Series, viscosity_mPa_s: float | None) -> float | None:
    """Return ``xi kT / (6 pi viscosity L)``, angstrom^2/ps; None if it cannot be applied [1]_."""
    if viscosity_mPa_s is None or run.cells is None or not _is_cubic(run.cell):
        return None
    length = float(np.abs(np.linalg.det(run.cells)).mean()) ** (1 / 3)
    kT = units.kB * statistics.mean(run.log.temperature).value
    viscosity = viscosity_mPa_s * units.GPa  # 1 mPa s is 1 GPa ps
    return float(YEH_HUMMER * kT / (6 * np.pi * viscosity * length))


def paths(positions: Array, cells: Array) -> Array:
    """Return displacements from the first frame, (n_frames, n_atoms, 3), wrapped or not.

    The motion of the cell itself is left out: only changes of the place within it count [2]_.
    Wrapped positions, which jump from face to face, are unwrapped.

    Parameters
    ----------
    positions : array, shape (n_frames, n_atoms, 3)
    cells : array, shape (n_frames, 3, 3)
    """
    whole = np.array([completed(cell) for cell in cells])
    fractions = positions @ np.linalg.inv(whole)
    steps = np.diff(fractions, axis=0)
    along = np.array(periodic(cells[0]))
    if _is_wrapped(fractions[..., along], steps[..., along]):
        steps -= np.where(along, np.round(steps), 0.0)
    moved = np.zeros_like(fractions)
    np.cumsum(steps @ whole[1:], axis=0, out=moved[1:])
    return moved


def _is_wrapped(fractions: Array, steps: Array) -> bool:
    """Return True if atoms jump by half a cell or more, and yet never leave it by a quarter."""
    jumps = bool(np.any(np.abs(steps) > 0.5))
    return jumps and bool(np.all((fractions > -0.25) & (fractions < 1.25)))


def mean_square_displacement(positions: Array, n_lags: int) -> Array:
    """Return the mean square displacement over all starts and particles, (n_lags,).

    Parameters
    ----------
    positions : array, shape (n_frames, n_particles, n_dimensions)
        Unwrapped; transformed by Fourier, which costs n log n.
    n_lags : int
        Number of lags, from 0 on, at most n_frames.
    """
    total = np.zeros(n_lags)
    for begin in range(0, positions.shape[1], CHUNK):
        x = positions[:, begin : begin + CHUNK] - positions[0, begin : begin + CHUNK]
        squares = np.sum(x**2, axis=(1, 2))
        sums = np.concatenate([[0.0], np.cumsum(squares)])
        lags = np.arange(n_lags)
        n = len(x)
        ends = (sums[n - lags] + sums[n] - sums[lags]) / (n - lags)
        products = statistics.autocorrelation(x.reshape(n, -1)).sum(axis=1)[:n_lags]
        total += np.maximum(ends - 2 * products, 0.0)
    total[0] = 0.0  # but for rounding
    return np.asarray(total / positions.shape[1])


def _particles(run: Series, moved: Array) -> Iterator[tuple[str, Array]]:
    """Yield elements and kinds of molecules with the displacements of their particles."""
    species = np.array(run.species)
    for symbol in dict.fromkeys(run.species):
        yield symbol, moved[:, species == symbol]
    kinds: dict[str, list[tuple[int, ...]]] = {}
    for atoms in run.molecules:
        if len(atoms) > 1:
            kinds.setdefault(formula([run.species[i] for i in atoms]), []).append(atoms)
    for name, molecules in kinds.items():
        if len(molecules) > 1:
            index = np.array(molecules)
            weights = run.masses[index] / run.masses[index].sum(axis=1)[:, None]
            yield name, np.einsum("ma,fmax->fmx", weights, moved[:, index])


def _axes(cell: Array) -> Array:
    """Return orthonormal vectors that span the periodic directions, (n_periodic, 3)."""
    rows = cell[cell.any(axis=1)]
    return np.asarray(np.linalg.qr(rows.T)[0].T)


def _is_cubic(cell: Array) -> bool:
    lengths, angles = lengths_and_angles(cell)
    return is_full(cell) and bool(np.ptp(lengths) < 1e-3 * lengths[0]) and np.allclose(angles, 90)


def _slope(times: Array, values: Array) -> float:
    return float(np.polyfit(times, values, 1)[0])


def _exponent(times: Array, values: Array) -> float | None:
    if not (values > 0).all():
        return None
    return float(np.polyfit(np.log(times), np.log(values), 1)[0])
