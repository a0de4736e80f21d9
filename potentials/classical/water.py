"""Classical terms: what a quantum correction is added to, and walls.

The baseline of two waters holds the parts of their interaction whose form is known [1]_. Each
molecule has three charges: on its hydrogens, and on a site M on the bisector, as in models with
four sites [2]_; they change with the bond lengths, as a dipole moment does [3]_::

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
    """Everything trainable of a `WaterBaseline`; a pytree of arrays (NumPy or JAX)."""

    charge: Any
    """q of a hydrogen, e, a scalar."""
    stretch: Any
    """s, its change with the own bond, e/angstrom, a scalar."""
    cross: Any
    """t, with the other bond, e/angstrom, a scalar."""
    site: Any
    """g: where M lies between O (0) and the middle of the hydrogens (1), a scalar."""
    repulsion: Any
    """a of OO, OH, HH, the logarithm of an energy in eV, shape (3,)."""
    decay: Any
    """b of OO, OH, HH, 1/angstrom, shape (3,)."""
    dispersion: Any
    """c of OO, OH, HH, eV angstrom^6, shape (3,)."""


BOND = 0.97
"""r_0, angstrom."""
DAMPING = 0.5
"""r_d, angstrom: charges that meet have a finite energy, and others do not notice."""
R6 = 20.0
"""r_1^6, angstrom^6: keeps the dispersion finite at contact."""


@dataclass(frozen=True)
class WaterBaseline:
    """Interaction of two waters, atom order O H H O H H, by charges and pair terms."""

    parameters: BaselineParameters

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return 6

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        one: list[tuple[int, ...]] = [()]
        three: list[tuple[int, ...]] = [(3,)]
        check_arrays(self.parameters, [one] * 4 + [three] * 3)


WATER_PAIRS = tuple((i, j) for i in range(3) for j in range(3, 6))
"""Between two waters, atom order O H H O H H."""
WATER_KINDS = tuple(2 - (i == 0) - (j == 3) for i, j in WATER_PAIRS)
"""0, 1, 2: OO, OH, HH of each pair."""


def water_baseline() -> WaterBaseline:
    """A baseline to train, from about where a fit alone to `runs/labels-dimer` ends.

    Far from there a fit may lose the charges: short range then wins, and the asymptote is gone.
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
