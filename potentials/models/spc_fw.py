"""Flexible simple point-charge water: SPC/Fw [1]_ and, for path integrals, q-SPC/Fw [2]_.

Molecules have harmonic bonds and angles; between molecules there are charges, and Lennard-Jones
between the oxygens. There is no cut-off: molecules are few and isolated.

References
----------
.. [1] Y. Wu, H. L. Tepper, G. A. Voth, J. Chem. Phys. 124, 024503 (2006).
.. [2] F. Paesani, W. Zhang, D. A. Case, T. E. Cheatham, G. A. Voth, J. Chem. Phys. 125, 184507
   (2006), Table I has both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..classical.molecular import HarmonicAngles, HarmonicBonds, LennardJones, PointCharges
from ..constants import KCAL_PER_MOL
from ..tree.nodes import Model, Sum

WATER = ("O", "H", "H")
MAX_MOLECULES = 333
"""Largest number of molecules, since `qmd.io.structure` reads at most 1000 atoms."""


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
        n_atoms, oxygens = 3 * n_molecules, range(0, 3 * n_molecules, 3)
        bonds = tuple((o, o + k) for o in oxygens for k in (1, 2))
        angles = tuple((o + 1, o, o + 2) for o in oxygens)
        terms: list[Model] = [
            HarmonicBonds(n_atoms, bonds, self.bond_stiffness * KCAL_PER_MOL, self.bond_length),
            HarmonicAngles(
                n_atoms, angles, self.angle_stiffness * KCAL_PER_MOL, math.radians(self.angle_deg)
            ),
        ]
        if n_molecules > 1:
            charges = (-2 * self.charge, self.charge, self.charge) * n_molecules
            molecules = tuple(atom // 3 for atom in range(n_atoms))
            depth = self.depth * KCAL_PER_MOL
            terms.append(LennardJones(n_atoms, tuple(oxygens), depth, self.diameter))
            terms.append(PointCharges(charges, molecules))
        return Sum(tuple(terms))


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
