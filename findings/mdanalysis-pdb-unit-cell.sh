#!/usr/bin/env bash
#
# MDAnalysis 2.11.0 PDB files of molecules without a box, read by ASE 3.29.0.
#
# Expected: a molecule written without a box is read without a box.
# Happens:  MDAnalysis writes CRYST1 with 1 A x 1 A x 1 A as a place-holder and says
#           so in REMARK records. ASE takes it for a cell, periodic in all three
#           directions: nearest-image distances inside water become 0.04 A, and any
#           periodic calculator sees a crystal of that density. mdtraj and
#           MDAnalysis read "no box".
# Seen:
#   CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1
#   ASE:       cell [1. 1. 1.] pbc [ True  True  True] O-H by nearest image 0.040 A, written 0.960
#   MDAnalysis: None  mdtraj: None
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile MDAnalysis==2.11.0 ase==3.29.0 mdtraj==1.11.1 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import ase.io
import MDAnalysis
import mdtraj
import numpy as np

water = MDAnalysis.Universe.empty(3, trajectory=True)
for name, values in (("names", ["O", "H1", "H2"]), ("elements", ["O", "H", "H"]), ("resnames", ["HOH"])):
    water.add_TopologyAttr(name, values)
water.atoms.positions = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
water.atoms.write("water.pdb")

record = next(line for line in open("water.pdb") if line.startswith("CRYST1")).strip()
atoms = ase.io.read("water.pdb")
oh = atoms.get_distance(0, 1, mic=True)
print(record)
print("ASE:       cell", atoms.cell.lengths(), "pbc", atoms.pbc, f"O-H by nearest image {oh:.3f} A, written 0.960")
again = MDAnalysis.Universe("water.pdb").dimensions
boxes = mdtraj.load("water.pdb").unitcell_lengths
print("MDAnalysis:", again, " mdtraj:", boxes)
assert record.split()[1:4] == ["1.000"] * 3, "CHANGED: MDAnalysis' place-holder"
assert atoms.pbc.all() and abs(oh - 0.04) < 1e-3, "CHANGED: ASE no longer takes it for a cell"
assert again is None and boxes is None, "CHANGED: a reader that knew the place-holder"
print("as found")
PY
