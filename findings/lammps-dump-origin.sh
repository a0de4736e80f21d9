#!/usr/bin/env bash
#
# LAMMPS dumps written by mdtraj 1.11.1, read by MDAnalysis 2.11.0, chemfiles 0.10.4 and ASE 3.29.0.
#
# Expected: positions come back as written (xu yu zu are absolute, unwrapped).
# Happens:  two habits meet. mdtraj puts the origin of the box of each frame at the
#           smallest coordinates of that frame; MDAnalysis subtracts the box's origin
#           from unwrapped positions too. Every frame is shifted on its own: here the
#           left atom, which moves 1 A a frame, stands still, and the one that stands
#           still moves. Dumps of LAMMPS itself at constant pressure have moving
#           origins as well. chemfiles, ASE and mdtraj read the positions as written.
# Seen:
#   lower bound of the box along x in the three frames: [2.0, 3.0, 4.0]
#   written    left atom [2.0, 3.0, 4.0], right atom [9.0, 9.0, 9.0] A
#   MDAnalysis left atom [0.0, 0.0, 0.0], right atom [7.0, 6.0, 5.0] A
#   chemfiles  left atom [2.0, 3.0, 4.0], right atom [9.0, 9.0, 9.0] A
#   ASE        left atom [2.0, 3.0, 4.0], right atom [9.0, 9.0, 9.0] A
#   mdtraj     left atom [2.0, 3.0, 4.0], right atom [9.0, 9.0, 9.0] A
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile mdtraj==1.11.1 MDAnalysis==2.11.0 chemfiles==0.10.4 ase==3.29.0 \
    numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import ase.io
import chemfiles
import MDAnalysis
import mdtraj
import numpy as np

topology = mdtraj.Topology()
residue = topology.add_residue("AR", topology.add_chain())
for _ in range(2):
    topology.add_atom("AR", mdtraj.element.argon, residue)
x = np.zeros((3, 2, 3))
x[:, 0, 0] = [0.2, 0.3, 0.4]
x[:, 1, 0] = 0.9
track = mdtraj.Trajectory(x, topology)
track.unitcell_lengths, track.unitcell_angles = np.full((3, 3), 2.0), np.full((3, 3), 90.0)
track.save_lammpstrj("pair.lammpstrj")
bounds = [line.split()[0] for line in open("pair.lammpstrj").read().split("BOUNDS pp pp pp\n")[1:]]

universe = MDAnalysis.Universe.empty(2).load_new("pair.lammpstrj", format="LAMMPSDUMP")
file = chemfiles.Trajectory("pair.lammpstrj", format="LAMMPS")
frames = [file.read() for _ in range(3)]
read = {
    "written": 10 * x[:, :, 0],
    "MDAnalysis": [ts.positions[:, 0].copy() for ts in universe.trajectory],
    "chemfiles": [frame.positions[:, 0].copy() for frame in frames],
    "ASE": [a.positions[:, 0] for a in ase.io.read("pair.lammpstrj", index=":", format="lammps-dump-text")],
    "mdtraj": 10 * mdtraj.load("pair.lammpstrj", top=topology).xyz[:, :, 0],
}
print("lower bound of the box along x in the three frames:", [round(float(b), 3) for b in bounds])
for name, values in read.items():
    values = read[name] = np.array(values, dtype=float)
    print(f"{name:10s} left atom {(values[:, 0] + 0.0).round(3).tolist()}, right atom {values[:, 1].round(3).tolist()} A")
for name in ("chemfiles", "ASE", "mdtraj"):
    assert np.allclose(read[name], read["written"], atol=2e-3), f"CHANGED: {name}"
assert np.allclose(read["MDAnalysis"][:, 0], 0, atol=2e-3), "CHANGED: MDAnalysis keeps the positions"
assert np.allclose(read["MDAnalysis"][:, 1], [7, 6, 5], atol=2e-3), "CHANGED: MDAnalysis keeps the positions"
print("as found")
PY
