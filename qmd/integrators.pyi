"""Names of `qmd.integrators` for type checkers, from the folder `integrators/`."""

from integrators import *
