"""Quantum and classical Fisher information of circuits: spectra, ranks, effective dimensions.

The quantum Fisher matrix of a pure state is ``4 Re(<d_i|d_j> - <d_i|psi><psi|d_j>)``; the classical
one is that of the outcomes of the measurements by which the observables are found, averaged over
their settings. Both are averaged over inputs at each draw of the parameters [1]_ [2]_.

References
----------
.. [1] A. Abbas et al., Nat. Comput. Sci. 1, 403 (2021), arXiv:2011.00027.
.. [2] T. Haug, K. Bharti, M. S. Kim, PRX Quantum 2, 040309 (2021), arXiv:2102.01659.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qmd.circuits import draws
from qmd.circuits.draws import Estimate
from qmd.circuits.states import Simulator, in_basis, settings
from qmd.potentials import RotationProgram

Array = np.ndarray
ZERO = 1e-10
"""Eigenvalues below this share of the largest count as zero: rounding is near 1e-15 of it."""
NEAR_ZERO = 1e-2
"""Eigenvalues below this share of the largest are near zero."""
UNLIKELY = 1e-24
"""Outcomes below this probability are left out: their amplitudes are rounding errors."""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a Fisher matrix over draws of the parameters."""

    eigenvalues: tuple[float, ...]
    """Means over the draws, largest first."""
    rank: Estimate
    largest_rank: int
    """Largest rank of a draw: the number of independent parameters at a general place."""
    near_zero: Estimate
    """Share of the eigenvalues below `NEAR_ZERO` of the largest."""
    effective_dimension: Estimate
    """Of [1]_, with gamma = 1, for the number of data that was asked for."""


@dataclass(frozen=True)
class FisherInformation:
    """Both spectra of one circuit."""

    n_layers: int
    n_parameters: int
    n_draws: int
    n_inputs: int
    """Number of inputs at each draw."""
    quantum: Spectrum
    quantum_at_one_input: int
    """Largest rank of the quantum matrix at one input alone."""
    classical: Spectrum


def fisher(
    program: RotationProgram,
    n_layers: int,
    *,
    n_draws: int,
    n_inputs: int,
    n_data: int,
    seed: int,
    at: Array | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> FisherInformation:
    """Return the Fisher information of a circuit.

    Parameters
    ----------
    program : RotationProgram
    n_layers : int
        Number of its layers, for the record.
    n_draws, n_inputs : int
        Number of draws of the parameters, and of inputs at each.
    n_data : int
        Number of data in the effective dimension.
    seed : int
    at : (P,), optional
        Use these parameters in place of draws; the errors are then None.
    on_progress : callable
        Takes the number of states done, and their total.
    """
    rng = np.random.default_rng(seed)
    simulator, measured = Simulator(program), settings(program)
    places = draws.parameters(program, n_draws, rng) if at is None else np.reshape(at, (1, -1))
    size = program.n_parameters
    quantum, classical = np.zeros((2, len(places), size, size))
    at_one = 0
    for k, place in enumerate(places):
        for j, values in enumerate(draws.inputs(program, n_inputs, rng)):
            psi, tangents = simulator.tangents(place, values)
            one = quantum_matrix(psi, tangents)
            if j == 0:
                at_one = max(at_one, rank(eigenvalues(one)))
            quantum[k] += one / n_inputs
            classical[k] += classical_matrix(program, measured, psi, tangents) / n_inputs
            on_progress(k * n_inputs + j + 1, len(places) * n_inputs)
    return FisherInformation(
        n_layers, size, len(places), n_inputs, spectrum(quantum, n_data), at_one,
        spectrum(classical, n_data),
    )  # fmt: skip


def quantum_matrix(psi: Array, tangents: Array) -> Array:
    """Return the quantum Fisher matrix (P, P) of a state (dim,) with derivatives (P, dim)."""
    along = tangents @ psi.conj()
    products = tangents.conj() @ tangents.T - np.outer(along.conj(), along)
    return np.asarray(4 * products.real)


def classical_matrix(
    program: RotationProgram, measured: list[dict[int, str]], psi: Array, tangents: Array
) -> Array:
    """Return the Fisher matrix (P, P) of the outcomes, averaged over settings."""
    total = np.zeros((len(tangents), len(tangents)))
    for setting in measured:
        amplitudes = in_basis(setting, np.vstack([psi[None], tangents]), program.n_qubits)
        likely = np.abs(amplitudes[0]) ** 2
        kept = likely > UNLIKELY
        slopes = 2 * (amplitudes[0].conj() * amplitudes[1:]).real[:, kept]
        total += slopes / likely[kept] @ slopes.T
    return total / len(measured)


def eigenvalues(matrix: Array) -> Array:
    """Return the eigenvalues, largest first."""
    return np.asarray(np.linalg.eigvalsh(matrix)[::-1])


def rank(values: Array) -> int:
    """Return the number of eigenvalues that are not zero."""
    return int(np.sum(values > ZERO * max(values.max(initial=0.0), 1e-12)))


def spectrum(matrices: Array, n_data: int) -> Spectrum:
    """Return the spectrum of matrices (draws, P, P)."""
    values = np.array([eigenvalues(matrix) for matrix in matrices])
    ranks = np.array([rank(row) for row in values])
    near = np.mean(values < NEAR_ZERO * values[:, :1], axis=1)
    return Spectrum(
        tuple(values.mean(axis=0).tolist()), draws.mean(ranks), int(ranks.max()),
        draws.mean(near), draws.jackknife(lambda rows: effective_dimension(rows, n_data), values),
    )  # fmt: skip


def effective_dimension(values: Array, n_data: int) -> float:
    """Return the effective dimension of [1]_ from eigenvalues (draws, P).

    With the matrices scaled to a mean trace of P, and ``k = n / (2 pi log n)``, it is
    ``2 log(mean_draws sqrt(det(1 + k F))) / log k``. It is no larger than P for many data.
    """
    scale, k = values.sum(axis=1).mean(), n_data / (2 * np.pi * np.log(n_data))
    if scale <= 0:
        return 0.0
    logs = 0.5 * np.log1p(k * np.maximum(values, 0) * values.shape[1] / scale).sum(axis=1)
    top = logs.max()
    return float(2 * (top + np.log(np.mean(np.exp(logs - top)))) / np.log(k))
