"""Classical force fields of molecules: bonds, angles, Lennard-Jones, point charges.

Nothing in them is trainable; each has its constants and the atoms on which it acts, in a system of
`n_atoms`. Bonds are Morse [1]_ or harmonic bonds::

    Morse         depth (1 - exp(-steepness (r - length)))^2
    harmonic      stiffness/2 (r - length)^2,   stiffness/2 (theta - angle)^2
    Lennard-Jones 4 depth ((diameter/r)^12 - (diameter/r)^6)
    charges       q_i q_j e^2 / (4 pi eps_0 r)

References
----------
.. [1] P. M. Morse, Phys. Rev. 34, 57 (1929).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .walls import Pair

Triple = tuple[int, int, int]
MAX_ATOMS = 1000
"""Largest number of atoms of terms between all pairs, which have no neighbour list."""


@dataclass(frozen=True)
class MorseBonds:
    """``depth sum_bonds (1 - exp(-steepness (r - length)))^2``.

    Parameters
    ----------
    n_atoms : int
    bonds : tuple of pairs
        Atoms.
    depth, steepness, length : float
        eV, 1/angstrom, angstrom. The force constant at the minimum is ``2 depth steepness^2``.

    Raises
    ------
    ValueError
        If there is no bond, an atom does not exist, or a value is not positive and finite.
    """

    n_atoms: int
    bonds: tuple[Pair, ...]
    depth: float
    steepness: float
    length: float

    def __post_init__(self) -> None:
        _check_atoms("Morse bonds", self.n_atoms, self.bonds, 2)
        _check_positive("Morse bonds", self.depth, self.steepness, self.length)

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""


@dataclass(frozen=True)
class HarmonicBonds:
    """``stiffness/2 sum_bonds (r - length)^2``.

    Parameters
    ----------
    n_atoms : int
    bonds : tuple of pairs
        Atoms.
    stiffness, length : float
        eV/angstrom^2, angstrom.

    Raises
    ------
    ValueError
        If there is no bond, an atom does not exist, or a value is not positive and finite.
    """

    n_atoms: int
    bonds: tuple[Pair, ...]
    stiffness: float
    length: float

    def __post_init__(self) -> None:
        _check_atoms("Harmonic bonds", self.n_atoms, self.bonds, 2)
        _check_positive("Harmonic bonds", self.stiffness, self.length)

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""


@dataclass(frozen=True)
class HarmonicAngles:
    """``stiffness/2 sum_angles (theta - angle)^2``.

    Parameters
    ----------
    n_atoms : int
    angles : tuple of triples
        Atoms, the one at the vertex in the middle.
    stiffness, angle : float
        eV/rad^2, rad.

    Raises
    ------
    ValueError
        If there is no angle, an atom does not exist, a value is not positive and finite, or `angle`
        is not below pi: a force has no direction where three atoms lie on a line.
    """

    n_atoms: int
    angles: tuple[Triple, ...]
    stiffness: float
    angle: float

    def __post_init__(self) -> None:
        _check_atoms("Harmonic angles", self.n_atoms, self.angles, 3)
        _check_positive("Harmonic angles", self.stiffness, self.angle)
        if not self.angle < math.pi:
            raise ValueError(f"`angle` must be below pi, but it is {self.angle:g} rad.")

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""


@dataclass(frozen=True)
class LennardJones:
    """``4 depth sum_pairs ((diameter/r)^12 - (diameter/r)^6)`` [1]_ over all pairs of `atoms`.

    Parameters
    ----------
    n_atoms : int
    atoms : tuple of int
    depth, diameter : float
        epsilon, eV; sigma, angstrom. The minimum, ``-depth``, is at ``2^(1/6) diameter``.

    Raises
    ------
    ValueError
        If there are not 2 to `MAX_ATOMS` atoms, one does not exist or occurs twice, or a value is
        not positive and finite.

    References
    ----------
    .. [1] J. E. Jones, Proc. R. Soc. Lond. A 106, 463 (1924).
    """

    n_atoms: int
    atoms: tuple[int, ...]
    depth: float
    diameter: float

    def __post_init__(self) -> None:
        if not 2 <= len(self.atoms) <= MAX_ATOMS:
            raise ValueError(
                f"Lennard-Jones needs 2 to {MAX_ATOMS} atoms, but got {len(self.atoms)}."
            )
        _check_atoms("Lennard-Jones", self.n_atoms, [self.atoms], len(self.atoms))
        _check_positive("Lennard-Jones", self.depth, self.diameter)

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""


@dataclass(frozen=True)
class PointCharges:
    """``sum q_i q_j e^2 / (4 pi eps_0 r_ij)`` over the pairs of atoms of different molecules.

    Parameters
    ----------
    charges : tuple of float
        Charge of each atom, e.
    molecules : tuple of int
        Index of the molecule of each atom.

    Raises
    ------
    ValueError
        If the two do not fit together, a charge is not finite, there is only one molecule, or
        there are more than `MAX_ATOMS` atoms.
    """

    charges: tuple[float, ...]
    molecules: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.charges) != len(self.molecules) or len(set(self.molecules)) < 2:
            raise ValueError(
                "Point charges need a charge and a molecule for each atom, and two molecules or "
                f"more, but there are {len(self.charges)} charges, {len(self.molecules)} atoms in "
                f"molecules and {len(set(self.molecules))} molecules."
            )
        if len(self.charges) > MAX_ATOMS:
            raise ValueError(
                f"There may be {MAX_ATOMS} point charges, but there are {len(self.charges)}."
            )
        if not all(math.isfinite(charge) for charge in self.charges):
            raise ValueError("Point charges must be finite.")

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return len(self.charges)

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""


def _check_atoms(what: str, n_atoms: int, groups: Iterable[tuple[int, ...]], size: int) -> None:
    groups = tuple(groups)
    if not groups:
        raise ValueError(f"{what} need at least one group of {size} atoms.")
    for atoms in groups:
        if not (len(atoms) == len(set(atoms)) == size and 0 <= min(atoms) <= max(atoms) < n_atoms):
            raise ValueError(
                f"{what} need {size} different atoms of 0 to {n_atoms - 1}, but got {atoms}."
            )


def _check_positive(what: str, *numbers: float) -> None:
    if not all(0 < number < math.inf for number in numbers):
        raise ValueError(f"The numbers of {what} must be positive and finite, but are {numbers}.")
