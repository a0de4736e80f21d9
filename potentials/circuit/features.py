"""Features: vectors of the encoding gates from positions; both are linear in their scales."""

import math
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class LinearVectors:
    """``v_k = alpha_s(k) sum_i C_ki r_i``: relative position vectors with trainable scales.

    Parameters
    ----------
    weights : tuple of tuples, shape (n_vectors, n_atoms)
        C; every row sums to zero, so that the vectors do not change under translation.
    scale_index : tuple of int, shape (n_vectors,)
        Index of the trainable scale alpha (1/angstrom) of each vector.

    Raises
    ------
    ValueError
        If the shapes disagree or a row does not sum to zero.
    """

    weights: tuple[tuple[float, ...], ...]
    scale_index: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.scale_index) or len({len(w) for w in self.weights}) != 1:
            raise ValueError("`weights` must be (n_vectors, n_atoms) and match `scale_index`.")
        if min(self.scale_index) < 0:
            raise ValueError("Scales count from 0.")
        for row in self.weights:
            if not abs(sum(row)) < 1e-12:
                raise ValueError(f"Each row of `weights` must sum to 0, but one is {row}.")

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return len(self.weights[0])

    @property
    def n_vectors(self) -> int:
        """Number of vectors of one encoding."""
        return len(self.weights)

    @property
    def n_scales(self) -> int:
        """Number of trainable scales of one encoding."""
        return 1 + max(self.scale_index)


MAX_ENTRIES = 10_000
"""Largest number of entries; the native kernel needs 3 kB for each, with `MAX_LAYERS` layers."""


class Entry(NamedTuple):
    """Contribution of one neighbour to one vector."""

    vector: int
    centre: int
    neighbour: int
    kind: int
    """Index of the radial function."""


@dataclass(frozen=True)
class VectorDensities:
    """``v_k = sum_j w_t(r_ij) r_ij / |r_ij|``: densities of the neighbours of an atom.

    Each radial function is ``w_t(r) = u(r / cutoff) sum_g c_tg exp(-(r - mu_tg)^2 / 2 s_t^2)``
    with trainable c (dimensionless), ``n_radial`` Gaussians evenly spaced over the range of the
    kind, s their spacing, and the polynomial u of [1]_ (p = 6), which ends with a continuous second
    derivative.

    Parameters
    ----------
    n_atoms : int
    entries : tuple of Entry
    ranges : tuple of pairs
        Distances of the first and the last Gaussian of each kind, angstrom.
    n_radial : int
        Number of Gaussians of one kind.
    cutoff : float
        Cut-off radius, angstrom.

    Raises
    ------
    ValueError
        If an entry names an atom or a kind that does not exist, or a range is empty.

    References
    ----------
    .. [1] Gasteiger, Gross, Guennemann, ICLR 2020, arXiv:2003.03123, equation 8.
    """

    n_atoms: int
    entries: tuple[Entry, ...]
    ranges: tuple[tuple[float, float], ...]
    n_radial: int
    cutoff: float

    def __post_init__(self) -> None:
        for e in self.entries:
            if not (0 <= e.centre < self.n_atoms and 0 <= e.neighbour < self.n_atoms):
                raise ValueError(f"An entry must name two of {self.n_atoms} atoms, but it is {e}.")
            if e.centre == e.neighbour or e.vector < 0 or not 0 <= e.kind < len(self.ranges):
                raise ValueError(
                    f"An entry must join two atoms by one of {len(self.ranges)} kinds, "
                    f"but it is {e}."
                )
        if not 0 < len(self.entries) <= MAX_ENTRIES or self.n_radial < 2:
            raise ValueError(
                f"There must be 1 to {MAX_ENTRIES} entries, and two Gaussians of each kind or more."
            )
        if not all(0 <= low < high < math.inf for low, high in self.ranges):
            raise ValueError(
                f"Ranges must have a first and a last distance, but are {self.ranges}."
            )
        if not 0 < self.cutoff < math.inf:
            raise ValueError(f"The cut-off must be positive, but it is {self.cutoff}.")

    @property
    def n_vectors(self) -> int:
        """Number of vectors of one encoding."""
        return 1 + max(e.vector for e in self.entries)

    @property
    def n_scales(self) -> int:
        """Number of trainable coefficients c of one encoding."""
        return len(self.ranges) * self.n_radial


Features = LinearVectors | VectorDensities
