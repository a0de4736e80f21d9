"""What type checkers read for `qmd.integrators`, mapped from the folder `integrators/`."""

from integrators import *
