"""Vector densities in Numba: vectors of all encodings, and the forces by the chain rule.

An entry computes the Gaussians of its distance; following entries with the same two atoms and the
same Gaussians reuse them.
"""
# mypy: disable-error-code="call-arg"
# Numba passes the first argument of an intrinsic itself.

import math

from ..compilation import inner, when_needed
from ..contract import fill
from ..parts import PART
from ..simd.gaussians import fill_gaussians
from ..simd.vectors import padded, radial_rows
from .layout import (
    COEFFICIENTS,
    CUTOFF,
    ENTRIES,
    GAUSSIANS,
    GRADIENT,
    N_ENCODINGS,
    N_ENTRIES,
    N_RADIAL,
    N_VECTORS,
    RADIAL,
    RANGES,
    STEPS,
    VECTOR,
    VECTORS,
)


@when_needed(PART)
def read_densities(positions, w, program):
    """Compute the vectors of all encodings; store w_t / r, its slope, and r^ of each entry."""
    n, n_vectors = program[N_ENCODINGS], program[N_VECTORS]
    for i in range(VECTOR * n * n_vectors):
        w[program[VECTORS] + i] = 0.0
    unit, inside, r = 2 * padded(n), False, 0.0
    x = y = z = 0.0
    for entry in range(program[N_ENTRIES]):
        record = program[ENTRIES] + 4 * entry
        kept = program[RADIAL] + entry * (unit + 3)
        if not same_pair(entry, program):
            x = positions[program[record + 2], 0] - positions[program[record + 1], 0]
            y = positions[program[record + 2], 1] - positions[program[record + 1], 1]
            z = positions[program[record + 2], 2] - positions[program[record + 1], 2]
            r = math.sqrt(x * x + y * y + z * z)
        if not same_gaussians(entry, w, program):
            inside = _gaussians(w, r, program[record + 3], program)
        _weights(w, inside, kept, program[record + 3], program)
        w[kept + unit], w[kept + unit + 1], w[kept + unit + 2] = x / r, y / r, z / r
        for e in range(n):
            start = program[VECTORS] + VECTOR * (e * n_vectors + program[record])
            w[kept + e] /= r
            w[start] += w[kept + e] * x
            w[start + 1] += w[kept + e] * y
            w[start + 2] += w[kept + e] * z
    return 0.0


@inner
def same_pair(entry, program):
    """Return True if an entry joins the same two atoms as the previous one."""
    record = program[ENTRIES] + 4 * entry
    return (
        entry > 0
        and program[record + 1] == program[record - 3]
        and program[record + 2] == program[record - 2]
    )


@inner
def same_gaussians(entry, w, program):
    """Return True if an entry has the distance and the Gaussians of the previous one."""
    if not same_pair(entry, program):
        return False
    record = program[ENTRIES] + 4 * entry
    here = program[RANGES] + 2 * program[record + 3]
    before = program[RANGES] + 2 * program[record - 1]
    return w[here] == w[before] and w[here + 1] == w[before + 1]


@inner
def _gaussians(w, r, kind, program):
    """Compute Gaussians times the envelope, and derivatives; return False if all are zero."""
    t = r / w[program[CUTOFF]]
    if t >= 1.0:
        return False
    t5 = t * t * t * t * t
    envelope = 1.0 - t5 * t * (28.0 - t * (48.0 - 21.0 * t))
    slope = -168.0 * t5 * (1.0 - t) * (1.0 - t) / w[program[CUTOFF]]
    low, spacing = w[program[RANGES] + 2 * kind], w[program[RANGES] + 2 * kind + 1]
    u, values = (r - low) / spacing, program[GAUSSIANS]
    if not fill_gaussians(w, values, program[N_RADIAL], u, program[STEPS]):
        return False
    for g in range(program[N_RADIAL]):
        gaussian = w[values + 2 * g]
        w[values + 2 * g] = gaussian * envelope
        w[values + 2 * g + 1] = gaussian * (slope - envelope * (u - g) / spacing)
    return True


@inner
def _weights(w, inside, kept, kind, program):
    """Compute the radial functions of all encodings at `kept`, then their derivatives."""
    size, n_radial = padded(program[N_ENCODINGS]), program[N_RADIAL]
    if not inside:
        for i in range(2 * size):
            w[kept + i] = 0.0
        return
    row = program[COEFFICIENTS] + kind * n_radial * size
    radial_rows(w, kept, row, program[GAUSSIANS], n_radial, size)


@when_needed(PART)
def write_densities(forces, w, program):
    """Write the forces by the chain rule: ``dE = sum_e g_e . d(w_e r^)`` for every entry."""
    fill(forces, 0.0)
    n, n_vectors = program[N_ENCODINGS], program[N_VECTORS]
    slopes, unit = padded(n), 2 * padded(n)
    for entry in range(program[N_ENTRIES]):
        record = program[ENTRIES] + 4 * entry
        kept = program[RADIAL] + entry * (unit + 3)
        x, y, z = w[kept + unit], w[kept + unit + 1], w[kept + unit + 2]
        along, ax, ay, az = 0.0, 0.0, 0.0, 0.0
        for e in range(n):
            gradient = program[GRADIENT] + 3 * (e * n_vectors + program[record])
            gx, gy, gz = w[gradient], w[gradient + 1], w[gradient + 2]
            along += w[kept + slopes + e] * (gx * x + gy * y + gz * z)
            ax += w[kept + e] * gx
            ay += w[kept + e] * gy
            az += w[kept + e] * gz
        along -= ax * x + ay * y + az * z
        centre, neighbour = program[record + 1], program[record + 2]
        for axis, force in enumerate((ax + along * x, ay + along * y, az + along * z)):
            forces[centre, axis] += force
            forces[neighbour, axis] -= force
    return 0.0
