"""Ewald sums in Numba: pairs from a neighbour list, waves one by one; the formulas are of `ewald`.

A wave is a product of three phases, one for each lattice vector, of which tables hold all powers
for all atoms: only the first power takes a cosine and a sine. The waves of a half-space count
twice. Loops over atoms run along rows of the tables, so that the compiler does several at a time.
"""

import math

import numpy as np

from qmd.integrators import FORCE_SIGNATURE, Force, NeighbourList, neighbours

from ..compilation import inner, when_needed
from ..constants import COULOMB
from ..contract import clear, fill
from .ewald import EwaldCharges
from .images import add_to_virial, push_along, write_nearest

fraction, invert = neighbours.fraction, neighbours.invert
opened, update, vector = neighbours.opened, neighbours.update, neighbours.vector

N_ATOMS, LIST, N_EXCLUDED, EXCLUDED = range(4)
"""Places in the program; then the atoms of each pair within a molecule."""
CUTOFF, SPLITTING, WAVE, SELF, CELL, INVERSE, VECTOR, CHARGES = 0, 1, 2, 3, 4, 13, 22, 25
"""Places in the workspace; then the charges of all atoms."""
REAL, IMAGINARY, COSINE, SINE, SUM, SUM_3, ALONG_1, ALONG_2, ALONG_3, ROWS = range(10)
"""Scratch rows of the sum over waves: product of two phases, of three, slopes by the phases."""


def ewald_kernel(model: EwaldCharges) -> Force:
    """Native kernel of point charges in a cell, with a neighbour list of its own."""
    held = NeighbourList(model.cutoff, model.skin)
    pairs = np.array(model.excluded, np.int64).reshape(-1, 2)
    program = np.array([model.n_atoms, held.address, len(pairs), *pairs.ravel()], np.int64)
    workspace = np.zeros(CHARGES + model.n_atoms)
    workspace[CHARGES:] = model.charges
    own = -COULOMB * model.splitting / math.sqrt(math.pi) * math.fsum(q * q for q in model.charges)
    workspace[:CELL] = model.cutoff, model.splitting, model.wave, own
    return Force(_ewald(), program, workspace, periodic=True, lists=((LIST, held),))


@when_needed(FORCE_SIGNATURE, allocates=True)
def _ewald(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of charges in a cell; writes the forces and, if asked for, the virial.

    NaN in a cell that is not periodic in all directions.
    """
    if not clear(positions, forces, program):
        return math.nan
    fill(virial, 0.0)
    volume = _copy_cell(cell, workspace)
    near = opened(program[LIST])
    if not volume > 0.0 or not update(near, positions, cell):
        fill(forces, math.nan)
        return math.nan
    energy = workspace[SELF]
    energy += _pairs(near, positions.shape[0], forces, virial, workspace)
    energy += _excluded(positions, cell, forces, virial, program, workspace)
    last_1, last_2, last_3 = (
        _last(cell, workspace, 0),
        _last(cell, workspace, 1),
        _last(cell, workspace, 2),
    )
    rows = 2 * (last_1 + 1 + 2 * last_2 + 1 + 2 * last_3 + 1)
    tables = np.empty((rows, positions.shape[0]))
    scratch = np.zeros((ROWS, positions.shape[0]))
    first_2 = 2 * (last_1 + 1)
    first_3 = first_2 + 2 * (2 * last_2 + 1)
    _powers(positions, workspace, 0, tables[:first_2], 0, last_1)
    _powers(positions, workspace, 1, tables[first_2:first_3], last_2, last_2)
    _powers(positions, workspace, 2, tables[first_3:], last_3, last_3)
    _charge(tables[:first_2], workspace)
    for n_1 in range(last_1 + 1):
        for n_2 in range(-last_2 if n_1 > 0 else 0, last_2 + 1):
            _product(
                tables[2 * n_1], tables[2 * n_1 + 1], tables[first_2 + 2 * (n_2 + last_2)],
                tables[first_2 + 2 * (n_2 + last_2) + 1], scratch,
            )  # fmt: skip
            start = -last_3 if n_1 > 0 or n_2 > 0 else 1
            for n_3 in range(start, last_3 + 1):
                x, y, z = _wave(workspace, n_1, n_2, n_3)
                square = x * x + y * y + z * z
                if square < workspace[WAVE] * workspace[WAVE]:
                    row = first_3 + 2 * (n_3 + last_3)
                    energy += _one_wave(
                        tables[row], tables[row + 1], scratch, x, y, z, square, n_3, volume,
                        virial, workspace,
                    )  # fmt: skip
            _add_slopes(scratch, n_1, n_2)
    _add_forces(scratch, forces, workspace)
    return energy


@inner
def _copy_cell(cell, w):
    """Write cell and inverse to the workspace; return the volume (angstrom^3)."""
    for d in range(3):
        for k in range(3):
            w[CELL + 3 * d + k] = cell[d, k]
    volume = abs(
        cell[0, 0] * (cell[1, 1] * cell[2, 2] - cell[1, 2] * cell[2, 1])
        + cell[0, 1] * (cell[1, 2] * cell[2, 0] - cell[1, 0] * cell[2, 2])
        + cell[0, 2] * (cell[1, 0] * cell[2, 1] - cell[1, 1] * cell[2, 0])
    )
    if volume > 0.0:
        invert(w[CELL : CELL + 9], w[INVERSE : INVERSE + 9])
    return volume


@inner
def _pairs(near, n_atoms, forces, virial, w):
    """Energy of the listed pairs; adds their forces."""
    energy, square_of_cutoff, splitting = 0.0, w[CUTOFF] * w[CUTOFF], w[SPLITTING]
    at_contact = 2.0 * splitting / math.sqrt(math.pi)
    xx, yy, zz, yz, xz, xy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n_atoms):
        fx, fy, fz = 0.0, 0.0, 0.0
        own = COULOMB * w[CHARGES + i]
        for entry in range(near.starts[i], near.starts[i + 1]):
            j, x, y, z = vector(near, i, entry)
            square = x * x + y * y + z * z
            if square < square_of_cutoff:
                r = math.sqrt(square)
                product = own * w[CHARGES + j]
                screened = math.erfc(splitting * r) / r
                gaussian = at_contact * math.exp(-splitting * splitting * square)
                slope = -product * (screened + gaussian) / square
                energy += product * screened
                fx += slope * x
                fy += slope * y
                fz += slope * z
                forces[j, 0] -= slope * x
                forces[j, 1] -= slope * y
                forces[j, 2] -= slope * z
                xx -= slope * x * x
                yy -= slope * y * y
                zz -= slope * z * z
                yz -= slope * y * z
                xz -= slope * x * z
                xy -= slope * x * y
        forces[i, 0] += fx
        forces[i, 1] += fy
        forces[i, 2] += fz
    add_to_virial(virial, xx, yy, zz, yz, xz, xy)
    return energy


@inner
def _excluded(positions, cell, forces, virial, program, w):
    """Energy that the sums have too much, of pairs within molecules; adds its forces."""
    energy, splitting = 0.0, w[SPLITTING]
    at_contact = 2.0 * splitting / math.sqrt(math.pi)
    for pair in range(program[N_EXCLUDED]):
        i, j = program[EXCLUDED + 2 * pair], program[EXCLUDED + 2 * pair + 1]
        r = write_nearest(positions, i, j, cell, w, INVERSE, VECTOR)
        product = COULOMB * w[CHARGES + i] * w[CHARGES + j]
        if r < w[CUTOFF]:  # the pair is among the listed ones
            potential, slope = -product / r, product / (r * r * r)
        else:
            gaussian = at_contact * math.exp(-splitting * splitting * r * r)
            potential = -product * math.erf(splitting * r) / r
            slope = (-potential - product * gaussian) / (r * r)
        energy += potential
        push_along(forces, virial, i, j, w, VECTOR, slope)
    return energy


@inner
def _last(cell, w, d):
    """Largest multiple of the reciprocal vector `d` in a wave that is not too large."""
    length = math.sqrt(cell[d, 0] ** 2 + cell[d, 1] ** 2 + cell[d, 2] ** 2)
    return int(w[WAVE] * length / (2.0 * math.pi))


@inner
def _powers(positions, w, d, table, below, last):
    """Write the phases ``exp(2 pi i n f)`` of all atoms, f the fraction along `d`.

    Row 2 (n + below) has the real, the next one the imaginary parts, n from -below to `last`.
    """
    n_atoms, origin = positions.shape[0], 2 * below
    for j in range(n_atoms):
        f = fraction(positions, j, w[INVERSE : INVERSE + 9], d)
        turn = 2.0 * math.pi * (f - math.floor(f + 0.5))
        table[origin, j], table[origin + 1, j] = 1.0, 0.0
        if last > 0:
            table[origin + 2, j], table[origin + 3, j] = math.cos(turn), math.sin(turn)
    for n in range(2, last + 1):
        at, half, rest = origin + 2 * n, origin + 2 * (n // 2), origin + 2 * (n - n // 2)
        for j in range(n_atoms):
            a, b, c, e = table[half, j], table[half + 1, j], table[rest, j], table[rest + 1, j]
            table[at, j] = a * c - b * e
            table[at + 1, j] = a * e + b * c
    for n in range(1, below + 1):
        for j in range(n_atoms):
            table[origin - 2 * n, j] = table[origin + 2 * n, j]
            table[origin - 2 * n + 1, j] = -table[origin + 2 * n + 1, j]


@inner
def _charge(table, w):
    """Multiply the phases of each atom by its charge."""
    for row in range(table.shape[0]):
        for j in range(table.shape[1]):
            table[row, j] *= w[CHARGES + j]


@inner
def _product(a, b, c, e, scratch):
    """Write the product of two rows of phases; begin the slopes of its waves with 0."""
    for j in range(a.shape[0]):
        scratch[REAL, j] = a[j] * c[j] - b[j] * e[j]
        scratch[IMAGINARY, j] = a[j] * e[j] + b[j] * c[j]
        scratch[SUM, j] = 0.0
        scratch[SUM_3, j] = 0.0


@inner
def _wave(w, n_1, n_2, n_3):
    """Wave vector (1/angstrom) of three integers."""
    m, turn = INVERSE, 2.0 * math.pi
    return (
        turn * (n_1 * w[m] + n_2 * w[m + 1] + n_3 * w[m + 2]),
        turn * (n_1 * w[m + 3] + n_2 * w[m + 4] + n_3 * w[m + 5]),
        turn * (n_1 * w[m + 6] + n_2 * w[m + 7] + n_3 * w[m + 8]),
    )


@inner
def _one_wave(c, e, scratch, x, y, z, square, n_3, volume, virial, w):
    """Energy of a wave and its opposite; adds to the slopes by the phases of the atoms."""
    for j in range(c.shape[0]):
        scratch[COSINE, j] = scratch[REAL, j] * c[j] - scratch[IMAGINARY, j] * e[j]
        scratch[SINE, j] = scratch[REAL, j] * e[j] + scratch[IMAGINARY, j] * c[j]
    real, imaginary = _total(scratch[COSINE]), _total(scratch[SINE])
    width = 0.25 / (w[SPLITTING] * w[SPLITTING])
    factor = 4.0 * math.pi * COULOMB / volume * math.exp(-width * square) / square
    energy = factor * (real * real + imaginary * imaginary)
    real, imaginary = 2.0 * factor * real, 2.0 * factor * imaginary
    for j in range(c.shape[0]):
        slope = real * scratch[SINE, j] - imaginary * scratch[COSINE, j]
        scratch[SUM, j] += slope
        scratch[SUM_3, j] += n_3 * slope
    along = 2.0 * energy * (1.0 / square + width)
    add_to_virial(
        virial, energy - along * x * x, energy - along * y * y, energy - along * z * z,
        -along * y * z, -along * x * z, -along * x * y,
    )  # fmt: skip
    return energy


@inner
def _total(row):
    """Sum of a row in four parts, which do not wait for each other."""
    a, b, c, d, n = 0.0, 0.0, 0.0, 0.0, row.shape[0]
    for m in range(n // 4):
        a += row[4 * m]
        b += row[4 * m + 1]
        c += row[4 * m + 2]
        d += row[4 * m + 3]
    for m in range(4 * (n // 4), n):
        a += row[m]
    return (a + b) + (c + d)


@inner
def _add_slopes(scratch, n_1, n_2):
    """Add the slopes of the waves with two integers, as the phases' powers say."""
    for j in range(scratch.shape[1]):
        scratch[ALONG_1, j] += n_1 * scratch[SUM, j]
        scratch[ALONG_2, j] += n_2 * scratch[SUM, j]
        scratch[ALONG_3, j] += scratch[SUM_3, j]


@inner
def _add_forces(scratch, forces, w):
    for j in range(scratch.shape[1]):
        x, y, z = _wave(w, scratch[ALONG_1, j], scratch[ALONG_2, j], scratch[ALONG_3, j])
        forces[j, 0] += x
        forces[j, 1] += y
        forces[j, 2] += z
