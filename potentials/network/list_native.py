"""Packing of networks into the arrays that `list_kernel` interprets, and the room that it needs."""

import math
from typing import Any, NamedTuple, Self

import numpy as np

from qmd.integrators import Force, NeighbourList

from ..contract import check_bytes
from ..simd.vectors import padded
from . import kernel
from . import list_kernel as layout
from .lanes import FOUR, LANES
from .moments import OF_RANK
from .team import Team
from .team_kernel import LINE

Array = np.ndarray

SKIN = 0.5
"""Width (angstrom) of the shell that the list holds beyond the cut-off; it changes speed only."""
_SLACK = 1.2
"""Room beyond what is needed, so that it seldom has to grow twice."""


class Centres(NamedTuple):
    """A network without its atoms, as the kernel on lists takes it."""

    first: float
    cutoff: float
    coefficients: Array
    """(K, K, G, vectors + scalars + tensors): radial coefficients, each part a multiple of four."""
    parts: tuple[int, int, int]
    """Numbers of vectors, scalars and tensors."""
    start: Array
    """(K, scalars): what the scalars of a centre are without neighbours."""
    function: int
    """Address of the function of type `CENTRES` that turns channels into energies and slopes."""
    program: Array
    """That function's program for `LANES` atoms, without places in the workspace."""
    constants: dict[int, Array]
    """Constants of the function, by the word of its program for their place."""
    scratch: dict[int, int]
    """Sizes of its scratch, by the word of its program for their place."""


class Room:
    """Room for what the kernel keeps of neighbours, which is not known before they are counted.

    It also holds the functions for cells, which are compiled, or read, when a first call needs
    them: a small isolated molecule never does.

    Parameters
    ----------
    n_slots : int
        Number of groups of centres at work at once, each by a thread of its own.
    size : int
        Numbers that are kept of a neighbour.
    """

    def __init__(self, n_slots: int, size: int) -> None:
        self._n_slots, self._size = n_slots, size
        self._head = np.zeros(layout.ROOM_WORDS, np.int64)
        self._pulls, self._kept = np.zeros(0), np.zeros(0)
        self._team = Team(n_slots) if n_slots > 1 else None

    @property
    def address(self) -> int:
        """Word for the program of the force."""
        return self._head.ctypes.data

    @property
    def lost(self) -> bool:
        """False: there is nothing to lose."""
        return False

    @property
    def n_bytes(self) -> int:
        """Memory of all arrays (bytes)."""
        return int(self._head.nbytes + self._pulls.nbytes + self._kept.nbytes)

    def for_thread(self) -> Self:
        """Return another one of the same kind, for another thread."""
        return type(self)(self._n_slots, self._size)

    def audit(self) -> bool:
        """Return True: nothing that is kept outlives a call."""
        return True

    def grow(self) -> bool:
        """Make more room if a call ran out of it, and tell so."""
        head = self._head
        needs = ((layout.CAP_PULLS, layout.NEED_PULLS), (layout.CAP_KEPT, layout.NEED_KEPT))
        if all(head[need] <= head[cap] for cap, need in needs):
            return False
        for cap, need in needs:
            if head[need] > head[cap]:
                head[cap] = math.ceil(_SLACK * int(head[need])) + 16
        self._pulls = np.zeros(3 * int(head[layout.CAP_PULLS]))
        self._kept = np.zeros(self._n_slots * self._size * int(head[layout.CAP_KEPT]))
        head[layout.PULLS], head[layout.KEPT] = self._pulls.ctypes.data, self._kept.ctypes.data
        head[layout.FUNCTION] = _function(self._n_slots).address
        head[layout.GROUP] = layout.group().address
        if self._team:
            self._team.start()
            head[layout.TEAM] = self._team.address
        return True


def _function(n_slots: int) -> Any:
    if n_slots == 1:
        return layout.on_lists()
    from .list_parallel import on_lists

    return on_lists()


def force_on_lists(
    kinds: tuple[int, ...], centres: Centres, dense: Force | None, n_slots: int = 1
) -> Force:
    """Return the kernel of a network of any number of atoms, in a cell or not.

    Parameters
    ----------
    kinds : tuple of int
        Element of each atom.
    centres : Centres
    dense : Force or None
        Kernel of the same network without a cell, which is used where there is none.
    n_slots : int
        Number of groups of centres at work at once, each by a thread of its own.

    Raises
    ------
    ValueError
        If the workspace would be too large.
    """
    n_kinds, _, n_radial, _ = centres.coefficients.shape
    rank, n_fours = 2 if centres.parts[2] else 1, -(-len(kinds) // FOUR)
    held = NeighbourList(centres.cutoff, SKIN, full=True)
    room = Room(n_slots, 2 * padded(n_radial) + layout.EXTRA)
    slot_programs, numbers, slot = _slots(centres, rank, n_slots)
    own = {
        layout.COEFFICIENTS: centres.coefficients.ravel(),
        layout.TRANSPOSED: _transposed(centres.coefficients).ravel(),
        layout.START: centres.start.ravel(),
        layout.RADIAL: np.array([
            centres.first, (centres.cutoff - centres.first) / (n_radial - 1), centres.cutoff
        ]),
        layout.STEPS: np.exp(-0.5 - np.arange(n_radial)),
        layout.ENERGIES: np.zeros(n_fours),
        layout.VIRIALS: np.zeros(layout.VIRIAL_STEP * n_fours),
    }  # fmt: skip
    head = np.zeros(layout.HEAD, np.int64)
    parts = [numbers]
    for word, array in own.items():
        head[word] = sum(part.size for part in parts)
        parts.append(array)
    head[layout.DENSE_NUMBERS] = sum(part.size for part in parts)
    integers = [head, np.array(kinds, np.int64), slot_programs.ravel()]
    head[layout.DENSE_PROGRAM] = sum(part.size for part in integers)
    head[layout.DENSE_END], head[layout.DENSE_NUMBERS_END] = head[[
        layout.DENSE_PROGRAM, layout.DENSE_NUMBERS
    ]]  # fmt: skip
    if dense is not None:
        head[layout.DENSE] = dense.function.address
        head[layout.DENSE_END] += dense.program.size
        head[layout.DENSE_NUMBERS_END] += dense.workspace.size
        integers.append(dense.program)
        parts.append(dense.workspace)
    values = {
        layout.N_ATOMS: len(kinds),
        layout.LIST: held.address,
        layout.ROOM: room.address,
        layout.N_KINDS: n_kinds,
        layout.N_RADIAL: n_radial,
        layout.PADDED: padded(n_radial),
        layout.VECTORS: centres.parts[0],
        layout.SCALARS: centres.parts[1],
        layout.TENSORS: centres.parts[2],
        layout.RANK: rank,
        layout.FAMILY: centres.function,
        layout.ATOMS: layout.HEAD,
        layout.SLOTS: layout.HEAD + len(kinds),
        layout.SLOT_WORDS: slot_programs.shape[1],
        layout.BEGINS: centres.program.size,
        layout.MOMENTS: slot[0],
        layout.SLOT_NUMBERS: slot[1],
    }
    head[list(values)] = list(values.values())
    check_bytes(8 * sum(part.size for part in parts))
    return Force(
        layout.energy_and_forces(),
        np.concatenate(integers),
        np.concatenate(parts),
        periodic=True,
        lists=((layout.LIST, held), (layout.ROOM, room)),
    )


def _slots(centres: Centres, rank: int, n_slots: int) -> tuple[Array, Array, tuple[int, int]]:
    """Return the programs of all slots, the begin of the workspace, and where moments lie in it.

    The workspace begins with the constants of the function, then has the slots. The last result
    is the place of the moments of the first slot, and the size of a slot.
    """
    vectors, scalars, tensors = centres.parts
    channels = LANES * (3 * vectors + scalars + 5 * tensors)
    n_kinds, _, n_radial, _ = centres.coefficients.shape
    sizes = {kernel.CHANNELS: channels, kernel.SLOPES: channels} | centres.scratch
    sizes |= {kernel.ENERGIES: LANES // FOUR}
    n_moments = n_kinds * OF_RANK[rank] * padded(n_radial)
    constants = centres.constants
    base = sum(array.size for array in constants.values())
    # Behind each slot is room enough that no two threads write one line of a cache.
    slot_size = sum(sizes.values()) + n_moments + LINE
    programs = np.zeros((n_slots, centres.program.size + LANES + 1 + LINE), np.int64)
    for slot, program in enumerate(programs):
        program[: centres.program.size] = centres.program
        program[list(constants)] = _places([array.size for array in constants.values()], 0)
        program[list(sizes)] = _places(list(sizes.values()), base + slot * slot_size)
    numbers = np.zeros(base + n_slots * slot_size)
    numbers[:base] = np.concatenate(list(constants.values()))
    return programs, numbers, (base + sum(sizes.values()), slot_size)


def _places(sizes: list[int], begin: int) -> Array:
    return begin + np.cumsum([0, *sizes[:-1]])


def _transposed(coefficients: Array) -> Array:
    """Return the radial coefficients with the Gaussians last, filled up to a multiple of four."""
    *outer, n_radial, size = coefficients.shape
    found = np.zeros((*outer, size, padded(n_radial)), coefficients.dtype)
    found[..., :n_radial] = np.swapaxes(coefficients, -1, -2)
    return found
