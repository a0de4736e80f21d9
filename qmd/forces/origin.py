"""Origin of a potential: everything that a run records about it, apart from the forces."""

from dataclasses import dataclass

import numpy as np

from qmd.potentials import Domain

UNBOUNDED_DOMAIN = Domain(np.zeros((0, 2), np.int64), np.zeros((0, 2)), np.zeros((0, 2)))
"""Domain of a potential that was not trained, or has no information about its training data."""

SLOPE_ERROR = 1e-3
"""`slope_error` (eV/angstrom) of functions that iterate, or compute in single precision: energies
that converge to 1e-10 hartree, differences over 2e-4 angstrom."""


@dataclass(frozen=True, eq=False)
class PotentialOrigin:
    """Origin of the forces of a run, as its record and its checkpoints identify it."""

    name: str
    sha256: str
    """SHA-256 of the package, or of everything that determines another potential."""
    citation: str
    reference_energy_eV: float
    needs: tuple[str, ...]
    """Further installed packages on whose versions the bits of a trajectory depend."""
    domain: Domain
    slope_error: float = 1e-5
    """Largest difference (eV/angstrom) between a force and the slope of the energy at the start."""
