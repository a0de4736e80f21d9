"""Classical terms in Numba, ; the formulas are those of `walls` and `water`."""

import math

import numpy as np

from qmd.integrators import FORCE_SIGNATURE, Force

from ..compilation import inner, when_needed
from ..constants import COULOMB
from ..contract import clear
from .walls import ShortRangeWall, SphericalWall
from .water import BOND, DAMPING, R6, WATER_KINDS, WATER_PAIRS, WaterBaseline

N_ATOMS, N_PAIRS, PAIRS = range(3)
"""Places in the program of a wall; then the atoms of each pair."""


CHARGE, STRETCH, CROSS, SITE, REPULSION, DECAY, DISPERSION, SITES, SLOPES = (
    0, 1, 2, 3, 4, 7, 10, 13, 37
)  # fmt: skip
"""Places in the workspace of a baseline. For each molecule and each of H1, H2, M: position and
charge at SITES (4 numbers, 24 in all), slopes of the energy by them at SLOPES."""


def baseline_kernel(model: WaterBaseline) -> Force:
    """Native kernel of a baseline; its workspace: its numbers in their order, then scratch."""
    numbers = np.concatenate([np.ravel(p) for p in model.parameters]).astype(float)
    workspace = np.concatenate([numbers, np.zeros(48)])
    return Force(_baseline(), np.array([6], np.int64), workspace)


def wall_kernel(model: ShortRangeWall) -> Force:
    """Native kernel of a wall; its workspace: stiffness, then the onset of each pair."""
    program = [model.n_atoms, len(model.pairs), *np.ravel(model.pairs)]
    workspace = np.array([model.stiffness, *model.onsets])
    return Force(_wall(), np.array(program, np.int64), workspace)


def sphere_kernel(model: SphericalWall) -> Force:
    """Native kernel of a sphere; its workspace: stiffness, radius."""
    workspace = np.array([model.stiffness, model.radius])
    return Force(_sphere(), np.array([model.n_atoms], np.int64), workspace)


@inner
def distance(x, i, j):
    """Return the distance (angstrom) of atoms `i` and `j`."""
    return math.sqrt((x[j, 0] - x[i, 0]) ** 2 + (x[j, 1] - x[i, 1]) ** 2 + (x[j, 2] - x[i, 2]) ** 2)


@inner
def push(x, forces, i, j, factor):
    """Forces of dE/dr = factor r."""
    for axis in range(3):
        force = factor * (x[j, axis] - x[i, axis])
        forces[i, axis] += force
        forces[j, axis] -= force


@when_needed(FORCE_SIGNATURE)
def _baseline(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of a baseline; writes the forces (eV/angstrom)."""
    if not clear(positions, forces, program):
        return math.nan
    for first in (0, 3):
        _charges(positions, workspace, first)
    energy = _coulomb(workspace)
    for first in (0, 3):
        _charge_forces(positions, forces, workspace, first)
    for k in range(9):
        i, j = WATER_PAIRS[k]
        kind = WATER_KINDS[k]
        r = distance(positions, i, j)
        decay, dispersion = workspace[DECAY + kind], workspace[DISPERSION + kind]
        repelled = math.exp(workspace[REPULSION + kind] - decay * r)
        soft = 1.0 / (r**6 + R6)
        energy += repelled - dispersion * soft
        slope = 6.0 * dispersion * r**5 * soft * soft - decay * repelled
        push(positions, forces, i, j, slope / r)
    return energy


@inner
def _charges(x, w, first):
    """Sites of the molecule whose O is atom `first`: H1, H2, M."""
    d1 = distance(x, first, first + 1) - BOND
    d2 = distance(x, first, first + 2) - BOND
    site = SITES + 4 * first
    w[site + 3] = w[CHARGE] + w[STRETCH] * d1 + w[CROSS] * d2
    w[site + 7] = w[CHARGE] + w[STRETCH] * d2 + w[CROSS] * d1
    w[site + 11] = -(w[site + 3] + w[site + 7])
    for axis in range(3):
        o, h1, h2 = x[first, axis], x[first + 1, axis], x[first + 2, axis]
        w[site + axis], w[site + 4 + axis] = h1, h2
        w[site + 8 + axis] = o + w[SITE] * ((h1 + h2) / 2.0 - o)


@inner
def _coulomb(w):
    """Energy of the charges of two molecules; its slopes by positions and charges at SLOPES."""
    for i in range(24):
        w[SLOPES + i] = 0.0
    energy = 0.0
    for a in range(SITES, SITES + 12, 4):
        for b in range(SITES + 12, SITES + 24, 4):
            x, y, z = w[b] - w[a], w[b + 1] - w[a + 1], w[b + 2] - w[a + 2]
            r = math.sqrt(x * x + y * y + z * z)
            cube = (r / DAMPING) ** 3
            screened = math.exp(-cube)
            per_charges = COULOMB * (1.0 - screened) / r
            energy += w[a + 3] * w[b + 3] * per_charges
            slope = COULOMB * (3.0 * cube * screened - (1.0 - screened)) / (r * r * r)
            slope *= w[a + 3] * w[b + 3]
            da, db = a - SITES + SLOPES, b - SITES + SLOPES
            for axis, along in enumerate((x, y, z)):
                w[da + axis] -= slope * along
                w[db + axis] += slope * along
            w[da + 3] += w[b + 3] * per_charges
            w[db + 3] += w[a + 3] * per_charges
    return energy


@inner
def _charge_forces(x, forces, w, first):
    """Chain rule from the sites of a molecule to its atoms."""
    site = SLOPES + 4 * first
    by_q1, by_q2 = w[site + 3] - w[site + 11], w[site + 7] - w[site + 11]
    for k, change in enumerate(
        (w[STRETCH] * by_q1 + w[CROSS] * by_q2, w[STRETCH] * by_q2 + w[CROSS] * by_q1)
    ):
        push(x, forces, first, first + 1 + k, change / distance(x, first, first + 1 + k))
    for axis in range(3):
        of_site = w[site + 8 + axis]
        forces[first, axis] -= (1.0 - w[SITE]) * of_site
        forces[first + 1, axis] -= w[site + axis] + 0.5 * w[SITE] * of_site
        forces[first + 2, axis] -= w[site + 4 + axis] + 0.5 * w[SITE] * of_site


@when_needed(FORCE_SIGNATURE)
def _wall(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of a wall; writes the forces (eV/angstrom)."""
    if not clear(positions, forces, program):
        return math.nan
    energy = 0.0
    for pair in range(program[N_PAIRS]):
        i, j = program[PAIRS + 2 * pair], program[PAIRS + 2 * pair + 1]
        r = distance(positions, i, j)
        inside = workspace[1 + pair] - r
        if inside > 0.0:
            energy += workspace[0] * inside**3
            push(positions, forces, i, j, -3.0 * workspace[0] * inside * inside / r)
    return energy


@when_needed(FORCE_SIGNATURE)
def _sphere(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of a sphere; writes the forces (eV/angstrom)."""
    if not clear(positions, forces, program):
        return math.nan
    energy = 0.0
    for i in range(program[N_ATOMS]):
        x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
        r = math.sqrt(x * x + y * y + z * z)
        outside = r - workspace[1]
        if outside > 0.0:
            energy += workspace[0] * outside**3
            pull = -3.0 * workspace[0] * outside * outside / r
            forces[i, 0], forces[i, 1], forces[i, 2] = pull * x, pull * y, pull * z
    return energy
