"""Permutationally invariant polynomials: the classical peer of a circuit of as many numbers.

All monomials of the Morse variables of the pairs, up to a degree, each summed over the exchanges
of like atoms [1]_::

    y_ij = exp((c_ij - r_ij) / a) - 1,    E = sum_k w_k sum_(p in orbit k) prod_ij y_ij^p_ij

The centres c change nothing but the conditioning of a fit: with the distances of the data they keep
all y small. Linear in w; invariant under translation, rotation, reflection and permutation by
construction. For water (three pairs) the degree 7 has 70 orbits.

References
----------
.. [1] B. J. Braams, J. M. Bowman, Int. Rev. Phys. Chem. 28, 577 (2009), section 2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, permutations, product
from math import comb, factorial, inf, prod
from typing import Any, NamedTuple

import numpy as np

from ..classical.walls import Pair
from ..parameters import check_arrays

MAX_DEGREE = 12
MAX_MONOMIALS, MAX_EXCHANGES = 20_000, 1000


class PolynomialParameters(NamedTuple):
    """Everything trainable; a pytree of arrays (NumPy or JAX)."""

    weights: Any
    """w, eV, shape (n_terms,); the first is that of the constant."""
    length: Any
    """a, angstrom, a scalar."""


@dataclass(frozen=True)
class InvariantPolynomial:
    """A polynomial of all distances of one molecule.

    Parameters
    ----------
    like : tuple of tuples of int
        Atoms in sets of like ones; every atom in one of them.
    degree : int
        Of the polynomial.
    centres : tuple of float
        c of each of `pairs`, angstrom.
    parameters : PolynomialParameters

    Raises
    ------
    ValueError
        If the sets are not of all atoms, the polynomial is too large, or the centres are not one a
        pair, positive, and the same for pairs that an exchange of like atoms turns into each other.
    """

    like: tuple[tuple[int, ...], ...]
    degree: int
    centres: tuple[float, ...]
    parameters: PolynomialParameters

    def __post_init__(self) -> None:
        atoms = sorted(atom for group in self.like for atom in group)
        if len(atoms) < 2 or atoms != list(range(len(atoms))):
            raise ValueError(f"The sets must hold each atom of a molecule once, not {self.like}.")
        n_pairs = comb(len(atoms), 2)
        if not 1 <= self.degree <= MAX_DEGREE:
            raise ValueError(f"The degree must be 1 to {MAX_DEGREE}, but it is {self.degree}.")
        if comb(n_pairs + self.degree, self.degree) > MAX_MONOMIALS:
            raise ValueError(
                f"There may be {MAX_MONOMIALS} monomials, but {n_pairs} distances at degree "
                f"{self.degree} make {comb(n_pairs + self.degree, self.degree)}."
            )
        if prod(factorial(len(group)) for group in self.like) > MAX_EXCHANGES:
            raise ValueError(f"Like atoms may have {MAX_EXCHANGES} permutations at most.")
        self._check_centres()

    def _check_centres(self) -> None:
        centres = self.centres
        if len(centres) != len(self.pairs) or not all(0 < c < inf for c in centres):
            raise ValueError(
                f"Each of the {len(self.pairs)} distances needs a positive centre, but they are "
                f"{centres}."
            )
        for exchange in _exchanges(self.like, self.pairs):
            if tuple(centres[k] for k in exchange) != centres:
                raise ValueError(f"Distances of like atoms must have one centre, not {centres}.")

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return sum(map(len, self.like))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Atoms of each distance."""
        return tuple(combinations(range(self.n_atoms), 2))

    @cached_property
    def orbits(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Monomials of each term: the exponent of every pair."""
        return tuple(_orbits(self.like, self.pairs, self.degree))

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        check_arrays(self.parameters, [[(len(self.orbits),)], [()]])


def _orbits(
    like: tuple[tuple[int, ...], ...], pairs: tuple[Pair, ...], degree: int
) -> Iterator[tuple[tuple[int, ...], ...]]:
    """By degree, then in the order of their largest monomial."""
    exchanges = list(_exchanges(like, pairs))
    for total in range(degree + 1):
        seen: set[tuple[int, ...]] = set()
        for monomial in _monomials(len(pairs), total):
            if monomial not in seen:
                orbit = {tuple(monomial[k] for k in exchange) for exchange in exchanges}
                seen |= orbit
                yield tuple(sorted(orbit, reverse=True))


def _exchanges(
    like: tuple[tuple[int, ...], ...], pairs: tuple[Pair, ...]
) -> Iterator[tuple[int, ...]]:
    """Place of the image of each pair, for every permutation of like atoms."""
    place = {frozenset(pair): k for k, pair in enumerate(pairs)}
    atoms = tuple(chain.from_iterable(like))
    for images in product(*(permutations(group) for group in like)):
        image = dict(zip(atoms, chain.from_iterable(images), strict=True))
        yield tuple(place[frozenset((image[i], image[j]))] for i, j in pairs)


def _monomials(n: int, total: int) -> Iterator[tuple[int, ...]]:
    """Exponents of `n` variables that add up to `total`, the largest first."""
    if n == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _monomials(n - 1, total - first):
            yield first, *rest


def molecule(
    species: tuple[str, ...], degree: int, positions: np.ndarray, length: float = 1.0
) -> InvariantPolynomial:
    """A polynomial of zero weights, about the mean distances of some geometries.

    Parameters
    ----------
    species : tuple of str
        Chemical symbols in the atom order to serve: the same symbol means like atoms.
    degree : int
    positions : (n, n_atoms, 3)
        angstrom
    length : float
        a, angstrom
    """
    like = tuple(
        tuple(i for i, s in enumerate(species) if s == symbol) for symbol in dict.fromkeys(species)
    )
    pairs = tuple(combinations(range(len(species)), 2))
    i, j = np.array(pairs).T
    distances = np.linalg.norm(positions[:, i] - positions[:, j], axis=2).mean(axis=0)
    images = list(_exchanges(like, pairs))
    alike = [sorted({image[k] for image in images}) for k in range(len(pairs))]
    centres = tuple(float(distances[pairs_alike].mean()) for pairs_alike in alike)
    none = PolynomialParameters(np.zeros(1), np.asarray(length))
    n_terms = len(InvariantPolynomial(like, degree, centres, none).orbits)
    parameters = PolynomialParameters(np.zeros(n_terms), np.asarray(length))
    return InvariantPolynomial(like, degree, centres, parameters)
