"""Full CI energies and forces of very small molecules by PySCF; requires the extra `reference`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmd.forces.dft import SCFError
from qmd.typing import Array
from qmd.units import pyscf_bohr, pyscf_hartree


@dataclass(frozen=True)
class FCI:
    """Exact lowest state of a multiplicity within a basis.

    All electrons occupy all orbitals, so the cost grows exponentially with the number of orbitals.
    LiH in STO-3G (six orbitals, 225 determinants) takes a quarter of a second, including forces.

    Parameters
    ----------
    basis : str
        PySCF name of the basis.
    convergence_Ha : float
        Convergence threshold of the energy.
    charge : int
        Total charge (e).
    multiplicity : int
        2S + 1.
    """

    basis: str = "sto-3g"
    convergence_Ha: float = 1e-12
    charge: int = 0
    multiplicity: int = 1

    @property
    def level_of_theory(self) -> str:
        """Level of theory, for data cards."""
        state = (
            "singlet" if self.multiplicity == 1 else f"state of multiplicity {self.multiplicity}"
        )
        return f"FCI/{self.basis.upper()}, all electrons, lowest {state}"

    def energy_and_forces(
        self, numbers: NDArray[np.int64], positions: Array
    ) -> tuple[float, Array]:
        """Compute the energy (eV) and analytic forces (eV/angstrom), (n_atoms, 3).

        Parameters
        ----------
        numbers : (n_atoms,)
            Atomic numbers.
        positions : (n_atoms, 3)
            Positions, angstrom.

        Raises
        ------
        SCFError
        """
        solver = self._solved(numbers, positions)
        slope = np.asarray(solver.nuc_grad_method().kernel())
        return float(solver.e_tot) * pyscf_hartree, -slope * pyscf_hartree / pyscf_bohr

    def energy(self, numbers: NDArray[np.int64], positions: Array) -> float:
        """Compute the energy (eV) alone; see `energy_and_forces`."""
        return float(self._solved(numbers, positions).e_tot) * pyscf_hartree

    def _solved(self, numbers: NDArray[np.int64], positions: Array) -> Any:
        """Return a converged solver.

        Full CI is CASSCF with every orbital active, whose gradient needs no orbital response.
        """
        from pyscf import fci, gto, mcscf, scf

        atoms = [(int(z), tuple(x)) for z, x in zip(numbers, positions, strict=True)]
        unpaired = self.multiplicity - 1
        mol = gto.M(
            atom=atoms, basis=self.basis, unit="Angstrom", verbose=0, charge=self.charge,
            spin=unpaired,
        )  # fmt: skip
        if mol.nelectron == 1:  # exact as it is, and PySCF's CASSCF does not take a single orbital
            solver = scf.rohf.ROHF(mol).run(conv_tol=self.convergence_Ha)
            return _converged(solver, positions)
        orbitals = scf.RHF(mol).run(conv_tol=self.convergence_Ha)
        solver = mcscf.CASSCF(orbitals, mol.nao, mol.nelec)
        solver.conv_tol = self.convergence_Ha
        if unpaired:
            solver.fcisolver = fci.direct_spin1.FCI(mol)
            spin = unpaired / 2
            solver.fix_spin_(ss=spin * (spin + 1))  # states of higher spin may lie below
        else:
            solver.fcisolver = fci.direct_spin0.FCI(mol)  # no odd spin: a triplet is close to LiH
        solver.fcisolver.conv_tol = self.convergence_Ha / 100
        solver.kernel()
        return _converged(solver, positions)


def _converged(solver: Any, positions: Array) -> Any:
    if not solver.converged:
        raise SCFError(f"FCI did not converge for positions {positions.tolist()}.")
    return solver
