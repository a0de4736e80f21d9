"""Expressibility: how far random states of a circuit are from Haar-random states [1]_.

The fidelities of pairs of states are compared with those of Haar-random pairs, whose probability
to lie above F is ``(1 - F)**(dim - 1)``, by the Kullback-Leibler divergence of their histograms.

References
----------
.. [1] S. Sim, P. D. Johnson, A. Aspuru-Guzik, Adv. Quantum Technol. 2, 1900070 (2019),
   arXiv:1905.10876.
"""

from dataclasses import dataclass

import numpy as np

from qmd.circuits import draws
from qmd.circuits.draws import Estimate
from qmd.circuits.states import Simulator
from qmd.potentials import RotationProgram

Array = np.ndarray
BINS = 75
PIECES = 10
"""The error is that of a jackknife over pieces of the pairs."""


@dataclass(frozen=True)
class Expressibility:
    """Divergence from Haar-random states, natural logarithm: 0 for the Haar measure."""

    n_layers: int
    divergence: Estimate
    floor: Estimate
    """Divergence of as many Haar-random pairs: smaller values cannot be told from zero."""
    idle: float
    """Divergence of a circuit that always prepares the same state: the largest value."""
    n_pairs: int
    fidelities: tuple[float, ...]
    """Shares of the pairs in `BINS` bins from 0 to 1."""


def expressibility(
    program: RotationProgram, n_layers: int, *, n_pairs: int, seed: int
) -> Expressibility:
    """Return the expressibility; both states of a pair have the same random inputs."""
    rng, simulator = np.random.default_rng(seed), Simulator(program)
    found = []
    for begin in range(0, n_pairs, 256):
        n = min(256, n_pairs - begin)
        values = draws.inputs(program, n, rng)
        one, two = (simulator.states(draws.parameters(program, n, rng), values) for _ in range(2))
        found.append(np.abs(np.einsum("ni,ni->n", one.conj(), two)) ** 2)
    fidelities = np.concatenate(found)
    dim = 1 << program.n_qubits
    haar = 1.0 - (1.0 - rng.uniform(size=n_pairs)) ** (1.0 / (dim - 1))
    return Expressibility(
        n_layers, _estimate(fidelities, dim), _estimate(haar, dim), (dim - 1) * np.log(BINS),
        n_pairs, tuple((_counts(fidelities) / n_pairs).tolist()),
    )  # fmt: skip


def _counts(fidelities: Array) -> Array:
    return np.histogram(np.clip(fidelities, 0.0, 1.0), BINS, (0.0, 1.0))[0]


def _estimate(fidelities: Array, dim: int) -> Estimate:
    pieces = np.array([_counts(part) for part in np.array_split(fidelities, PIECES)])
    return draws.jackknife(lambda rows: divergence(rows.sum(axis=0), dim), pieces)


def divergence(counts: Array, dim: int) -> float:
    """Return the divergence of a histogram (BINS,) of fidelities from that of Haar states."""
    shares = counts / counts.sum()
    # Logarithms: the last bin of 7 qubits holds 75**-127 of the Haar states.
    edges = np.arange(BINS + 1) / BINS
    with np.errstate(divide="ignore"):
        tails = (dim - 1) * np.log1p(-edges)  # of the share above each edge
    log_haar = tails[:-1] + np.log1p(-np.exp(tails[1:] - tails[:-1]))
    kept = shares > 0
    return float(np.sum(shares[kept] * (np.log(shares[kept]) - log_haar[kept])))
