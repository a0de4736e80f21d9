"""Derivatives of the energy of a lowered circuit by its trained parameters, in Numba.

`kernel.energy_and_forces` leaves all states psi_d and lambda_d and the gradient with respect to
every encoding vector. This module adds the derivatives by the parameters: within a layer the
states are computed again from operation to operation, and a coupling of operation U_j has
``2 Re <lambda| dU_j |psi>``; the scales of the features follow from the gradient of the vectors
by the chain rule; the weights of the head are expectation values.

They are written to one row in the order of `Parameters`: scales, couplings, weights, offset.
"""

import math

import numpy as np

from qmd.integrators import call, njit

from ..compilation import inner
from ..simd.gaussians import fill_gaussians
from ..simd.vectors import padded
from .kernel import apply_graded, encode_vectors, exchange_sectors, turn_pair
from .layout import (
    ADJOINTS,
    CUTOFF,
    ENTRIES,
    GAUSSIANS,
    GRADIENT,
    N_ATOMS,
    N_ENCODINGS,
    N_ENTRIES,
    N_LAYERS,
    N_OPERATIONS,
    N_PAIRS,
    N_RADIAL,
    N_SECTORS,
    N_VECTORS,
    OPERATIONS,
    RADIAL,
    RANGES,
    RECORD,
    STATES,
    STEPS,
    WEIGHTS,
)
from .lowering import ANCILLA, GRADED
from .radial_kernel import same_gaussians

# fmt: off
# Places behind the program of the kernel, from `base`.
(N_DERIVATIVES, DERIVATIVES, N_PARTS, PARTS, INSIDE, SPARE, N_SCALES, N_COUPLINGS, N_OBSERVABLES,
 SCALE_INDEX, GRADIENT_HEAD) = range(11)
# fmt: on
OPERATION, COUPLING = RECORD, RECORD + 1
"""Places behind the record of an operation: operation (or observable) and coupling."""
LONG_RECORD = RECORD + 2


@inner
def real_overlap(w, x, y, n):
    """Return the real part of <x|y>, in four sums to hide latency."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for i in range(0, n, 4):
        a += w[x + i] * w[y + i]
        b += w[x + i + 1] * w[y + i + 1]
        c += w[x + i + 2] * w[y + i + 2]
        d += w[x + i + 3] * w[y + i + 3]
    return (a + b) + (c + d)


@inner
def _operate(w, y, x, record, layer, program, adjoint):
    """y = one operation of a layer, or its adjoint, of x; y and x must differ."""
    k, sectors = program[N_PAIRS], program[N_SECTORS]
    part, stride = 2 << (2 * k), program[record + 6]
    u = program[record + 5] + layer * stride
    if program[record] == ANCILLA:
        for i in range(sectors * part):
            w[y + i] = w[x + i]
        exchange_sectors(w, y, k, w[u], -w[u + 1] if adjoint else w[u + 1])
        return
    for s in range(sectors):
        if program[record] == GRADED:
            start = u + (stride // 2 if adjoint else 0)
            apply_graded(w, y + s * part, x + s * part, k, program, record, start)
        else:
            start = u + (16 if adjoint else 0)
            turn_pair(w, y + s * part, x + s * part, k, program[record + 1], start)


@inner
def _slope(w, after, x, y, record, layer, program, spare):
    """2 Re <after| dU |x>, with y = U x."""
    k, sectors = program[N_PAIRS], program[N_SECTORS]
    part = 2 << (2 * k)
    u = program[record + 5] + layer * program[record + 6]
    if program[record] == ANCILLA:  # dU = -i/2 (exchange) U
        half = part // 2
        total = 0.0
        for s in range(2):
            a, b = after + s * part, y + (1 - s) * part
            total += real_overlap(w, a, b + half, half) - real_overlap(w, a + half, b, half)
        return w[u] * total
    total = 0.0
    for s in range(sectors):
        if program[record] == GRADED:
            apply_graded(w, spare, x + s * part, k, program, record, u)
        else:
            turn_pair(w, spare, x + s * part, k, program[record + 1], u)
        total += real_overlap(w, after + s * part, spare, part)
    return 2.0 * total


@inner
def _add_couplings(w, row, start, factor, program, base):
    n, n_layers, shared = program[N_OPERATIONS], program[N_LAYERS], program[N_ENCODINGS] == 1
    step = program[N_SECTORS] * (2 << (2 * program[N_PAIRS]))
    inside, spare = program[base + INSIDE], program[base + SPARE]
    for layer in range(n_layers):
        for i in range(step):
            w[inside + i] = w[program[STATES] + layer * step + i]
        for j in range(n):
            record, x = program[OPERATIONS] + RECORD * j, inside + j * step
            _operate(w, x + step, x, record, layer, program, False)
        after, other = spare + step, spare + 2 * step
        adjoint = program[ADJOINTS] + (layer + 1) * step
        encode_vectors(w, after, adjoint, 0 if shared else layer + 1, program, True)
        i = program[base + N_DERIVATIVES] - 1
        for j in range(n - 1, -1, -1):
            x = inside + j * step
            while i >= 0:
                record = program[base + DERIVATIVES] + LONG_RECORD * i
                if program[record + OPERATION] != j:
                    break
                place = start + layer * program[base + N_COUPLINGS] + program[record + COUPLING]
                row[place] += factor * _slope(w, after, x, x + step, record, layer, program, spare)
                i -= 1
            if j > 0:
                record = program[OPERATIONS] + RECORD * j
                _operate(w, other, after, record, layer, program, True)
                after, other = other, after


@inner
def _add_weights(w, row, start, factor, program, base):
    k, sectors = program[N_PAIRS], program[N_SECTORS]
    part, spare = 2 << (2 * k), program[base + SPARE]
    state = program[STATES] + program[N_LAYERS] * sectors * part
    for i in range(program[base + N_PARTS]):
        record = program[base + PARTS] + LONG_RECORD * i
        total = 0.0
        for s in range(sectors):
            source = state + (sectors - 1 - s if program[record + 1] else s) * part
            apply_graded(w, spare, source, k, program, record, program[record + 5])
            total += real_overlap(w, state + s * part, spare, part)
        row[start + program[record + OPERATION]] += factor * total


@inner
def _add_linear_scales(w, row, factor, positions, program, base):
    n_vectors, n_atoms = program[N_VECTORS], program[N_ATOMS]
    for v in range(n_vectors):
        index = program[base + SCALE_INDEX + v]
        for axis in range(3):
            total = 0.0
            for atom in range(n_atoms):
                total += w[program[WEIGHTS] + v * n_atoms + atom] * positions[atom, axis]
            for e in range(program[N_ENCODINGS]):
                place = program[GRADIENT] + 3 * (e * n_vectors + v) + axis
                row[e * program[base + N_SCALES] + index] += factor * w[place] * total


@inner
def _add_radial_scales(w, row, factor, positions, program, base):
    n, n_radial, n_vectors = program[N_ENCODINGS], program[N_RADIAL], program[N_VECTORS]
    size, values = 2 * padded(n), program[GAUSSIANS]
    inside = False
    for entry in range(program[N_ENTRIES]):
        record = program[ENTRIES] + 4 * entry
        kind, unit = program[record + 3], program[RADIAL] + entry * (size + 3) + size
        if not same_gaussians(entry, w, program):
            inside = _gaussians(w, factor, positions, record, program)
        if not inside:
            continue
        for e in range(n):
            gradient = program[GRADIENT] + 3 * (e * n_vectors + program[record])
            slope = (
                w[gradient] * w[unit]
                + w[gradient + 1] * w[unit + 1]
                + w[gradient + 2] * w[unit + 2]
            )
            start = e * program[base + N_SCALES] + kind * n_radial
            for g in range(n_radial):
                row[start + g] += slope * w[values + 2 * g]


@inner
def _gaussians(w, factor, positions, record, program):
    """`factor` times the Gaussians of an entry and the envelope; False if all are zero."""
    a, b, kind = program[record + 1], program[record + 2], program[record + 3]
    r = math.sqrt(
        (positions[b, 0] - positions[a, 0]) ** 2
        + (positions[b, 1] - positions[a, 1]) ** 2
        + (positions[b, 2] - positions[a, 2]) ** 2
    )
    t = r / w[program[CUTOFF]]
    low, spacing = w[program[RANGES] + 2 * kind], w[program[RANGES] + 2 * kind + 1]
    u = (r - low) / spacing
    if t >= 1.0 or not fill_gaussians(w, program[GAUSSIANS], program[N_RADIAL], u, program[STEPS]):
        return False
    t6 = t * t * t * t * t * t
    envelope = factor * (1.0 - t6 * (28.0 - t * (48.0 - 21.0 * t)))
    for g in range(program[N_RADIAL]):
        w[program[GAUSSIANS] + 2 * g] *= envelope
    return True


@inner
def _add(address, positions, cell, forces, row, factor, program, workspace, base):
    """Add `factor` times the derivatives of the energy to `row`; return the energy."""
    energy = call(address, positions, cell, forces, forces[:0], program, workspace)
    if program[N_ENTRIES] > 0:
        _add_radial_scales(workspace, row, factor, positions, program, base)
    else:
        _add_linear_scales(workspace, row, factor, positions, program, base)
    start = program[N_ENCODINGS] * program[base + N_SCALES]
    _add_couplings(workspace, row, start, factor, program, base)
    start += program[N_LAYERS] * program[base + N_COUPLINGS]
    _add_weights(workspace, row, start, factor, program, base)
    row[start + program[base + N_OBSERVABLES]] += factor
    return energy


@njit(error_model="numpy", nogil=True)
def rows_into(address, positions, factors, rows, program, workspace, base):
    """Write the derivatives at `positions` (n, n_atoms, 3), times `factors`, to `rows`.

    `rows` is (n, n_parameters), or (1, n_parameters) for their sum: one function for both is
    compiled once. `address` is that of `kernel.energy_and_forces`.
    """
    cell, forces = np.zeros((3, 3)), positions[0].copy()
    rows[:, :] = 0.0
    for i in range(len(positions)):
        row = rows[min(i, len(rows) - 1)]
        _add(address, positions[i], cell, forces, row, factors[i], program, workspace, base)
