"""Flexible simple point-charge water: SPC/Fw [1]_ and, for path integrals, q-SPC/Fw [2]_.

Molecules have harmonic bonds and angles; between molecules there are charges, and Lennard-Jones
between the oxygens. Isolated molecules are few and have no cut-off. In a cell that is periodic in
all directions the charges have Ewald sums, and Lennard-Jones ends at `CUTOFF`, switched off over
the last tenth, with tail corrections of energy and pressure.

References
----------
.. [1] Y. Wu, H. L. Tepper, G. A. Voth, J. Chem. Phys. 124, 024503 (2006).
.. [2] F. Paesani, W. Zhang, D. A. Case, T. E. Cheatham, G. A. Voth, J. Chem. Phys. 125, 184507
   (2006), Table I has both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..classical.ewald import ewald_charges
from ..classical.molecular import HarmonicAngles, HarmonicBonds, LennardJones, PointCharges
from ..classical.truncated import SWITCHED_FROM, TruncatedLennardJones
from ..constants import KCAL_PER_MOL
from ..tree.nodes import Model, OnAtoms, Sum

WATER = ("O", "H", "H")
MAX_MOLECULES = 333
"""Largest number of isolated molecules, all of which see each other."""
CUTOFF = 9.0
"""Of Lennard-Jones and of Ewald's sum over pairs, angstrom."""
ACCURACY = 1e-10
"""What the Ewald sums leave out, as a part of the energy of two charges at the cut-off. The energy
has steps of this size where a pair passes the cut-off or a wave the largest one; steps of 1e-8 show
where the virial is compared with finite differences."""


@dataclass(frozen=True)
class FlexibleWater:
    """Constants of a flexible water of three sites, as published."""

    bond_stiffness: float
    """Force constant of a bond, kcal/mol/angstrom^2."""
    bond_length: float
    """Bond length at the minimum, angstrom."""
    angle_stiffness: float
    """Force constant of the angle, kcal/mol/rad^2."""
    angle_deg: float
    depth: float
    """Lennard-Jones epsilon of two oxygens, kcal/mol."""
    diameter: float
    """Lennard-Jones sigma of two oxygens, angstrom."""
    charge: float
    """Charge of a hydrogen, e."""
    citation: str

    def model(self, n_molecules: int) -> Sum:
        """Return the tree of `n_molecules`, with atoms O H H O H H ...

        Raises
        ------
        ValueError
            If there are not 1 to `MAX_MOLECULES` of them.
        """
        if not 1 <= n_molecules <= MAX_MOLECULES:
            raise ValueError(f"There must be 1 to {MAX_MOLECULES} molecules, not {n_molecules}.")
        terms = self._within(n_molecules)
        if n_molecules > 1:
            charges, molecules = self._charges(n_molecules)
            oxygens, depth = tuple(range(0, 3 * n_molecules, 3)), self.depth * KCAL_PER_MOL
            terms.append(LennardJones(3 * n_molecules, oxygens, depth, self.diameter))
            terms.append(PointCharges(charges, molecules))
        return Sum(tuple(terms))

    def model_in_cell(
        self, n_molecules: int, cutoff: float = CUTOFF, accuracy: float = ACCURACY
    ) -> Sum:
        """Return the tree of `n_molecules` in a cell that is periodic in all directions.

        Parameters
        ----------
        n_molecules : int
        cutoff : float
            Of Lennard-Jones and of the sum over pairs of charges, angstrom.
        accuracy : float
            See `ewald_charges`.

        Raises
        ------
        ValueError
            If there is no molecule, or as `ewald_charges`.
        """
        if n_molecules < 1:
            raise ValueError(f"There must be a molecule or more, not {n_molecules}.")
        oxygens, depth = tuple(range(0, 3 * n_molecules, 3)), self.depth * KCAL_PER_MOL
        pairs = TruncatedLennardJones(
            n_molecules, depth, self.diameter, cutoff, "switch", SWITCHED_FROM * cutoff, tail=True
        )
        charges = ewald_charges(*self._charges(n_molecules), cutoff, accuracy)
        return Sum((*self._within(n_molecules), OnAtoms(pairs, oxygens), charges))

    def _within(self, n_molecules: int) -> list[Model]:
        """Terms within each molecule."""
        n_atoms, oxygens = 3 * n_molecules, range(0, 3 * n_molecules, 3)
        bonds = tuple((o, o + k) for o in oxygens for k in (1, 2))
        angles = tuple((o + 1, o, o + 2) for o in oxygens)
        bending = self.angle_stiffness * KCAL_PER_MOL
        return [
            HarmonicBonds(n_atoms, bonds, self.bond_stiffness * KCAL_PER_MOL, self.bond_length),
            HarmonicAngles(n_atoms, angles, bending, math.radians(self.angle_deg)),
        ]

    def _charges(self, n_molecules: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Charge (e) and molecule of each atom."""
        charges = (-2 * self.charge, self.charge, self.charge) * n_molecules
        return charges, tuple(atom // 3 for atom in range(3 * n_molecules))


SPC_FW = FlexibleWater(
    1059.162, 1.012, 75.90, 113.24, 0.1554253, 3.165492, 0.41,
    "Wu, Tepper, Voth, J. Chem. Phys. 124, 024503 (2006)",
)  # fmt: skip
Q_SPC_FW = FlexibleWater(
    1059.162, 1.000, 75.90, 112.0, 0.1554252, 3.165492, 0.42,
    "Paesani et al., J. Chem. Phys. 125, 184507 (2006)",
)  # fmt: skip
BY_NAME = {"spc-fw": SPC_FW, "q-spc-fw": Q_SPC_FW}
"""Flexible waters by the names that runs use."""


def n_molecules(species: Sequence[str]) -> int:
    """Return the number of waters in `species`.

    Raises
    ------
    ValueError
        If they are not repetitions of O H H.
    """
    count = len(species) // 3
    if not count or tuple(species) != WATER * count:
        raise ValueError("Flexible water is for the atoms O H H of each molecule, in this order.")
    return count
