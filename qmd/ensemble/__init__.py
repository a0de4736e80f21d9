"""`qmd ensemble`: many runs of one input."""

from qmd._command_package import make_callable

make_callable(__name__)
