"""Kohn-Sham energies and forces by PySCF; requires the extra `reference`."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]
from numpy.typing import NDArray

from qmd.typing import Array
from qmd.units import pyscf_bohr, pyscf_hartree


class SCFError(RuntimeError):
    """A self-consistent field that did not converge."""


@dataclass(frozen=True)
class DFT:
    """Kohn-Sham with density fitting and D3(0) dispersion; unrestricted for open shells.

    Parameters
    ----------
    name : str
        Name for reports.
    xc, basis : str
        PySCF names; the default is RPBE/def2-TZVPD. Keep the diffuse functions: without them
        basis-set superposition binds water dimers too strongly.
    dispersion : str or None
        Functional whose D3(0) parameters are used.
    grid_level : int
        Level of PySCF's integration grid.
    convergence_Ha : float
        Convergence threshold of the SCF energy.
    charge : int
        Total charge (e).
    multiplicity : int
        2S + 1.
    """

    name: str = "RPBE-D3(0)/def2-TZVPD"
    xc: str = "rpbe,pbe"
    basis: str = "def2-tzvpd"
    dispersion: str | None = "rpbe"
    grid_level: int = 3
    convergence_Ha: float = 1e-10
    charge: int = 0
    multiplicity: int = 1

    @property
    def level_of_theory(self) -> str:
        """Level of theory, for data cards."""
        kind = "restricted" if self.multiplicity == 1 else "unrestricted"
        return f"{self.name}, density fitting, {kind} Kohn-Sham"

    def energy_and_forces(
        self, numbers: NDArray[np.int64], positions: Array, guess: Array | None = None
    ) -> tuple[float, Array, Array]:
        """Compute energy (eV), forces (eV/angstrom), (n_atoms, 3), and density matrix.

        Parameters
        ----------
        numbers : (n_atoms,)
        positions : (n_atoms, 3)
            Positions, angstrom.
        guess : density matrix, optional
            Initial density, of a close geometry or of separate molecules; see `joined`.

        Raises
        ------
        SCFError
        """
        mf, energy = self._converged(numbers, positions, guess)
        gradient = mf.nuc_grad_method()
        gradient.grid_response = True  # without it the forces do not sum to zero
        slope: Any = gradient.kernel()
        if self.dispersion:
            extra_energy, extra_slope = self._dispersion(numbers, positions)
            energy, slope = energy + extra_energy, slope + extra_slope
        forces = -slope * pyscf_hartree / pyscf_bohr
        return energy * pyscf_hartree, np.ascontiguousarray(forces), mf.make_rdm1()

    def energy(self, numbers: NDArray[np.int64], positions: Array) -> float:
        """Compute the energy (eV) alone; see `energy_and_forces`."""
        _, energy = self._converged(numbers, positions, None)
        if self.dispersion:
            energy += self._dispersion(numbers, positions)[0]
        return energy * pyscf_hartree

    def _converged(
        self, numbers: NDArray[np.int64], positions: Array, guess: Array | None
    ) -> tuple[Any, float]:
        """Return a converged mean field of PySCF, and its energy in hartree."""
        from pyscf import dft, gto

        from qmd.forces.stored_orbitals import StoredOrbitals

        atoms = [(int(z), tuple(x)) for z, x in zip(numbers, positions, strict=True)]
        mol = gto.M(
            atom=atoms, basis=self.basis, unit="Angstrom", verbose=0, charge=self.charge,
            spin=self.multiplicity - 1,
        )  # fmt: skip
        kohn_sham = dft.RKS if self.multiplicity == 1 else dft.UKS
        mf = kohn_sham(mol).density_fit()
        mf.xc, mf.grids.level, mf.conv_tol = self.xc, self.grid_level, self.convergence_Ha
        mf._numint = StoredOrbitals()
        energy = float(mf.kernel(dm0=guess))
        if not mf.converged:
            raise SCFError(f"The SCF did not converge for positions {positions.tolist()}.")
        return mf, energy

    def _dispersion(self, numbers: NDArray[np.int64], positions: Array) -> tuple[float, Array]:
        from dftd3.interface import DispersionModel, ZeroDampingParam

        model = DispersionModel(np.asarray(numbers), positions / pyscf_bohr)
        result = model.get_dispersion(ZeroDampingParam(method=self.dispersion), grad=True)
        return float(result["energy"]), np.asarray(result["gradient"])


def pyscf_variables() -> dict[str, str]:
    """Return environment variables that select the kernels of PySCF's linear algebra.

    The wheels of PySCF contain an OpenBLAS of 2018, which treats newer processors as old ones, with
    matrix products at half the speed. It reads the variable when it is loaded, and must be the only
    one to see it: NumPy in processes that start with it computes other last bits.
    """
    if not __cpu_features__["AVX2"] or "OPENBLAS_CORETYPE" in os.environ:
        return {}
    return {"OPENBLAS_CORETYPE": "Haswell"}


def joined(*densities: Array) -> Array:
    """Return the block-diagonal density of separate molecules, a guess for all of them together."""
    size = sum(len(d) for d in densities)
    total, start = np.zeros((size, size)), 0
    for density in densities:
        stop = start + len(density)
        total[start:stop, start:stop] = density
        start = stop
    return total
