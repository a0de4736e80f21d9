"""Point charges in a cell that is periodic in all directions, by Ewald sums.

The energy of all charges and their images, without the pairs within a molecule, is [1]_ ::

    E = real + waves + self - excluded,   u = splitting
    real      sum_pairs   q_i q_j erfc(u r) / r         listed pairs with their images, r < cutoff
    waves     2 pi / V sum_k exp(-k^2 / 4 u^2) / k^2 |sum_j q_j exp(i k r_j)|^2,   0 < |k| < wave
    self      -u / sqrt(pi) sum_j q_j^2
    excluded  sum_pairs   q_i q_j / r                   pairs of one molecule, their shortest image

times Coulomb's constant. `excluded` leaves ``-erf(u r) / r`` of each such pair; images of a
molecule do act on it. The term ``k = 0`` is left out: the boundary at infinity conducts (tin foil).
So the energy does not depend on the splitting, up to what both sums leave out.

Beyond a distance ``s / u`` and a wave ``2 u s`` both leave out parts of the order
``exp(-s^2) / s^2`` [2]_ [3]_. `ewald_charges` solves this for s with the accuracy asked for, and
takes u from the cut-off. Neither the splitting nor the largest wave depends on the cell: the waves
of a call are all those of its cell below `wave`, so that energy, forces and virial are functions of
the positions and the cell, and a cell that changes takes no memory along.

References
----------
.. [1] P. P. Ewald, Ann. Phys. 369, 253 (1921); S. W. de Leeuw, J. W. Perram, E. R. Smith, Proc. R.
   Soc. Lond. A 373, 27 (1980).
.. [2] J. Kolafa, J. W. Perram, Mol. Simul. 9, 351 (1992), which also has the errors of forces.
.. [3] D. Fincham, Mol. Simul. 13, 1 (1994).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from .molecular import _check_positive
from .walls import Pair

DEFAULT_ACCURACY = 1e-10
DEFAULT_SKIN = 1.0
"""Width (angstrom) of the shell that a neighbour list holds beyond the cut-off."""
LARGEST_WAVE = 100.0
"""Largest wave of a sum, 1/angstrom: an accuracy of 1e-15 takes 35 with a cut-off of 2 angstrom."""
NEUTRAL = 1e-6
"""Largest total charge, e, that counts as none: charges are typed with few digits."""
HIGHEST_ACCURACY, LOWEST_ACCURACY = 1e-15, 1e-2


@dataclass(frozen=True)
class EwaldCharges:
    """Point charges of a periodic cell; `ewald_charges` chooses the two numbers of the sums.

    Parameters
    ----------
    charges : tuple of float
        Charge of each atom, e; they add up to 0.
    molecules : tuple of int
        Index of the molecule of each atom. Charges of one molecule do not act on each other, but on
        its images.
    cutoff : float
        Of the sum over pairs, angstrom. A cell may be smaller: then a pair has several images.
    splitting : float
        Inverse width of the Gaussians that divide the sums, 1/angstrom.
    wave : float
        Largest absolute value of a wave vector, 1/angstrom.
    skin : float
        Width (angstrom) of the shell beyond the cut-off that the neighbour list holds too. It
        changes the speed only.

    Raises
    ------
    ValueError
        If charges and molecules do not fit together, a charge is not finite, the charges do not add
        up to 0, or a number is not positive, not finite or too large.
    """

    charges: tuple[float, ...]
    molecules: tuple[int, ...]
    cutoff: float
    splitting: float
    wave: float
    skin: float = DEFAULT_SKIN

    def __post_init__(self) -> None:
        if not self.charges or len(self.charges) != len(self.molecules):
            raise ValueError(
                "Ewald sums need a charge and a molecule for each atom, but there are "
                f"{len(self.charges)} charges and {len(self.molecules)} atoms in molecules."
            )
        if not all(math.isfinite(charge) for charge in self.charges):
            raise ValueError("Point charges must be finite.")
        total = math.fsum(self.charges)
        if not abs(total) <= NEUTRAL:
            raise ValueError(
                f"The charges of a periodic cell must add up to 0, but their sum is {total:g} e."
            )
        _check_positive("Ewald sums", self.cutoff, self.splitting, self.wave)
        if not 0 <= self.skin < math.inf:
            raise ValueError(f"`skin` must not be negative, but it is {self.skin} angstrom.")
        if self.wave > LARGEST_WAVE:
            raise ValueError(
                f"The largest wave of an Ewald sum may be {LARGEST_WAVE:g}/angstrom, but it is "
                f"{self.wave:g}: take a longer cut-off or a lower accuracy."
            )

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return len(self.charges)

    @cached_property
    def excluded(self) -> tuple[Pair, ...]:
        """Pairs of atoms of one molecule."""
        members: dict[int, list[int]] = {}
        for atom, molecule in enumerate(self.molecules):
            members.setdefault(molecule, []).append(atom)
        return tuple(pair for atoms in members.values() for pair in combinations(atoms, 2))

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""


def ewald_charges(
    charges: Sequence[float],
    molecules: Sequence[int],
    cutoff: float,
    accuracy: float = DEFAULT_ACCURACY,
) -> EwaldCharges:
    """Choose splitting and waves for an accuracy, so that both sums leave out alike.

    Parameters
    ----------
    charges, molecules, cutoff
        See `EwaldCharges`.
    accuracy : float
        What the sums leave out, as a part of the energy of two charges at the cut-off.

    Returns
    -------
    EwaldCharges

    Raises
    ------
    ValueError
        If the accuracy is not between 1e-15 and 0.01, or as `EwaldCharges`.
    """
    if not HIGHEST_ACCURACY <= accuracy <= LOWEST_ACCURACY:
        raise ValueError(
            f"The accuracy of Ewald sums must lie between {HIGHEST_ACCURACY:g} and "
            f"{LOWEST_ACCURACY:g}, but it is {accuracy:g}."
        )
    _check_positive("Ewald sums", cutoff)
    s = _range(accuracy)
    return EwaldCharges(tuple(charges), tuple(molecules), cutoff, s / cutoff, 2 * s * s / cutoff)


def _range(accuracy: float) -> float:
    """Return s of ``exp(-s^2) / s^2 = accuracy``, by Newton's method from above."""
    square = -math.log(accuracy)
    for _ in range(50):
        square -= (square + math.log(square) + math.log(accuracy)) / (1 + 1 / square)
    return math.sqrt(square)
