#!/usr/bin/env bash
#
# dpdata 1.1.0, labelled data from ASE 3.29.0 atoms with a constraint.
#
# Expected: labels for training are the forces that the calculator computed.
# Happens:  forces are asked for with constraints applied, so every atom under
#           FixAtoms (the lower layers of a slab, say) gets a label of exactly zero
#           that is no property of the potential. No warning. And with a virial
#           left over in info (from an extended XYZ file), that one becomes the label
#           and the calculator's stress is dropped.
# Seen:
#   forces of the calculator:          [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]
#   labels without a constraint:       [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]]
#   labels with FixAtoms on the first: [[0.0, 0.0, 0.0], [-1.0, -2.0, -3.0]]
#   virial from the stress:            [-0.729, -1.458, -2.187] eV
#   virial with info['virial'] = 9:    [9.0, 9.0, 9.0] eV
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile dpdata==1.1.0 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import dpdata
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

forces = np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]])
stress = np.array([1e-3, 2e-3, 3e-3, 0, 0, 0])


def labels(constraint=None, info=None):
    atoms = Atoms("Ar2", positions=[[0, 0, 0], [3, 0, 0]], cell=[9, 9, 9], pbc=True,
                  constraint=constraint, info=info or {})
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=forces, stress=stress)
    system = dpdata.LabeledSystem(atoms, fmt="ase/structure")
    return system["forces"][0], np.diag(system["virials"][0])


free, virial = labels()
fixed, _ = labels(constraint=FixAtoms([0]))
_, left_over = labels(info={"virial": 9 * np.eye(3)})
print("forces of the calculator:         ", forces.tolist())
print("labels without a constraint:      ", free.tolist())
print("labels with FixAtoms on the first:", (fixed + 0.0).tolist())
print("virial from the stress:           ", (virial + 0.0).round(3).tolist(), "eV")
print("virial with info['virial'] = 9:   ", left_over.tolist(), "eV")
assert np.allclose(free, forces), "CHANGED: the control"
assert np.allclose(fixed[0], 0) and np.allclose(fixed[1], forces[1]), "CHANGED: fixed atoms keep their forces"
assert np.allclose(virial, -729 * stress[:3]) and np.allclose(left_over, 9), "CHANGED: virial"
print("as found")
PY
