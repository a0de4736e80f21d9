"""Classical terms between pairs of atoms: what a quantum correction is added to.

The baseline holds the parts of an interaction whose form is known [1]_, summed over pairs::

    k_t f(r) / r + exp(a_t - b_t r) - c_t / (r^6 + r_0^6),   f(r) = 1 - exp(-(r / r_d)^3)

with k_t the products of the charges. The wall ends what a bounded circuit cannot: it is zero in the
range of the data and rises as the cube of the distance below it, with a continuous second
derivative.

References
----------
.. [1] A. J. Stone, The Theory of Intermolecular Forces, 2nd ed., Oxford (2013), chapters 4 and 12.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .model import check_arrays

Pair = tuple[int, int]


class BaselineParameters(NamedTuple):
    """Everything trainable of a `PairBaseline`; a pytree of arrays (NumPy or JAX)."""

    charge: Any
    """q / e of the charge products, a scalar."""
    damping: Any
    """r_d, angstrom, a scalar."""
    repulsion: Any
    """a, the logarithm of an energy in eV, shape (n_kinds,)."""
    decay: Any
    """b, 1/angstrom, shape (n_kinds,)."""
    dispersion: Any
    """c, eV angstrom^6, shape (n_kinds,)."""


COULOMB = 14.399645478
"""e^2 / (4 pi eps_0), eV angstrom (CODATA 2018)."""
R6 = 20.0
"""r_0^6, angstrom^6: keeps the dispersion finite at contact."""


@dataclass(frozen=True)
class PairBaseline:
    """Damped charges, exponential repulsion and dispersion between listed pairs of atoms.

    Parameters
    ----------
    pairs : tuple of pairs
        Atoms.
    kinds : tuple of int
        Kind of each pair.
    products : tuple of float
        Charge product of each kind in units of q^2: of water 4 (OO), -2 (OH), 1 (HH).
    parameters : BaselineParameters

    Raises
    ------
    ValueError
        If pairs, kinds and products do not fit together.
    """

    pairs: tuple[Pair, ...]
    kinds: tuple[int, ...]
    products: tuple[float, ...]
    parameters: BaselineParameters

    def __post_init__(self) -> None:
        _check_pairs(self.pairs)
        if len(self.kinds) != len(self.pairs):
            raise ValueError(
                f"Each pair needs a kind, but there are {len(self.pairs)} and {len(self.kinds)}."
            )
        if not all(0 <= kind < len(self.products) for kind in self.kinds):
            raise ValueError(f"Kinds must be below {len(self.products)}, but are {self.kinds}.")
        if not all(math.isfinite(product) for product in self.products):
            raise ValueError(f"Charge products must be finite, but are {self.products}.")

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return 1 + max(max(pair) for pair in self.pairs)

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        n = len(self.products)
        check_arrays(self.parameters, [[()], [()], [(n,)], [(n,)], [(n,)]])


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
        eV/angstrom^3

    Raises
    ------
    ValueError
        If the numbers do not fit together, or are not positive.
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
        """Atoms whose positions are the input."""
        return 1 + max(max(pair) for pair in self.pairs)

    def check(self) -> None:
        """Nothing is trainable, so that nothing can be wrong."""


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
    """angstrom"""
    stiffness: float
    """eV/angstrom^3"""

    def __post_init__(self) -> None:
        if not all(0 < value < math.inf for value in (self.n_atoms, self.radius, self.stiffness)):
            raise ValueError("Atoms, radius and stiffness of a sphere must be positive and finite.")

    def check(self) -> None:
        """Nothing is trainable, so that nothing can be wrong."""


def _check_pairs(pairs: tuple[Pair, ...]) -> None:
    if not pairs:
        raise ValueError("A classical term needs at least one pair of atoms.")
    for pair in pairs:
        if not (len(pair) == len(set(pair)) == 2 and min(pair) >= 0):
            raise ValueError(f"A pair must be two different atoms, but it is {pair}.")


WATER_PAIRS = tuple((i, j) for i in range(3) for j in range(3, 6))
"""Between two waters, atom order O H H O H H."""


def water_baseline() -> PairBaseline:
    """Baseline of two waters, with the charges of SPC and generic repulsion to start from."""
    kinds = tuple(2 - (i == 0) - (j == 3) for i, j in WATER_PAIRS)  # OO, OH, HH
    start = BaselineParameters(
        charge=np.asarray(0.35),
        damping=np.asarray(0.65),
        repulsion=np.array([7.0, 5.5, 4.5]),
        decay=np.array([3.5, 3.5, 3.5]),
        dispersion=np.array([10.0, 0.0, 0.0]),
    )
    return PairBaseline(WATER_PAIRS, kinds, (4.0, -2.0, 1.0), start)
