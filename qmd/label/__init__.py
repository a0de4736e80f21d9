"""`qmd label`: energies and forces of geometries by a reference method."""
