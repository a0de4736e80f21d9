#!/usr/bin/env bash
#
# ASE 3.29.0 LAMMPS data files of molecules with repartitioned or tritium masses.
#
# Expected: a file that ASE writes with masses=True, whose Masses section names the
#           element of each type in a comment, is read back as the same molecule.
# Happens:  the reader takes the element whose standard mass is nearest and ignores
#           the comment. Methanol with 3.024 u hydrogens, their weight taken from the
#           neighbours as is usual for long time steps, comes back as lithium,
#           nitrogen and helium; tritiated water as OHe2. No warning.
# Seen:
#   methanol, 3.024 u  written COH4, Masses names C H O, read LiNHe4, masses [5.963, 13.983, 3.024, 3.024, 3.024, 3.024]
#   tritiated water    written OH2, Masses names H O, read OHe2, masses [15.999, 3.016, 3.016]
#   heavy water        written OH2, Masses names H O, read OH2, masses [15.999, 2.014, 2.014]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import ase.io
from ase.build import molecule


def there_and_back(atoms):
    atoms.cell, atoms.pbc = [12, 12, 12], True
    ase.io.write("molecule.data", atoms, format="lammps-data", masses=True)
    named = [line.split("#")[1].strip() for line in open("molecule.data")
             if "#" in line and len(line.split("#")[0].split()) == 2]
    return named, ase.io.read("molecule.data", format="lammps-data")


methanol = molecule("CH3OH")
masses = methanol.get_masses()
for i, symbol in enumerate(methanol.symbols):
    if symbol == "H":
        heavy = min((0, 1), key=lambda k: methanol.get_distance(i, k))
        masses[i] += 2.016
        masses[heavy] -= 2.016
methanol.set_masses(masses)
water = molecule("H2O")
water.set_masses([15.999, 3.016, 3.016])
deuterated = molecule("H2O")
deuterated.set_masses([15.999, 2.014, 2.014])

read = {}
for name, atoms in (("methanol, 3.024 u", methanol), ("tritiated water", water), ("heavy water", deuterated)):
    named, again = there_and_back(atoms)
    read[name] = str(again.symbols)
    print(f"{name:18s} written {atoms.symbols}, Masses names {' '.join(named)}, read {again.symbols}, "
          f"masses {again.get_masses().round(3).tolist()}")
assert read["methanol, 3.024 u"] == "LiNHe4", "CHANGED: methanol with heavy hydrogens"
assert read["tritiated water"] == "OHe2", "CHANGED: tritiated water"
assert read["heavy water"] == "OH2", "CHANGED: heavy water"
print("as found")
PY
