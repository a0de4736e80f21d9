"""Search for the best settings of a training; call the package like the command `qmd tune`."""

from qmd._command_package import make_callable

make_callable(__name__)
