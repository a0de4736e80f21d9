"""Geometries inside and outside the domain of a potential."""

import numpy as np
import numpy.typing as npt

from qmd.potentials import Domain
from qmd.typing import Array


def outside(domain: Domain, positions: Array) -> npt.NDArray[np.bool_]:
    """Return a mask of the geometries (n, n_atoms, 3) that leave the range of the training data."""
    found = distances(domain, positions)
    strays: npt.NDArray[np.bool_] = (found < domain.warn[:, 0]) | (found > domain.warn[:, 1])
    return np.asarray(strays.any(axis=1))


def distances(domain: Domain, positions: Array) -> Array:
    """Return the distances (n, n_pairs), angstrom, that the domain bounds."""
    i, j = domain.pairs.T
    between: Array = np.linalg.norm(positions[:, i] - positions[:, j], axis=2)
    return between
