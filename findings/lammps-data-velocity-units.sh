#!/usr/bin/env bash
#
# One LAMMPS data file with velocities in ASE 3.29.0, chemfiles 0.10.4 and MDAnalysis 2.11.0.
#
# Expected: the file says no unit, so a reader asks for it or says what it assumes.
# Happens:  ASE writes and reads "metal" (A/ps) by default, chemfiles takes A/ps, and
#           MDAnalysis takes "real" (A/fs) without a word: velocities a thousand times,
#           temperatures a million times too large. MDAnalysis' reader of LAMMPS
#           dumps, for the output of the same run, does not convert velocities at all.
# Seen:
#   written by ASE 4 A/ps: ASE 4.0, chemfiles 4.0, MDAnalysis 4000.0 A/ps
#   a dump with vx = 4:    MDAnalysis 4.0 A/ps
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 MDAnalysis==2.11.0 chemfiles==0.10.4 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import ase.io
import chemfiles
import MDAnalysis
from ase import Atoms, units

per_ps = units.Angstrom / (1000 * units.fs)
argon = Atoms("Ar2", positions=[[1, 1, 1], [5, 5, 5]], cell=[9, 9, 9], pbc=True)
argon.set_velocities([[4.0 * per_ps, 0, 0], [0, 0, 0]])
ase.io.write("argon.data", argon, format="lammps-data", atom_style="full", masses=True, velocities=True)
with open("argon.dump", "w") as out:
    out.write("ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n" + 3 * "0 9\n"
              + "ITEM: ATOMS id type x y z vx vy vz\n1 1 1 1 1 4 0 0\n2 1 5 5 5 0 0 0\n")

again = ase.io.read("argon.data", format="lammps-data").get_velocities()[0, 0] / per_ps
frame = chemfiles.Trajectory("argon.data", format="LAMMPS Data").read()
chem = float(frame.velocities[0][0])
data = float(MDAnalysis.Universe("argon.data", format="DATA").atoms.velocities[0, 0])
dump = float(MDAnalysis.Universe("argon.dump", format="LAMMPSDUMP",
                                 topology_format="LAMMPSDUMP").atoms.velocities[0, 0])
print(f"written by ASE 4 A/ps: ASE {again:.1f}, chemfiles {chem:.1f}, MDAnalysis {data:.1f} A/ps")
print(f"a dump with vx = 4:    MDAnalysis {dump:.1f} A/ps")
assert abs(again - 4) < 1e-6 and abs(chem - 4) < 1e-6, "CHANGED: ASE or chemfiles"
assert abs(data - 4000) < 1e-2, "CHANGED: MDAnalysis and data files"
assert abs(dump - 4) < 1e-5, "CHANGED: MDAnalysis and dumps"
print("as found")
PY
