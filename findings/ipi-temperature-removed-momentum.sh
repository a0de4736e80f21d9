#!/usr/bin/env bash
#
# i-PI 3.3.1, the output property "temperature".
#
# Expected: the temperature of the kinetic energy: 0 K for atoms at rest, as its
#           description in the output's header says.
# Happens:  with the centre of mass held (the default) the three missing degrees
#           of freedom are put in at the ensemble's target temperature, at constant energy
#           too, where that target has no effect on the motion. Four atoms at rest
#           print 75 K for a target of 300 K; "kinetic_md" of the same line is 0.
# Seen:
#   four atoms at rest, NVE, target 300 K: temperature 75.0 K, kinetic_md 0.0 eV
#   four atoms at rest, NVE, target 600 K: temperature 150.0 K, kinetic_md 0.0 eV
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile ipi==3.3.1 numpy==2.4.6 scipy==1.17.1

cat > rest.xyz <<'XYZ'
4
# CELL(abcABC): 20 20 20 90 90 90 positions{angstrom} cell{angstrom}
Ar 0 0 0
Ar 5 0 0
Ar 0 5 0
Ar 0 0 5
XYZ

for target in 300 600; do
    cat > input.xml <<XML
<simulation verbosity="quiet">
  <output prefix="at$target">
    <properties stride="1" filename="out">[step, temperature{kelvin}, kinetic_md{electronvolt}]</properties>
  </output>
  <total_steps>2</total_steps>
  <ffdirect name="none" pbc="False"><pes>dummy</pes><parameters>{}</parameters></ffdirect>
  <system>
    <initialize nbeads="1">
      <file mode="xyz">rest.xyz</file>
      <velocities mode="manual">[0,0,0,0,0,0,0,0,0,0,0,0]</velocities>
    </initialize>
    <forces><force forcefield="none"/></forces>
    <motion mode="dynamics">
      <dynamics mode="nve"><timestep units="femtosecond">1</timestep></dynamics>
    </motion>
    <ensemble><temperature units="kelvin">$target</temperature></ensemble>
  </system>
</simulation>
XML
    venv/bin/i-pi input.xml > "log$target" 2>&1
done

venv/bin/python - <<'PY'
import numpy as np

for target in (300, 600):
    _, temperature, kinetic = np.loadtxt(f"at{target}.out")[-1]
    print(f"four atoms at rest, NVE, target {target} K: temperature {temperature:.1f} K, kinetic_md {kinetic:.1f} eV")
    assert kinetic == 0, "CHANGED: the atoms move"
    assert abs(temperature - target / 4) < 1e-6, "CHANGED: temperature of atoms at rest"
print("as found")
PY
