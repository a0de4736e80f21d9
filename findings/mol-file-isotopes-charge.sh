#!/usr/bin/env bash
#
# A MOL file with isotopes and a charge in ASE 3.29.0 and chemfiles 0.10.4, beside RDKit.
#
# Expected: "M  ISO" and "M  CHG" lines, which say what molecule it is, are read or
#           refused.
# Happens:  both are skipped: DO- in heavy water's isotope comes out as plain, neutral OH.
#           Vibrations and dynamics then have hydrogen's mass, and a calculator that takes
#           its charge from the atoms has one electron too few. RDKit reads both.
# Seen:
#   RDKit     masses [15.999, 2.014], charges [-1, 0]
#   ASE       masses [15.999, 1.008], charges [0.0, 0.0]
#   chemfiles masses [15.999, 1.008], charges [0.0, 0.0]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 chemfiles==0.10.4 rdkit==2026.9.1 numpy==2.4.6 scipy==1.17.1

cat > deuteroxide.sdf <<'SDF'
deuteroxide


  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0
    0.9600    0.0000    0.0000 H   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0
M  CHG  1   1  -1
M  ISO  1   2   2
M  END
$$$$
SDF

venv/bin/python -W error - <<'PY'
import ase.io
import chemfiles
from rdkit import Chem

ion = next(iter(Chem.SDMolSupplier("deuteroxide.sdf", removeHs=False)))
right = [round(a.GetMass(), 3) for a in ion.GetAtoms()], [a.GetFormalCharge() for a in ion.GetAtoms()]
atoms = ase.io.read("deuteroxide.sdf")
by_ase = atoms.get_masses().tolist(), atoms.get_initial_charges().tolist()
frame = chemfiles.Trajectory("deuteroxide.sdf").read()
by_chemfiles = [a.mass for a in frame.atoms], [a.charge for a in frame.atoms]
for name, (masses, charges) in (("RDKit", right), ("ASE", by_ase), ("chemfiles", by_chemfiles)):
    print(f"{name:9s} masses {masses}, charges {charges}")
assert right == ([15.999, 2.014], [-1, 0]), "CHANGED: the control"
assert atoms.info == {} and by_ase[0][1] == 1.008 and sum(by_ase[1]) == 0, "CHANGED: ASE"
assert by_chemfiles[0][1] == 1.008 and sum(by_chemfiles[1]) == 0, "CHANGED: chemfiles"
print("as found")
PY
