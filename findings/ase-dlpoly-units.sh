#!/usr/bin/env bash
#
# ASE 3.29.0 DL_POLY CONFIG files (format "dlp4"), beside MDAnalysis 2.11.0.
#
# Expected: DL_POLY's velocities are A/ps and its forces u A/ps^2; ASE converts.
# Happens:  ASE converts to atomic units of velocity and force instead of its own.
#           Velocities come in 222.7 times too small (a system at 300 K reads as
#           0.006 K) and go out 222.7 times too large; forces go out 51.4 times too
#           large. A round trip through ASE alone is right, which hides it.
#           MDAnalysis reads the numbers as A/ps.
# Seen:
#   in the file 4 A/ps: ASE reads 0.01796, MDAnalysis 4.00000 A/ps
#   ASE writes 4 A/ps as 890.872, and 1 eV/A as 496147.5; right are 4 and 9648.5 u A/ps^2
#   factors 222.72, 222.72, 51.42
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 MDAnalysis==2.11.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import ase.io
import MDAnalysis
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator

per_ps = units.Angstrom / (1000 * units.fs)


def row(*numbers):
    return "".join(f"{number:20.10f}" for number in numbers) + "\n"


with open("CONFIG", "w") as out:
    out.write("argon\n" + f"{1:10d}{1:10d}{1:10d}\n" + row(9, 0, 0) + row(0, 9, 0) + row(0, 0, 9))
    out.write(f"{'Ar':8s}{1:10d}\n" + row(0, 0, 0) + row(4.0, 0, 0))
read = ase.io.read("CONFIG", format="dlp4").get_velocities()[0, 0] / per_ps
universe = MDAnalysis.Universe("CONFIG", format="CONFIG", topology_format="CONFIG")
print(f"in the file 4 A/ps: ASE reads {read:.5f}, MDAnalysis {universe.atoms.velocities[0, 0]:.5f} A/ps")

argon = Atoms("Ar", cell=[9, 9, 9], pbc=True)
argon.set_velocities([[4.0 * per_ps, 0, 0]])
argon.calc = SinglePointCalculator(argon, energy=0.0, forces=[[1.0, 0, 0]])
ase.io.write("OUT", argon, format="dlp4", levcfg=2)
velocity, force = (float(line.split()[0]) for line in open("OUT").readlines()[-2:])
right = units._e / units._amu * 1e-4
print(f"ASE writes 4 A/ps as {velocity:.3f}, and 1 eV/A as {force:.1f}; right are 4 and {right:.1f} u A/ps^2")
print(f"factors {4 / read:.2f}, {velocity / 4:.2f}, {force / right:.2f}")
assert abs(universe.atoms.velocities[0, 0] - 4) < 1e-5, "CHANGED: MDAnalysis"
assert abs(4 / read - 222.7) < 0.5 and abs(velocity / 4 - 222.7) < 0.5, "CHANGED: velocities"
assert abs(force / right - 51.42) < 0.1, "CHANGED: forces"
print("as found")
PY
