"""Domains of trained packages, and what their cards say of them."""

from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np

from qmd.data import domains
from qmd.integrators import neighbour_pairs
from qmd.potentials import BEYOND_A, Domain
from qmd.train.data import Data
from qmd.train.problem import Frames

NEAREST_A = 4.0
"""Distance (angstrom) up to which the nearest atoms in a cell are looked for."""


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


def in_cells(frames: Frames, species: tuple[str, ...]) -> Domain:
    """Return the least distances of elements in cells, each for one pair of atoms that has them.

    `Package.on` takes them to all pairs of other atoms. Nothing is too far in a cell.

    Parameters
    ----------
    frames : Frames
        Of cells.
    species : tuple of str
    """
    known = tuple(sorted(set(species)))
    kinds = np.tile([known.index(symbol) for symbol in species], (len(frames.energies), 1))
    return of_compositions(frames._replace(kinds=kinds), known, species)


def of_compositions(frames: Frames, elements: tuple[str, ...], species: tuple[str, ...]) -> Domain:
    """Return the least distances of elements in frames of many compositions.

    Parameters
    ----------
    frames : Frames
        With `kinds`.
    elements : tuple of str
        Elements in the order of `kinds`.
    species : tuple of str
        Atoms of the domain; pairs of elements that these do not have are left out.
    """
    lows: dict[tuple[str, str], float] = {}
    cells = np.zeros((len(frames.energies), 3, 3)) if frames.cells is None else frames.cells
    for positions, cell, of, n in zip(
        frames.positions, cells, frames.kinds, frames.n_atoms, strict=True
    ):
        x, kinds = positions[:n], np.array(elements)[of[:n]]
        i, j, shifts = neighbour_pairs(x, cell, NEAREST_A)
        lengths = np.linalg.norm(x[j] - x[i] + shifts @ cell, axis=1)
        for pair in combinations_with_replacement(sorted(set(species)), 2):
            both = (kinds[i] == pair[0]) & (kinds[j] == pair[1])
            both |= (kinds[i] == pair[1]) & (kinds[j] == pair[0])
            if both.any():
                lows[pair] = min(lows.get(pair, np.inf), float(lengths[both].min()))
    atoms = {
        tuple(sorted((species[i], species[j]))): (i, j)
        for i, j in reversed(list(combinations(range(len(species)), 2)))
    }
    named = [(atoms[pair], low) for pair, low in lows.items() if pair in atoms]
    warn = np.array([(low, BEYOND_A) for _, low in named]).reshape(-1, 2)
    pairs = np.array([pair for pair, _ in named], np.int64).reshape(-1, 2)
    margin = np.maximum(domains.STOP_MARGIN * warn[:, 0], domains.LEAST_MARGIN_IN_CELLS_A)
    return Domain(pairs, warn, warn - np.stack([margin, np.zeros_like(margin)], axis=1))


def bounds_card_in_cells(domain: Domain, species: tuple[str, ...]) -> dict[str, Any]:
    """Return what the card says of a domain in cells: least distances (angstrom) of elements."""
    each = zip(domain.pairs, domain.warn[:, 0], domain.stop[:, 0], strict=True)
    named = {"-".join(sorted((species[i], species[j]))): (w, s) for (i, j), w, s in each}
    return {
        "ranges_of": "least distances of elements",
        "least_A": {
            name: {"warns_below": round(float(warn), 3), "stops_below": round(float(stop), 3)}
            for name, (warn, stop) in sorted(named.items())
        },
    }
