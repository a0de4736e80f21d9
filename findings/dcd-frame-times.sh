#!/usr/bin/env bash
#
# Times of a DCD file written by mdtraj 1.11.1, in mdtraj, MDAnalysis 2.11.0 and chemfiles 0.10.4.
#
# Expected: frames saved every 0.5 ps are 0.5 ps apart, or have no time.
# Happens:  mdtraj writes one internal unit of CHARMM as the step whatever the times are.
#           MDAnalysis then has 0.0489 ps from frame to frame, chemfiles 1, and
#           mdtraj itself numbers the frames. A spectrum or a diffusion coefficient from
#           MDAnalysis is off by ten, without a word. XTC keeps the times everywhere.
# Seen:
#   dcd, saved every 0.5 ps: MDAnalysis 0.0489, chemfiles 1.0000, mdtraj 1.0000
#   xtc, saved every 0.5 ps: MDAnalysis 0.5000, chemfiles 0.5000, mdtraj 0.5000
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile mdtraj==1.11.1 MDAnalysis==2.11.0 chemfiles==0.10.4 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import chemfiles
import MDAnalysis
import mdtraj
import numpy as np

topology = mdtraj.Topology()
topology.add_atom("AR", mdtraj.element.argon, topology.add_residue("AR", topology.add_chain()))
track = mdtraj.Trajectory(np.zeros((4, 1, 3)), topology, time=0.5 * np.arange(4))
steps = {}
for kind in ("dcd", "xtc"):
    name = "argon." + kind
    track.save(name)
    universe = MDAnalysis.Universe.empty(1).load_new(name)
    by_analysis = float(universe.trajectory[1].time - universe.trajectory[0].time)
    by_chemfiles = float(chemfiles.Trajectory(name).read_step(1)["time"])
    by_mdtraj = float(np.diff(mdtraj.load(name, top=topology).time)[0])
    steps[kind] = by_analysis, by_chemfiles, by_mdtraj
    print(f"{kind}, saved every 0.5 ps: MDAnalysis {by_analysis:.4f}, chemfiles {by_chemfiles:.4f}, mdtraj {by_mdtraj:.4f}")
assert np.allclose(steps["xtc"], 0.5), "CHANGED: the control"
assert abs(steps["dcd"][0] - 0.0488882) < 1e-5, "CHANGED: MDAnalysis"
assert steps["dcd"][1:] == (1.0, 1.0), "CHANGED: chemfiles or mdtraj"
print("as found")
PY
