#!/usr/bin/env bash
#
# AMBER NetCDF of a molecule without a cell, written by chemfiles 0.10.4 and by ParmEd 4.3.1.
#
# Expected: MDAnalysis 2.11.0 opens both as a system without a box.
# Happens:  chemfiles writes the cell's variables with zeros in them; MDAnalysis makes
#           "no box" of these and then trips over it: TypeError, with no hint at the
#           cell. ParmEd leaves the variables out, and that file opens. ParmEd opens both.
# Seen:
#   chemfiles.nc  cell_lengths [0.0, 0.0, 0.0]: MDAnalysis TypeError: 'NoneType' object is not subscriptable; ParmEd reads x = 0.96
#   parmed.nc     cell_lengths None: MDAnalysis opens, box None; ParmEd reads x = 0.96
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile chemfiles==0.10.4 ParmEd==4.3.1 MDAnalysis==2.11.0 \
    netCDF4==1.7.5.1.post1 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import chemfiles
import MDAnalysis
import netCDF4
import numpy as np
from parmed.amber import NetCDFTraj

frame = chemfiles.Frame()
frame.add_atom(chemfiles.Atom("O"), [0, 0, 0])
frame.add_atom(chemfiles.Atom("H"), [0.96, 0, 0])
with chemfiles.Trajectory("chemfiles.nc", "w") as out:
    out.write(frame)
out = NetCDFTraj.open_new("parmed.nc", natom=2, box=False, crds=True)
out.add_coordinates(np.array([0, 0, 0, 0.96, 0, 0]))
out.add_time(0.0)
out.close()

answer = {}
for name in ("chemfiles.nc", "parmed.nc"):
    with netCDF4.Dataset(name) as file:
        cell = file["cell_lengths"][0].tolist() if "cell_lengths" in file.variables else None
    try:
        universe = MDAnalysis.Universe.empty(2).load_new(name, format="NCDF")
        answer[name] = f"opens, box {universe.dimensions}"
    except TypeError as error:
        answer[name] = f"TypeError: {error}"
    place = float(NetCDFTraj.open_old(name).coordinates[0, 1, 0])
    print(f"{name:13s} cell_lengths {cell}: MDAnalysis {answer[name]}; ParmEd reads x = {place:.2f}")
assert answer["chemfiles.nc"].startswith("TypeError"), "CHANGED: the file with zeros opens"
assert answer["parmed.nc"] == "opens, box None", "CHANGED: the control"
print("as found")
PY
