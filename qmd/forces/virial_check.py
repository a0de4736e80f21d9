"""Virial of the first state against the slope of the energy, before a barostat believes it."""

import numpy as np

from qmd.errors import NumericalError
from qmd.typing import Array, EnergyInCell

STRAIN = 1e-4
"""Strain to either side of the difference: its error is h^2/6 times a third derivative, which is
some 100 eV for each atom of a stiff molecule, so 2e-7 eV for each."""
PER_ATOM = 1e-5
"""Error (eV for each atom) of a difference of energies that have converged to 1e-9 eV each."""
RELATIVE = 1e-3
"""Allowed error beside the largest element: signs, units, orders and volumes are wrong by more."""


def check_virial(function: EnergyInCell, positions: Array, cell: Array, name: str) -> None:
    """Compare a virial with the negative derivative of the energy by a strain.

    Parameters
    ----------
    function : callable
        Energy, forces and virial in a cell.
    positions : array, shape (n_atoms, 3)
        In angstrom.
    cell : array, shape (3, 3)
        Lattice vectors (angstrom) in rows.
    name : str
        Name of the potential, for the message.

    Raises
    ------
    NumericalError
        If there is none, or an element differs: a run at constant pressure would have another
        pressure.
    """
    virial = function(positions, cell, True)[2]
    if virial is None:
        raise NumericalError(f"{name} has no virial", "run at constant volume")
    slopes = strain_slopes(function, positions, cell)
    allowed = RELATIVE * np.abs(slopes).max() + PER_ATOM * len(positions)
    wrong = ~(np.abs(virial + slopes) <= allowed)
    if wrong.any():
        a, b = (int(axis) for axis in np.argwhere(wrong)[0])
        raise NumericalError(
            f"The virial of {name} is wrong: its element {'xyz'[a]}{'xyz'[b]} is "
            f"{virial[a, b]:.6g} eV at the start, but the energy gives {-slopes[a, b]:.6g}",
            hint="constant pressure, and labels of stress, need the right one; do without",
        )


def strain_slopes(
    function: EnergyInCell, positions: Array, cell: Array, h: float = STRAIN
) -> Array:
    """Return the derivatives (eV) of the energy by the nine elements of a strain, shape (3, 3).

    Element (a, b) is that of the deformation ``1 + e`` of all vectors r, ``r_b += e r_a``, by e.
    """
    slopes = np.empty((3, 3))
    for a, b in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h
            energies.append(float(function(positions @ strain, cell @ strain, False)[0]))
        slopes[a, b] = (energies[0] - energies[1]) / (2 * h)
    return slopes
