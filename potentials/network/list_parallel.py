"""Networks on neighbour lists with centres in parallel; the bits are those of one thread.

The threads of a `team` have a slot each; what they write is added up afterwards in the order of the
centres, by the caller.
"""

import math

from qmd.integrators import FORCE_SIGNATURE, neighbours

from ..compilation import when_needed
from ..contract import fill
from .lanes import LANES
from .list_kernel import GROUP, LIST, N_ATOMS, ROOM, ROOM_WORDS, TEAM, collect, ready
from .team_kernel import share


@when_needed(FORCE_SIGNATURE)
def on_lists(positions, cell, forces, virial, program, workspace):
    """Do the work of `list_kernel.on_lists`, several groups of centres at once."""
    near = neighbours.opened(program[LIST])
    if not ready(near, positions, cell, forces, virial, program):
        fill(forces, math.nan)
        return math.nan
    room = neighbours.integers(program[ROOM], ROOM_WORDS)
    n_groups = (program[N_ATOMS] + LANES - 1) // LANES
    share(room[TEAM], room[GROUP], n_groups, program, workspace)
    return collect(near, forces, virial, program, workspace)
