"""`qmd run`: set up, integrate, report, resume."""

from qmd._command_package import make_callable

make_callable(__name__)
