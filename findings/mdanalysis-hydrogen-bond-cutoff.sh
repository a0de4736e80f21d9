#!/usr/bin/env bash
#
# MDAnalysis 2.11.0, HydrogenBondAnalysis with donors_sel on a topology that has bonds.
#
# Expected: a hydrogen belongs to the donor that it is bound to, and its hydrogen
#           bond is found in every frame while that O-H bond vibrates.
# Happens:  where donors_sel is given, bonds are not looked at: a hydrogen belongs to
#           a donor closer than d_h_cutoff, 1.2 A by default, in that frame. In frames
#           with a longer O-H (strong hydrogen bonds, hot molecules) the hydrogen bond
#           is left out; the only warning, where a frame then has none at all, blames
#           the angle. Without donors_sel the bonds are used.
# Seen:
#   O-H of 0.97 and 1.25 A, all selections given: found in 1 of 2 frames
#   the same with d_h_cutoff=1.5:                 found in 2 of 2 frames
#   the same without donors_sel:                  found in 2 of 2 frames
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile MDAnalysis==2.11.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python - <<'PY'
import warnings

import MDAnalysis
import numpy as np
from MDAnalysis.analysis.hydrogenbonds import HydrogenBondAnalysis


def dimer(stretch):
    """A water whose O-H, `stretch` long, points at the O of another, 2.8 A away."""
    donor = [[0, 0, 0], [stretch, 0, 0], [-0.24, 0.93, 0]]
    acceptor = [[2.8, 0, 0], [3.1, 0.75, 0.55], [3.1, 0.0, -0.9]]
    return donor + acceptor


def frames_with_a_hydrogen_bond(**options):
    universe = MDAnalysis.Universe.empty(6, trajectory=True)
    universe.add_TopologyAttr("names", ["O", "H", "H"] * 2)
    universe.add_TopologyAttr("bonds", [(0, 1), (0, 2), (3, 4), (3, 5)])
    universe.load_new(np.array([dimer(0.97), dimer(1.25)], np.float32))
    selections = {"hydrogens_sel": "name H", "acceptors_sel": "name O"}
    analysis = HydrogenBondAnalysis(universe, **selections, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # it could say something of the distance
        warnings.filterwarnings("ignore", message="No hydrogen bonds were found given angle")
        analysis.run()
    return len({int(bond[0]) for bond in analysis.results.hbonds})


given = frames_with_a_hydrogen_bond(donors_sel="name O")
longer = frames_with_a_hydrogen_bond(donors_sel="name O", d_h_cutoff=1.5)
bonded = frames_with_a_hydrogen_bond()
print(f"O-H of 0.97 and 1.25 A, all selections given: found in {given} of 2 frames")
print(f"the same with d_h_cutoff=1.5:                 found in {longer} of 2 frames")
print(f"the same without donors_sel:                  found in {bonded} of 2 frames")
assert given == 1, "CHANGED: the stretched O-H with donors_sel"
assert (longer, bonded) == (2, 2), "CHANGED: a larger cutoff, or the bonds"
print("as found")
PY
