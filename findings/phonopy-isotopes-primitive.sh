#!/usr/bin/env bash
#
# phonopy 4.10.0, a crystal whose sites differ only in the isotope.
#
# Expected: masses given with the cell are used, and two isotopes are two kinds of
#           atoms: bcc lithium with 6Li on the corners and 7Li in the centres
#           (like CsCl) has a primitive cell of two atoms.
# Happens:  since version 4 the primitive cell is 'auto', found from positions and
#           elements alone. Unit cell and supercell keep both masses, the primitive
#           cell has one atom, and the second isotope is gone from the dynamical
#           matrix: the optical mode comes out 3.8 percent too high. The only word is a
#           warning about the new default, not about masses. With
#           primitive_matrix='P' both stay.
# Seen:
#   default:              primitive cell has [6.015] u, supercell [6.015, 7.016] u, mode 14.721 THz
#   primitive_matrix='P': primitive cell has [6.015, 7.016] u, mode 14.186 THz
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -qq --no-compile phonopy==4.10.0 numpy==2.4.6 scipy==1.17.1

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


def modes(point, **options):
    phonons = Phonopy(lithium, supercell_matrix=2 * np.eye(3, dtype=int), **options)
    phonons.force_constants = springs(phonons.supercell)
    phonons.run_qpoints([point])
    top = float(phonons.qpoints.frequencies.max())
    masses = sorted(set(map(float, phonons.supercell.masses)))
    return list(map(float, phonons.primitive.masses)), masses, top


# The optical mode of the two-atom cell; in the one-atom cell it is folded out to point H.
found, kept, top = modes([0.5, -0.5, 0.5])
print(f"default:              primitive cell has {found} u, supercell {kept} u, mode {top:.3f} THz")
right, _, optical = modes([0, 0, 0], primitive_matrix="P")
print(f"primitive_matrix='P': primitive cell has {right} u, mode {optical:.3f} THz")
assert right == kept == [6.015, 7.016], "CHANGED: the control"
assert abs(top / optical - np.sqrt(2 / 6.015 / (1 / 6.015 + 1 / 7.016))) < 1e-3, "CHANGED: frequencies"
assert found == [6.015], "CHANGED: the primitive cell keeps the isotopes apart"
print("as found")
PY
