#!/usr/bin/env bash
#
# PySCF 2.14.0, CASSCF with every orbital active (full CI) of a molecule that has a single orbital.
#
# Expected: the energy of the hydrogen atom, which has one orbital in STO-3G, as restricted open
#           shells give it: the correlation energy of one electron is 0. Two orbitals (6-31G) work.
# Happens:  with one orbital CASSCF ends in a NotImplementedError without a text, from the
#           transposition of the integrals, whose 1 x 1 array is taken for something else; CASCI of
#           the same orbital gives the energy.
# Seen:
#   6-31G  2 orbitals: ROHF -0.498233 hartree, CASSCF -0.498233 hartree
#   STO-3G 1 orbital: ROHF -0.466582 hartree, CASCI -0.466582 hartree, CASSCF NotImplementedError
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile pyscf==2.14.0 numpy==2.4.6 scipy==1.17.1

OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PY'
from pyscf import gto, mcscf, scf


def atom(basis):
    mol = gto.M(atom="H 0 0 0", basis=basis, spin=1, verbose=0)
    return mol, scf.rohf.ROHF(mol).run()


mol, orbitals = atom("6-31g")
two = mcscf.CASSCF(orbitals, mol.nao, mol.nelec).kernel()[0]
print(f"6-31G  {mol.nao} orbitals: ROHF {orbitals.e_tot:.6f} hartree, CASSCF {two:.6f} hartree")
assert abs(two - orbitals.e_tot) < 1e-8

mol, orbitals = atom("sto-3g")
one = mcscf.CASCI(orbitals, mol.nao, mol.nelec).kernel()[0]
try:
    mcscf.CASSCF(orbitals, mol.nao, mol.nelec).kernel()
    found = "an energy"
except NotImplementedError:
    found = "NotImplementedError"
print(f"STO-3G {mol.nao} orbital: ROHF {orbitals.e_tot:.6f} hartree, CASCI {one:.6f} hartree, CASSCF {found}")
assert abs(one - orbitals.e_tot) < 1e-8
assert found == "NotImplementedError", "CHANGED: CASSCF takes a single orbital"
print("as found")
PY
