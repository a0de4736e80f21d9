"""`qmd benchmark`: potentials by systems by measures, with tables and report."""

from qmd._command_package import make_callable

make_callable(__name__)
