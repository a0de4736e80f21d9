"""Hydrogen bonds between molecules, by MDAnalysis."""

import warnings
from os import PathLike
from typing import NamedTuple

import numpy as np

DISTANCE_A, ANGLE_DEG = 3.5, 150.0
"""Largest donor-acceptor distance and smallest donor-hydrogen-acceptor angle: the usual geometric
criterion (A. Luzar, D. Chandler, Nature 379, 55 (1996))."""


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


def hydrogen_bonds(
    run_dir: str | PathLike[str], replica: int | None = None
) -> HydrogenBonds | None:
    """Count hydrogen bonds; None without two molecules that have O, N or F, and hydrogen."""
    from MDAnalysis.analysis.hydrogenbonds import HydrogenBondAnalysis

    import qmd

    universe = qmd.load(run_dir, replica)
    heavy = universe.select_atoms("element O N F")
    hydrogens = [h for h in universe.select_atoms("element H") if set(h.bonded_atoms) & set(heavy)]
    if len(heavy.fragments) < 2 or not hydrogens:
        return None
    chosen = universe.atoms[[h.index for h in hydrogens]]
    text = "index " + " ".join(str(i) for i in chosen.indices)
    analysis = HydrogenBondAnalysis(
        universe, donors_sel=None, hydrogens_sel=text, acceptors_sel="element O N F",
        d_a_cutoff=DISTANCE_A, d_h_a_angle_cutoff=ANGLE_DEG,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about frames without a bond
        analysis.run()
    n, interval = len(universe.trajectory), float(universe.trajectory.dt)
    bonded = np.zeros((n, universe.atoms.n_atoms, universe.atoms.n_atoms), bool)
    for frame, _, hydrogen, acceptor, *_ in analysis.results.hbonds:
        bonded[int(frame), int(hydrogen), int(acceptor)] = True
    pairs = bonded.reshape(n, -1)
    pairs = pairs[:, pairs.any(axis=0)]
    counts = pairs.sum(axis=1)
    return HydrogenBonds(
        float(counts.mean()),
        float((counts > 0).mean()),
        int((pairs[1:] != pairs[:-1]).any(axis=1).sum()),
        _lifetime(pairs, interval),
    )


def _lifetime(pairs: np.ndarray, interval_ps: float) -> float | None:
    lengths: list[int] = []
    for column in pairs.T:
        edges = np.flatnonzero(np.diff(column.astype(int)))
        begins = edges[column[edges + 1]]
        for begin in begins:
            later = edges[edges > begin]
            if len(later):
                lengths.append(int(later[0] - begin))
    return float(np.mean(lengths)) * interval_ps if lengths else None
