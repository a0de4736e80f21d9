"""Domains: the distances of training frames, and geometries inside and outside of them."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers, covalent_radii

from qmd.potentials import Domain
from qmd.system import topology
from qmd.typing import Array, Integers

STOP_MARGIN = 0.05
"""Margin from the warning to the stop level, as a fraction of the range of a distance."""
LEAST_MARGIN_A = 0.2
"""Least margin (angstrom) where each pair of atoms has a range of its own. Vibrations at the
temperature of the data go beyond the range of a thousand frames by chance: ethanol at 500 K by 0.05
angstrom in 4 of 10,000 states, by 0.1 in 2 of 100,000."""
LEAST_MARGIN_IN_CELLS_A = 0.15
"""Least margin (angstrom) below the least distances of elements in cells. Rare vibrations of many
molecules go below those of some hundred frames: the least H-H, O-H and O-O of the frames of
docs/liquid.md at 330 K are 1.271, 0.871 and 2.283 angstrom, those of 267 frames of DFT 1.338, 0.876
and 2.352."""
FARTHEST_PULL_A, PULL_STEP_A = 5.0, 0.01


class PulledOut(NamedTuple):
    """The hydrogen whose way out is noticed last, and where."""

    atom: int
    warns_after_A: float
    """How far it has moved when it leaves the warning level; `FARTHEST_PULL_A` if it does not."""
    stops_after_A: float


def of_atoms(positions: Array, species: tuple[str, ...]) -> Domain:
    """Return the ranges of the distances of each pair of atoms.

    Pairs that an exchange of like atoms of the molecule takes into each other share a range, since
    a trajectory may exchange them: the hydrogens of a methyl group, or two waters. Bonds are those
    that most of the frames have.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3)
        In angstrom.
    species : tuple of str
        Chemical symbols of the atoms.
    """
    numbers = np.array([atomic_numbers[symbol] for symbol in species])
    pairs, lengths = _lengths(positions)
    i, j = pairs.T
    reach = topology.BOND_FACTOR * (covalent_radii[numbers[i]] + covalent_radii[numbers[j]])
    bonds = pairs[(lengths < reach).mean(axis=0) > 0.5]
    kinds = topology.alike_pairs(numbers, bonds)[i, j]
    return _ranges(pairs, lengths, kinds, LEAST_MARGIN_A)


def of_elements(positions: Array, species: tuple[str, ...]) -> Domain:
    """Return the ranges of the distances of each pair of elements.

    Distances within a molecule of the first frame and between its molecules have ranges of their
    own. Parameters as in `of_atoms`.
    """
    numbers = np.array([atomic_numbers[symbol] for symbol in species])
    molecules = topology.fragments(len(species), topology.bonds(numbers, positions[0]))
    molecule_of = np.empty(len(species), np.int64)
    for number, atoms in enumerate(molecules):
        molecule_of[atoms] = number
    pairs, lengths = _lengths(positions)
    both = np.sort(numbers[pairs], axis=1)
    together = molecule_of[pairs[:, 0]] == molecule_of[pairs[:, 1]]
    kinds = np.unique(np.column_stack([both, together]), axis=0, return_inverse=True)[1].ravel()
    return _ranges(pairs, lengths, kinds, 0.0)


def _lengths(positions: Array) -> tuple[Integers, Array]:
    """Return all pairs (n_pairs, 2) of atoms, and their distances (n_frames, n_pairs)."""
    pairs = np.array(list(combinations(range(positions.shape[1]), 2)), np.int64).reshape(-1, 2)
    return pairs, np.linalg.norm(positions[:, pairs[:, 0]] - positions[:, pairs[:, 1]], axis=2)


def _ranges(pairs: Integers, lengths: Array, kinds: Integers, least: float) -> Domain:
    """Return the domain where all pairs of a kind share the range of their lengths."""
    warn = np.empty((len(pairs), 2))
    for kind in np.unique(kinds):
        same = kinds == kind
        warn[same] = lengths[:, same].min(), lengths[:, same].max()
    margin = np.maximum(STOP_MARGIN * (warn[:, 1] - warn[:, 0]), least)
    return Domain(pairs, warn, warn + np.stack([-margin, margin], axis=1))


def outside(domain: Domain, positions: Array) -> npt.NDArray[np.bool_]:
    """Return a mask of the geometries (n, n_atoms, 3) that leave the range of the training data."""
    return _beyond(domain.warn, distances(domain, positions))


def beyond_stop(domain: Domain, positions: Array) -> npt.NDArray[np.bool_]:
    """Return a mask of the geometries (n, n_atoms, 3) at which a run would stop."""
    return _beyond(domain.stop, distances(domain, positions))


def _beyond(bounds: Array, found: Array) -> npt.NDArray[np.bool_]:
    strays: npt.NDArray[np.bool_] = (found < bounds[:, 0]) | (found > bounds[:, 1])
    return np.asarray(strays.any(axis=1))


def distances(domain: Domain, positions: Array) -> Array:
    """Return the distances (n, n_pairs), angstrom, that the domain bounds."""
    i, j = domain.pairs.T
    between: Array = np.linalg.norm(positions[:, i] - positions[:, j], axis=2)
    return between


def pull(positions: Array, atom: int, by_A: Array) -> Array:
    """Return positions (n, n_atoms, 3) with an atom moved away from its nearest one by `by_A` (n,).

    Distances and positions (n_atoms, 3) are in angstrom.
    """
    between = np.linalg.norm(positions - positions[atom], axis=1)
    between[atom] = np.inf
    arm = positions[atom] - positions[between.argmin()]
    moved = np.repeat(positions[None], len(by_A), axis=0)
    moved[:, atom] += by_A[:, None] * arm / np.linalg.norm(arm)
    return moved


def last_noticed(domain: Domain, species: tuple[str, ...], positions: Array) -> PulledOut | None:
    """Pull each hydrogen away from its nearest atom; return the one that is noticed last.

    Parameters
    ----------
    domain : Domain
    species : tuple of str
    positions : (n_atoms, 3)
        Geometry to begin with, angstrom.

    Returns
    -------
    PulledOut or None
        None without hydrogen.
    """
    by = np.linspace(0.0, FARTHEST_PULL_A, round(FARTHEST_PULL_A / PULL_STEP_A) + 1)
    found = []
    for atom in (index for index, symbol in enumerate(species) if symbol == "H"):
        moved = pull(positions, atom, by)
        warns, stops = (
            float(by[beyond.argmax()]) if beyond.any() else FARTHEST_PULL_A
            for beyond in (outside(domain, moved), beyond_stop(domain, moved))
        )
        found.append((round(warns, 2), round(stops, 2), atom))
    if not found:
        return None
    warns, stops, atom = max(found)
    return PulledOut(atom, warns, stops)
