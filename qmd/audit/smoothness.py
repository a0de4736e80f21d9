"""Scans of distances across the domain: energy, force and curvature must not jump.

Each pair of atoms that the domain names is stretched, with the molecule of the second atom. The
places of largest irregularity are found on a grid; there the interval is bisected repeatedly,
keeping the half with the larger change. On a smooth curve the change vanishes with the width of
the interval; a jump remains.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ase.data import atomic_numbers

from qmd.audit.claims import claims_exchange, cutoffs, switches
from qmd.audit.evaluation import in_chunks
from qmd.audit.findings import AuditContext, Finding, finding_within
from qmd.data.domains import distances
from qmd.system.topology import bonds, fragments
from qmd.typing import Array, Integers

SEGMENTS, PER_SEGMENT = 8, 32
"""Segments of a scan and grid intervals per segment; each segment has one suspect per quantity."""
HALVINGS = 20
LONGEST_A = 12.0
"""Longest distance of a scan; without it, molecules that may separate would thin out the grid."""
BEYOND_A = 0.5
"""Distance by which a scan across a switch extends to both sides."""
SAME_MOLECULE = "in one molecule"
SAFETY = 3.0
"""Factor on the largest change that a smooth curve of the largest measured slope can show."""
QUANTITIES = (("energy", "eV"), ("force", "eV/A"), ("curvature", "eV/A^2"))


class Scan(NamedTuple):
    """Scan of a distance between two ends."""

    name: str
    start: Array
    """Initial geometry, (n_atoms, 3), angstrom."""
    direction: Array
    """Unit vector on each atom that moves, else 0; (n_atoms, 3)."""
    distance: float
    """Distance at `start`, angstrom."""
    ends: tuple[float, float]
    marks: tuple[float, ...] = ()
    """Distances that are always searched for a jump."""


class Suspects(NamedTuple):
    """Intervals that are bisected, one entry each."""

    scan: Integers
    quantity: Integers
    low: Array
    high: Array


def audit_smoothness(context: AuditContext) -> list[Finding]:
    """Find the largest jump of each quantity over all scans."""
    lines = scans(context)
    if not lines:
        return []
    curves = _Curves(context, lines)
    grids = np.array([np.linspace(*line.ends, SEGMENTS * PER_SEGMENT + 1) for line in lines])
    index = np.repeat(np.arange(len(lines)), grids.shape[1])
    values = curves(index, grids.reshape(-1)).reshape(*grids.shape, len(QUANTITIES))
    suspects = _suspects(lines, grids, values)
    at, jumps = _jumps(curves, suspects)
    limits = _limits(context, values)[suspects.scan, suspects.quantity]
    found = []
    for k, (quantity, unit) in enumerate(QUANTITIES):
        worst = np.argmax(np.where(suspects.quantity == k, jumps / limits, -1.0))
        where = f"largest in {lines[suspects.scan[worst]].name} at {at[worst]:.4f} A"
        remark = f"{len(lines)} scans, {where}"
        found.append(
            finding_within(f"jump of the {quantity}", jumps[worst], limits[worst], unit, remark)
        )
    return found


def scans(context: AuditContext) -> list[Scan]:
    """Return scans of the pairs of the domain, and across switches and cut-offs between molecules.

    If the model claims to be symmetric in equal atoms, one of several equivalent pairs (symbols,
    bonded or not, in one molecule or not) is enough.
    """
    package, species = context.package, context.package.species
    lowest = context.positions[np.argmin(context.energies)]
    within: dict[Any, Scan] = {}
    for (i, j), stop in zip(package.domain.pairs.tolist(), package.domain.stop, strict=True):
        line = _scan(lowest, species, i, j)
        kind = _kind(lowest, species, i, j) if claims_exchange(package) else (i, j)
        ends = _room(context, line, np.minimum(stop, LONGEST_A))
        within.setdefault(kind, line._replace(ends=ends))
    across: dict[Any, Scan] = {}
    for (i, j), inner, outer in [*switches(package), *cutoffs(package)]:
        kind = (*_kind(lowest, species, i, j), inner, outer)
        if SAME_MOLECULE not in kind:
            across.setdefault(kind, _across(_scan(lowest, species, i, j), inner, outer))
    return [line for line in [*within.values(), *across.values()] if line.ends[1] > line.ends[0]]


def _across(line: Scan, inner: float, outer: float) -> Scan:
    return line._replace(ends=(inner - BEYOND_A, outer + BEYOND_A), marks=(inner, outer))


def _scan(start: Array, species: tuple[str, ...], i: int, j: int) -> Scan:
    _, molecules = _bonding(start, species)
    moving = next(m for m in molecules if j in m)
    if i in moving:
        moving = [j]
    between = start[j] - start[i]
    distance = float(np.linalg.norm(between))
    direction = np.zeros_like(start)
    direction[moving] = between / distance
    return Scan(f"{species[i]}{i + 1}-{species[j]}{j + 1}", start, direction, distance, (0.0, 0.0))


def _bonding(positions: Array, species: tuple[str, ...]) -> tuple[list[list[int]], list[list[int]]]:
    """Return the bonded pairs, and the molecules."""
    numbers = np.array([atomic_numbers[s] for s in species])
    bonded = bonds(numbers, positions)
    return bonded.tolist(), fragments(len(species), bonded)


def _kind(positions: Array, species: tuple[str, ...], i: int, j: int) -> tuple[Any, ...]:
    bonded, molecules = _bonding(positions, species)
    if not any(i in m and j in m for m in molecules):
        return *sorted((species[i], species[j])), "between molecules"
    return *sorted((species[i], species[j])), SAME_MOLECULE, sorted((i, j)) in bonded


def _room(context: AuditContext, line: Scan, stop: Array) -> tuple[float, float]:
    """Return the ends of the scan, where a distance of the domain first reaches its stop level."""
    domain = context.package.domain
    at = np.linspace(stop[0], stop[1], 1001)
    measured = distances(domain, line.start + (at - line.distance)[:, None, None] * line.direction)
    within = (measured >= domain.stop[:, 0]) & (measured <= domain.stop[:, 1])
    inside = np.asarray(within.all(axis=1))
    inside[[0, -1]] = False  # the ends themselves, up to rounding
    here = int(np.argmin(np.abs(at - line.distance)))
    if not inside[here]:
        return 0.0, 0.0
    low = here - int(np.argmin(inside[here::-1])) + 1
    high = here + int(np.argmin(inside[here:])) - 1
    return float(at[low]), float(at[high])


class _Curves:
    """Energy and its first two derivatives along the scans, for n (scan, distance)."""

    def __init__(self, context: AuditContext, lines: list[Scan]) -> None:
        self._starts = np.array([line.start for line in lines])
        self._directions = np.array([line.direction for line in lines])
        self._distances = np.array([line.distance for line in lines])
        self._program = _program(context)

    def __call__(self, scan: Integers, at: Array) -> Array:
        directions = self._directions[scan]
        shift = (at - self._distances[scan])[:, None, None]
        return np.stack(self._program(self._starts[scan] + shift * directions, directions), axis=-1)


def _program(context: AuditContext) -> Callable[..., list[Array]]:
    """Return a function of positions and directions: energies, first and second derivatives."""
    import jax
    import jax.numpy as jnp

    potential = context.package.potential()

    def along(x: jax.Array, direction: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        def slope(r: jax.Array) -> tuple[jax.Array, jax.Array]:
            energy, forces = potential.energy_and_forces(r)
            return -jnp.sum(forces * direction), energy

        value, curvature, energy = jax.jvp(slope, (x,), (direction,), has_aux=True)
        return energy, value, curvature

    return in_chunks(jax.jit(jax.vmap(along)))


def _suspects(lines: list[Scan], grids: Array, values: Array) -> Suspects:
    """Return the intervals of the largest third difference in each segment, and at the marks."""
    steps = np.diff(values, axis=1)
    odd = np.zeros_like(steps)
    odd[:, 1:-1] = np.abs(steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2)
    segments = odd.reshape(len(lines), SEGMENTS, PER_SEGMENT, -1)
    interval = segments.argmax(axis=2) + PER_SEGMENT * np.arange(SEGMENTS)[:, None]
    scan, _, quantity = np.indices(interval.shape)
    chosen = np.stack([scan, quantity, interval], axis=-1).reshape(-1, 3).tolist()
    for i, line in enumerate(lines):
        for mark in line.marks:
            at = int(np.clip(np.searchsorted(grids[i], mark) - 1, 0, grids.shape[1] - 2))
            # A mark on a grid point may belong to the interval on either side.
            chosen += [[i, k, min(at + n, grids.shape[1] - 2)] for k in range(3) for n in (0, 1)]
    scan, quantity, interval = np.array(chosen).T
    return Suspects(scan, quantity, grids[scan, interval], grids[scan, interval + 1])


def _jumps(curves: _Curves, suspects: Suspects) -> tuple[Array, Array]:
    """Return where the bisection of each interval ends, and the change that remains over it."""
    scan, quantity, low, high = suspects
    rows = np.arange(len(scan))
    at_low, at_high = (curves(scan, ends)[rows, quantity] for ends in (low, high))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        at_middle = curves(scan, middle)[rows, quantity]
        upper = np.abs(at_high - at_middle) > np.abs(at_middle - at_low)
        low, at_low = np.where(upper, middle, low), np.where(upper, at_middle, at_low)
        high, at_high = np.where(upper, high, middle), np.where(upper, at_high, at_middle)
    return low, np.abs(at_high - at_low)


def _limits(context: AuditContext, values: Array) -> Array:
    """Return the largest change of a smooth curve over the last interval, (scans, quantities)."""
    largest_step = np.abs(np.diff(values, axis=1)).max(axis=1)
    rounding = context.energy_limit, context.force_limit, 100 * context.force_limit
    limits: Array = SAFETY * largest_step / 2**HALVINGS + np.array(rounding)
    return limits
