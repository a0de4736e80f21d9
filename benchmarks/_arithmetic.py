"""Arithmetic of the native kernel of networks of rank two, and the rate of this machine.

Counted are the additions and multiplications that the formulas take with what they share computed
once: a multiply-add is two, a complex product six. Left out are exponentials, sines, roots and
divisions, neighbour lists, and what moves or turns signs only. So the count is a lower bound.
"""

from typing import Any

SIDE = 512
PRODUCT_OPERATIONS = 2 * SIDE**3
"""Of `matrix_product`, whose rate is about the highest that a core reaches."""

TURN = 28
"""``cos - i n.sigma`` on the two amplitudes of a qubit: four real sums of four products."""
GATE = 100
"""A gate of rank two on four amplitudes: the split into singlet and triplets, and back (24), the
singlet (10), and a complex matrix of 3 x 3 on the triplets (66)."""
SLOPES_OF_TURN, SLOPES_OF_GATE = 24, 56
"""Derivatives by an encoding vector, and by a coupling and five components of Q."""
OBSERVE = 96
"""An observable of rank two on four amplitudes: expectations, and its derivative of the state."""
UNITARY = 95
"""Cayley's form of five components."""
COMPONENTS = 9
"""Moments of a Gaussian up to rank two: 1, r^ and five of ``r^ r^T - 1/3``."""
GAUSSIAN, PULL = 10, 42
"""A Gaussian with its slope; the pull of a neighbour through it, along r^ and across."""


def operations(network: Any, positions: Any, cell: Any) -> dict[str, int]:
    """Return the operations of energy and forces at a geometry, by the part they belong to."""
    from qmd.integrators import neighbour_pairs

    circuit, g = network.circuit, network.n_radial
    neighbours = 2 * len(neighbour_pairs(positions, cell, network.cutoff)[0])
    qubits, layers, gates = len(circuit.spins), circuit.n_layers, circuit.n_couplings
    observed = len(circuit.observables)
    vectors, scalars = (layers + 1) * qubits, layers * gates + observed
    channels = 3 * vectors + scalars + 5 * scalars  # a tensor for each scalar
    pairs, fours = 2**qubits // 2, 2**qubits // 4
    turned = vectors * pairs * (3 * TURN + SLOPES_OF_TURN)
    gated = layers * gates * fours * (3 * GATE + SLOPES_OF_GATE)
    sector = turned + gated + observed * fours * OBSERVE
    centre = 2 * sector + layers * gates * UNITARY  # two sectors: v and -v
    there_and_back = 2 * channels * g * network.n_kinds * 2
    return {
        "neighbours": neighbours * g * (GAUSSIAN + 2 * COMPONENTS + PULL),
        "channels": network.n_atoms * there_and_back,
        "circuits": network.n_atoms * centre,
    }


def matrix_product() -> Any:
    """Return a call that multiplies two matrices of `SIDE` x `SIDE`."""
    import numpy as np

    left, right = np.random.default_rng(0).standard_normal((2, SIDE, SIDE))
    out = np.empty((SIDE, SIDE))
    return lambda: np.matmul(left, right, out=out)
