#!/usr/bin/env bash
#
# kinisi 2.1.0, its reader of ASE 3.29.0 frames.
#
# Expected: n frames give n-1 displacements from frame to frame.
# Happens:  the first frame is put in twice, so there are n, and the first is zero. An
#           ion that moves 0.1 A a frame in ten frames has a mean square
#           displacement at lag 1 of 0.009 A^2 for 0.01. The factor (n-1)/n
#           matters for the short runs that first-principles potentials allow.
# Seen:
#   10 frames, 10 displacements from the start: [0.  0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9]
#   mean square displacement at lag 1.0 ps: 0.00900 A^2, right is 0.01000
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile kinisi==2.1.0 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
import scipp as sc
from ase import Atoms
from kinisi.ase import ASEParser
from kinisi.displacement import calculate_msd

frames = [Atoms("LiO", positions=[[5 + 0.1 * k, 5, 5], [2, 2, 2]], cell=[20, 20, 20], pbc=True)
          for k in range(10)]
parser = ASEParser(frames, specie="Li", time_step=1.0 * sc.Unit("ps"),
                   step_skip=1 * sc.Unit("dimensionless"), progress=False,
                   drift_indices=sc.array(dims=["particle"], values=[1]))
track = parser.displacements.values[:, 0, 0]
msd = calculate_msd(parser, progress=False)["da"]
first = float(msd.values[0])
print(f"{len(frames)} frames, {len(track)} displacements from the start:", np.round(track, 3))
print(f"mean square displacement at lag {float(msd.coords['time interval'].values[0])} ps: {first:.5f} A^2, right is 0.01000")
assert len(track) == len(frames) and track[0] == 0, "CHANGED: the first frame is used once"
assert abs(first - 0.009) < 1e-6, "CHANGED: mean square displacement at lag 1"
print("as found")
PY
