#!/usr/bin/env bash
#
# OpenMM-ML 1.8, potential "ase" with FixAtoms on the aseAtoms, OpenMM 8.6.1, ASE 3.29.0.
#
# Expected: energy and forces are those of the geometry that OpenMM has; or an atom
#           that is fixed in ASE is fixed in OpenMM, too, or refused.
# Happens:  OpenMM moves the atom. New positions are handed to ASE by the constrained
#           Atoms, which leave the fixed atom where it was, so that the calculator
#           goes on with another geometry: the energy is 0.28 eV off in 5 fs here.
# Seen:
#   free:  OpenMM has 0.5568 eV, the calculator at its positions 0.5568 eV
#   fixed: atom moved by 0.060 A; OpenMM has 0.8210 eV, the calculator 0.5456 eV
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile openmmml==1.8 OpenMM==8.6.1 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
import openmm
from ase import Atoms
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from openmm import app, unit
from openmmml import MLPotential

START = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.25]])  # angstrom, a stretched N2


def after_five_steps(fixed):
    """Positions (A) and energy (eV) of OpenMM, and the energy of the calculator there."""
    topology = app.Topology()
    residue = topology.addResidue("N2", topology.addChain())
    for _ in "NN":
        topology.addAtom("N", app.Element.getBySymbol("N"), residue)
    atoms = Atoms("N2", START, calculator=EMT())
    if fixed:
        atoms.set_constraint(FixAtoms([0]))
    system = MLPotential("ase").createSystem(topology, aseAtoms=atoms)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(START / 10)
    context.getIntegrator().step(5)
    state = context.getState(positions=True, energy=True)
    x = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) / 96.4853321
    return x, energy, Atoms("N2", x, calculator=EMT()).get_potential_energy()


x, energy, there = after_five_steps(fixed=False)
print(f"free:  OpenMM has {energy:.4f} eV, the calculator at its positions {there:.4f} eV")
assert abs(energy - there) < 1e-6, "CHANGED: a free molecule"
x, energy, there = after_five_steps(fixed=True)
moved = np.linalg.norm(x[0] - START[0])
print(f"fixed: atom moved by {moved:.3f} A; OpenMM has {energy:.4f} eV, the calculator {there:.4f} eV")
assert moved > 0.05, "CHANGED: the fixed atom stays"
assert energy - there > 0.2, "CHANGED: energy of the geometry that OpenMM has"
print("as found")
PY
