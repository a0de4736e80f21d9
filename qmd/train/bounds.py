"""Domains of trained packages, and what their cards say of them."""

from typing import Any

import numpy as np

from qmd.data import domains
from qmd.potentials import Domain
from qmd.train.data import Data


def bound(data: Data, species: tuple[str, ...], *, by_elements: bool) -> Domain:
    """Return the domain of isolated training frames: a range for each pair of atoms or elements."""
    ranges = domains.of_elements if by_elements else domains.of_atoms
    return ranges(data.train.positions, species)


def bounds_card(
    domain: Domain, data: Data, species: tuple[str, ...], *, by_elements: bool
) -> dict[str, Any]:
    """Return what the card says of a domain: test frames beyond it, and a hydrogen pulled out.

    The hydrogen is the one that is noticed last when each of them leaves the training frame of
    least energy. Atoms count from 0.
    """
    card: dict[str, Any] = {
        "ranges_of": "pairs of elements" if by_elements else "pairs of atoms",
        "test_frames": len(data.test.energies),
        "test_frames_beyond_warning": int(domains.outside(domain, data.test.positions).sum()),
        "test_frames_beyond_stop": int(domains.beyond_stop(domain, data.test.positions).sum()),
    }
    lowest = data.train.positions[int(np.argmin(data.train.energies))]
    pulled = domains.last_noticed(domain, species, lowest)
    return card | ({} if pulled is None else {"hydrogen_noticed_last": pulled._asdict()})
