"""Lennard-Jones that ends at a cut-off, for cells and for many atoms.

With V the Lennard-Jones energy of a pair and c the cut-off, the energy of a pair below c is::

    cut           V(r)
    shift         V(r) - V(c)
    force_shift   V(r) - V(c) - (r - c) V'(c)
    switch        S(r) V(r),  S = 1 - t^3 (10 - 15 t + 6 t^2),  t = (r - inner) / (c - inner)

and 0 beyond. ``cut`` jumps there, so that its energy is not conserved and its pressure is not the
derivative of its energy: it serves comparisons.

Tail corrections take the pair distribution as 1 wherever the energy differs from V [1]_: with N
atoms in a volume Omega the energy gains ``A N^2 / Omega``, the trace of the virial
``3 B N^2 / Omega``, and ::

    A = 2 pi integral_0^inf r^2 (V - U) dr,   U the truncated energy
    B = A, by its derivative; for `cut` A + 2 pi c^3 V(c) / 3, without what lies in the jump

References
----------
.. [1] M. P. Allen and D. J. Tildesley, Computer Simulation of Liquids, 2nd ed., Oxford University
   Press (2017), sections 2.8 and 5.2.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .molecular import _check_positive

Truncation = Literal["cut", "shift", "force_shift", "switch"]
TRUNCATIONS: tuple[Truncation, ...] = ("cut", "shift", "force_shift", "switch")
DEFAULT_SKIN = 1.0
"""Width (angstrom) of the shell that a neighbour list holds beyond the cut-off."""
SWITCHED_FROM = 0.9
"""Default begin of the switch, as a part of the cut-off."""


@dataclass(frozen=True)
class TruncatedLennardJones:
    """``4 depth sum_pairs ((diameter/r)^12 - (diameter/r)^6)`` up to a cut-off, in any cell.

    Parameters
    ----------
    n_atoms : int
        All of them interact; `OnAtoms` makes it some of a larger system.
    depth, diameter : float
        epsilon, eV; sigma, angstrom.
    cutoff : float
        In angstrom. A cell may be smaller: then a pair interacts with several images.
    truncation : {"cut", "shift", "force_shift", "switch"}
        How the energy ends there; see the formulas of this module.
    inner : float
        Distance (angstrom) from which `switch` acts; unused otherwise.
    tail : bool
        Whether energy and virial have tail corrections: for a cell that is periodic in all
        directions.
    skin : float
        Width (angstrom) of the shell beyond the cut-off that the neighbour list holds too. It
        changes the speed only.

    Raises
    ------
    ValueError
        If there are no atoms, a number is not positive and finite, the truncation is unknown, or
        the switch does not begin below the cut-off.
    """

    n_atoms: int
    depth: float
    diameter: float
    cutoff: float
    truncation: Truncation = "shift"
    inner: float = 0.0
    tail: bool = False
    skin: float = DEFAULT_SKIN

    def __post_init__(self) -> None:
        if self.n_atoms < 1:
            raise ValueError(f"Lennard-Jones needs atoms, but got {self.n_atoms}.")
        _check_positive("Lennard-Jones", self.depth, self.diameter, self.cutoff)
        if not 0 <= self.skin < math.inf:
            raise ValueError(f"`skin` must not be negative, but it is {self.skin} angstrom.")
        if self.truncation not in TRUNCATIONS:
            raise ValueError(
                f"`truncation` must be one of {', '.join(TRUNCATIONS)}, not {self.truncation!r}."
            )
        if self.truncation == "switch" and not 0 < self.inner < self.cutoff:
            raise ValueError(
                f"A switch must begin between 0 and the cut-off of {self.cutoff:g} angstrom, but "
                f"begins at {self.inner:g}."
            )

    def check(self) -> None:
        """Check nothing: there are no trainable arrays."""

    def untruncated(self, r: float) -> tuple[float, float]:
        """Energy (eV) of a pair at a distance (angstrom) without truncation, and its slope."""
        sixth = (self.diameter / r) ** 6
        energy = 4 * self.depth * sixth * (sixth - 1)
        return energy, -24 * self.depth * sixth * (2 * sixth - 1) / r

    @property
    def line(self) -> tuple[float, float]:
        """Coefficients a (eV) and b (eV/angstrom) of ``a + b r``, added to the energy of a pair."""
        energy, slope = self.untruncated(self.cutoff)
        match self.truncation:
            case "shift":
                return -energy, 0.0
            case "force_shift":
                return -energy + self.cutoff * slope, -slope
            case _:
                return 0.0, 0.0

    @property
    def tail_coefficients(self) -> tuple[float, float]:
        """A and B (eV angstrom^3) of the formulas of this module; 0 without tail corrections."""
        if not self.tail:
            return 0.0, 0.0
        c, (at_end, _) = self.cutoff, self.untruncated(self.cutoff)
        third, ninth = (self.diameter / c) ** 3, (self.diameter / c) ** 9
        beyond = 8 * math.pi / 3 * self.depth * self.diameter**3 * (ninth / 3 - third)
        a, b = self.line
        # the part below the cut-off: minus the integral of 2 pi r^2 (a + b r)
        energy = beyond - 2 * math.pi * (a * c**3 / 3 + b * c**4 / 4)
        if self.truncation == "switch":
            energy += self._switched_off()
        jump = 2 * math.pi / 3 * c**3 * at_end if self.truncation == "cut" else 0.0
        return energy, energy + jump

    def _switched_off(self) -> float:
        """``2 pi integral r^2 (1 - S) V dr`` over the switch."""
        nodes, weights = np.polynomial.legendre.leggauss(60)
        half = (self.cutoff - self.inner) / 2
        r, t = self.inner + half * (1 + nodes), (1 + nodes) / 2
        off = t**3 * (10 - t * (15 - 6 * t))
        sixth = (self.diameter / r) ** 6
        values = 2 * math.pi * r**2 * off * 4 * self.depth * sixth * (sixth - 1)
        return float(half * weights @ values)
