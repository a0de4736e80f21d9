"""The distances that a potential was trained on."""

from dataclasses import dataclass

import numpy as np


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
