"""Native energy and forces of a whole tree: its terms, one after the other, added up.

A term sees its own atoms only, in its own order; under a switch it is skipped where the switch is
0. As for a single circuit, one compiled function serves all trees: `program` is a table of the
terms with their functions and programs, `workspace` holds local positions and forces, then theirs.
A term is called through the address of its function: only the families of a tree are compiled.
"""

import math

from qmd.integrators import FORCE_SIGNATURE, call

from ..compilation import inner, when_needed
from ..contract import clear, fill
from .switch import NO_SWITCH, switch

# fmt: off
N_ATOMS, N_TERMS, POSITIONS, FORCES, VIRIAL, HEAD = range(6)
(FUNCTION, ATOMS, N_TERM_ATOMS, PROGRAM, PROGRAM_END, WORKSPACE, WORKSPACE_END,
 SWITCH_I, SWITCH_J, SWITCH, FACTOR, RECORD) = range(12)
# fmt: on
NO_FACTOR = -1


@inner
def _term(positions, cell, forces, virial, record, program, workspace):
    """Energy of one term; adds its forces, and its virial if that is asked for.

    The virial of a term under a switch is not known: NaN, as for a term without one.
    """
    factor, slope, r, i, j = 1.0, 0.0, 1.0, program[record + SWITCH_I], program[record + SWITCH_J]
    if i != NO_SWITCH:
        x = positions[j, 0] - positions[i, 0]
        y = positions[j, 1] - positions[i, 1]
        z = positions[j, 2] - positions[i, 2]
        r = math.sqrt(x * x + y * y + z * z)
        at = program[record + SWITCH]
        factor, slope = switch(r, workspace[at], workspace[at + 1])
        if factor == 0.0:
            fill(virial, math.nan)
            return 0.0
    if program[record + FACTOR] != NO_FACTOR:
        factor *= workspace[program[record + FACTOR]]
        slope *= workspace[program[record + FACTOR]]
    n, atoms = program[record + N_TERM_ATOMS], program[record + ATOMS]
    local = workspace[program[POSITIONS] : program[POSITIONS] + 3 * n].reshape((n, 3))
    local_forces = workspace[program[FORCES] : program[FORCES] + 3 * n].reshape((n, 3))
    for a in range(n):
        for axis in range(3):
            local[a, axis] = positions[program[atoms + a], axis]
    local_virial = workspace[program[VIRIAL] : program[VIRIAL] + 9].reshape((3, 3))
    local_virial = local_virial[: virial.shape[0]]
    fill(local_virial, math.nan)
    energy = call(
        program[record + FUNCTION],
        local,
        cell,
        local_forces,
        local_virial,
        program[program[record + PROGRAM] : program[record + PROGRAM_END]],
        workspace[program[record + WORKSPACE] : program[record + WORKSPACE_END]],
    )
    for a in range(n):
        for axis in range(3):
            forces[program[atoms + a], axis] += factor * local_forces[a, axis]
    for a in range(virial.shape[0]):
        for axis in range(3):
            under_switch = math.nan if i != NO_SWITCH else 0.0
            virial[a, axis] += factor * local_virial[a, axis] + under_switch
    if slope != 0.0:
        for axis in range(3):
            pull = energy * slope / r * (positions[j, axis] - positions[i, axis])
            forces[i, axis] += pull
            forces[j, axis] -= pull
    return factor * energy


@when_needed(FORCE_SIGNATURE)
def energy_and_forces(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of all terms; writes the forces (eV/angstrom).

    NaN if the number of atoms is not that of the tree.
    """
    if not clear(positions, forces, program):
        return math.nan
    energy = 0.0
    fill(virial, 0.0)
    for term in range(program[N_TERMS]):
        record = HEAD + RECORD * term
        energy += _term(positions, cell, forces, virial, record, program, workspace)
    return energy
