#!/usr/bin/env bash
#
# i-PI 3.3.1 xyz trajectories read by ASE 3.29.0 and MDAnalysis 2.11.0.
#
# Expected: xyz files hold angstroms; at least the unit in the comment line counts.
# Happens:  without a unit in the input i-PI writes "positions{atomic_unit}", bohr. Both
#           readers take the numbers for angstroms: all distances 1.89 times too
#           large. They drop the cell of the comment line too, in bohr as well.
# Seen:
#   comment: # CELL(abcABC): 37.79452 37.79452 37.79452 90.00000 90.00000 90.00000 Step: 0 Bead: 0 positions{atomic_unit} cell{atomic_unit}
#   given 4 A; ASE 7.5589 A, cell [0. 0. 0.]; MDAnalysis 7.5589 A, cell None
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ipi==3.3.1 ase==3.29.0 MDAnalysis==2.11.0 numpy==2.4.6 scipy==1.17.1

cat > pair.xyz <<'XYZ'
2
# CELL(abcABC): 20 20 20 90 90 90 positions{angstrom} cell{angstrom}
Ar 0 0 0
Ar 4 0 0
XYZ
cat > input.xml <<'XML'
<simulation verbosity="quiet">
  <output prefix="run"><trajectory filename="pos" stride="1">positions</trajectory></output>
  <total_steps>1</total_steps>
  <ffdirect name="none" pbc="False"><pes>dummy</pes><parameters>{}</parameters></ffdirect>
  <system>
    <initialize nbeads="1">
      <file mode="xyz">pair.xyz</file>
      <velocities mode="manual">[0,0,0,0,0,0]</velocities>
    </initialize>
    <forces><force forcefield="none"/></forces>
    <motion mode="dynamics">
      <dynamics mode="nve"><timestep units="femtosecond">1</timestep></dynamics>
    </motion>
    <ensemble><temperature units="kelvin">300</temperature></ensemble>
  </system>
</simulation>
XML
venv/bin/i-pi input.xml > log 2>&1

venv/bin/python -W ignore - <<'PY'
import ase.io
import MDAnalysis

comment = open("run.pos_0.xyz").readlines()[1]
print("comment:", " ".join(comment.split()))
atoms = ase.io.read("run.pos_0.xyz")
universe = MDAnalysis.Universe("run.pos_0.xyz")
distance = float(universe.atoms.positions[1, 0] - universe.atoms.positions[0, 0])
print(f"given 4 A; ASE {atoms.get_distance(0, 1):.4f} A, cell {atoms.cell.lengths()}; "
      f"MDAnalysis {distance:.4f} A, cell {universe.dimensions}")
assert "positions{atomic_unit}" in comment, "CHANGED: i-PI writes another unit by default"
assert abs(atoms.get_distance(0, 1) - 7.5589) < 1e-3 and abs(distance - 7.5589) < 1e-3, "CHANGED: a reader"
assert not atoms.pbc.any() and universe.dimensions is None, "CHANGED: the cell is read"
print("as found")
PY
