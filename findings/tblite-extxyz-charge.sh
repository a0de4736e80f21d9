#!/usr/bin/env bash
#
# A charged molecule between tblite 0.8.0 and extended XYZ of ASE 3.29.0.
#
# Expected: a labelled hydronium ion, written to a file and read back, is computed as
#           the ion again; "charge" in the comment line, as data sets have it, counts.
# Happens:  the calculator's charge goes into no file, and atoms.info["charge"] (and
#           "spin") are not looked at: tblite takes the sum of initial charges, or its
#           own keyword. The same frame is then the neutral radical, 4.9 eV away, and the
#           odd number of electrons is accepted in silence.
# Seen:
#   hydronium, charge=1 given to tblite:         -138.456 eV
#   label in the file (info: {'charge': np.int64(1)}): -138.456 eV
#   frame of the file, computed again:           -143.405 eV
#   with the charge spread as initial charges:   -138.456 eV
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile tblite==0.8.0 ase==3.29.0 numpy==2.4.6 scipy==1.17.1

OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PY'
import ase.io
from ase import Atoms
from tblite.ase import TBLite


def energy(atoms, **options):
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0, **options)
    return atoms.get_potential_energy()


ion = Atoms("OH3", positions=[[0, 0, 0.08], [0.94, 0, -0.2], [-0.47, 0.814, -0.2], [-0.47, -0.814, -0.2]])
ion.info["charge"] = 1
charged = energy(ion, charge=1)
ion.get_forces()
ase.io.write("ion.xyz", ion, format="extxyz")
again = ase.io.read("ion.xyz")
kept = again.calc.results["energy"]
silent = energy(again)
by_hand = ase.io.read("ion.xyz")
by_hand.set_initial_charges([again.info["charge"] / 4] * 4)
mended = energy(by_hand)
print(f"hydronium, charge=1 given to tblite:         {charged:.3f} eV")
print(f"label in the file (info: {dict(again.info)}): {float(kept):.3f} eV")
print(f"frame of the file, computed again:           {silent:.3f} eV")
print(f"with the charge spread as initial charges:   {mended:.3f} eV")
assert abs(charged - kept) < 1e-4 and abs(charged - mended) < 1e-4, "CHANGED: a control"
assert silent < charged - 4, "CHANGED: the charge of the frame counts"
print("as found")
PY
