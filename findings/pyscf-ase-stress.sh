#!/usr/bin/env bash
#
# PySCF 2.14.0 through its own ASE calculator (pyscf.pbc.tools.pyscf_ase), ASE 3.29.0.
#
# Expected: get_stress() is the derivative of the energy by the strain over the
#           volume, in eV/A^3.
# Happens:  it is 0.28003 times that, the square of the bohr in angstrom: the
#           conversion divides by a length once where a volume is due. Shape, sign
#           and ratios of the elements are right, so nothing looks odd; a relaxed
#           cell is right at zero pressure and wrong at any other.
# Seen:
#   bohr^2 = 0.28003 A^2
#   xx: get_stress() 0.03032, dE/dstrain/V 0.10828 eV/A^3, ratio 0.28003
#   yy: get_stress() 0.06451, dE/dstrain/V 0.23036 eV/A^3, ratio 0.28003
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile pyscf==2.14.0 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PY'
import numpy as np
from ase import Atoms, units
from pyscf.pbc import dft, gto
from pyscf.pbc.tools.pyscf_ase import PySCF

atoms = Atoms("H2", positions=[[1, 1, 1], [1.8, 1, 1]], cell=[2.6, 2.8, 3.0], pbc=True)
cell = gto.Cell(atom=[(s, p) for s, p in zip(atoms.symbols, atoms.positions)], a=atoms.cell.array,
                basis="gth-szv", pseudo="gth-pade", ke_cutoff=60, verbose=0)
cell.build()
method = dft.KRKS(cell, xc="lda,vwn", kpts=cell.make_kpts([1, 1, 1]))
method.conv_tol = 1e-10
atoms.calc = PySCF(method=method)


def energy(axis, strain):
    strained = atoms.copy()
    strained.calc = atoms.calc
    deformation = np.eye(3)
    deformation[axis, axis] += strain
    strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    return strained.get_potential_energy()


stress = atoms.get_stress(voigt=False)
print(f"bohr^2 = {units.Bohr**2:.5f} A^2")
for axis, name in enumerate("xy"):
    slope = (energy(axis, 1e-3) - energy(axis, -1e-3)) / 2e-3 / atoms.get_volume()
    ratio = stress[axis, axis] / slope
    print(f"{name}{name}: get_stress() {stress[axis, axis]:.5f}, dE/dstrain/V {slope:.5f} eV/A^3, ratio {ratio:.5f}")
    assert abs(ratio - units.Bohr**2) < 2e-3, "CHANGED: the factor is no longer bohr^2"
print("as found")
PY
