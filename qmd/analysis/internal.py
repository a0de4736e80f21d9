"""Bond lengths, angles and distances between molecules, frame by frame."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from MDAnalysis.lib.distances import calc_angles, calc_bonds

from qmd.analysis.series import Series
from qmd.typing import Array


class Coordinate(NamedTuple):
    """Internal coordinates between the same elements, which are indistinguishable."""

    name: str
    """Elements, e.g. "O-H", "H-O-H", "O...O"."""
    unit: str
    """Unit: "A" or "deg"."""
    values: Array
    """Values, (n_frames, n_equivalent)."""


def coordinates(run: Series) -> list[Coordinate]:
    """Return all bonds, angles between bonds, and distances between heaviest atoms of molecules."""
    return list(coordinates_at(run, run.positions))


def coordinates_at(run: Series, positions: Array) -> Iterator[Coordinate]:
    """Yield the coordinates at other `positions` (n_frames, n_atoms, 3) of the atoms of `run`."""
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
    distances = [(i, j) for k, i in enumerate(heavy) for j in heavy[k + 1 :]]
    yield from _grouped(run, positions, list(run.bonds), "-", "A")
    yield from _grouped(run, positions, angles, "-", "deg")
    yield from _grouped(run, positions, distances, "...", "A")


def _grouped(
    run: Series, positions: Array, tuples: Sequence[tuple[int, ...]], joint: str, unit: str
) -> Iterator[Coordinate]:
    groups: dict[str, list[tuple[int, ...]]] = {}
    for atoms in tuples:
        forward = [run.species[i] for i in atoms]
        backward = forward[::-1]
        heavier = run.masses[atoms[0]] >= run.masses[atoms[-1]]
        name = joint.join(forward if heavier else backward)
        groups.setdefault(name, []).append(atoms)
    for name, group in groups.items():
        columns = [_values(positions, atoms) for atoms in group]
        yield Coordinate(name, unit, np.stack(columns, axis=1))


def _values(positions: Array, atoms: tuple[int, ...]) -> Array:
    points = [np.ascontiguousarray(positions[:, i]) for i in atoms]
    if len(atoms) == 2:
        return np.asarray(calc_bonds(*points))
    return np.asarray(np.degrees(calc_angles(*points)))
