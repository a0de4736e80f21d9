#!/usr/bin/env bash
#
# i-PI 3.3.1, nine numbers of a cell in the comment line of an xyz file.
#
# Expected: CELL(H) and CELL(GENH) take the same nine numbers for the same cell, GENH
#           being free in its orientation; as rows, as in extended XYZ.
# Happens:  they are transposes of each other. CELL(H) takes lattice vectors as
#           columns and leaves everything as it is; CELL(GENH) takes them as rows, and
#           turns cell and positions into standard orientation. The volume is the
#           same, the lattice is not; no warning.
# Seen:
#   CELL(H)    lengths of the vectors [5.0, 6.0828, 7.874], volume 210.0 A^3, atom given at 5 1 2 is at [5.0, 1.0, 2.0]
#   CELL(GENH) lengths of the vectors [5.4772, 6.7082, 7.0], volume 210.0 A^3, atom given at 5 1 2 is at [5.477, 0.0, 0.0]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ipi==3.3.1 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
from ipi.utils.io import read_file

BOHR = 0.529177210903
lengths, places = {}, {}
for word in ("CELL(H)", "CELL(GENH)"):
    with open("cell.xyz", "w") as out:
        out.write(f"1\n# {word}: 5 1 2 0 6 3 0 0 7 positions{{angstrom}} cell{{angstrom}}\nAr 5 1 2\n")
    frame = read_file("xyz", open("cell.xyz"))
    h = np.asarray(frame["cell"].h) * BOHR
    lengths[word] = np.linalg.norm(h, axis=0)
    places[word] = np.asarray(frame["atoms"].q) * BOHR
    print(f"{word:10s} lengths of the vectors {lengths[word].round(4).tolist()}, volume {np.linalg.det(h):.1f} A^3, "
          f"atom given at 5 1 2 is at {(places[word] + 0.0).round(3).tolist()}")

rows = np.array([[5, 1, 2], [0, 6, 3], [0, 0, 7.0]])
assert np.allclose(lengths["CELL(H)"], np.linalg.norm(rows, axis=0), atol=1e-4), "CHANGED: CELL(H)"
assert np.allclose(lengths["CELL(GENH)"], np.linalg.norm(rows, axis=1), atol=1e-4), "CHANGED: CELL(GENH)"
assert np.allclose(places["CELL(GENH)"], [30**0.5, 0, 0], atol=1e-3), "CHANGED: GENH turns the positions"
print("as found")
PY
