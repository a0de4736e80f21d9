#!/usr/bin/env bash
#
# znh5md 0.4.8 H5MD files of ASE 3.29.0 atoms, read by MDAnalysis 2.11.0.
#
# Expected: an H5MD velocity labelled Angstrom/fs is in Angstrom/fs.
# Happens:  ASE's internal number (A per 10.18 fs) is stored under that label, so
#           whoever trusts the file has velocities 10.18 times and kinetic energies
#           104 times too large. znh5md reads its own file back right, which hides
#           it. MDAnalysis refuses the file: it does not know the unit's spelling.
# Seen:
#   written 0.01 A/fs; in the file 0.10181 Angstrom/fs; read back by znh5md 0.01000 A/fs
#   MDAnalysis: RuntimeError, velocity unit 'Angstrom/fs' is not recognized by H5MDReader. Pleas
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile znh5md==0.4.8 ase==3.29.0 MDAnalysis==2.11.0 h5py==3.16.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import h5py
import MDAnalysis
import znh5md
from ase import Atoms, units

per_fs = units.Angstrom / units.fs
atoms = Atoms("Ar2", positions=[[0, 0, 0], [3, 0, 0]], cell=[9, 9, 9], pbc=True)
atoms.set_velocities([[0.01 * per_fs, 0, 0], [0, 0, 0]])
znh5md.IO("argon.h5").append(atoms)

with h5py.File("argon.h5") as file:
    velocity = file["particles/atoms/velocity/value"]
    stored, unit = float(velocity[0, 0, 0]), velocity.attrs["unit"]
back = znh5md.IO("argon.h5")[0].get_velocities()[0, 0] / per_fs
print(f"written 0.01 A/fs; in the file {stored:.5f} {unit}; read back by znh5md {back:.5f} A/fs")
assert unit == "Angstrom/fs" and abs(stored / 0.01 - 10.1805) < 1e-3, "CHANGED: number or unit in the file"
assert abs(back - 0.01) < 1e-6, "CHANGED: znh5md's own reader"
try:
    MDAnalysis.Universe.empty(2).load_new("argon.h5", format="H5MD")
except RuntimeError as refusal:
    print("MDAnalysis: RuntimeError,", str(refusal)[:66])
else:
    raise SystemExit("CHANGED: MDAnalysis opens the file")
print("as found")
PY
