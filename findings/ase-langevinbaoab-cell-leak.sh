#!/usr/bin/env bash
#
# ASE 3.29.0, ase.md.langevinbaoab.LangevinBAOAB with a cell free in all elements.
#
# Expected: four atoms without forces in a cubic box, all moving along x at constant
#           stress, go on moving along x; the box stays rectangular.
# Happens:  the drag of the cell on the atoms adds the trace of the cell's momentum to
#           all nine elements of the matrix, where the three on the diagonal are due.
#           Velocities leak from x into y and z and the box tilts. With
#           hydrostatic=True the same run stays on x.
# Seen:
#   after 1 ps, full cell:        v_y/v_x 0.0184, largest angle 90.055 degrees
#   after 1 ps, hydrostatic=True: v_y/v_x 0.0000, largest angle 90.000 degrees
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.langevinbaoab import LangevinBAOAB


class Nothing(Calculator):
    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


def leak(hydrostatic):
    places = np.random.default_rng(0).random((4, 3))
    gas = Atoms("Ar4", scaled_positions=places, cell=[20, 20, 20], pbc=True)
    gas.calc = Nothing()
    velocities = np.zeros((4, 3))
    velocities[:, 0] = [0.003, -0.003, 0.006, -0.006]
    gas.set_velocities(velocities * units.Angstrom / units.fs)
    dyn = LangevinBAOAB(gas, 2 * units.fs, externalstress=0.0, hydrostatic=hydrostatic,
                        P_mass=1e4, disable_cell_langevin=True)
    dyn.run(500)
    v = np.abs(gas.get_velocities())
    return v[:, 1:].max() / v[:, 0].max(), gas.cell.angles().max()


full, angle = leak(hydrostatic=False)
same, right_angle = leak(hydrostatic=True)
print(f"after 1 ps, full cell:        v_y/v_x {full:.4f}, largest angle {angle:.3f} degrees")
print(f"after 1 ps, hydrostatic=True: v_y/v_x {same:.4f}, largest angle {right_angle:.3f} degrees")
assert same == 0, "CHANGED: the control"
assert full > 1e-3, "CHANGED: velocities stay along x"
print("as found")
PY
