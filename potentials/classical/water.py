"""Classical baseline of two waters, to which a quantum correction is added.

The baseline contains the parts of the interaction whose form is known [1]_. Each molecule has
three charges: on its hydrogens, and on a site M on the bisector, as in models with four sites
[2]_; they change with the bond lengths, as a dipole moment does [3]_::

    M = x_O + g ((x_H1 + x_H2)/2 - x_O),   q_1 = q + s (r_1 - r_0) + t (r_2 - r_0),
    q_2 = q + s (r_2 - r_0) + t (r_1 - r_0),   q_M = -(q_1 + q_2)
    E = sum_sites q_i q_j f(r)/r + sum_atoms exp(a_k - b_k r) - c_k / (r^6 + r_1^6),
    f(r) = 1 - exp(-(r / r_d)^3)

A wall ends what a bounded circuit cannot: it is zero in the range of the data and rises as the cube
of the distance below it, with a continuous second derivative.

References
----------
.. [1] A. J. Stone, The Theory of Intermolecular Forces, 2nd ed., Oxford (2013), chapters 4 and 12.
.. [2] W. L. Jorgensen et al., J. Chem. Phys. 79, 926 (1983).
.. [3] H. Partridge, D. W. Schwenke, J. Chem. Phys. 106, 4618 (1997).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..parameters import check_arrays


class BaselineParameters(NamedTuple):
    """All trainable arrays of a `WaterBaseline`; a pytree (NumPy or JAX)."""

    charge: Any
    """Charge q of a hydrogen, e, a scalar."""
    stretch: Any
    """Change s of the charge with its own bond, e/angstrom, a scalar."""
    cross: Any
    """Change t of the charge with the other bond, e/angstrom, a scalar."""
    site: Any
    """Position g of M between O (0) and the middle of the hydrogens (1), a scalar."""
    repulsion: Any
    """Logarithms a of the repulsion energies in eV of OO, OH, HH, shape (3,)."""
    decay: Any
    """Decay constants b of OO, OH, HH, 1/angstrom, shape (3,)."""
    dispersion: Any
    """Dispersion coefficients c of OO, OH, HH, eV angstrom^6, shape (3,)."""


BOND = 0.97
"""Reference bond length r_0, angstrom."""
DAMPING = 0.5
"""Damping length r_d, angstrom, which keeps the energy of coinciding charges finite."""
R6 = 20.0
"""Damping r_1^6, angstrom^6, which keeps the dispersion finite at contact."""


@dataclass(frozen=True)
class WaterBaseline:
    """Interaction of two waters, atom order O H H O H H, by charges and pair terms."""

    parameters: BaselineParameters

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return 6

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        one: list[tuple[int, ...]] = [()]
        three: list[tuple[int, ...]] = [(3,)]
        check_arrays(self.parameters, [one] * 4 + [three] * 3)


WATER_PAIRS = tuple((i, j) for i in range(3) for j in range(3, 6))
"""Pairs of atoms between two waters, in the atom order O H H O H H."""
WATER_KINDS = tuple(2 - (i == 0) - (j == 3) for i, j in WATER_PAIRS)
"""Kind of each pair: 0, 1, 2 for OO, OH, HH."""


def water_baseline() -> WaterBaseline:
    """Return a baseline to train, near the result of a fit of it alone to `runs/labels-dimer`.

    From a start far away a fit may lose the charges, and with them the long-range asymptote.
    """
    start = BaselineParameters(
        charge=np.asarray(0.6),
        stretch=np.asarray(-0.2),
        cross=np.asarray(-0.15),
        site=np.asarray(0.45),
        repulsion=np.array([7.7, 3.8, 2.5]),
        decay=np.array([3.5, 2.8, 2.7]),
        dispersion=np.array([50.0, 8.0, 3.0]),
    )
    return WaterBaseline(start)
