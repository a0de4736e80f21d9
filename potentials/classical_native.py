"""Classical terms in Numba, for `compose_kernel`; the formulas are those of `classical`."""

import math

import numba
import numpy as np

from .classical import COULOMB, R6, PairBaseline, ShortRangeWall, SphericalWall

N_ATOMS, N_PAIRS, N_KINDS, PAIRS = range(4)
"""Places in `program`; then (i, j, kind) of each pair."""

_njit = numba.njit(cache=True, error_model="numpy")


Arrays = tuple[np.ndarray, np.ndarray]
"""Program and workspace of a term."""


def baseline_arrays(model: PairBaseline) -> Arrays:
    """Arrays of a baseline; its workspace: 1 / r_d, then k, a, b, c by kind."""
    p = model.parameters
    charges = COULOMB * p.charge**2 * np.array(model.products)
    workspace = np.concatenate(
        [[1.0 / p.damping], charges, p.repulsion, p.decay, p.dispersion]
    ).astype(float)
    return _program(model.n_atoms, len(model.products), model.pairs, model.kinds), workspace


def wall_arrays(model: ShortRangeWall) -> Arrays:
    """Arrays of a wall; its workspace: stiffness, then the onset of each pair."""
    kinds = tuple(range(len(model.pairs)))
    program = _program(model.n_atoms, len(kinds), model.pairs, kinds)
    return program, np.array([model.stiffness, *model.onsets])


def sphere_arrays(model: SphericalWall) -> Arrays:
    """Arrays of a sphere; its workspace: stiffness, radius."""
    return np.array([model.n_atoms], np.int64), np.array([model.stiffness, model.radius])


def _program(
    n_atoms: int, n_kinds: int, pairs: tuple[tuple[int, int], ...], kinds: tuple[int, ...]
) -> np.ndarray:
    table = [(i, j, kind) for (i, j), kind in zip(pairs, kinds, strict=True)]
    return np.concatenate([[n_atoms, len(pairs), n_kinds], np.ravel(table)]).astype(np.int64)


@_njit
def _distance(x, i, j):
    return math.sqrt((x[j, 0] - x[i, 0]) ** 2 + (x[j, 1] - x[i, 1]) ** 2 + (x[j, 2] - x[i, 2]) ** 2)


@_njit
def _push(x, forces, i, j, factor):
    """Forces of dE/dr = factor r."""
    for axis in range(3):
        force = factor * (x[j, axis] - x[i, axis])
        forces[i, axis] += force
        forces[j, axis] -= force


@_njit
def baseline_into(positions, forces, program, workspace):
    """Energy (eV) of a baseline; writes the forces (eV/angstrom)."""
    forces[:, :] = 0.0
    n, energy = program[N_KINDS], 0.0
    for pair in range(program[N_PAIRS]):
        i, j = program[PAIRS + 3 * pair], program[PAIRS + 3 * pair + 1]
        kind = program[PAIRS + 3 * pair + 2]
        r = _distance(positions, i, j)
        charges, repulsion = workspace[1 + kind], workspace[1 + n + kind]
        decay, dispersion = workspace[1 + 2 * n + kind], workspace[1 + 3 * n + kind]
        cube = (r * workspace[0]) ** 3
        screened = math.exp(-cube)
        repelled = math.exp(repulsion - decay * r)
        soft = 1.0 / (r**6 + R6)
        energy += charges * (1.0 - screened) / r + repelled - dispersion * soft
        slope = charges * (3.0 * cube * screened - (1.0 - screened)) / (r * r)
        slope += 6.0 * dispersion * r**5 * soft * soft - decay * repelled
        _push(positions, forces, i, j, slope / r)
    return energy


@_njit
def wall_into(positions, forces, program, workspace):
    """Energy (eV) of a wall; writes the forces (eV/angstrom)."""
    forces[:, :] = 0.0
    energy = 0.0
    for pair in range(program[N_PAIRS]):
        i, j = program[PAIRS + 3 * pair], program[PAIRS + 3 * pair + 1]
        r = _distance(positions, i, j)
        inside = workspace[1 + pair] - r
        if inside > 0.0:
            energy += workspace[0] * inside**3
            _push(positions, forces, i, j, -3.0 * workspace[0] * inside * inside / r)
    return energy


@_njit
def sphere_into(positions, forces, program, workspace):
    """Energy (eV) of a sphere; writes the forces (eV/angstrom)."""
    forces[:, :] = 0.0
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
