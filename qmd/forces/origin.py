"""Origin of a potential: everything that a run records about it, apart from the forces."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmd.integrators import Limits
from qmd.potentials import Domain

UNBOUNDED_DOMAIN = Domain(np.zeros((0, 2), np.int64), np.zeros((0, 2)), np.zeros((0, 2)))
"""Domain of a potential that was not trained, or has no information about its training data."""

SLOPE_ERROR = 1e-3
"""`slope_error` (eV/angstrom) of functions that iterate, or compute in single precision: energies
that converge to 1e-10 hartree, differences over 2e-4 angstrom."""


def domain_limits(domain: Domain, species: Sequence[str], in_cell: bool) -> Limits:
    """Return limits of the distances alone.

    In a cell, atoms and images of any two elements keep the least distance that the domain has for
    them; pairs with a largest distance, too, keep their own, that of their nearest images.

    Parameters
    ----------
    domain : Domain
    species : sequence of str
        Chemical symbols of the atoms.
    in_cell : bool
        True if any direction is periodic.
    """
    limits = Limits(np.inf, np.inf, domain.pairs, domain.warn, domain.stop)
    if not (in_cell and len(domain.pairs)):
        return limits
    kinds, least = domain.least(species)
    pairs, warn, stop = (
        array[domain.bounded] for array in (domain.pairs, domain.warn, domain.stop)
    )
    return Limits(np.inf, np.inf, pairs, warn, stop, kinds, least)


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
    warning: str = ""
    """One line about atoms that the potential was not trained on, if it was not."""
