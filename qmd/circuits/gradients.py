"""Variance of the derivatives of a circuit over random parameters and inputs [1]_.

References
----------
.. [1] J. R. McClean et al., Nat. Commun. 9, 4812 (2018), arXiv:1803.11173.
"""

from dataclasses import dataclass

import numpy as np

from qmd.circuits import draws
from qmd.circuits.draws import Estimate
from qmd.circuits.states import Simulator
from qmd.potentials import RotationProgram

CHUNK = 64


@dataclass(frozen=True)
class GradientVariance:
    """Variance of the derivatives of the first observable by the trained parameters, 1/rad^2."""

    n_qubits: int
    n_layers: int
    n_parameters: int
    mean: Estimate
    """Mean over the parameters."""
    largest: Estimate
    """Of the parameter that has the largest one."""
    n_draws: int


def gradient_variance(
    program: RotationProgram, n_layers: int, *, n_draws: int, seed: int
) -> GradientVariance:
    """Return the variance over `n_draws` draws of parameters and inputs.

    The observable is scaled to values of at most one: a sum of words is divided by their number.
    """
    rng, simulator = np.random.default_rng(seed), Simulator(program)
    places = draws.parameters(program, n_draws, rng)
    values = draws.inputs(program, n_draws, rng)
    slopes = np.concatenate(
        [simulator.gradients(places[k : k + CHUNK], values[k : k + CHUNK], 0)
         for k in range(0, n_draws, CHUNK)]
    ) / len(program.observables[0])  # fmt: skip
    spread = slopes.var(axis=0)
    steepest = int(spread.argmax())
    return GradientVariance(
        program.n_qubits, n_layers, program.n_parameters,
        draws.jackknife(lambda rows: float(rows.var(axis=0).mean()), slopes),
        draws.jackknife(lambda rows: float(rows[:, steepest].var()), slopes),
        n_draws,
    )  # fmt: skip
