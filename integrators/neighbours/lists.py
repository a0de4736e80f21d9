"""Neighbour lists as Python holds them."""

import math
from typing import Self

import numpy as np
import numpy.typing as npt

from ..forces.force import LOST_PAIR
from ..state import FloatArray
from . import layout as at
from .update import audit_from_python, audit_function, update_from_python, update_function

_SLACK = 1.2
"""Room beyond what is needed, so that a list seldom grows twice."""
AUDIT_EVERY = 100
"""Builds of a list from one audit to the next."""
_CAPACITIES = (
    (at.CAP_ATOMS, at.NEED_ATOMS),
    (at.CAP_PAIRS, at.NEED_PAIRS),
    (at.CAP_SHIFTS, at.NEED_SHIFTS),
)
"""What there is room for, and what some call has needed."""


class NeighbourList:
    """All pairs of atoms, with their images in a cell, that are closer than a cut-off.

    It belongs to one `Force`, in whose program its `address` stands, and which names it in
    `Force.lists`; the compiled side is `opened`, `update` and `vector`. It has no room at first:
    the first call runs out of it, `grow` makes it, and the call is made again.

    Parameters
    ----------
    cutoff : float
        Largest distance that counts (angstrom).
    skin : float
        Width (angstrom) of the shell beyond it that is listed too, so that the list holds until
        two atoms together have moved that far.
    full : bool
        List each pair with both of its atoms, not with the one of lower index only.
    audit_every : int
        Number of builds between counts of all pairs without the list; 0: only by `audit`.

    Raises
    ------
    ValueError
        If the cut-off is not positive and finite, or the skin is negative or not finite.
    """

    def __init__(
        self, cutoff: float, skin: float, full: bool = False, audit_every: int = AUDIT_EVERY
    ) -> None:
        if not (0 < cutoff < math.inf and 0 <= skin < math.inf):
            raise ValueError(
                f"A cut-off must be positive and a skin not negative, but they are {cutoff} and "
                f"{skin} angstrom."
            )
        self._head = np.zeros(at.HEAD, np.int64)
        self._numbers = np.zeros(at.N_NUMBERS)
        self._head[at.UPDATE] = update_function().address
        self._head[at.AUDIT] = audit_function().address
        self._head[at.NUMBERS] = self._numbers.ctypes.data
        self._head[at.FULL], self._head[at.AUDIT_EVERY] = full, audit_every
        self._numbers[at.CUTOFF], self._numbers[at.SKIN] = cutoff, skin
        self._make_room(0, 0, 0)

    @property
    def address(self) -> int:
        """Word for the program of the force: where the compiled side finds this list."""
        return self._head.ctypes.data

    @property
    def cutoff(self) -> float:
        """Largest distance that counts (angstrom)."""
        return float(self._numbers[at.CUTOFF])

    @property
    def builds(self) -> int:
        """Number of times that the list was built."""
        return int(self._head[at.BUILDS])

    @property
    def lost(self) -> bool:
        """True if an audit has ever found a pair missing, or one too many."""
        return bool(self._head[at.LOSSES])

    @property
    def n_bytes(self) -> int:
        """Memory of all arrays (bytes)."""
        return int(sum(a.nbytes for a in (self._head, self._numbers, *self._arrays.values())))

    def for_thread(self) -> Self:
        """Return an empty list with the same parameters, for another thread."""
        cutoff, skin = (float(self._numbers[place]) for place in (at.CUTOFF, at.SKIN))
        full, audit_every = bool(self._head[at.FULL]), int(self._head[at.AUDIT_EVERY])
        return type(self)(cutoff, skin, full, audit_every)

    def grow(self) -> bool:
        """Make more room if a call ran out of it, and tell so: then the calls have to be repeated.

        Raises
        ------
        ValueError
            If there are too many atoms for a list, or too many images of the cell in reach.
        """
        head = self._head
        atoms, pairs, shifts = (int(max(head[a], head[b])) for a, b in _CAPACITIES)
        if atoms > at.MAX_ATOMS:
            raise ValueError(f"A list holds up to {at.MAX_ATOMS:,} atoms, but there are {atoms:,}.")
        if shifts > at.MAX_SHIFTS:
            raise ValueError(
                f"A cut-off of {self.cutoff:g} angstrom reaches more than {at.MAX_SHIFTS:,} images "
                "of the cell."
            )
        if (atoms, pairs, shifts) == tuple(int(head[a]) for a, _ in _CAPACITIES):
            return False
        more = pairs > head[at.CAP_PAIRS]
        self._make_room(atoms, math.ceil(_SLACK * pairs) + 16 if more else pairs, shifts)
        return True

    def _make_room(self, atoms: int, pairs: int, shifts: int) -> None:
        self._arrays = at.arrays(atoms, pairs, shifts, bool(self._head[at.FULL]))
        for word, array in self._arrays.items():
            self._head[word] = array.ctypes.data
        self._head[at.CAP_ATOMS], self._head[at.CAP_PAIRS] = atoms, pairs
        self._head[at.CAP_SHIFTS] = shifts
        self._head[at.VALID] = 0

    def update(self, positions: FloatArray, cell: FloatArray) -> None:
        """Bring the list up to date from Python, with all the room that it needs.

        Raises
        ------
        ValueError
            As `grow`, or if a position is not finite.
        """
        while update_from_python(self._head, positions, cell) != at.OK:
            if self.lost:
                raise ValueError(LOST_PAIR)
            if not self.grow():
                raise ValueError("A neighbour list needs finite positions.")

    def pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Atoms i and j and integer shifts of all entries, those in the skin included.

        The vector of a pair is ``positions[j] - positions[i] + shifts @ cell`` with the positions
        of the last call, wrapped or not.
        """
        n, reach = int(self._head[at.ATOMS]), self._head[at.REACH : at.REACH + 3]
        starts = self._arrays[at.STARTS][: n + 1]
        entries = self._arrays[at.ENTRIES][: starts[n]]
        i = np.repeat(np.arange(n), np.diff(starts))
        j, code = entries & at.SECOND, entries >> at.ENTRY
        sides = 2 * reach + 1
        shifts = np.stack(np.unravel_index(code, tuple(sides)), axis=1) - reach
        turns = self._arrays[at.WRAPS][: 3 * n].reshape(n, 3).astype(np.int64)
        return i, j, shifts + turns[j] - turns[i]

    def forget(self) -> None:
        """Make the next call rebuild the list, whether or not atoms have moved."""
        self._head[at.VALID] = 0

    def audit(self) -> bool:
        """Count all pairs of the last call without the list; True if the list has them all."""
        if not self._head[at.VALID]:
            return True
        return bool(audit_from_python(self._head) == at.OK)


def neighbour_pairs(
    positions: npt.ArrayLike, cell: npt.ArrayLike, cutoff: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All pairs closer than a cut-off: a half list, as JAX interpreters and checks take it.

    Parameters
    ----------
    positions : array, shape (n_atoms, 3)
        In angstrom, wrapped into the cell or not.
    cell : array, shape (3, 3)
        Lattice vectors (angstrom) in rows; a row of zeros is a direction that is not periodic.
    cutoff : float
        In angstrom.

    Returns
    -------
    i, j : int64 arrays, shape (n_pairs,)
        Atoms, ``i <= j``; by rising i, then rising j.
    shifts : int64 array, shape (n_pairs, 3)
        The pair's vector is ``positions[j] - positions[i] + shifts @ cell``. Of two opposite images
        of one atom (``i == j``) one is listed.

    Raises
    ------
    ValueError
        If the shapes are others, a position is not finite, or the cut-off is not positive.
    """
    x, h = (np.array(a, dtype=np.float64, order="C") for a in (positions, cell))
    if x.ndim != 2 or x.shape[1] != 3 or h.shape != (3, 3):
        raise ValueError(
            "`positions` must have shape (n_atoms, 3) and `cell` (3, 3), but they have "
            f"{x.shape} and {h.shape}."
        )
    made = NeighbourList(float(cutoff), 0.0)
    made.update(x, h)
    i, j, shifts = made.pairs()
    d = x[j] - x[i] + shifts @ h
    near = np.einsum("pk,pk->p", d, d) < cutoff * cutoff
    return i[near], j[near], shifts[near]
