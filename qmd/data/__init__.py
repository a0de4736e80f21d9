"""Data sets of geometries, energies and forces, and the checks that they pass."""
