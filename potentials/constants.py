"""Physical constants of classical potentials, in eV and angstrom: CODATA 2018.

Shipped packages and published numbers depend on these values. `qmd.units` has the factors of the
program, of CODATA 2014, from which they differ by 1e-8; a test compares both with those of SciPy.
"""

COULOMB = 14.399645478
"""Coulomb's constant e^2 / (4 pi eps_0), eV angstrom."""
KCAL_PER_MOL = 4184 / 96485.33212
"""One kcal/mol in eV: the thermochemical calorie over the Faraday constant."""
