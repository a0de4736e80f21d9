"""Every conversion factor of the program; internal units are ASE's.

Energy eV, length angstrom, mass u; the time unit is angstrom sqrt(u/eV) = 10.18 fs, so that
force over mass is an acceleration and kernels hold no factors. Values: CODATA 2014, as in
`ase.units`, so that both programs agree to the last digit.
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
