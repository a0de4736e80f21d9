"""Radial distribution functions of pairs of elements, and coordination numbers.

References
----------
.. [1] mdtraj `compute_rdf`, which the benchmarks of radial distributions in mlipaudit and ml-peg
   use: pairs per volume of the shell, over the number of pairs times the mean of 1/volume; its
   first peak is where g is largest.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from qmd.analysis import statistics
from qmd.analysis.condensed.pairs import near, reach
from qmd.analysis.series import Series
from qmd.analysis.statistics import Mean
from qmd.system.cell import completed, periodic, volume
from qmd.typing import Array, Integers

LONGEST_A = 12.0
"""Longest range, where half of the smallest height of the cell is longer."""
BIN_A = 0.05
MAX_FRAMES = 500
"""Number of frames, spread over the run, that are used of a longer one."""
BLOCKS = 5
"""Number of blocks of frames from which errors come."""
SMOOTH_A = 0.1
"""Width of the smoothing under which the first minimum is looked for."""
DEPTH = 0.02
"""Least depth of the first minimum, relative to the height of the first peak."""
SLICE_A = 0.02
"""Thickness of the slices of a profile across a slab."""


class RadialDistribution(NamedTuple):
    """Radial distribution function of a pair of elements, with its first shell."""

    name: str
    """Elements, e.g. "O-H"."""
    radii: Array
    """Middles of the bins, angstrom, (n_bins,)."""
    values: Array
    """Radial distribution function g, (n_bins,); 1 for an ideal gas [1]_."""
    errors: Array
    """Standard errors of g, from blocks, (n_bins,)."""
    peak_A: float | None
    """Distance at which g is largest; None without pairs in range."""
    minimum_A: float | None
    """Distance of the first minimum behind it; None if it is not in range."""
    coordination: Mean | None
    """Mean number of atoms of the second element about one of the first, up to the minimum."""
    coordination_of_second: Mean | None
    """Mean number of atoms of the first element about one of the second."""


def missing(run: Series) -> str | None:
    """Return the reason why a run has no radial distribution, or None if it has one."""
    if run.cells is None:
        return "the system is isolated and has no density"
    if sum(periodic(run.cell)) < 2:
        return "the system is periodic in one direction only and has no density"
    if longest(run) < 2 * BIN_A:
        return "the cell is too small"
    return None


def longest(run: Series) -> float:
    """Return the range (angstrom): below half of the smallest height in all frames used."""
    assert run.cells is not None
    half = reach(run.cells[_frames(run)]) * (1 - 1e-6)  # lengths in files are rounded
    return float(BIN_A * np.floor(min(half, LONGEST_A) / BIN_A))


def radial_distributions(run: Series) -> list[RadialDistribution]:
    """Return the radial distribution of each pair of elements; empty if one is `missing`.

    In a cell that is periodic in all directions, pairs are compared with those of an ideal gas in
    the volume of each frame. In a slab, which fills a part of the space only, they are compared
    with those of independent atoms that have the same profile across the slab.
    """
    if missing(run):
        return []
    frames, end = _frames(run), longest(run)
    edges = np.linspace(0.0, end, round(end / BIN_A) + 1)
    elements = list(dict.fromkeys(run.species))
    kinds = np.array([elements.index(symbol) for symbol in run.species])
    pairs = [(a, b) for a in range(len(elements)) for b in range(a, len(elements))]
    counts = _counts(run, frames, kinds, pairs, edges)
    found = []
    for k, (a, b) in enumerate(pairs):
        n_a, n_b = (int((kinds == kind).sum()) for kind in (a, b))
        n_pairs = n_a * (n_a - 1) / 2 if a == b else n_a * n_b
        if n_pairs:
            expected = n_pairs * _share(run, frames, kinds == a, kinds == b, edges)
            name = f"{elements[a]}-{elements[b]}"
            twice = 2 if a == b else 1
            found.append(
                _distribution(name, edges, counts[:, k], expected, twice / n_a, twice / n_b)
            )
    return found


def _frames(run: Series) -> Integers:
    n = len(run.times_ps)
    return np.unique(np.linspace(0, n - 1, min(n, MAX_FRAMES)).round().astype(np.int64))


def _counts(
    run: Series, frames: Integers, kinds: Integers, pairs: list[tuple[int, int]], edges: Array
) -> Integers:
    """Return the numbers of pairs, (n_frames, n_kinds_of_pairs, n_bins)."""
    assert run.cells is not None
    n_bins, order = len(edges) - 1, np.zeros((kinds.max() + 1,) * 2, np.int64)
    for k, (a, b) in enumerate(pairs):
        order[a, b] = order[b, a] = k
    counts = np.zeros((len(frames), len(pairs), n_bins), np.int64)
    for row, frame in zip(counts, frames, strict=True):
        i, j, distances = near(run.positions[frame], run.cells[frame], float(edges[-1]))
        # A distance may be rounded up to the end of the range.
        bins = np.minimum((distances / BIN_A).astype(np.int64), n_bins - 1)
        places = order[kinds[i], kinds[j]] * n_bins + bins
        row[:] = np.bincount(places, minlength=row.size).reshape(row.shape)
    return counts


def _share(run: Series, frames: Integers, first: Array, second: Array, edges: Array) -> Array:
    """Return the chance of independent atoms to have a distance in a bin, (n_frames, n_bins)."""
    assert run.cells is not None
    if all(periodic(run.cell)):
        shells = 4 / 3 * np.pi * np.diff(edges**3)
        volumes = np.array([volume(run.cells[frame]) for frame in frames])
        return np.asarray(shells / volumes[:, None])
    areas = np.array([_area(run.cells[frame]) for frame in frames])
    return np.asarray(_shells_in_slab(run, frames, first, second, edges) / areas[:, None])


def _area(cell: Array) -> float:
    """Return the area (A^2) of a cell that is open in one direction."""
    return float(abs(np.linalg.det(completed(cell))))  # its third vector is a unit normal


def _shells_in_slab(
    run: Series, frames: Integers, first: Array, second: Array, edges: Array
) -> Array:
    """Return the area (A^2) of each shell, seen along the normal, over the profile of a slab.

    At a difference z of heights, the part of a sphere of radius r that lies there covers the area
    ``pi (r^2 - z^2)`` of the plane.
    """
    assert run.cells is not None
    open_axis = periodic(run.cell).index(False)
    heights_of = [
        (x - run.masses @ x / run.masses.sum()) @ completed(cell)[open_axis]
        for x, cell in zip(run.positions[frames], run.cells[frames], strict=True)
    ]
    z = np.array(heights_of)
    slices = np.arange(z.min(), z.max() + 2 * SLICE_A, SLICE_A)
    one, other = (np.histogram(z[:, chosen], slices)[0] for chosen in (first, second))
    chances = np.correlate(one / one.sum(), other / other.sum(), mode="full")
    apart = SLICE_A * (np.arange(len(chances)) - len(one) + 1)
    discs = np.pi * np.maximum(0.0, edges[:, None] ** 2 - apart**2)
    return np.asarray(np.diff(discs @ chances))


def _distribution(
    name: str, edges: Array, counts: Integers, expected: Array, per_first: float, per_second: float
) -> RadialDistribution:
    radii = (edges[1:] + edges[:-1]) / 2
    values = _ratio(counts, expected)
    blocks = np.array_split(np.arange(len(counts)), min(BLOCKS, len(counts)))
    of_blocks = np.array([_ratio(counts[block], expected[block]) for block in blocks])
    errors = of_blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks))
    peak = int(values.argmax()) if values.any() else None
    minimum = None if peak is None else _first_minimum(values, peak)
    shells: list[Mean | None] = [None, None]
    if minimum is not None:
        inside = counts[:, : minimum + 1].sum(axis=1)
        shells = [statistics.mean(inside * per_atom) for per_atom in (per_first, per_second)]
    return RadialDistribution(
        name, radii, values, errors,
        None if peak is None else float(radii[peak]),
        None if minimum is None else float(edges[minimum + 1]),
        *shells,
    )  # fmt: skip


def _ratio(counts: Integers, expected: Array) -> Array:
    total = expected.sum(axis=0)
    return np.asarray(counts.sum(axis=0) / np.where(total > 0, total, np.inf))


def _first_minimum(values: Array, peak: int) -> int | None:
    """Return the bin of the first minimum behind the peak, or None."""
    smooth = gaussian_filter1d(values, SMOOTH_A / BIN_A)
    # Behind the end it may rise or fall: a minimum needs a rise within the range.
    found, _ = find_peaks(-smooth[peak:], prominence=DEPTH * smooth[peak])
    return peak + int(found[0]) if len(found) else None
