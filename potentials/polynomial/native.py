"""Invariant polynomials in Numba.

A monomial and its slopes are products of tabulated powers: for each pair p, ``y_p^n`` of all n.
The slope by y_p has the power of p replaced by ``n y_p^(n-1)``.
"""

import math

import numpy as np

from qmd.integrators import FORCE_SIGNATURE, Force

from ..compilation import inner, when_needed
from ..contract import clear
from .polynomial import InvariantPolynomial

# fmt: off
N_ATOMS, N_PAIRS, N_MONOMIALS, DEGREE, LENGTH, CENTRES, POWERS, SLOPES, WEIGHTS, HEAD = range(10)
# fmt: on


def native_kernel(model: InvariantPolynomial) -> Force:
    """Return the native kernel of a polynomial.

    Raises
    ------
    ValueError
        If the parameters do not fit.
    """
    model.check()
    n_pairs, width = len(model.pairs), model.degree + 1
    weights = [
        weight
        for weight, orbit in zip(model.parameters.weights, model.orbits, strict=True)
        for _ in orbit
    ]
    exponents = np.array([monomial for orbit in model.orbits for monomial in orbit], np.int64)
    head = np.empty(HEAD, np.int64)
    head[[N_ATOMS, N_PAIRS, N_MONOMIALS, DEGREE]] = (
        model.n_atoms, n_pairs, len(exponents), model.degree,
    )  # fmt: skip
    lengths = [1, n_pairs, n_pairs * width, n_pairs, len(weights)]
    head[[LENGTH, CENTRES, POWERS, SLOPES, WEIGHTS]] = np.cumsum([0, *lengths[:-1]])
    workspace = np.zeros(sum(lengths))
    workspace[0] = model.parameters.length
    workspace[1 : 1 + n_pairs] = model.centres
    workspace[head[WEIGHTS] :] = weights
    program = np.concatenate([head, np.ravel(model.pairs), exponents.ravel()])
    return Force(energy_and_forces(), program, workspace)


@inner
def _distance(x, i, j):
    return math.sqrt((x[j, 0] - x[i, 0]) ** 2 + (x[j, 1] - x[i, 1]) ** 2 + (x[j, 2] - x[i, 2]) ** 2)


@inner
def _powers(x, w, program):
    """y^0, y^1, ... of each pair."""
    width = program[DEGREE] + 1
    for p in range(program[N_PAIRS]):
        i, j = program[HEAD + 2 * p], program[HEAD + 2 * p + 1]
        y = math.exp((w[program[CENTRES] + p] - _distance(x, i, j)) / w[program[LENGTH]]) - 1.0
        at = program[POWERS] + width * p
        w[at] = 1.0
        for n in range(1, width):
            w[at + n] = w[at + n - 1] * y


@inner
def _monomial(w, program, exponents, weight):
    """Its value; adds its slopes by all y."""
    n_pairs, width, powers = program[N_PAIRS], program[DEGREE] + 1, program[POWERS]
    value = weight
    for p in range(n_pairs):
        value *= w[powers + width * p + program[exponents + p]]
    for p in range(n_pairs):
        n = program[exponents + p]
        if n > 0:
            slope = weight * n
            for q in range(n_pairs):
                slope *= w[powers + width * q + program[exponents + q] - (1 if p == q else 0)]
            w[program[SLOPES] + p] += slope
    return value


@when_needed(FORCE_SIGNATURE)
def energy_and_forces(positions, cell, forces, virial, program, workspace):
    """Energy (eV); writes the forces (eV/angstrom).

    NaN if the number of atoms is not that of the polynomial.
    """
    if not clear(positions, forces, program):
        return math.nan
    n_pairs, w = program[N_PAIRS], workspace
    _powers(positions, w, program)
    w[program[SLOPES] : program[SLOPES] + n_pairs] = 0.0
    energy, exponents = 0.0, HEAD + 2 * n_pairs
    for k in range(program[N_MONOMIALS]):
        energy += _monomial(w, program, exponents + n_pairs * k, w[program[WEIGHTS] + k])
    for p in range(n_pairs):
        i, j = program[HEAD + 2 * p], program[HEAD + 2 * p + 1]
        y = w[program[POWERS] + (program[DEGREE] + 1) * p + 1]
        r = _distance(positions, i, j)
        # dy/dr = -(y + 1) / a
        pull = -w[program[SLOPES] + p] * (y + 1.0) / w[program[LENGTH]] / r
        for axis in range(3):
            force = pull * (positions[j, axis] - positions[i, axis])
            forces[i, axis] += force
            forces[j, axis] -= force
    return energy
