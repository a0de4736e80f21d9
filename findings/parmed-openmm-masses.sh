#!/usr/bin/env bash
#
# ParmEd 4.3.1, openmm.load_topology(topology, system) with OpenMM 8.6.1.
#
# Expected: the masses of the OpenMM System, which are those of the dynamics.
# Happens:  masses come from the elements of the topology. Deuterium set by
#           setParticleMass, repartitioned hydrogens and the zero mass of frozen
#           particles are lost without a word, and so in every file that ParmEd
#           writes from there.
# Seen:
#   masses of the System (frozen O, heavy H, D): [0.0, 3.024, 2.014]
#   masses in ParmEd:                            [15.99943, 1.007947, 1.007947]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile openmm==8.6.1 ParmEd==4.3.1 numpy==2.4.6

venv/bin/python -W ignore - <<'PY'
import openmm
import parmed
from openmm import app

topology = app.Topology()
residue = topology.addResidue("HOD", topology.addChain())
system = openmm.System()
for name, element, mass in (("O", app.element.oxygen, 0.0), ("H", app.element.hydrogen, 3.024),
                            ("D", app.element.hydrogen, 2.014)):
    topology.addAtom(name, element, residue)
    system.addParticle(mass)

given = [system.getParticleMass(i)._value for i in range(3)]
taken = [atom.mass for atom in parmed.openmm.load_topology(topology, system=system).atoms]
print("masses of the System (frozen O, heavy H, D):", given)
print("masses in ParmEd:                           ", taken)
assert taken == [15.99943, 1.007947, 1.007947], "CHANGED: ParmEd takes the System's masses"
print("as found")
PY
