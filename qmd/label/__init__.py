"""`qmd label`: energies and forces of geometries by a reference method."""

from qmd._command_package import make_callable

make_callable(__name__)
