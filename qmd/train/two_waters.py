"""From a trained interaction to a potential one can run: molecules, interaction, and a wall."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qmd.errors import MismatchError
from qmd.potentials import WATER_PAIRS, Domain, ManyBody, Package, ShortRangeWall, Sum
from qmd.typing import Array

UNBOUNDED_DISTANCE = 1000.0
"""angstrom; molecules beyond the switch do not interact, so that no distance is too long."""


@dataclass(frozen=True)
class Assembled:
    """Total energy of two molecules."""

    model: ManyBody
    reference: float
    """eV: twice that of the monomer."""
    domain: Domain


def two_waters(
    interaction: Any, monomer: Package, positions: Array, domain: Domain, stiffness: float
) -> Assembled:
    """``E1 + E1' + E2`` and a wall below the shortest distances of the data.

    The wall keeps a start that is inside the domain out of wells beyond it: a circuit is bounded,
    and knows nothing there.

    Parameters
    ----------
    interaction : Model
        Trained on E2.
    monomer : Package
        Of one water.
    positions : (n_frames, 6, 3)
        Training geometries, angstrom.
    domain : Domain
        Of the interaction; within a molecule that of the monomer is taken if it is narrower.
    stiffness : float
        Of the wall, eV/angstrom^3.

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
    """Within molecules that of the monomer, between them that of the pair without an upper end."""
    within = {tuple(sorted(p)): k for k, p in enumerate(monomer.pairs.tolist())}
    warn, stop = pair.warn.copy(), pair.stop.copy()
    for k, (a, b) in enumerate(pair.pairs.tolist()):
        if a // 3 == b // 3:
            same = within[tuple(sorted((a % 3, b % 3)))]
            warn[k], stop[k] = monomer.warn[same], monomer.stop[same]
        else:
            stop[k, 1] = UNBOUNDED_DISTANCE
    return replace(pair, warn=warn, stop=stop)
