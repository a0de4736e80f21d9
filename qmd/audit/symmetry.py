"""Symmetries of a potential, each tested on geometries inside its domain."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from ase.data import atomic_numbers

from qmd.audit.claims import claims_exchange, claims_reflection, claims_rotation
from qmd.audit.findings import AuditContext, Finding, finding_within, random_rotations
from qmd.system.topology import bonds, fragments
from qmd.typing import Array

LONGEST_SHIFT_A = 10.0


class Exchange(NamedTuple):
    """Exchange of equal atoms or molecules."""

    name: str
    order: tuple[int, ...]
    """Permutation: new atom k is old atom ``order[k]``."""


def audit_symmetry(context: AuditContext) -> list[Finding]:
    """Check translation, rotation, reflection, exchange of equal atoms and of equal molecules."""
    package, n = context.package, len(context.positions)
    shift = LONGEST_SHIFT_A * context.rng.uniform(-1, 1, (n, 1, 3))
    about_z = _about_z(context.rng.uniform(0, 2 * np.pi, n))
    mirror, turn = np.tile(np.diag([1.0, 1.0, -1.0]), (n, 1, 1)), random_rotations(context.rng, n)
    rotation, reflection = claims_rotation(package), claims_reflection(package)
    if rotation:  # a plane of any direction, not only one that contains x and y
        mirror = turn.transpose(0, 2, 1) @ mirror @ turn
    found = _compared(context, "translation", context.positions + shift, context.forces)
    found += _turned(context, "rotation", turn, rotation)
    if not rotation:
        found += _turned(context, "rotation about z", about_z, True)
    found += _turned(context, "reflection", mirror, reflection)
    for name, order in exchanges(package.species, _reference(context)):
        places = list(order)
        found += _compared(
            context, f"exchange {name}", context.positions[:, places], context.forces[:, places],
            claimed=claims_exchange(package),
        )  # fmt: skip
    return found


def _turned(context: AuditContext, name: str, matrices: Array, claimed: bool) -> list[Finding]:
    turned = matrices.transpose(0, 2, 1)  # vectors are rows
    return _compared(
        context, name, context.positions @ turned, context.forces @ turned, claimed=claimed
    )


def _compared(
    context: AuditContext, name: str, positions: Array, expected: Array, *, claimed: bool = True
) -> list[Finding]:
    energies, forces = context.evaluate(positions)
    energy = float(np.abs(energies - context.energies).max())
    force = float(np.abs(forces - expected).max())
    return [
        finding_within(f"{name}: energy", energy, context.energy_limit, "eV", claimed=claimed),
        finding_within(f"{name}: forces", force, context.force_limit, "eV/A", claimed=claimed),
    ]


def _about_z(angles: Array) -> Array:
    c, s, o, i = np.cos(angles), np.sin(angles), np.zeros_like(angles), np.ones_like(angles)
    return np.stack([c, -s, o, s, c, o, o, o, i], axis=-1).reshape(-1, 3, 3)


def _reference(context: AuditContext) -> Array:
    """Return the geometry of lowest energy, whose bonds define the molecules."""
    lowest: Array = context.positions[np.argmin(context.energies)]
    return lowest


def exchanges(species: tuple[str, ...], positions: Array) -> list[Exchange]:
    """Return exchanges of two equal atoms with the same bonded neighbours, and of equal molecules.

    Molecules are equal if their symbols are the same, in the same order.
    """
    n = len(species)
    bonded = bonds(np.array([atomic_numbers[s] for s in species]), positions)
    neighbours = [{int(j) for pair in bonded if i in pair for j in pair} - {i} for i in range(n)]
    found = [
        Exchange(f"{species[i]}{i + 1} {species[j]}{j + 1}", _swapped(n, [i], [j]))
        for i, j in combinations(range(n), 2)
        if species[i] == species[j] and (common := neighbours[i] - {j}) == neighbours[j] - {i}
        and (common or j in neighbours[i])
    ]  # fmt: skip
    molecules = fragments(n, bonded)
    for a, b in combinations(range(len(molecules)), 2):
        first, second = molecules[a], molecules[b]
        if [species[k] for k in first] == [species[k] for k in second]:
            name = f"molecules {a + 1} {b + 1}"
            found.append(Exchange(name, _swapped(n, first, second)))
    return found


def _swapped(n: int, first: list[int], second: list[int]) -> tuple[int, ...]:
    order = list(range(n))
    for i, j in zip(first, second, strict=True):
        order[i], order[j] = j, i
    return tuple(order)
