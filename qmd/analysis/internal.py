"""Bond lengths, angles and distances between molecules, frame by frame."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from MDAnalysis.lib.distances import calc_angles, calc_bonds

from qmd.analysis.series import Series
from qmd.typing import Array


class Coordinate(NamedTuple):
    """Like internal coordinates together, as atoms of one element look alike."""

    name: str
    """e.g. "O-H", "H-O-H", "O...O"."""
    unit: str
    """ "A" or "deg"."""
    values: Array
    """(n_frames, n_like)"""


def coordinates(run: Series) -> list[Coordinate]:
    """All bonds, angles between bonds, and distances between the heaviest atoms of molecules."""
    return list(of_positions(run, run.positions))


def of_positions(run: Series, positions: Array) -> Iterator[Coordinate]:
    """The same of other `positions` (n_frames, n_atoms, 3) of the atoms of `run`."""
    neighbours: dict[int, list[int]] = {}
    for i, j in run.bonds:
        neighbours.setdefault(i, []).append(j)
        neighbours.setdefault(j, []).append(i)
    angles = [
        (a, centre, b)
        for centre, ends in sorted(neighbours.items())
        for k, a in enumerate(sorted(ends))
        for b in sorted(ends)[k + 1 :]
    ]
    heavy = [max(atoms, key=lambda i: (run.masses[i], -i)) for atoms in run.molecules]
    apart = [(i, j) for k, i in enumerate(heavy) for j in heavy[k + 1 :]]
    yield from _grouped(run, positions, list(run.bonds), "-", "A")
    yield from _grouped(run, positions, angles, "-", "deg")
    yield from _grouped(run, positions, apart, "...", "A")


def _grouped(
    run: Series, positions: Array, places: Sequence[tuple[int, ...]], joint: str, unit: str
) -> Iterator[Coordinate]:
    like: dict[str, list[tuple[int, ...]]] = {}
    for atoms in places:
        forward = [run.species[i] for i in atoms]
        backward = forward[::-1]
        heavier = run.masses[atoms[0]] >= run.masses[atoms[-1]]
        name = joint.join(forward if heavier else backward)
        like.setdefault(name, []).append(atoms)
    for name, group in like.items():
        columns = [_values(positions, atoms) for atoms in group]
        yield Coordinate(name, unit, np.stack(columns, axis=1))


def _values(positions: Array, atoms: tuple[int, ...]) -> Array:
    points = [np.ascontiguousarray(positions[:, i]) for i in atoms]
    if len(atoms) == 2:
        return np.asarray(calc_bonds(*points))
    return np.asarray(np.degrees(calc_angles(*points)))
