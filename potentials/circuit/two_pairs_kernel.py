"""Forces of circuits on two pairs with shared vectors: one geometry, and several side by side."""
# mypy: disable-error-code="call-arg"
# Numba passes the first argument of an intrinsic itself.

import math

from qmd.integrators import BESIDE_SIGNATURE, FORCE_SIGNATURE, VECTOR_WIDTH

from ..compilation import inner, when_needed
from ..contract import fill
from .two_pairs_beside import alone, beside

# fmt: off
(N_ATOMS, N_LAYERS, WEIGHTS, INITIAL, LAYERS, ADJOINTS, OBSERVABLE, OFFSET, STATES,
 HEAD) = range(10)
# fmt: on
"""Words of the program: two numbers, then places in the workspace."""


@inner
def _places(program):
    return (
        program[WEIGHTS],
        program[INITIAL],
        program[LAYERS],
        program[ADJOINTS],
        program[OBSERVABLE],
        program[STATES],
    )


@when_needed(FORCE_SIGNATURE)
def energy_and_forces(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of one geometry; writes the forces (eV/angstrom).

    NaN if the number of atoms is not that of the model.
    """
    n_atoms = program[N_ATOMS]
    if positions.shape[0] != n_atoms or forces.shape[0] != n_atoms:
        fill(forces, math.nan)
        return math.nan
    energy = alone(positions, forces, workspace, _places(program), n_atoms, program[N_LAYERS])
    return energy + workspace[program[OFFSET]]


@when_needed(BESIDE_SIGNATURE)
def side_by_side(positions, forces, energies, program, workspace):
    """Energies and forces of `VECTOR_WIDTH` geometries, the last index of all arrays."""
    n_atoms, n_layers = program[N_ATOMS], program[N_LAYERS]
    beside(
        positions, forces, energies, workspace, _places(program), n_atoms, n_layers, VECTOR_WIDTH
    )
    for i in range(VECTOR_WIDTH):
        energies[i] += workspace[program[OFFSET]]
    return 0.0
