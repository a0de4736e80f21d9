"""What type checkers read for `qmd.potentials`, mapped from the folder `potentials/`."""

from potentials import *
