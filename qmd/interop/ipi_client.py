"""Client of i-PI: energy, forces and virial of an isolated molecule, over its socket.

References
----------
.. [1] Y. Litman et al., J. Chem. Phys. 161, 062504 (2024): i-PI 3.
"""

from typing import Any

import numpy as np
from ase.calculators.socketio import SocketClient

from qmd.errors import NumericalError
from qmd.potentials import Domain
from qmd.typing import Array


class Client(SocketClient):
    """Client of ASE that sends the virial; ASE's own sends zeros, or asks for a stress.

    With a virial of zeros the barostat of an `npt` input sees the kinetic pressure alone.
    """

    def calculate(self, atoms: Any, use_stress: bool) -> tuple[float, Array, Array]:
        """Return energy (eV), forces (eV/angstrom) and virial (eV); called by ASE.

        Raises
        ------
        NumericalError
            If the server has wrapped the molecule into its cell.
        """
        package = getattr(atoms.calc, "package", None)
        refuse_wrapped(atoms.positions, np.array(atoms.cell), package and package.domain)
        forces = atoms.get_forces()
        energy = float(atoms.get_potential_energy())
        return energy, forces, isolated_virial(atoms.positions, forces)


def refuse_wrapped(positions: Array, cell: Array, domain: Domain | None) -> None:
    """Refuse a molecule of which the cell may have cut off atoms.

    Parameters
    ----------
    positions : array, shape (n_atoms, 3)
        Angstrom.
    cell : array, shape (3, 3)
        Lattice vectors in rows, angstrom.
    domain : Domain, optional
        Trained distances: a molecule within them is in one piece, whatever the cell.

    Raises
    ------
    NumericalError
        If two atoms are farther apart than half of the cell, and not as trained.
    """
    if np.linalg.matrix_rank(cell) < 3:
        return
    half = 0.5 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    i, j = np.unravel_index(distances.argmax(), distances.shape)
    if distances[i, j] <= half:
        return
    if domain is not None and len(domain.pairs):
        found = distances[tuple(domain.pairs.T)]
        if ((found >= domain.warn[:, 0]) & (found <= domain.warn[:, 1])).all():
            return
    first, second = sorted((int(i) + 1, int(j) + 1))
    raise NumericalError(
        f"atoms {first} and {second} are {distances[i, j]:.1f} angstrom apart, more than half of "
        "the cell of i-PI",
        hint="send molecules in one piece: pbc='false' in the ffsocket of i-PI, or a larger cell",
    )


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
