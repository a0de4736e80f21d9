"""Client of i-PI: energy, forces and virial of an isolated molecule, over its socket.

References
----------
.. [1] Y. Litman et al., J. Chem. Phys. 161, 062504 (2024): i-PI 3.
"""

from typing import Any

import numpy as np
from ase.calculators.socketio import SocketClient

from qmd.typing import Array


class Client(SocketClient):
    """Client of ASE that sends the virial; ASE's own sends zeros, or asks for a stress.

    With a virial of zeros the barostat of an `npt` input sees the kinetic pressure alone.
    """

    def calculate(self, atoms: Any, use_stress: bool) -> tuple[float, Array, Array]:
        """Return energy (eV), forces (eV/angstrom) and virial (eV); called by ASE."""
        forces = atoms.get_forces()
        energy = float(atoms.get_potential_energy())
        return energy, forces, isolated_virial(atoms.positions, forces)


def isolated_virial(positions: Array, forces: Array) -> Array:
    """Return the virial of an isolated molecule, ``sum_i (r_i - c) F_i``, with c the mean position.

    It is the negative derivative of the energy by a strain of the positions, the sign of i-PI. The
    forces of an isolated molecule add up to zero: the choice of c changes rounding only.

    Parameters
    ----------
    positions : array, shape (n_atoms, 3)
        Angstrom.
    forces : array, shape (n_atoms, 3)
        eV/angstrom.

    Returns
    -------
    array, shape (3, 3)
        Element (a, b) is the sum of ``r_a F_b``, eV.
    """
    arms = positions - positions.mean(axis=0)
    return np.asarray(arms.T @ forces)
