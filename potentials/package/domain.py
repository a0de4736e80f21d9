"""The distances that a potential was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BEYOND_A = 1e6
"""Upper bound (angstrom) of a distance that has none: atoms apart do not interact."""


@dataclass(frozen=True)
class Domain:
    """Interatomic distances (angstrom) that the training data covers.

    Outside `warn` a run reports, outside `stop` it ends.

    Raises
    ------
    ValueError
        If the shapes disagree, or if ``stop low <= warn low <= warn high <= stop high`` does not
        hold for each pair.
    """

    pairs: np.ndarray
    """Atom indices, int, (n_pairs, 2)."""
    warn: np.ndarray
    """Shortest and longest distance in the data, (n_pairs, 2)."""
    stop: np.ndarray
    """(n_pairs, 2), not narrower than `warn`."""

    def __post_init__(self) -> None:
        if not self.pairs.shape == self.warn.shape == self.stop.shape == (len(self.pairs), 2):
            raise ValueError(
                f"`pairs`, `warn` and `stop` must have shape (n_pairs, 2), but they have "
                f"{self.pairs.shape}, {self.warn.shape} and {self.stop.shape}."
            )
        bounds = np.stack([self.stop[:, 0], *self.warn.T, self.stop[:, 1]])
        if not (np.isfinite(bounds).all() and (np.diff(bounds, axis=0) >= 0).all()):
            raise ValueError("`stop` must be finite and enclose `warn` for every pair.")

    @property
    def bounded(self) -> np.ndarray:
        """Mask of the pairs whose distance has an upper bound."""
        bounded: np.ndarray = self.stop[:, 1] < BEYOND_A
        return bounded

    def least(self, species: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the least distances of elements: what images across the faces of a cell may have.

        Parameters
        ----------
        species : sequence of str
            Chemical symbols of the atoms.

        Returns
        -------
        kinds : int array, shape (n_atoms,)
            Number of the element of each atom.
        least : array, shape (n_kinds, n_kinds, 2)
            Least distance (angstrom) of two elements in any pair of theirs, to warn and to stop;
            0 without a pair.
        """
        names, kinds = np.unique(np.array(species), return_inverse=True)
        lows = np.full((len(names), len(names), 2), np.inf)
        a, b = kinds[self.pairs.T]
        for k, bounds in enumerate((self.warn, self.stop)):
            np.minimum.at(lows[..., k], (a, b), bounds[:, 0])
            np.minimum.at(lows[..., k], (b, a), bounds[:, 0])
        lows[np.isinf(lows)] = 0.0
        return kinds.astype(np.int64), lows
