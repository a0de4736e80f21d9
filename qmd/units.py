"""Every conversion factor of the program; internal units are ASE's.

Energy eV, length angstrom, mass u; the time unit is angstrom sqrt(u/eV) = 10.18 fs, so that
force over mass is an acceleration and kernels hold no factors. Values: CODATA 2014, as in
`ase.units`, so that both programs agree to the last digit.

Two pairs are of CODATA 2018, since published numbers rest on them: the factors of the reference
methods below, which are PySCF's, and those of classical potentials, `qmd.potentials.constants`.
The sets differ by 1e-8 in these factors.
"""

_e, _amu, _kB, _Na = 1.6021766208e-19, 1.660539040e-27, 1.38064852e-23, 6.022140857e23

CODATA = "2014"
fs = 1e-5 * (_e / _amu) ** 0.5
"""One femtosecond in internal time."""
ps = 1000 * fs
"""One picosecond in internal time."""
kB = _kB / _e
"""Boltzmann constant, eV/K."""
kcal_per_mol = 4184 / _Na / _e
"""One kcal/mol in eV (thermochemical calorie)."""
kJ_per_mol = 1000 / _Na / _e
"""One kJ/mol in eV."""
hartree = 27.211386024367243
"""One hartree in eV, for labels in a file."""
bohr = 0.5291772105638411
"""One bohr in angstrom, for labels in a file."""
nm = 10.0
"""One nanometre in angstrom."""
GPa = 1e-21 / _e
"""One gigapascal in eV/A^3."""
bar = 1e-4 * GPa
"""One bar in eV/A^3."""
g_per_cm3 = 1e-27 / _amu
"""One gram per cubic centimetre in u/A^3."""

pyscf_hartree = 27.211386245988
"""One hartree in eV, for the methods `dft` and `fci` (CODATA 2018)."""
pyscf_bohr = 0.529177210903
"""One bohr in angstrom, for the methods `dft` and `fci` (CODATA 2018)."""
