#!/usr/bin/env bash
#
# Nearest-image distances in MDAnalysis 2.11.0 and mdtraj 1.11.1, cell not in standard orientation.
#
# Expected: a cell handed over as three vectors is used as such, or refused when its
#           first vector is not along x. ASE and most codes for solids keep any orientation.
# Happens:  both accept the vectors, keep lengths and angles alone, and build their own
#           vectors from these (first along x, second in the xy plane) without turning
#           the positions. Two atoms 1.08 A apart across the border are 3.35 A apart.
#           The same system in standard orientation is right.
# Seen:
#   standard              ASE 1.082, MDAnalysis 1.082, mdtraj 1.082 A
#   turned by 40 degrees  ASE 1.082, MDAnalysis 3.354, mdtraj 3.354 A
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile MDAnalysis==2.11.0 mdtraj==1.11.1 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import MDAnalysis
import mdtraj
import numpy as np
from ase import Atoms
from MDAnalysis.lib.distances import calc_bonds

standard = np.array([[6.0, 0, 0], [3, 6, 0], [0, 0, 7]])
angle = np.radians(40)
turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
fractions = np.array([[0.05, 0.05, 0.5], [0.95, 0.95, 0.5]])


def distances(cell):
    x = fractions @ cell
    true = Atoms("Ar2", positions=x, cell=cell, pbc=True).get_distance(0, 1, mic=True)
    universe = MDAnalysis.Universe.empty(2, trajectory=True)
    universe.atoms.positions = x
    universe.trajectory.ts.triclinic_dimensions = cell
    analysis = calc_bonds(universe.atoms.positions[:1], universe.atoms.positions[1:], box=universe.dimensions)[0]
    topology = mdtraj.Topology()
    residue = topology.add_residue("AR", topology.add_chain())
    for _ in range(2):
        topology.add_atom("AR", mdtraj.element.argon, residue)
    track = mdtraj.Trajectory(x[None] / 10, topology)
    track.unitcell_vectors = cell[None] / 10
    return true, float(analysis), 10 * float(mdtraj.compute_distances(track, [[0, 1]])[0, 0])


results = {}
for name, cell in (("standard", standard), ("turned by 40 degrees", standard @ turn.T)):
    results[name] = true, analysis, traj = distances(cell)
    print(f"{name:21s} ASE {true:.3f}, MDAnalysis {analysis:.3f}, mdtraj {traj:.3f} A")
assert np.ptp(results["standard"]) < 1e-4, "CHANGED: the control"
assert abs(results["turned by 40 degrees"][0] - results["standard"][0]) < 1e-9, "CHANGED: ASE"
assert min(results["turned by 40 degrees"][1:]) > 3, "CHANGED: the turned cell is right or refused"
print("as found")
PY
