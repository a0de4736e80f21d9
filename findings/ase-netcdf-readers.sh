#!/usr/bin/env bash
#
# ASE 3.29.0 NetCDFTrajectory, read by MDAnalysis 2.11.0, ParmEd 4.3.1 and ASE itself.
#
# Expected: a file that calls itself "AMBER" convention 1.0 opens in readers of that
#           convention, and its velocities are A/ps, or carry unit and scale factor.
# Happens:  the file is of the classic kind where the convention asks for 64-bit
#           offsets (MDAnalysis refuses it), the coordinates' unit is
#           "Angstrom/Femtosecond", and the velocities are ASE's internal numbers
#           (A per 10.18 fs) without unit or factor: 10 A/ps is read as 0.1018.
# Seen:
#   kind NETCDF3_CLASSIC | unit of coordinates Angstrom/Femtosecond | labels of velocities []
#   MDAnalysis: TypeError, (NetCDF file does not use 64 bit offsets [version_byte = 2])
#   written 10 A/ps; ParmEd reads 0.1018, ASE 10.0000
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 MDAnalysis==2.11.0 ParmEd==4.3.1 \
    netCDF4==1.7.5.1.post1 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import MDAnalysis
import netCDF4
import numpy as np
import parmed
from ase import Atoms, units
from ase.io.netcdftrajectory import NetCDFTrajectory

per_ps = units.Angstrom / (1000 * units.fs)
atoms = Atoms("OH2", positions=[[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], cell=[8, 8, 8], pbc=True)
atoms.set_velocities(10 * np.eye(3) * per_ps)
with NetCDFTrajectory("ase.nc", "w") as out:
    out.write(atoms)

with netCDF4.Dataset("ase.nc") as file:
    kind = file.data_model
    unit = file["coordinates"].units
    labels = [name for name in ("units", "scale_factor") if name in file["velocities"].ncattrs()]
    print("kind", kind, "| unit of coordinates", unit, "| labels of velocities", labels)
assert kind == "NETCDF3_CLASSIC", "CHANGED: kind of file"
assert unit == "Angstrom/Femtosecond", "CHANGED: unit of coordinates"
assert labels == [], "CHANGED: velocities are labelled"

try:
    MDAnalysis.Universe.empty(3).load_new("ase.nc", format="NCDF")
except TypeError as refusal:
    print("MDAnalysis: TypeError,", str(refusal)[-60:])
else:
    raise SystemExit("CHANGED: MDAnalysis opens the file")

by_parmed = parmed.amber.NetCDFTraj.open_old("ase.nc").velocities[0, 0, 0]
by_ase = NetCDFTrajectory("ase.nc")[0].get_velocities()[0, 0] / per_ps
print(f"written 10 A/ps; ParmEd reads {by_parmed:.4f}, ASE {by_ase:.4f}")
assert abs(by_parmed - 10 * per_ps) < 1e-5, "CHANGED: number read by ParmEd"
assert abs(by_ase - 10) < 1e-4, "CHANGED: ASE's own reader"
print("as found")
PY
