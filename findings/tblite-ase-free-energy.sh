#!/usr/bin/env bash
#
# tblite 0.8.0 as an ASE 3.29.0 calculator.
#
# Expected: ASE's check of a stress, calculate_numerical_stress(atoms), works on any
#           calculator with energies.
# Happens:  tblite gives "energy" but no "free_energy", and ASE's numerical stress
#           asks for the free energy unless told otherwise, as everything does that
#           rightly prefers it: PropertyNotImplementedError. With
#           force_consistent=False the numbers agree. (tblite smears at 300 K by
#           default, so its "energy" is a free energy, only not by name.)
# Seen:
#   water, energy -137.9678 eV
#   water, force_consistent=True: PropertyNotImplementedError - free_energy property not implemented
#   diamond, calculate_numerical_stress(atoms): PropertyNotImplementedError
#   diamond, xx: given -0.18793, numerical with force_consistent=False -0.18792 eV/A^3
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile tblite==0.8.0 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PY'
import numpy as np
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_stress
from tblite.ase import TBLite

water = molecule("H2O")
water.calc = TBLite(method="GFN2-xTB", verbosity=0)
print(f"water, energy {water.get_potential_energy():.4f} eV")
try:
    water.get_potential_energy(force_consistent=True)
except PropertyNotImplementedError as error:
    print("water, force_consistent=True:", type(error).__name__, "-", error)
else:
    raise SystemExit("CHANGED: there is a free energy now")

diamond = bulk("C", "diamond", a=3.57, cubic=True)
diamond.calc = TBLite(method="GFN1-xTB", verbosity=0)
given = diamond.get_stress()
try:
    calculate_numerical_stress(diamond)
except PropertyNotImplementedError as error:
    print("diamond, calculate_numerical_stress(atoms):", type(error).__name__)
else:
    raise SystemExit("CHANGED: the numerical stress works by default")
slope = calculate_numerical_stress(diamond, force_consistent=False)
print(f"diamond, xx: given {given[0]:.5f}, numerical with force_consistent=False {slope[0]:.5f} eV/A^3")
assert abs(given[0] - slope[0]) < 1e-4, "CHANGED: stress and slope of the energy differ"
print("as found")
PY
