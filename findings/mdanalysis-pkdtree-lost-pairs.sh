#!/usr/bin/env bash
#
# MDAnalysis 2.11.0, MDAnalysis.lib.distances.capped_distance in a small periodic box.
#
# Expected: the three search methods give the same pairs, or refuse alike.
# Happens:  with a cutoff above half the box, method="bruteforce" gives every pair
#           whose nearest image is inside the cutoff, method="nsgrid" raises
#           ValueError, and method="pkdtree" returns some of the pairs without a word.
# Seen:
#   cutoff 4.9 A in a box of 10 A: true 2056, bruteforce 2056, pkdtree 2056, nsgrid 2056
#   cutoff 5.5 A in a box of 10 A: true 2766, bruteforce 2766, pkdtree 2762, nsgrid ValueError
#   cutoff 7.0 A in a box of 10 A: true 3906, bruteforce 3906, pkdtree 3826, nsgrid ValueError
#   cutoff 8.0 A in a box of 10 A: true 4086, bruteforce 4086, pkdtree 3976, nsgrid ValueError
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile MDAnalysis==2.11.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
from MDAnalysis.lib.distances import capped_distance, distance_array

box = np.array([10, 10, 10, 90, 90, 90], dtype="f4")
points = (np.random.default_rng(0).random((64, 3)) * 10).astype("f4")
nearest = distance_array(points, points, box=box)
for cutoff in (4.9, 5.5, 7.0, 8.0):
    true = int((nearest <= cutoff).sum())
    brute = len(capped_distance(points, points, cutoff, box=box, method="bruteforce")[0])
    tree = len(capped_distance(points, points, cutoff, box=box, method="pkdtree")[0])
    try:
        grid = len(capped_distance(points, points, cutoff, box=box, method="nsgrid")[0])
    except ValueError:
        grid = "ValueError"
    print(f"cutoff {cutoff} A in a box of 10 A: true {true}, bruteforce {brute}, pkdtree {tree}, nsgrid {grid}")
    assert brute == true, "CHANGED: bruteforce"
    if cutoff < 5:
        assert tree == grid == true, "CHANGED: below half the box the methods differ"
    else:
        assert tree < true, "CHANGED: the tree finds all pairs"
        assert grid == "ValueError", "CHANGED: nsgrid accepts the cutoff"
print("as found")
PY
