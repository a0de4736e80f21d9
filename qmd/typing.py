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
BatchedEnergyAndForces = Callable[[Array], tuple[Array, Array]]
"""Function of positions (n, n_atoms, 3), angstrom, that returns energies (n,), eV, and forces
(n, n_atoms, 3), eV/angstrom."""
