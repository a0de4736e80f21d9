"""Hydrogen bonds between O, N and F, also across the faces of a cell."""

from itertools import groupby
from typing import NamedTuple

import numpy as np
from MDAnalysis.lib.distances import calc_angles

from qmd.analysis.condensed.pairs import near, reach
from qmd.analysis.series import Series
from qmd.system.cell import ISOLATED, minimum_image
from qmd.typing import Array, Integers

DISTANCE_A, ANGLE_DEG = 3.5, 150.0
"""Largest donor-acceptor distance and smallest donor-hydrogen-acceptor angle: the usual geometric
criterion (A. Luzar, D. Chandler, Nature 379, 55 (1996))."""
ELEMENTS = "O", "N", "F"
"""Donors and acceptors."""


class HydrogenBonds(NamedTuple):
    """Hydrogen bonds over the frames of a run."""

    mean: float
    """Mean number of hydrogen bonds per frame."""
    share_bonded: float
    """Fraction of the frames with one or more."""
    switches: int
    """Number of changes of the set of (hydrogen, acceptor) pairs from one frame to the next."""
    lifetime_ps: float | None
    """Mean lifetime of a bond, over those that form and break within the run; None if there are
    none."""
    counts: Array
    """Number of hydrogen bonds in each frame, (n_frames,)."""


def hydrogen_bonds(run: Series) -> HydrogenBonds | None:
    """Count hydrogen bonds; None without two molecules that have O, N or F, and hydrogen.

    The donor of a hydrogen is the O, N or F that it is bonded to at the start, however long the
    bond becomes. None in a cell so small that two images of an atom may be near enough.
    """
    heavy = np.array([i for i, symbol in enumerate(run.species) if symbol in ELEMENTS], np.int64)
    donors = _donors(run, set(heavy.tolist()))
    molecules = [atoms for atoms in run.molecules if set(atoms) & set(heavy.tolist())]
    if len(molecules) < 2 or not donors:
        return None
    if run.cells is not None and reach(run.cells) < DISTANCE_A:
        return None
    frames = [
        _bonds(run.positions[k], ISOLATED if run.cells is None else run.cells[k], heavy, donors)
        for k in range(len(run.times_ps))
    ]
    counts = np.array([len(bonds) for bonds in frames], float)
    return HydrogenBonds(
        float(counts.mean()),
        float((counts > 0).mean()),
        sum(a != b for a, b in zip(frames, frames[1:], strict=False)),
        _lifetime(frames, float(np.diff(run.times_ps).mean())),
        counts,
    )


def _donors(run: Series, heavy: set[int]) -> dict[int, list[int]]:
    """Return the hydrogens of each donor."""
    hydrogens: dict[int, list[int]] = {}
    for pair in run.bonds:
        for donor, hydrogen in (pair, pair[::-1]):
            if donor in heavy and run.species[hydrogen] == "H":
                hydrogens.setdefault(donor, []).append(hydrogen)
    return hydrogens


def _bonds(
    positions: Array, cell: Array, heavy: Integers, donors: dict[int, list[int]]
) -> frozenset[tuple[int, int]]:
    """Return the pairs of hydrogen and acceptor that are bonded in a frame."""
    i, j, _ = near(positions[heavy], cell, DISTANCE_A)
    pairs = [*zip(heavy[i].tolist(), heavy[j].tolist(), strict=True)]
    pairs += [pair[::-1] for pair in pairs]
    triples = np.array(
        [(d, h, a) for d, a in pairs for h in donors.get(d, ()) if h not in donors.get(a, ())],
        np.int64,
    ).reshape(-1, 3)
    if not len(triples):
        return frozenset()
    donor, hydrogen, acceptor = triples.T
    to_donor = minimum_image(positions[donor] - positions[hydrogen], cell)
    to_acceptor = minimum_image(positions[acceptor] - positions[hydrogen], cell)
    angles = np.degrees(calc_angles(to_donor, np.zeros_like(to_donor), to_acceptor))
    return frozenset(map(tuple, triples[angles > ANGLE_DEG, 1:].tolist()))


def _lifetime(frames: list[frozenset[tuple[int, int]]], interval_ps: float) -> float | None:
    """Return the mean length of the unbroken presences that begin and end within the run."""
    present: dict[tuple[int, int], list[int]] = {}
    for k, bonds in enumerate(frames):
        for bond in bonds:
            present.setdefault(bond, []).append(k)
    lengths = []
    for places in present.values():
        for _, members in groupby(enumerate(places), lambda item: item[1] - item[0]):
            stay = [place for _, place in members]
            if stay[0] > 0 and stay[-1] < len(frames) - 1:
                lengths.append(len(stay))
    return float(np.mean(lengths)) * interval_ps if lengths else None
