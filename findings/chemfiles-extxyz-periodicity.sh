#!/usr/bin/env bash
#
# chemfiles 0.10.4, extended XYZ files written by ASE 3.29.0.
#
# Expected: pbc="F F F" or "T T F" beside the lattice is honoured, or refused.
# Happens:  pbc is not looked at: any Lattice is a cell periodic in all directions. A
#           molecule kept in a box without periodicity, as many data sets have it,
#           gets distances to images. Nor are ASE's momenta taken for velocities.
# Seen:
#   pbc (False, False, False): ASE 7.0, chemfiles 1.0 A, cell (8.0, 8.0, 8.0), velocities False
#   pbc (True, True, False): ASE 7.0, chemfiles 1.0 A, cell (8.0, 8.0, 8.0), velocities False
#   pbc (True, True, True): ASE 1.0, chemfiles 1.0 A, cell (8.0, 8.0, 8.0), velocities False
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 chemfiles==0.10.4 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import ase.io
import chemfiles
from ase import Atoms

seen = {}
for pbc in ((False, False, False), (True, True, False), (True, True, True)):
    atoms = Atoms("Ar2", positions=[[1, 1, 0.5], [1, 1, 7.5]], cell=[8, 8, 8], pbc=pbc)
    atoms.set_momenta([[0, 0, 1.0], [0, 0, -1.0]])
    ase.io.write("argon.xyz", atoms, format="extxyz")
    frame = chemfiles.Trajectory("argon.xyz", format="XYZ").read()
    seen[pbc] = frame.distance(0, 1)
    print(f"pbc {pbc}: ASE {atoms.get_distance(0, 1, mic=True):.1f}, chemfiles {seen[pbc]:.1f} A, "
          f"cell {frame.cell.lengths}, velocities {frame.has_velocities()}")
    assert not frame.has_velocities(), "CHANGED: momenta become velocities"
assert all(abs(d - 1) < 1e-6 for d in seen.values()), "CHANGED: pbc counts"
print("as found")
PY
