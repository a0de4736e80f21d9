"""Networks on all cores, with centres in parallel; the result is that of `kernel` to the last bit.

This is not the default: on two shared cores 72 centres gain nothing
(benchmarks/results/networks.md). It must not be used within other threads, which would share the
cores.
"""

import math

import numba
import numpy as np

from qmd.integrators import FORCE_SIGNATURE, njit

from ..compilation import when_needed
from ..contract import fill
from ..parts import call_centres
from .kernel import (
    CIRCUITS,
    N_ATOMS,
    SHIFT,
    add_channels,
    gaussians_of,
    pulls,
    sum_of_fours,
    write_force,
)
from .lanes import LANES

numba.get_num_threads()  # starts them: what comes from the cache needs their symbols


@njit(error_model="numpy", parallel=True)
def evaluate_into(positions, forces, program, workspace):
    """Return the energy (eV) of a network; write the forces (eV/angstrom)."""
    n = program[N_ATOMS]
    for i in numba.prange(n):
        gaussians_of(workspace, positions, np.int64(i), program)
    for i in numba.prange(n):
        add_channels(workspace, np.int64(i), program)
    for group in numba.prange((n + LANES - 1) // LANES):
        first, shift = LANES * np.int64(group), program[SHIFT] * np.int64(group)
        call_centres(program[CIRCUITS], workspace, first, shift, program)
    for i in numba.prange(n):
        pulls(workspace, np.int64(i), program)
    for i in numba.prange(n):
        write_force(workspace, forces, np.int64(i), program)
    return sum_of_fours(workspace, program)


@when_needed(FORCE_SIGNATURE, allocates=True)
def energy_and_forces(positions, cell, forces, virial, program, workspace):
    """Call `evaluate_into`; return NaN if the number of atoms is not that of the network."""
    if positions.shape[0] != program[N_ATOMS] or forces.shape[0] != program[N_ATOMS]:
        fill(forces, math.nan)
        return math.nan
    return evaluate_into(positions, forces, program, workspace)
