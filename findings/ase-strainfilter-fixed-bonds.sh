#!/usr/bin/env bash
#
# ASE 3.29.0, relaxing a cell with fixed bond lengths (FixBondLengths).
#
# Expected: all filters for cells keep the bonds, or refuse them.
# Happens:  StrainFilter scales all positions with the cell and stretches the "fixed"
#           bonds along; FrechetCellFilter and UnitCellFilter keep them.
# Seen:
#   StrainFilter       bond fixed at 3.460 A is now 3.561 A
#   FrechetCellFilter  bond fixed at 3.460 A is now 3.460 A
#   UnitCellFilter     bond fixed at 3.460 A is now 3.460 A
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.constraints import FixBondLengths
from ase.filters import FrechetCellFilter, StrainFilter, UnitCellFilter
from ase.optimize import BFGS

length = {}
for kind in (StrainFilter, FrechetCellFilter, UnitCellFilter):
    argon = Atoms("Ar4", positions=[[0, 0, 0], [3.46, 0, 0], [2, 3.8, 0], [5.46, 3.8, 0]],
                  cell=[7.5, 7.5, 5], pbc=True, constraint=FixBondLengths([[0, 1], [2, 3]]))
    argon.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=9, smooth=True)
    BFGS(kind(argon), logfile=None).run(fmax=0.001, steps=30)
    length[kind] = argon.get_distance(0, 1, mic=True)
    print(f"{kind.__name__:18s} bond fixed at 3.460 A is now {length[kind]:.3f} A")
assert length[StrainFilter] > 3.5, "CHANGED: StrainFilter keeps bonds"
assert all(abs(length[kind] - 3.46) < 1e-6 for kind in (FrechetCellFilter, UnitCellFilter)), "CHANGED: a control"
print("as found")
PY
