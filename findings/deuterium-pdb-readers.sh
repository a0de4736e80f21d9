#!/usr/bin/env bash
#
# A PDB file with deuterium (element D) in OpenMM 8.6.1, mdtraj 1.11.1, ParmEd 4.3.1,
# MDAnalysis 2.11.0, chemfiles 0.10.4 and ASE 3.29.0.
#
# Expected: D is the hydrogen isotope of 2.0141 u. Structures from neutron diffraction
#           have it, and OpenMM writes it for its own element "deuterium".
# Happens:  four answers. ParmEd has 2.0141. OpenMM and mdtraj take the mass of the
#           bare nucleus, 2.01355 (though their hydrogen is the whole atom).
#           MDAnalysis and chemfiles give it no mass at all, so the centre of mass
#           of heavy water is the oxygen. ASE does not read the file.
# Seen:
#   OpenMM     masses [15.99943, 2.01355, 2.01355]
#   mdtraj     masses [15.99943, 2.01355, 2.01355]
#   ParmEd     masses [15.9994, 2.0141, 2.0141]
#   MDAnalysis masses [15.999, 0.0, 0.0]
#   chemfiles  masses [15.999, 0.0, 0.0]
#   MDAnalysis centre of mass [0.0, 0.0, 0.0]
#   ASE        KeyError: 'Could not parse species from label D1.'
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile openmm==8.6.1 mdtraj==1.11.1 ParmEd==4.3.1 MDAnalysis==2.11.0 \
    chemfiles==0.10.4 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import ase.io
import chemfiles
import MDAnalysis
import mdtraj
import parmed
from openmm import Vec3, app, unit

topology = app.Topology()
residue = topology.addResidue("DOD", topology.addChain())
for name in ("O", "D1", "D2"):
    topology.addAtom(name, app.element.oxygen if name == "O" else app.element.deuterium, residue)
places = [Vec3(0, 0, 0), Vec3(0.096, 0, 0), Vec3(-0.024, 0.093, 0)] * unit.nanometer
with open("heavy-water.pdb", "w") as out:
    app.PDBFile.writeFile(topology, places, out)

universe = MDAnalysis.Universe("heavy-water.pdb")
masses = {
    "OpenMM": [a.element.mass.value_in_unit(unit.dalton)
               for a in app.PDBFile("heavy-water.pdb").topology.atoms()],
    "mdtraj": [a.element.mass for a in mdtraj.load("heavy-water.pdb").topology.atoms],
    "ParmEd": [a.mass for a in parmed.load_file("heavy-water.pdb").atoms],
    "MDAnalysis": universe.atoms.masses.tolist(),
    "chemfiles": [a.mass for a in chemfiles.Trajectory("heavy-water.pdb").read().atoms],
}
for program, values in masses.items():
    print(f"{program:10s} masses", [round(float(m), 5) for m in values])
print("MDAnalysis centre of mass", universe.atoms.center_of_mass().round(4).tolist())
try:
    ase.io.read("heavy-water.pdb")
except KeyError as error:
    print("ASE        KeyError:", error)
else:
    raise SystemExit("CHANGED: ASE reads the file")
for program, value in (("OpenMM", 2.01355), ("mdtraj", 2.01355), ("ParmEd", 2.0141), ("MDAnalysis", 0), ("chemfiles", 0)):
    assert abs(masses[program][1] - value) < 2e-5, f"CHANGED: {program}"
print("as found")
PY
