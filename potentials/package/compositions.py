"""Other atoms than those of a training: their kinds, their zero of energies, their domain."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from .domain import BEYOND_A, Domain

MAX_WATCHED = 512
"""Largest number of atoms, other than those of the training, whose pairs are all named; of more
atoms, one pair of each two elements, by which a cell watches all (`Domain.least`)."""
ROUNDING = 1e-9
"""Of numbers of atoms that are sums of others."""


class Molecule(NamedTuple):
    """Atoms of a training."""

    species: tuple[str, ...]
    kinds: tuple[int, ...]
    reference_energy_eV: float
    domain: Domain


def kinds_of_elements(molecules: Sequence[Molecule]) -> dict[str, int]:
    """Return the kind of each element of some molecules; nothing if one element has several."""
    known = {pair for m in molecules for pair in zip(m.species, m.kinds, strict=True)}
    kinds = dict(sorted(known))
    return kinds if len(kinds) == len(known) else {}


def have_met(species: Sequence[str], molecules: Sequence[Molecule]) -> bool:
    """Return True if each two elements of some atoms are together in one of the molecules."""
    known: set[tuple[str, str]] = set()
    return _neighbours(species) <= known.union(*(_neighbours(m.species) for m in molecules))


def _neighbours(species: Sequence[str]) -> set[tuple[str, str]]:
    counts = Counter(species)
    alike = {(symbol, symbol) for symbol, number in counts.items() if number > 1}
    return alike | set(combinations(sorted(counts), 2))


def is_multiple(species: Sequence[str], molecules: Sequence[Molecule]) -> bool:
    """Return True if some atoms have the composition of a molecule, or are several of it."""
    return any(_share(species, m.species) is not None for m in molecules)


def _share(species: Sequence[str], of: Sequence[str]) -> float | None:
    """Return how many times the composition `of` some atoms have; None for another composition."""
    counts, own = Counter(species), Counter(of)
    if all(counts[s] * len(of) == own[s] * len(species) for s in counts | own):
        return len(species) / len(of)
    return None


def zero(species: Sequence[str], molecules: Sequence[Molecule]) -> float:
    """Return the energy (eV) of the labels at the zero of a model; NaN where they do not tell it.

    The zeros of the molecules tell it for atoms whose composition is a sum of theirs: a model of
    atoms is trained up to a constant for each element, which the zeros of the molecules make up
    for. With as many molecules as elements, as a rule, they tell the energy of each element.
    """
    for m in molecules:
        if _share(species, m.species) is not None:
            return m.reference_energy_eV * len(species) / len(m.species)
    elements = sorted({symbol for m in molecules for symbol in m.species})
    if not set(species) <= set(elements):
        return math.nan
    known = np.array([[m.species.count(symbol) for symbol in elements] for m in molecules], float)
    wanted = np.array([list(species).count(symbol) for symbol in elements], float)
    shares = np.linalg.lstsq(known.T, wanted, rcond=None)[0]
    if np.abs(shares @ known - wanted).max() > ROUNDING * len(species):
        return math.nan
    return math.fsum(w * m.reference_energy_eV for w, m in zip(shares, molecules, strict=True))


def closest(species: Sequence[str], molecules: Sequence[Molecule]) -> Domain:
    """Return the domain of any atoms: the least distances of all molecules, by two elements."""
    lows: dict[tuple[str, ...], tuple[float, float]] = {}
    for m in molecules:
        for (i, j), warn, stop in zip(m.domain.pairs, m.domain.warn, m.domain.stop, strict=True):
            pair = tuple(sorted((m.species[i], m.species[j])))
            low = lows.get(pair, (math.inf, math.inf))
            lows[pair] = min(low[0], float(warn[0])), min(low[1], float(stop[0]))
    names, kinds = np.unique(np.array(species), return_inverse=True)
    least = np.array(
        [[lows.get(tuple(sorted((a, b))), (math.inf,) * 2) for b in names] for a in names.tolist()]
    )
    pairs = _watched(species)
    bounds = least[kinds[pairs[:, 0]], kinds[pairs[:, 1]]]
    known = np.isfinite(bounds[:, 0])
    far = np.full(int(known.sum()), BEYOND_A)
    warn, stop = (np.stack([low, far], axis=1) for low in bounds[known].T)
    return Domain(pairs[known], warn, stop)


def _watched(species: Sequence[str]) -> np.ndarray:
    """Return all pairs of atoms (n_pairs, 2); of many atoms, one pair of each two elements."""
    if len(species) <= MAX_WATCHED:
        return np.stack(np.triu_indices(len(species), 1), axis=1).astype(np.int64)
    atoms: dict[str, list[int]] = {}
    for atom, symbol in enumerate(species):
        atoms.setdefault(symbol, []).append(atom)
    alike = [(found[0], found[1]) for found in atoms.values() if len(found) > 1]
    firsts = [found[0] for found in atoms.values()]
    return np.array([*alike, *combinations(firsts, 2)], np.int64).reshape(-1, 2)
