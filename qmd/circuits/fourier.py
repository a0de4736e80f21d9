"""Fourier series of the expectation values in the inputs of a circuit [1]_.

Input k enters by rotations ``exp(-i f x_k P)``, each of which adds -2f, 0 or 2f to its frequency.
In units of the smallest 2f the frequencies of an input are the integers from -d to d, and the
frequency vectors of all inputs are the points of a grid. Values are real, so the coefficients at w
and -w are conjugate. A *term* is a cosine or a sine of one frequency vector, where w and -w both
count, as the coefficients of a Fourier transform do: ``2 n - 1`` terms for n vectors, because the
constant has no sine.

References
----------
.. [1] M. Schuld, R. Sweke, J. J. Meyer, Phys. Rev. A 103, 032430 (2021), arXiv:2008.08605.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from qmd.circuits import draws
from qmd.circuits.draws import Estimate
from qmd.circuits.states import Simulator
from qmd.potentials import Rotation, RotationProgram

Array = np.ndarray
MAX_GRID = 2**14
"""Largest number of states of one transform; more inputs are scaled together."""
CHUNK = 2**12
ZERO = 1e-9
"""Coefficients below this share of the largest value of an observable are zero."""
LEVELS = 1e-9, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1


@dataclass(frozen=True)
class FourierSpectrum:
    """Frequencies of the expectation values, in units of the smallest one."""

    inputs: int
    """Number of independent inputs of the series; 1 if all are scaled together."""
    together: bool
    """True if the series is one in a common factor of all inputs."""
    degrees: tuple[int, ...]
    """Largest frequency of each."""
    all_vectors: float
    """Frequency vectors of all inputs, each on its own."""
    accessible_vectors: int
    accessible_terms: int
    non_zero_vectors: int
    """Vectors with a coefficient that is not zero, of any observable in any draw."""
    non_zero_terms: int
    of_observables: tuple[int, ...]
    """Vectors that are not zero of each observable."""
    above: tuple[tuple[float, Estimate], ...]
    """Level, and the mean number of terms of one observable with a coefficient above it."""
    size: tuple[float, ...]
    """Root mean square of the coefficients at each |w|_1, from 0."""
    n_draws: int


def fourier(
    program: RotationProgram,
    *,
    n_draws: int,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FourierSpectrum:
    """Return the spectrum, from `n_draws` draws of the parameters and of the other inputs.

    Vectors have drawn directions; their lengths are the inputs of the series.
    """
    groups = [[k] for k in program.frequencies]
    unit, degrees = _degrees(program, groups)
    everything = prod(2 * d + 1 for d in degrees)
    together = everything > MAX_GRID
    if together:
        groups = [list(program.frequencies)]
        unit, degrees = _degrees(program, groups)
    shape = tuple(2 * d + 1 for d in degrees)
    simulator, rng = Simulator(program), np.random.default_rng(seed)
    scales = np.array([len(o) for o in program.observables], float)
    found = []
    for draw in range(n_draws):
        place = draws.parameters(program, 1, rng)
        grid = _grid(program, groups, shape, unit, draws.inputs(program, 1, rng))
        values = np.concatenate(
            [simulator.expectations(
                simulator.states(np.repeat(place, len(part), axis=0), part))
             for part in np.array_split(grid, max(1, -(-len(grid) // CHUNK)))]
        )  # fmt: skip
        axes = tuple(range(len(shape)))
        series = np.fft.fftn(values.reshape(*shape, -1), axes=axes) / len(grid)
        found.append(np.abs(series) / scales)
        on_progress(draw + 1, n_draws)
    n = prod(shape)
    sizes = np.array(found).reshape(n_draws, n, -1)
    present = np.any(sizes > ZERO, axis=0)
    vectors = int(present.any(axis=-1).sum())
    return FourierSpectrum(
        inputs=len(groups),
        together=together,
        degrees=degrees,
        all_vectors=float(everything),
        accessible_vectors=n,
        accessible_terms=terms(n),
        non_zero_vectors=vectors,
        non_zero_terms=2 * vectors - int(present[0].any()),
        of_observables=tuple(present.sum(axis=0).tolist()),
        above=tuple((level, _above(sizes, level)) for level in LEVELS),
        size=_by_order(sizes, shape),
        n_draws=n_draws,
    )


def terms(n_vectors: int) -> int:
    """Return the number of cosines and sines of frequency vectors that include the constant."""
    return 2 * n_vectors - 1


def _degrees(program: RotationProgram, groups: list[list[int]]) -> tuple[float, tuple[int, ...]]:
    """Return the unit of the frequencies, and the largest one of each group of inputs."""
    of_input: dict[int, list[float]] = {}
    for gate in program.gates:
        if isinstance(gate, Rotation) and gate.source == "input":
            of_input.setdefault(gate.place, []).append(2 * abs(gate.factor))
    steps = [[s for k in group for s in of_input.get(k, [])] for group in groups]
    unit = min(step for row in steps for step in row)
    return unit, tuple(round(sum(row) / unit) for row in steps)


def _grid(
    program: RotationProgram, groups: list[list[int]], shape: tuple[int, ...], unit: float,
    base: Array,
) -> Array:  # fmt: skip
    """Return inputs (n, I): evenly spaced over a period in each group, else those of `base`."""
    at = np.indices(shape).reshape(len(shape), -1).T * (2 * np.pi / unit) / np.array(shape)
    grid = np.repeat(base, len(at), axis=0)
    for k, group in enumerate(groups):
        grid[:, group] = at[:, k : k + 1]
    return grid


def _above(sizes: Array, level: float) -> Estimate:
    """Return the mean number of terms of one observable with sizes (draws, n, o) above a level."""
    large = sizes > level
    return draws.mean((2 * large.sum(axis=1) - large[:, 0]).mean(axis=1))


def _by_order(sizes: Array, shape: tuple[int, ...]) -> tuple[float, ...]:
    axes = [np.abs(np.fft.fftfreq(n, 1 / n)) for n in shape]
    order = np.rint(sum(np.meshgrid(*axes, indexing="ij"))).astype(int).ravel()
    squares = (sizes**2).mean(axis=(0, -1))
    return tuple(float(np.sqrt(squares[order == k].mean())) for k in range(int(order.max()) + 1))
