#!/usr/bin/env bash
#
# tblite 0.8.0 and dftd3 1.7.0 as ASE 3.29.0 calculators, a slab with pbc=(True, True, False).
#
# Expected: both honour the open direction, or refuse it: their sum (a D3 correction
#           on a tight-binding energy) is to be of one system.
# Happens:  D3 computes the slab (no stress across the vacuum); tblite computes the
#           crystal for any pbc with one True, without a word. Energy and stress are
#           the ones of pbc=(True, True, True) to the last digit.
# Seen:
#   tblite pbc (True, True, False): energy -107.614646 eV, stress zz 0.001589 eV/A^3
#   D3     pbc (True, True, False): energy -0.177290 eV, stress zz 0.000000 eV/A^3
#   tblite pbc (True, True, True): energy -107.614646 eV, stress zz 0.001589 eV/A^3
#   D3     pbc (True, True, True): energy -0.192753 eV, stress zz 0.002042 eV/A^3
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile tblite==0.8.0 dftd3==1.7.0 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PY'
from ase import Atoms
from dftd3.ase import DFTD3
from tblite.ase import TBLite

layer = Atoms("C2", positions=[[0, 0, 0], [0, 1.42, 0]],
              cell=[[2.46, 0, 0], [1.23, 2.1304, 0], [0, 0, 6]])
results = {}
for pbc in ((True, True, False), (True, True, True)):
    for name, calculator in (("tblite", TBLite(method="GFN1-xTB", verbosity=0)),
                             ("D3", DFTD3(method="PBE", damping="d3bj"))):
        atoms = layer.copy()
        atoms.pbc = pbc
        atoms.calc = calculator
        energy, across = atoms.get_potential_energy(), atoms.get_stress()[2]
        results[name, pbc[2]] = energy, across
        print(f"{name:6s} pbc {pbc}: energy {energy:.6f} eV, stress zz {across:.6f} eV/A^3")

assert abs(results["tblite", False][0] - results["tblite", True][0]) < 1e-9, "CHANGED: tblite tells slab from crystal"
assert abs(results["tblite", False][1]) > 1e-4, "CHANGED: no stress across the vacuum in tblite"
assert results["D3", False][1] == 0 and abs(results["D3", True][1]) > 1e-4, "CHANGED: D3"
assert abs(results["D3", False][0] - results["D3", True][0]) > 1e-3, "CHANGED: D3 energies"
print("as found")
PY
