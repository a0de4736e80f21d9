"""Networks on neighbour lists with centres in parallel; the bits are those of one thread.

Each thread has a slot and a fixed part of the centres; what they write is added up afterwards in
the order of the centres, by one of them. It must not be used within other threads, which would
share the cores.
"""

import math

import numba
import numpy as np

from qmd.integrators import FORCE_SIGNATURE, neighbours, njit

from ..compilation import when_needed
from ..contract import fill
from ..parts import call_centres
from .lanes import LANES
from .list_kernel import ENERGIES, FOUR, LIST, N_ATOMS, N_SLOTS, ROOM, ROOM_WORDS, collect, ready

numba.get_num_threads()  # starts them: what comes from the cache needs their symbols


@njit(error_model="numpy", parallel=True)
def _centres(function, workspace, program):
    """Compute all centres, each slot its part of them."""
    slots, fours = program[N_SLOTS], (program[N_ATOMS] + LANES - 1) // LANES
    for slot in numba.prange(slots):
        own = np.int64(slot)
        for four in range(own * fours // slots, (own + 1) * fours // slots):
            energy = call_centres(function, workspace, LANES * four, own, program)
            workspace[program[ENERGIES] + four] = energy


@when_needed(FORCE_SIGNATURE, allocates=True)
def on_lists(positions, cell, forces, virial, program, workspace):
    """Do the work of `list_kernel.on_lists`, several fours of centres at once."""
    near = neighbours.opened(program[LIST])
    if not ready(near, positions, cell, forces, virial, program):
        fill(forces, math.nan)
        return math.nan
    room = neighbours.integers(program[ROOM], ROOM_WORDS)
    _centres(room[FOUR], workspace, program)
    return collect(near, forces, virial, program, workspace)
