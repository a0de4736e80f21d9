#!/usr/bin/env bash
#
# extxyz 0.4.6 (the libAtoms parser), read_dicts, beside ASE 3.29.0.
#
# Expected: the cell has the three lattice vectors as rows, as ASE has them and as
#           the file lists them; both libraries name the field "cell".
# Happens:  read_dicts gives the transpose: lattice vectors are columns. A box with right
#           angles looks the same, a tilted one is another cell of the same volume.
# Seen:
#   Lattice in the file: 5 0 0 | 1 6 0 | 2 3 7
#   ASE rows:            [[5.0, 0.0, 0.0], [1.0, 6.0, 0.0], [2.0, 3.0, 7.0]]
#   read_dicts rows:     [[5.0, 1.0, 2.0], [0.0, 6.0, 3.0], [0.0, 0.0, 7.0]]
#   nearest-image distance: 1.459 A with ASE's cell, 2.555 A with the other
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile extxyz==0.4.6 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import ase.io
import extxyz
import numpy as np

with open("tilted.xyz", "w") as out:
    out.write('2\nLattice="5 0 0 1 6 0 2 3 7" Properties=species:S:1:pos:R:3 pbc="T T T"\n'
              "Ar 0 0 0\nAr 4.6 5.6 0.1\n")
frame = extxyz.read_dicts("tilted.xyz")
atoms = ase.io.read("tilted.xyz")
ours = np.asarray(frame.cell)
print("Lattice in the file: 5 0 0 | 1 6 0 | 2 3 7")
print("ASE rows:           ", atoms.cell.array.tolist())
print("read_dicts rows:    ", ours.tolist())
right = atoms.get_distance(0, 1, mic=True)
atoms.set_cell(ours)
print(f"nearest-image distance: {right:.3f} A with ASE's cell, {atoms.get_distance(0, 1, mic=True):.3f} A with the other")
assert np.allclose(ours, [[5, 1, 2], [0, 6, 3], [0, 0, 7]]), "CHANGED: orientation of the cell"
assert abs(right - atoms.get_distance(0, 1, mic=True)) > 0.1, "CHANGED: the distances agree"
print("as found")
PY
