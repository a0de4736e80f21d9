#!/usr/bin/env bash
#
# MDAnalysis 2.11.0, EinsteinMSD on coordinates wrapped into the box.
#
# Expected: a warning, or unwrapping: the trajectory carries its box, and many engines
#           write wrapped coordinates.
# Happens:  jumps across the border count as displacements. A particle that moves
#           on a straight line at 1 A a frame in a box of 10 A has a mean square
#           displacement that turns round at half the box and is 0 after ten
#           frames, where 100 A^2 is right. No warning.
# Seen:
#   lag  1: unwrapped   1.00, wrapped   7.15, NoJump   1.00 A^2
#   lag  5: unwrapped  25.00, wrapped  25.00, NoJump  25.00 A^2
#   lag  8: unwrapped  64.00, wrapped  19.00, NoJump  64.00 A^2
#   lag 10: unwrapped 100.00, wrapped   0.00, NoJump 100.00 A^2
#   warnings that speak of wrapping: 0
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
from MDAnalysis.analysis.msd import EinsteinMSD
from MDAnalysis.transformations import NoJump

box = np.array([10, 10, 10, 90, 90, 90], dtype="f4")
track = np.zeros((40, 1, 3), dtype="f4")
track[:, 0, 0] = np.arange(40)


def displacement(positions, *transformations):
    universe = MDAnalysis.Universe.empty(1, trajectory=True)
    universe.load_new(positions, dimensions=box)
    universe.trajectory.add_transformations(*transformations)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = EinsteinMSD(universe, fft=False).run().results.timeseries
    about_box = [w for w in seen if "wrap" in str(w.message).lower()]
    return result, len(about_box)


straight, _ = displacement(track)
wrapped, warned = displacement(track % 10)
mended, _ = displacement(track % 10, NoJump())
for lag in (1, 5, 8, 10):
    print(f"lag {lag:2d}: unwrapped {straight[lag]:6.2f}, wrapped {wrapped[lag]:6.2f}, NoJump {mended[lag]:6.2f} A^2")
print("warnings that speak of wrapping:", warned)
assert abs(straight[10] - 100) < 1e-3 and np.allclose(mended, straight, atol=1e-2), "CHANGED: a control"
assert wrapped[10] < 1e-3 and warned == 0, "CHANGED: wrapped coordinates are treated or warned about"
print("as found")
PY
