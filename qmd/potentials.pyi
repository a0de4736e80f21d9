"""Names of `qmd.potentials` for type checkers, from the folder `potentials/`."""

from potentials import *
from potentials import families as families
