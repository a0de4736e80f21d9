"""Types that many rooms share: arrays, and functions that compute energies and forces."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""Float64 array; its shape and unit are given where it is used."""
Integers = npt.NDArray[np.integer]
"""Array of whole numbers, such as atom indices."""
EnergyAndForces = Callable[[Array], tuple[float, Array]]
"""Function of positions (n_atoms, 3), angstrom, that returns the energy (eV) and the forces
(n_atoms, 3), eV/angstrom."""
EnergyInCell = Callable[[Array, Array, bool], tuple[float, Array, Array | None]]
"""Function of positions (n_atoms, 3), angstrom, lattice vectors (3, 3), angstrom, and whether the
virial is wanted. It returns the energy (eV), the forces (n_atoms, 3), eV/angstrom, and the virial
(3, 3), eV: the negative derivative of the energy by a strain of positions and cell. The virial is
None if there is none, or nobody asks."""
BatchedEnergyAndForces = Callable[[Array], tuple[Array, Array]]
"""Function of positions (n, n_atoms, 3), angstrom, that returns energies (n,), eV, and forces
(n, n_atoms, 3), eV/angstrom."""
