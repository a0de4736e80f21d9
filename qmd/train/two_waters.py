"""Total energy of two waters, which can be run: monomers, trained interaction, and a wall."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qmd.errors import MismatchError
from qmd.potentials import WATER_PAIRS, Domain, ManyBody, Package, ShortRangeWall, Sum
from qmd.typing import Array

UNBOUNDED_DISTANCE = 1000.0
"""Upper limit of the domain, angstrom; separated molecules do not interact, so none is too far."""


@dataclass(frozen=True)
class Assembled:
    """Total energy of two molecules."""

    model: ManyBody
    reference: float
    """Reference energy, eV: twice that of the monomer."""
    domain: Domain


def two_waters(
    interaction: Any, monomer: Package, positions: Array, domain: Domain, stiffness: float
) -> Assembled:
    """Return ``E1 + E1' + E2`` and a wall below the shortest distances of the data.

    The wall keeps a run that starts inside the domain out of spurious wells beyond it: the energy
    of a circuit is bounded, and was not trained there.

    Parameters
    ----------
    interaction : Model
        Model that was trained on E2.
    monomer : Package
        Potential of one water.
    positions : (n_frames, 6, 3)
        Training geometries, angstrom.
    domain : Domain
        Domain of the interaction; within a molecule that of the monomer is used.
    stiffness : float
        Stiffness of the wall, eV/angstrom^3.

    Raises
    ------
    MismatchError
        If the monomer is not water in the order O H H.
    """
    if monomer.species != ("O", "H", "H"):
        raise MismatchError(
            f"model.monomer is for {', '.join(monomer.species)}, but must be for O, H, H",
            hint="name a potential of one water",
        )
    i, j = np.array(WATER_PAIRS).T
    shortest = np.linalg.norm(positions[:, i] - positions[:, j], axis=2).min(axis=0)
    kinds = (i % 3 == 0).astype(int) + (j % 3 == 0)
    onsets = tuple(float(shortest[kinds == kind].min()) for kind in kinds)
    wall = ShortRangeWall(WATER_PAIRS, onsets, stiffness)
    return Assembled(
        ManyBody(monomer.model, Sum((interaction, wall))),
        2 * monomer.reference_energy_eV,
        _domain(monomer.domain, domain),
    )


def _domain(monomer: Domain, pair: Domain) -> Domain:
    """Join the domain of the monomer and that of the pair, without an upper end of the latter."""
    within = {tuple(sorted(p)): k for k, p in enumerate(monomer.pairs.tolist())}
    warn, stop = pair.warn.copy(), pair.stop.copy()
    for k, (a, b) in enumerate(pair.pairs.tolist()):
        if a // 3 == b // 3:
            same = within[tuple(sorted((a % 3, b % 3)))]
            warn[k], stop[k] = monomer.warn[same], monomer.stop[same]
        else:
            stop[k, 1] = UNBOUNDED_DISTANCE
    return replace(pair, warn=warn, stop=stop)
