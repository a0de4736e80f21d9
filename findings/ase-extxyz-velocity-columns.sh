#!/usr/bin/env bash
#
# ASE 3.29.0, extended XYZ files with velocity columns.
#
# Expected: a column of velocities gives the atoms velocities, or a warning.
# Happens:  only "momenta" counts (in ASE's units). "vel", as LAMMPS and GPUMD name the
#           column, "velo" and "velocities" stay arrays of whatever unit;
#           get_velocities() is zero and get_temperature() 0 K, so a restart from such
#           a file begins at rest.
# Seen:
#   vel        kept as array: True, velocity 0.0000, temperature 0.00 K
#   velo       kept as array: True, velocity 0.0000, temperature 0.00 K
#   velocities kept as array: True, velocity 0.0000, temperature 0.00 K
#   momenta    kept as array: True, velocity 0.0125, temperature 24.21 K
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W error - <<'PY'
import ase.io

temperatures = {}
for column in ("vel", "velo", "velocities", "momenta"):
    with open("argon.xyz", "w") as out:
        out.write(f'2\nProperties=species:S:1:pos:R:3:{column}:R:3 pbc="F F F"\n'
                  "Ar 0 0 0  0.5 0 0\nAr 4 0 0  -0.5 0 0\n")
    atoms = ase.io.read("argon.xyz")
    temperatures[column] = atoms.get_temperature()
    print(f"{column:10s} kept as array: {column in atoms.arrays}, velocity {atoms.get_velocities()[0, 0]:.4f}, "
          f"temperature {atoms.get_temperature():.2f} K")
    assert column in atoms.arrays, "CHANGED: the column is gone"
assert all(temperatures[c] == 0 for c in ("vel", "velo", "velocities")), "CHANGED: velocity columns count"
assert temperatures["momenta"] > 1, "CHANGED: the control"
print("as found")
PY
