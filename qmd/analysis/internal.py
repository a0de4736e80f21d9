"""Bond lengths, angles and distances between molecules, frame by frame.

In a cell, bonds reach across its faces; distances between molecules are left to `radial`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from MDAnalysis.lib.distances import calc_angles, calc_bonds

from qmd.analysis.series import Series
from qmd.system.cell import minimum_image
from qmd.typing import Array, Integers

MAX_VALUES = 5_000_000
"""Largest number of values of a group; frames of longer runs are thinned evenly."""
MAX_ANGLES_PER_ATOM = 10
"""In a cell, atoms with more have the neighbours of a metal: no angles are listed."""


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
    return list(coordinates_at(run, run.positions, run.cells))


def coordinates_at(
    run: Series, positions: Array, cells: Array | None = None
) -> Iterator[Coordinate]:
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
    yield from _grouped(run, positions, cells, list(run.bonds), "-", "A")
    if cells is None or len(angles) <= MAX_ANGLES_PER_ATOM * run.n_atoms:
        yield from _grouped(run, positions, cells, angles, "-", "deg")
    if cells is None:
        heavy = [max(atoms, key=lambda i: (run.masses[i], -i)) for atoms in run.molecules]
        distances = [(i, j) for k, i in enumerate(heavy) for j in heavy[k + 1 :]]
        yield from _grouped(run, positions, cells, distances, "...", "A")


def _grouped(
    run: Series,
    positions: Array,
    cells: Array | None,
    tuples: Sequence[tuple[int, ...]],
    joint: str,
    unit: str,
) -> Iterator[Coordinate]:
    groups: dict[str, list[tuple[int, ...]]] = {}
    for atoms in tuples:
        forward = [run.species[i] for i in atoms]
        backward = forward[::-1]
        heavier = run.masses[atoms[0]] >= run.masses[atoms[-1]]
        name = joint.join(forward if heavier else backward)
        groups.setdefault(name, []).append(atoms)
    for name, group in groups.items():
        every = max(1, -(-len(group) * len(positions) // MAX_VALUES))
        shown = None if cells is None else cells[::every]
        yield Coordinate(name, unit, _values(positions[::every], shown, np.array(group)))


def _values(positions: Array, cells: Array | None, group: Integers) -> Array:
    """Return lengths of pairs, or angles of triples, (n_frames, n_tuples)."""
    arms = [_arms(positions, cells, group[:, -2], ends) for ends in (group[:, 0], group[:, -1])]
    flat = [np.ascontiguousarray(arm.reshape(-1, 3)) for arm in arms]
    centre = np.zeros_like(flat[0])
    if group.shape[1] == 2:
        found = calc_bonds(centre, flat[1])
    else:
        found = np.degrees(calc_angles(flat[0], centre, flat[1]))
    return np.asarray(found.reshape(len(positions), len(group)))


def _arms(positions: Array, cells: Array | None, begins: Integers, ends: Integers) -> Array:
    """Return vectors from one atom to another, as shortest images, (n_frames, n_tuples, 3)."""
    arms = positions[:, ends] - positions[:, begins]
    if cells is not None:
        for arm, cell in zip(arms, cells, strict=True):
            arm[:] = minimum_image(arm, cell)
    return np.asarray(arms)
