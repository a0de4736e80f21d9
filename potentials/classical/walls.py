"""Repulsive walls: between close atoms, and around all of them."""

import math
from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class ShortRangeWall:
    """``stiffness sum_pairs max(0, onset - r)^3``; nothing in it is trainable.

    Parameters
    ----------
    pairs : tuple of pairs
        Atoms.
    onsets : tuple of float
        Distance of each pair below which it is pushed apart, angstrom.
    stiffness : float
        Stiffness, eV/angstrom^3.

    Raises
    ------
    ValueError
        If the values do not fit together, or are not positive.
    """

    pairs: tuple[Pair, ...]
    onsets: tuple[float, ...]
    stiffness: float

    def __post_init__(self) -> None:
        _check_pairs(self.pairs)
        if len(self.onsets) != len(self.pairs):
            raise ValueError(
                f"Each pair needs an onset, but there are {len(self.pairs)} and {len(self.onsets)}."
            )
        if not all(0 < value < math.inf for value in (*self.onsets, self.stiffness)):
            raise ValueError("Onsets and stiffness of a wall must be positive and finite.")

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return 1 + max(max(pair) for pair in self.pairs)

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""


@dataclass(frozen=True)
class SphericalWall:
    """``stiffness sum_i max(0, |r_i| - radius)^3``: keeps atoms near the origin.

    Raises
    ------
    ValueError
        If a number is not positive and finite.
    """

    n_atoms: int
    radius: float
    """Radius, angstrom."""
    stiffness: float
    """Stiffness, eV/angstrom^3."""

    def __post_init__(self) -> None:
        if not all(0 < value < math.inf for value in (self.n_atoms, self.radius, self.stiffness)):
            raise ValueError("Atoms, radius and stiffness of a sphere must be positive and finite.")

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""


def _check_pairs(pairs: tuple[Pair, ...]) -> None:
    if not pairs:
        raise ValueError("A classical term needs at least one pair of atoms.")
    for pair in pairs:
        if not (len(pair) == len(set(pair)) == 2 and min(pair) >= 0):
            raise ValueError(f"A pair must be two different atoms, but it is {pair}.")
