"""Force fields of molecules in Numba: the formulas are those of `molecular`.

A program is the number of atoms, the number of groups, then the atoms of each group; a workspace
holds the numbers of the term. Bonds and angles know cells: a bond is to the nearest image of its
atom, which is surely the nearest where bonds are shorter than half of the smallest height of the
cell. Their workspaces end with scratch, see `images`. Terms between all pairs are for isolated
systems.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from qmd.integrators import FORCE_SIGNATURE, Force

from ..compilation import inner, when_needed
from ..constants import COULOMB
from ..contract import clear, fill
from .images import INVERSE, SCRATCH, VECTORS, push_along, write_inverse, write_nearest
from .molecular import HarmonicAngles, HarmonicBonds, LennardJones, MorseBonds, PointCharges
from .native import distance, push

N_ATOMS, N_GROUPS, GROUPS = range(3)
"""Places in a program."""


def morse_kernel(model: MorseBonds) -> Force:
    """Native kernel of Morse bonds; numbers: depth, steepness, length."""
    return _bonded(_morse(), model.n_atoms, model.bonds, model.depth, model.steepness, model.length)


def bonds_kernel(model: HarmonicBonds) -> Force:
    """Native kernel of harmonic bonds; numbers: stiffness, length."""
    return _bonded(_bonds(), model.n_atoms, model.bonds, model.stiffness, model.length)


def angles_kernel(model: HarmonicAngles) -> Force:
    """Native kernel of harmonic angles; numbers: stiffness, angle."""
    return _bonded(_angles(), model.n_atoms, model.angles, model.stiffness, model.angle)


def lennard_jones_kernel(model: LennardJones) -> Force:
    """Native kernel of Lennard-Jones; groups are single atoms; numbers: depth, diameter."""
    return _kernel(_lennard_jones(), model.n_atoms, model.atoms, [model.depth, model.diameter])


def charges_kernel(model: PointCharges) -> Force:
    """Native kernel of point charges; groups: molecules of the atoms; numbers: charges."""
    return _kernel(_charges(), model.n_atoms, model.molecules, model.charges)


def _kernel(function: Any, n_atoms: int, groups: Sequence[Any], numbers: Sequence[float]) -> Force:
    program = [n_atoms, len(groups), *np.ravel(groups)]
    return Force(function, np.array(program, np.int64), np.array(numbers, float))


def _bonded(function: Any, n_atoms: int, groups: Sequence[Any], *numbers: float) -> Force:
    force = _kernel(function, n_atoms, groups, [*numbers, *[0.0] * SCRATCH])
    return force._replace(periodic=True)


@when_needed(FORCE_SIGNATURE)
def _morse(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of Morse bonds; writes forces (eV/angstrom) and, if asked for, virial."""
    if not clear(positions, forces, program):
        return math.nan
    fill(virial, 0.0)
    write_inverse(cell, workspace, 3)
    energy = 0.0
    depth, steepness = workspace[0], workspace[1]
    for bond in range(program[N_GROUPS]):
        i, j = program[GROUPS + 2 * bond], program[GROUPS + 2 * bond + 1]
        r = write_nearest(positions, i, j, cell, workspace, 3 + INVERSE, 3 + VECTORS)
        decay = math.exp(-steepness * (r - workspace[2]))
        energy += depth * (1.0 - decay) ** 2
        slope = 2.0 * depth * steepness * (1.0 - decay) * decay / r
        push_along(forces, virial, i, j, workspace, 3 + VECTORS, slope)
    return energy


@when_needed(FORCE_SIGNATURE)
def _bonds(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of harmonic bonds; writes forces (eV/angstrom) and, if asked for, virial."""
    if not clear(positions, forces, program):
        return math.nan
    fill(virial, 0.0)
    write_inverse(cell, workspace, 2)
    energy = 0.0
    for bond in range(program[N_GROUPS]):
        i, j = program[GROUPS + 2 * bond], program[GROUPS + 2 * bond + 1]
        r = write_nearest(positions, i, j, cell, workspace, 2 + INVERSE, 2 + VECTORS)
        stretch = r - workspace[1]
        energy += 0.5 * workspace[0] * stretch * stretch
        push_along(forces, virial, i, j, workspace, 2 + VECTORS, workspace[0] * stretch / r)
    return energy


@when_needed(FORCE_SIGNATURE)
def _angles(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of harmonic angles; writes forces (eV/angstrom) and, if asked for, virial."""
    if not clear(positions, forces, program):
        return math.nan
    fill(virial, 0.0)
    write_inverse(cell, workspace, 2)
    energy = 0.0
    for angle in range(program[N_GROUPS]):
        first = GROUPS + 3 * angle
        i, vertex, k = program[first], program[first + 1], program[first + 2]
        ri = write_nearest(positions, vertex, i, cell, workspace, 2 + INVERSE, 2 + VECTORS)
        rk = write_nearest(positions, vertex, k, cell, workspace, 2 + INVERSE, 5 + VECTORS)
        energy += _angle(forces, virial, i, vertex, k, ri, rk, workspace, 2 + VECTORS)
    return energy


@inner
def _angle(forces, virial, i, vertex, k, ri, rk, w, at):
    """Energy of the angle of i and k, at distances ri and rk, at the vertex; adds its forces."""
    xi, xk = w[at] / ri, w[at + 3] / rk
    yi, yk = w[at + 1] / ri, w[at + 4] / rk
    zi, zk = w[at + 2] / ri, w[at + 5] / rk
    cosine = xi * xk + yi * yk + zi * zk
    a, b, c = yi * zk - zi * yk, zi * xk - xi * zk, xi * yk - yi * xk
    sine = math.sqrt(a * a + b * b + c * c)
    bend = math.atan2(sine, cosine) - w[1]
    torque = w[0] * bend / sine
    for axis, (along_i, along_k) in enumerate(((xi, xk), (yi, yk), (zi, zk))):
        on_i = torque * (along_k - cosine * along_i) / ri
        on_k = torque * (along_i - cosine * along_k) / rk
        forces[i, axis] += on_i
        forces[k, axis] += on_k
        forces[vertex, axis] -= on_i + on_k
        for other in range(virial.shape[0]):
            virial[other, axis] += w[at + other] * on_i + w[at + 3 + other] * on_k
    return 0.5 * w[0] * bend * bend


@when_needed(FORCE_SIGNATURE)
def _lennard_jones(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of Lennard-Jones; writes the forces (eV/angstrom)."""
    if not clear(positions, forces, program):
        return math.nan
    energy = 0.0
    depth, diameter = workspace[0], workspace[1]
    for first in range(program[N_GROUPS]):
        i = program[GROUPS + first]
        for second in range(first):
            j = program[GROUPS + second]
            r = distance(positions, i, j)
            sixth = (diameter / r) ** 6
            energy += 4.0 * depth * sixth * (sixth - 1.0)
            push(positions, forces, i, j, -24.0 * depth * sixth * (2.0 * sixth - 1.0) / (r * r))
    return energy


@when_needed(FORCE_SIGNATURE)
def _charges(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of point charges; writes the forces (eV/angstrom)."""
    if not clear(positions, forces, program):
        return math.nan
    energy = 0.0
    for i in range(program[N_ATOMS]):
        for j in range(i):
            if program[GROUPS + i] != program[GROUPS + j]:
                r = distance(positions, i, j)
                one = COULOMB * workspace[i] * workspace[j] / r
                energy += one
                push(positions, forces, i, j, -one / (r * r))
    return energy
