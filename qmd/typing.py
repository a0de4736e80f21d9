"""Types that many rooms share: arrays, and functions that compute energies and forces."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""Float64 array; its shape and unit stand where it is used."""
Integers = npt.NDArray[np.integer]
"""Array of whole numbers, such as atom indices."""
EnergyAndForces = Callable[[Array], tuple[float, Array]]
"""Positions (n_atoms, 3), angstrom -> energy (eV) and forces (n_atoms, 3), eV/angstrom."""
BatchedEnergyAndForces = Callable[[Array], tuple[Array, Array]]
"""Positions (n, n_atoms, 3), angstrom -> energies (n,), eV, and forces (n, n_atoms, 3)."""
