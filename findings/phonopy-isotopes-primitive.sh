#!/usr/bin/env bash
#
# phonopy 4.10.0, a crystal whose sites differ only in the isotope.
#
# Expected: masses given with the cell are used, and two isotopes are two kinds of
#           atoms: bcc lithium with 6Li on the corners and 7Li in the centres
#           (like CsCl) has a primitive cell of two atoms and an optical gap.
# Happens:  since version 4 the primitive cell is 'auto', found from positions and
#           elements alone. Unit cell and supercell keep both masses, the primitive
#           cell has one atom, and the second isotope is gone from the dynamical
#           matrix. The only word is a warning about the new default, not about
#           masses. With primitive_matrix='P' both stay.
# Seen:
#   default:              primitive cell of 1, masses [6.015], supercell still has [6.015, 7.016]
#   primitive_matrix='P': primitive cell of 2, masses [6.015 7.016]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq phonopy==4.10.0 numpy==2.4.6 scipy==1.17.1

venv/bin/python -W ignore - <<'PY'
import numpy as np
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

lithium = PhonopyAtoms(symbols=["Li", "Li"], cell=3.5 * np.eye(3), masses=[6.015, 7.016],
                       scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]])


def springs(cell, constant=1.0):
    """Force constants of springs to the eight nearest neighbours, in eV/A^2."""
    x, n, edge = cell.scaled_positions, len(cell), np.diag(cell.cell)
    constants = np.zeros((n, n, 3, 3))
    for i in range(n):
        for j in range(n):
            d = x[j] - x[i]
            d = (d - np.round(d)) * edge
            if i != j and np.linalg.norm(d) < 3.2:
                e = d / np.linalg.norm(d)
                constants[i, j] -= constant * np.outer(e, e)
                constants[i, i] += constant * np.outer(e, e)
    return constants


def modes(**options):
    phonons = Phonopy(lithium, supercell_matrix=2 * np.eye(3, dtype=int), **options)
    phonons.force_constants = springs(phonons.supercell)
    phonons.run_qpoints([[0.5, 0.5, 0.5]] if len(phonons.primitive) == 2 else [[0.0, 0.0, 0.5]])
    masses = sorted(set(map(float, phonons.supercell.masses)))
    return len(phonons.primitive), phonons.primitive.masses, masses


count, masses, kept = modes()
print(f"default:              primitive cell of {count}, masses {masses}, supercell still has {kept}")
assert count == 1 and list(masses) == [6.015], "CHANGED: the primitive cell keeps the isotopes apart"
assert kept == [6.015, 7.016], "CHANGED: masses of the supercell"
count, masses, kept = modes(primitive_matrix="P")
print(f"primitive_matrix='P': primitive cell of {count}, masses {masses}")
assert count == 2 and list(masses) == [6.015, 7.016], "CHANGED: the control"
print("as found")
PY
