"""Two potentials for qmd: a tree, which runs natively, and a Python function for any atoms."""

import numpy as np

from qmd.potentials import External, MorseBonds

# D_e, r_e, and steepness from the harmonic wave number, 1405.65 1/cm, of 7Li1H.
MORSE_LIH = External(
    species=("Li", "H"),
    potential=MorseBonds(n_atoms=2, bonds=((0, 1),), depth=2.515, steepness=1.128, length=1.5957),
    citation="Huber, Herzberg, Constants of Diatomic Molecules (1979)",
    description="Morse curve of LiH",
)

STIFFNESS = 20.0  # eV/angstrom^2


def springs(symbols: tuple[str, ...]) -> External:
    """Every atom on a spring of 1 angstrom to the first one."""
    if len(symbols) < 2:
        raise ValueError("a spring needs two atoms")

    def energy_and_forces(positions):
        arms = positions[1:] - positions[0]
        lengths = np.linalg.norm(arms, axis=1)
        stretch = lengths - 1.0
        pulls = STIFFNESS * (stretch / lengths)[:, None] * arms
        forces = np.concatenate([[pulls.sum(axis=0)], -pulls])
        return 0.5 * STIFFNESS * float(stretch @ stretch), forces

    return External(symbols, energy_and_forces, citation="", description="springs")
