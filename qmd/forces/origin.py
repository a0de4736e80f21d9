"""What a run knows of its potential besides the forces."""

from dataclasses import dataclass

import numpy as np

from qmd.potentials import Domain

UNBOUNDED_DOMAIN = Domain(np.zeros((0, 2), np.int64), np.zeros((0, 2)), np.zeros((0, 2)))
"""The domain of a potential that was not trained, or does not say on what."""

SLOPE_ERROR = 1e-3
"""`slope_error` (eV/angstrom) of functions that iterate, or compute in single precision: energies
that converge to 1e-10 hartree, differences over 2e-4 angstrom."""


@dataclass(frozen=True, eq=False)
class PotentialOrigin:
    """Where the forces of a run come from, as its record and its checkpoints know it."""

    name: str
    sha256: str
    """Of the package, or of all that makes another potential what it is."""
    citation: str
    reference_energy_eV: float
    needs: tuple[str, ...]
    """Installed packages on whose versions the bits of a trajectory depend, besides qmd's own."""
    domain: Domain
    slope_error: float = 1e-5
    """Largest difference (eV/angstrom) between a force and the slope of the energy at the start."""
