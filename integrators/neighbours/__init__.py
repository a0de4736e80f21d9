"""Neighbour lists inside the compiled loop.

A force that needs neighbours makes a `NeighbourList`, writes its `address` into a word of its
program, and names both in `Force.lists`. Its compiled function begins with ::

    near = neighbours.opened(program[LIST])
    if not neighbours.update(near, positions, cell):
        fill(forces, math.nan)
        return math.nan
    for i in range(positions.shape[0]):
        for entry in range(near.starts[i], near.starts[i + 1]):
            j, x, y, z = neighbours.vector(near, i, entry)
            square = x * x + y * y + z * z
            if square < cutoff * cutoff:
                ...

- Any cell: triclinic, some directions periodic (the other rows are zero), smaller than the
  cut-off. Then a pair of atoms has several entries, and an atom is its own neighbour.
- A half list has each pair once, with ``i <= j``; a full one twice, with either atom.
- The entries of an atom rise by j, images of one j in a fixed order; `vector` depends on the
  positions and the cell only. So a sum over the entries within the cut-off, in their order, has
  the same bits whenever the list was built: a run that is resumed continues bit by bit. Whoever
  sums in another way (four at a time) first leaves out what is beyond the cut-off.
- Nothing is dropped. A list without room returns no answer, grows in `NeighbourList.grow`, and
  the steps are made again from the state before them.
"""

from .alarm import watched
from .count import vector
from .geometry import completed, fraction, invert, is_periodic
from .layout import SECOND, Neighbours, floats, integers, opened
from .lists import AUDIT_EVERY, NeighbourList, neighbour_pairs
from .update import update

__all__ = [
    "AUDIT_EVERY",
    "SECOND",
    "NeighbourList",
    "Neighbours",
    "completed",
    "floats",
    "fraction",
    "integers",
    "invert",
    "is_periodic",
    "neighbour_pairs",
    "opened",
    "update",
    "vector",
    "watched",
]
