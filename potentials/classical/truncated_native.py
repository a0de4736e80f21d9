"""Truncated Lennard-Jones in Numba, on a neighbour list; the formulas are those of `truncated`.

The entries of an atom are taken in three passes over small arrays: those within the cut-off are
picked out, their energies and slopes computed, which the compiler does four at a time, and then
added up one by one in the order of the list. So the bits of a sum depend on the positions only.
"""

import math

import numpy as np

from qmd.integrators import FORCE_SIGNATURE, Force, NeighbourList, neighbours

from ..compilation import inner, when_needed
from ..contract import clear, fill
from .truncated import TruncatedLennardJones

N_ATOMS, LIST, SWITCHED, TAIL, PICKED = range(5)
"""Places in the program; from `PICKED` on: the neighbours that were picked out."""
DEPTH, DIAMETER_6, CUTOFF_2, LINE_A, LINE_B, INNER, OUTER, TAIL_A, TAIL_B, SCRATCH = range(10)
"""Places in the workspace; then scratch."""
CHUNK = 128
"""Entries that are taken at a time."""
X, Y, Z, SQUARE, ENERGY, SLOPE = range(SCRATCH, SCRATCH + 6 * CHUNK, CHUNK)


def truncated_kernel(model: TruncatedLennardJones) -> Force:
    """Native kernel of truncated Lennard-Jones, with a neighbour list of its own."""
    held = NeighbourList(model.cutoff, model.skin)
    program = np.zeros(PICKED + CHUNK, np.int64)
    workspace = np.zeros(SCRATCH + 6 * CHUNK)
    program[N_ATOMS], program[LIST] = model.n_atoms, held.address
    program[SWITCHED], program[TAIL] = model.truncation == "switch", model.tail
    workspace[:SCRATCH] = (
        model.depth, model.diameter**6, model.cutoff**2, *model.line,
        model.inner, model.cutoff, *model.tail_coefficients,
    )  # fmt: skip
    return Force(_truncated(), program, workspace, periodic=True, lists=((LIST, held),))


@when_needed(FORCE_SIGNATURE)
def _truncated(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of truncated Lennard-Jones; writes the forces and, if asked for, the virial."""
    if not clear(positions, forces, program):
        return math.nan
    near = neighbours.opened(program[LIST])
    if not neighbours.update(near, positions, cell):
        fill(forces, math.nan)
        return math.nan
    fill(virial, 0.0)
    energy = 0.0
    for i in range(positions.shape[0]):
        start, stop = near.starts[i], near.starts[i + 1]
        while start < stop:
            end = min(start + CHUNK, stop)
            picked = _pick(near, i, start, end, program, workspace)
            _slopes(picked, program, workspace)
            energy += _add(i, picked, forces, virial, program, workspace)
            start = end
    if program[TAIL] != 0:
        energy += _tail(cell, virial, program, workspace)
    return energy


@inner
def _pick(near, i, start, end, program, w):
    """Keep what is within the cut-off; return how many these are."""
    picked, square = 0, w[CUTOFF_2]
    for entry in range(start, end):
        j, x, y, z = neighbours.vector(near, i, entry)
        distance = x * x + y * y + z * z
        program[PICKED + picked] = j
        w[X + picked], w[Y + picked], w[Z + picked] = x, y, z
        w[SQUARE + picked] = distance
        picked += distance < square
    return picked


@inner
def _slopes(picked, program, w):
    """Write energy and slope over distance of each pair."""
    if program[SWITCHED] != 0:
        _switched(picked, w)
        return
    depth, sixth_power, a, b = 4.0 * w[DEPTH], w[DIAMETER_6], w[LINE_A], w[LINE_B]
    if b == 0.0:
        for m in range(picked):
            inverse = 1.0 / w[SQUARE + m]
            sixth = sixth_power * inverse * inverse * inverse
            w[ENERGY + m] = depth * sixth * (sixth - 1.0) + a
            w[SLOPE + m] = -6.0 * depth * sixth * (2.0 * sixth - 1.0) * inverse
    else:
        for m in range(picked):
            inverse = 1.0 / w[SQUARE + m]
            sixth = sixth_power * inverse * inverse * inverse
            r = math.sqrt(w[SQUARE + m])
            w[ENERGY + m] = depth * sixth * (sixth - 1.0) + a + b * r
            w[SLOPE + m] = -6.0 * depth * sixth * (2.0 * sixth - 1.0) * inverse + b / r


@inner
def _switched(picked, w):
    depth, sixth_power = 4.0 * w[DEPTH], w[DIAMETER_6]
    low, width = w[INNER], w[OUTER] - w[INNER]
    for m in range(picked):
        inverse = 1.0 / w[SQUARE + m]
        sixth = sixth_power * inverse * inverse * inverse
        r = math.sqrt(w[SQUARE + m])
        t = max(0.0, r - low) / width
        factor = 1.0 - t * t * t * (10.0 - t * (15.0 - 6.0 * t))
        change = -30.0 * t * t * (1.0 - t) * (1.0 - t) / width
        energy = depth * sixth * (sixth - 1.0)
        slope = -6.0 * depth * sixth * (2.0 * sixth - 1.0) * inverse
        w[ENERGY + m] = factor * energy
        w[SLOPE + m] = factor * slope + change * energy / r


@inner
def _add(i, picked, forces, virial, program, w):
    """Add the pairs of atom `i` to forces and virial, in their order; return their energy."""
    energy, fx, fy, fz = 0.0, 0.0, 0.0, 0.0
    for m in range(picked):
        j, slope = program[PICKED + m], w[SLOPE + m]
        x, y, z = slope * w[X + m], slope * w[Y + m], slope * w[Z + m]
        energy += w[ENERGY + m]
        fx += x
        fy += y
        fz += z
        forces[j, 0] -= x
        forces[j, 1] -= y
        forces[j, 2] -= z
    forces[i, 0] += fx
    forces[i, 1] += fy
    forces[i, 2] += fz
    if virial.shape[0] == 3:
        _add_virial(picked, virial, w)
    return energy


@inner
def _add_virial(picked, virial, w):
    xx, yy, zz, yz, xz, xy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for m in range(picked):
        x, y, z, slope = w[X + m], w[Y + m], w[Z + m], w[SLOPE + m]
        xx += slope * x * x
        yy += slope * y * y
        zz += slope * z * z
        yz += slope * y * z
        xz += slope * x * z
        xy += slope * x * y
    virial[0, 0] -= xx
    virial[1, 1] -= yy
    virial[2, 2] -= zz
    virial[1, 2] -= yz
    virial[2, 1] -= yz
    virial[0, 2] -= xz
    virial[2, 0] -= xz
    virial[0, 1] -= xy
    virial[1, 0] -= xy


@inner
def _tail(cell, virial, program, w):
    """Tail correction of the energy; adds that of the virial. NaN without a volume."""
    volume = abs(
        cell[0, 0] * (cell[1, 1] * cell[2, 2] - cell[1, 2] * cell[2, 1])
        + cell[0, 1] * (cell[1, 2] * cell[2, 0] - cell[1, 0] * cell[2, 2])
        + cell[0, 2] * (cell[1, 0] * cell[2, 1] - cell[1, 1] * cell[2, 0])
    )
    if volume == 0.0:
        return math.nan
    density = program[N_ATOMS] * program[N_ATOMS] / volume
    for axis in range(virial.shape[0]):
        virial[axis, axis] += w[TAIL_B] * density
    return w[TAIL_A] * density
