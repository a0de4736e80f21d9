"""Covariance of the forces that circuits give with finite shots, in Numba.

The derivative of ``<O>`` by a small turn about axis a in the middle of an encoding gate is the
difference of two expectation values, with quarter turns to either side; each is a mean over shots
in three settings. `fluctuations_into` adds the variances of all of these up per encoding vector
and axis. With ``phi = M (-i R sigma_a) psi`` of the shifted gate carried to the end, and P one
setting's part of O,

    <P>_+- = (<psi|P|psi> + <phi|P|phi> +- g) / 2,   g = 2 Re <psi|P|phi>
    sum of both variances = |P psi|^2 + |P phi|^2 - ((<psi|P|psi> + <phi|P|phi>)^2 + g^2) / 2

so that one state does for both. The chain rule of `kernel` then takes each variance, as a step of
its size along its axis, to a column of forces; columns are independent. As for energies, one
compiled function serves all trees; `shots` packs its arrays.
"""

import math

import numpy as np

from qmd.integrators import FORCE_SIGNATURE

from ..circuit.gradient_kernel import real_overlap
from ..circuit.kernel import (
    apply_graded,
    apply_layer,
    encode_vectors,
    last_state,
    turn_pair,
)
from ..circuit.layout import (
    ADJOINTS,
    GRADIENT,
    N_ENCODINGS,
    N_LAYERS,
    N_PAIRS,
    N_SECTORS,
    N_VECTORS,
    OPERATIONS,
    PREPARE,
    PROPAGATE,
    RECORD,
    SCRATCH,
    SPINS,
    STATES,
    TURNS,
    TWO_PAIRS,
    VECTOR,
    VECTORS,
    WRITE,
)
from ..compilation import inner, when_needed
from ..parts import call_part
from ..simd.vectors import steps_two_pairs
from ..tree.switch import NO_SWITCH, switch

# fmt: off
# Head of the program; records of its terms; places behind the program of a circuit, from BASE.
N_ATOMS, N_TERMS, POSITIONS, FORCES, PER_SHOT, HEAD = range(6)
(ATOMS, N_TERM_ATOMS, PROGRAM, PROGRAM_END, WORKSPACE, WORKSPACE_END, BASE,
 SWITCH_I, SWITCH_J, SWITCH, TERM_RECORD) = range(11)
SETTINGS, N_PARTS, GENERATORS, VARIANCES, MEANS, CIRCUIT_HEAD = range(6)
# fmt: on
N_SETTINGS = 3
"""Every spin along x, y or z."""


@inner
def _measure(w, y, x, setting, program, base):
    """y = P x, P what `setting` measures of the observable."""
    k, sectors = program[N_PAIRS], program[N_SECTORS]
    part = 2 << (2 * k)
    for i in range(sectors * part):
        w[y + i] = 0.0
    target, n_parts = y + sectors * part, program[base + N_PARTS]
    for term in range(setting * n_parts, (setting + 1) * n_parts):
        record = program[base + SETTINGS] + RECORD * term
        for s in range(sectors):
            source = x + (sectors - 1 - s if program[record + 1] else s) * part
            apply_graded(w, target, source, k, program, record, program[record + 5])
            for i in range(part):
                w[y + s * part + i] += w[target + i]


@inner
def _shifted(w, x, state, vector, spin, axis, program, base):
    """x = (-i R sigma_axis [X]) of the state: a half turn put into the middle of a gate.

    R turns by the angle |v| about v: it takes the axis from the middle of the gate to its end.
    """
    k = program[N_PAIRS]
    part = 2 << (2 * k)
    cosine, sinc = w[vector + 3], w[vector + 4]
    v = (w[vector], w[vector + 1], w[vector + 2])
    r2 = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
    along = v[axis] * ((1.0 - cosine) / r2 if r2 > 1e-6 else 0.5 - r2 / 24.0)
    across = (sinc * v[2], sinc * v[1], sinc * v[0])
    matrix = program[SCRATCH]
    for s in range(program[N_SECTORS]):
        sign = 1.0 if s == 0 else -1.0
        x_part, y_part, z_part = along * v[0], along * v[1], along * v[2]
        if axis == 0:  # v x e_x = (0, v_z, -v_y), and so on; v changes its sign with the sector
            x_part += cosine
            y_part += sign * across[0]
            z_part -= sign * across[1]
        elif axis == 1:
            x_part -= sign * across[0]
            y_part += cosine
            z_part += sign * across[2]
        else:
            x_part += sign * across[1]
            y_part -= sign * across[2]
            z_part += cosine
        generator = program[base + GENERATORS] + 48 * (spin % 2)
        for i in range(16):
            w[matrix + i] = -sign * (
                x_part * w[generator + i]
                + y_part * w[generator + 16 + i]
                + z_part * w[generator + 32 + i]
            )
        turn_pair(w, x + s * part, state + s * part, k, spin // 2, matrix)


@inner
def _to_the_end(w, x, encoding, program):
    """Carry the state at x, behind `encoding`, through the layers that follow; where it lies."""
    n, shared = program[N_LAYERS], program[N_ENCODINGS] == 1
    if program[TWO_PAIRS]:
        jump = 0 if shared else 64
        u = program[program[OPERATIONS] + 5] + encoding * program[program[OPERATIONS] + 6]
        turns = program[TURNS] + jump * (encoding + 1)
        stride = program[program[OPERATIONS] + 6]
        steps_two_pairs(w, x, u, stride, turns, jump, n - encoding)
        return x + 32 * (n - encoding)
    for layer in range(encoding, n):
        y = apply_layer(w, x, layer, program, False)
        encode_vectors(w, x, y, 0 if shared else layer + 1, program, False)
    return x


@inner
def fluctuations_into(positions, program, w, base):
    """Variance of the energy (eV^2) for one shot; leaves those of all turns at VARIANCES.

    Of each encoding, vector and axis, in eV^2: the gates that share a vector are measured one by
    one, so that their variances add up.
    """
    call_part(program[PREPARE], positions, w, program)
    call_part(program[PROPAGATE], positions, w, program)
    last = last_state(program)
    size = program[N_SECTORS] * (2 << (2 * program[N_PAIRS]))
    n_vectors, n_spins = program[N_VECTORS], 2 * program[N_PAIRS]
    y, means, total = program[SCRATCH], program[base + MEANS], 0.0
    for p in range(N_SETTINGS):
        _measure(w, y, last, p, program, base)
        w[means + 2 * p] = real_overlap(w, last, y, size)
        w[means + 2 * p + 1] = real_overlap(w, y, y, size)
        total += w[means + 2 * p + 1] - w[means + 2 * p] ** 2
    variances = program[base + VARIANCES]
    for i in range(3 * program[N_ENCODINGS] * n_vectors):
        w[variances + i] = 0.0
    for encoding in range(program[N_LAYERS] + 1):
        e = 0 if program[N_ENCODINGS] == 1 else encoding
        state = program[STATES] + encoding * size
        for spin in range(n_spins):
            vector = program[program[SPINS] + spin]
            if vector < 0:
                continue
            at = program[VECTORS] + VECTOR * (e * n_vectors + vector)
            for axis in range(3):
                x = program[ADJOINTS]
                _shifted(w, x, state, at, spin, axis, program, base)
                x = _to_the_end(w, x, encoding, program)
                both = _both_variances(w, x, last, y, program, base)
                w[variances + 3 * (e * n_vectors + vector) + axis] += both
    return total


@inner
def _both_variances(w, x, last, y, program, base):
    """Sum over settings of the two variances of a difference, from its state at x."""
    size = program[N_SECTORS] * (2 << (2 * program[N_PAIRS]))
    means, total = program[base + MEANS], 0.0
    for p in range(N_SETTINGS):
        _measure(w, y, x, p, program, base)
        both = w[means + 2 * p] + real_overlap(w, x, y, size)
        change = 2.0 * real_overlap(w, last, y, size)
        total += (
            w[means + 2 * p + 1]
            + real_overlap(w, y, y, size)
            - (both * both + change * change) / 2.0
        )
    return max(total, 0.0)  # an eigenstate has none, up to rounding


@inner
def _column(w, forces, e, vector, axis, step, program):
    """Forces of a turn by `step` in the middle of the gates of a vector.

    ``dv -> turn`` is ``S = s + (1 - s) v v^T / r^2`` with ``s = sin r / r``, symmetric.
    """
    gradient = program[GRADIENT]
    for i in range(3 * program[N_ENCODINGS] * program[N_VECTORS]):
        w[gradient + i] = 0.0
    place = e * program[N_VECTORS] + vector
    at = program[VECTORS] + VECTOR * place
    x, y, z, sinc = w[at], w[at + 1], w[at + 2], w[at + 4]
    r2 = x * x + y * y + z * z
    along = step * w[at + axis] * ((1.0 - sinc) / r2 if r2 > 1e-6 else (1.0 - r2 / 20.0) / 6.0)
    gradient += 3 * place
    w[gradient], w[gradient + 1], w[gradient + 2] = along * x, along * y, along * z
    w[gradient + axis] += step * sinc
    call_part(program[WRITE], forces, w, program)


@inner
def _term(positions, covariance, record, program, workspace):
    """Add the covariance of one circuit on its atoms; returns the variance of its energy."""
    factor, slope, r, i, j = 1.0, 0.0, 1.0, program[record + SWITCH_I], program[record + SWITCH_J]
    if i != NO_SWITCH:
        r2 = 0.0
        for axis in range(3):
            r2 += (positions[j, axis] - positions[i, axis]) ** 2
        r, at = math.sqrt(r2), program[record + SWITCH]
        factor, slope = switch(r, workspace[at], workspace[at + 1])
        if factor == 0.0:
            return 0.0
    n, atoms = program[record + N_TERM_ATOMS], program[record + ATOMS]
    local = workspace[program[POSITIONS] : program[POSITIONS] + 3 * n].reshape((n, 3))
    column = workspace[program[FORCES] : program[FORCES] + 3 * n].reshape((n, 3))
    for a in range(n):
        for axis in range(3):
            local[a, axis] = positions[program[atoms + a], axis]
    own = program[program[record + PROGRAM] : program[record + PROGRAM_END]]
    w = workspace[program[record + WORKSPACE] : program[record + WORKSPACE_END]]
    base, per_shot = program[record + BASE], workspace[program[PER_SHOT]]
    energy = per_shot * fluctuations_into(local, own, w, base)
    for e in range(own[N_ENCODINGS]):
        for vector in range(own[N_VECTORS]):
            for axis in range(3):
                place = own[base + VARIANCES] + 3 * (e * own[N_VECTORS] + vector) + axis
                _column(w, column, e, vector, axis, math.sqrt(per_shot * w[place]), own)
                _add_square(covariance, column, factor * factor, program, atoms)
    if slope != 0.0:
        _add_pull(covariance, positions, i, j, slope * slope * energy / (r * r))
    return factor * factor * energy


@inner
def _add_square(covariance, column, factor, program, atoms):
    for a in range(3 * column.shape[0]):
        row = 3 * program[atoms + a // 3] + a % 3
        left = factor * column[a // 3, a % 3]
        for b in range(3 * column.shape[0]):
            at = 3 * program[atoms + b // 3] + b % 3
            covariance[row, at] += left * column[b // 3, b % 3]


@inner
def _add_pull(covariance, positions, i, j, factor):
    """The energy under a switch pulls two atoms along their distance, see `compose_kernel`."""
    for a in range(3):
        for b in range(3):
            d = positions[j, a] - positions[i, a], positions[j, b] - positions[i, b]
            value = factor * d[0] * d[1]
            covariance[3 * i + a, 3 * i + b] += value
            covariance[3 * j + a, 3 * j + b] += value
            covariance[3 * i + a, 3 * j + b] -= value
            covariance[3 * j + a, 3 * i + b] -= value


@when_needed(FORCE_SIGNATURE)
def covariance_of_forces(positions, cell, covariance, virial, program, workspace):
    """Variance of the energy (eV^2); writes that of the forces, (3 n, 3 n), eV^2/angstrom^2.

    NaN if the number of atoms is not that of the tree.
    """
    n, energy = program[N_ATOMS], 0.0
    if positions.shape[0] != n or covariance.shape[0] != 3 * n or covariance.shape[1] != 3 * n:
        energy = np.nan
    for i in range(covariance.shape[0]):
        for j in range(covariance.shape[1]):
            covariance[i, j] = energy
    if energy != 0.0:
        return energy
    for term in range(program[N_TERMS]):
        energy += _term(positions, covariance, HEAD + TERM_RECORD * term, program, workspace)
    return energy
