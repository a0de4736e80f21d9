"""Derivatives of networks by their trained parameters in cells, compiled.

The geometry enters through moments of each centre,
``M_kcg = sum_j Y_c(r^_ij) G_g(r_ij)`` over its neighbours j of element k, with ``Y_c`` the
components x, y, z, 1 and, for rank two, xx, yy, xy, xz, yz of ``r^ r^T - 1/3``. Channels are linear
in the moments, and in the radial coefficients. So a derivative of the energy by the coefficients is
an outer product of moments and of slopes by the channels, and its derivative along a displacement
needs only the changes of both. Those of the slopes are central differences of the exact slopes by
the channels.

Pairs are directed and sorted by their centre: those of centre i are `starts[i]` to
`starts[i + 1]`, with the atom `others[p]` and the vector `apart[p]` to it.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Numba carries the types here.

import math

import numpy as np

from qmd.integrators import njit

from ..parts import call_centres
from ..simd.gaussians import fill_gaussians
from .kernel import CHANNELS, CIRCUITS, ENERGIES, KINDS, N_ATOMS, SLOPES
from .lanes import FOUR, LANES

STEP = 1e-4
"""Largest change of a channel, rad or eV, on either side of a central difference."""

compiled = njit(error_model="numpy", nogil=True)


@compiled
def circuits_into(channels, slopes, energies, program, w):
    """Write energies (fours of centres,) and slopes by the channels, shape (centres, channels)."""
    n, size = channels.shape
    for lane in range(LANES):
        program[program[KINDS] + lane] = 0
    for first in range(0, n, LANES):
        count = min(LANES, n - first)
        program[N_ATOMS] = count
        for lane in range(count):
            at = program[CHANNELS] + lane * size
            for c in range(size):
                w[at + c] = channels[first + lane, c]
        call_centres(program[CIRCUITS], w, 0, 0, program)
        for four in range((count + FOUR - 1) // FOUR):
            energies[first // FOUR + four] = w[program[ENERGIES] + four]
        for lane in range(count):
            at = program[SLOPES] + lane * size
            for c in range(size):
                slopes[first + lane, c] = w[at + c]


@compiled
def radial_into(r, radial, values):
    """Fill Gaussians times the envelope, and their slopes, alternately; False beyond the cut-off.

    Behind them `values` has ``exp(-g - 1/2)`` of each Gaussian.
    """
    first, spacing, cutoff = radial[0], radial[1], radial[2]
    t = r / cutoff
    if t >= 1.0:
        return False
    n = len(values) // 3
    t5 = t * t * t * t * t
    envelope = 1.0 - t5 * t * (28.0 - t * (48.0 - 21.0 * t))
    slope = -168.0 * t5 * (1.0 - t) * (1.0 - t) / cutoff
    u = (r - first) / spacing
    fill_gaussians(values, 0, n, u, 2 * n)
    for g in range(n):
        gaussian = values[2 * g]
        values[2 * g] = gaussian * envelope
        values[2 * g + 1] = gaussian * (slope - envelope * (u - g) / spacing)
    return True


@compiled
def components_into(x, y, z, out):
    """Write x, y, z, 1 and, if there is room, those of ``r^ r^T - 1/3``."""
    out[0], out[1], out[2], out[3] = x, y, z, 1.0
    if len(out) > 4:
        out[4], out[5] = x * x - 1.0 / 3.0, y * y - 1.0 / 3.0
        out[6], out[7], out[8] = x * y, x * z, y * z


@compiled
def turned_components_into(x, y, z, dx, dy, dz, out):
    """Write the changes of the components by a change of the unit vector."""
    out[0], out[1], out[2], out[3] = dx, dy, dz, 0.0
    if len(out) > 4:
        out[4], out[5] = 2.0 * x * dx, 2.0 * y * dy
        out[6], out[7], out[8] = x * dy + y * dx, x * dz + z * dx, y * dz + z * dy


@compiled
def add_moments(apart, p, radial, values, unit, moments):
    """Add a pair to the moments of its centre for the element of the neighbour."""
    x, y, z = apart[p, 0], apart[p, 1], apart[p, 2]
    r = math.sqrt(x * x + y * y + z * z)
    if not radial_into(r, radial, values):
        return
    components_into(x / r, y / r, z / r, unit)
    for c in range(moments.shape[0]):
        for g in range(moments.shape[1]):
            moments[c, g] += unit[c] * values[2 * g]


@compiled
def add_changes(apart, p, tx, ty, tz, radial, values, unit, turned, moments):
    """Add the changes of the moments as the vector of a pair changes by (tx, ty, tz)."""
    x, y, z = apart[p, 0], apart[p, 1], apart[p, 2]
    r = math.sqrt(x * x + y * y + z * z)
    if not radial_into(r, radial, values):
        return
    x, y, z = x / r, y / r, z / r
    along = x * tx + y * ty + z * tz
    components_into(x, y, z, unit)
    turned_components_into(
        x, y, z, (tx - along * x) / r, (ty - along * y) / r, (tz - along * z) / r, turned
    )
    for c in range(moments.shape[0]):
        for g in range(moments.shape[1]):
            moments[c, g] += turned[c] * values[2 * g] + along * unit[c] * values[2 * g + 1]


@compiled
def block_of(c, sizes):
    """Return begin of the channels of a component, begin of their functions, and their number."""
    vectors, scalars, tensors = sizes[0], sizes[1], sizes[2]
    if c < 3:
        return c * vectors, 0, vectors
    if c == 3:
        return 3 * vectors, vectors, scalars
    return 3 * vectors + scalars + (c - 4) * tensors, vectors + scalars, tensors


@compiled
def add_channels(moments, coefficients, sizes, channels):
    """Add moments (components, Gaussians) times coefficients (Gaussians, functions)."""
    for c in range(moments.shape[0]):
        to, at, n = block_of(c, sizes)
        for g in range(moments.shape[1]):
            value = moments[c, g]
            for k in range(n):
                channels[to + k] += value * coefficients[g, at + k]


@compiled
def add_outer(moments, slopes, factor, sizes, out):
    """Add moments times slopes by the channels to `out`, shape (Gaussians, functions)."""
    for c in range(moments.shape[0]):
        begin, to, n = block_of(c, sizes)
        for g in range(moments.shape[1]):
            value = factor * moments[c, g]
            for k in range(n):
                out[g, to + k] += value * slopes[begin + k]


@compiled
def slopes_by_moments(slopes, coefficients, sizes, out):
    """Write the derivatives of the energy by moments (components, Gaussians)."""
    for c in range(out.shape[0]):
        begin, at, n = block_of(c, sizes)
        for g in range(out.shape[1]):
            total = 0.0
            for k in range(n):
                total += slopes[begin + k] * coefficients[g, at + k]
            out[c, g] = total


@compiled
def pull_into(apart, p, radial, values, unit, by_moments, out):
    """Write the derivative of the energy by the vector of a pair, through its centre."""
    x, y, z = apart[p, 0], apart[p, 1], apart[p, 2]
    r = math.sqrt(x * x + y * y + z * z)
    out[0] = out[1] = out[2] = 0.0
    if not radial_into(r, radial, values):
        return
    x, y, z = x / r, y / r, z / r
    components_into(x, y, z, unit)
    along = 0.0
    for c in range(by_moments.shape[0]):
        total = across = 0.0
        for g in range(by_moments.shape[1]):
            total += by_moments[c, g] * values[2 * g + 1]
            across += by_moments[c, g] * values[2 * g]
        along += unit[c] * total
        if c < 3:
            out[c] += across
        elif c == 4 or c == 5:
            out[c - 4] += 2.0 * unit[c - 4] * across
        elif c == 6:
            out[0] += y * across
            out[1] += x * across
        elif c == 7:
            out[0] += z * across
            out[2] += x * across
        elif c == 8:
            out[1] += z * across
            out[2] += y * across
    radially = along - (x * out[0] + y * out[1] + z * out[2]) / r
    out[0] = out[0] / r + radially * x
    out[1] = out[1] / r + radially * y
    out[2] = out[2] / r + radially * z


@compiled
def channels_into(
    starts, others, apart, kinds, radial, steps, coefficients, constants, sizes, moments, channels
):
    """Write the moments (centres, elements, components, Gaussians) and channels of all centres."""
    n_radial = coefficients.shape[2]
    values, unit = np.empty(3 * n_radial), np.empty(moments.shape[2])
    values[2 * n_radial :] = steps
    moments[:] = 0.0
    channels[:] = 0.0
    for i in range(len(kinds)):
        for p in range(starts[i], starts[i + 1]):
            add_moments(apart, p, radial, values, unit, moments[i, kinds[others[p]]])
        for k in range(sizes[1]):
            channels[i, 3 * sizes[0] + k] = constants[kinds[i], k]
        for k in range(moments.shape[1]):
            add_channels(moments[i, k], coefficients[kinds[i], k], sizes, channels[i])


@compiled
def forces_into(
    starts, others, apart, kinds, radial, steps, coefficients, sizes, slopes, forces, virial
):
    """Write forces and virial from the slopes by the channels."""
    n_kinds, n_radial, n_components = len(coefficients), coefficients.shape[2], 4
    if sizes[2] > 0:
        n_components = 9
    values, unit = np.empty(3 * n_radial), np.empty(n_components)
    values[2 * n_radial :] = steps
    pull, by_moments = np.empty(3), np.empty((n_kinds, n_components, n_radial))
    forces[:] = 0.0
    virial[:] = 0.0
    for i in range(len(kinds)):
        for k in range(n_kinds):
            slopes_by_moments(slopes[i], coefficients[kinds[i], k], sizes, by_moments[k])
        for p in range(starts[i], starts[i + 1]):
            pull_into(apart, p, radial, values, unit, by_moments[kinds[others[p]]], pull)
            for a in range(3):
                forces[i, a] += pull[a]
                forces[others[p], a] -= pull[a]
                for b in range(3):
                    virial[a, b] -= apart[p, a] * pull[b]


@compiled
def changes_into(
    starts, others, apart, kinds, radial, steps, coefficients, sizes, along, strain, moments,
    channels,
):  # fmt: skip
    """Write the changes of moments and channels along a displacement (atoms, 3) and a strain."""
    n_radial, n_components = coefficients.shape[2], moments.shape[2]
    values = np.empty(3 * n_radial)
    unit, turned = np.empty(n_components), np.empty(n_components)
    values[2 * n_radial :] = steps
    moments[:] = 0.0
    channels[:] = 0.0
    for i in range(len(kinds)):
        for p in range(starts[i], starts[i + 1]):
            j, x, y, z = others[p], apart[p, 0], apart[p, 1], apart[p, 2]
            tx = along[j, 0] - along[i, 0] + x * strain[0, 0] + y * strain[1, 0] + z * strain[2, 0]
            ty = along[j, 1] - along[i, 1] + x * strain[0, 1] + y * strain[1, 1] + z * strain[2, 1]
            tz = along[j, 2] - along[i, 2] + x * strain[0, 2] + y * strain[1, 2] + z * strain[2, 2]
            add_changes(apart, p, tx, ty, tz, radial, values, unit, turned, moments[i, kinds[j]])
        for k in range(moments.shape[1]):
            add_channels(moments[i, k], coefficients[kinds[i], k], sizes, channels[i])


@compiled
def both_sides(channels, changes, steps, two):
    """Write the channels on both sides of a central difference, and the steps of each centre."""
    for i in range(len(channels)):
        largest = 1e-300
        for c in range(channels.shape[1]):
            largest = max(largest, abs(changes[i, c]))
        steps[i] = STEP / largest
        for c in range(channels.shape[1]):
            two[i, c] = channels[i, c] + steps[i] * changes[i, c]
            two[len(channels) + i, c] = channels[i, c] - steps[i] * changes[i, c]


@compiled
def changes_of_slopes(two, steps, out):
    """Write the central differences of slopes on both sides."""
    n = len(out)
    for i in range(n):
        for c in range(out.shape[1]):
            out[i, c] = (two[i, c] - two[n + i, c]) / (2.0 * steps[i])


@compiled
def add_derivatives(moments, slopes, factor, kinds, sizes, of_coefficients, of_constants):
    """Add moments times slopes, and slopes by the constants, of all centres."""
    for i in range(len(kinds)):
        for k in range(moments.shape[1]):
            add_outer(moments[i, k], slopes[i], factor, sizes, of_coefficients[kinds[i], k])
        for k in range(sizes[1]):
            of_constants[kinds[i], k] += factor * slopes[i, 3 * sizes[0] + k]


@compiled
def add_changed(moments, slopes, kinds, sizes, of_coefficients):
    """Add changes of moments times slopes, which constants do not have."""
    for i in range(len(kinds)):
        for k in range(moments.shape[1]):
            add_outer(moments[i, k], slopes[i], 1.0, sizes, of_coefficients[kinds[i], k])


@compiled
def entries_into(
    starts, others, apart, kinds, radial, steps, coefficients, sizes, atom, axis, centres, moments,
    channels,
):  # fmt: skip
    """Write what changes as an atom moves along an axis: its own moments, then those of neighbours.

    Entry 0 is the atom; each later one is a pair, with the change of the moments of the neighbour
    for the element of the atom. Returns the number of entries.
    """
    n_radial, n_components = coefficients.shape[2], moments.shape[2]
    values = np.empty(3 * n_radial)
    unit, turned = np.empty(n_components), np.empty(n_components)
    values[2 * n_radial :] = steps
    back = np.empty((1, 3))
    n = starts[atom + 1] - starts[atom] + 1
    moments[:n] = 0.0
    channels[:n] = 0.0
    centres[0], n = atom, 1
    tx = ty = tz = 0.0
    if axis == 0:
        tx = 1.0
    elif axis == 1:
        ty = 1.0
    else:
        tz = 1.0
    own = kinds[atom]
    for p in range(starts[atom], starts[atom + 1]):
        j = others[p]
        if j == atom:
            continue
        add_changes(apart, p, -tx, -ty, -tz, radial, values, unit, turned, moments[0, kinds[j]])
        for a in range(3):
            back[0, a] = -apart[p, a]
        add_changes(back, 0, tx, ty, tz, radial, values, unit, turned, moments[n, own])
        add_channels(moments[n, own], coefficients[kinds[j], own], sizes, channels[n])
        centres[n] = j
        n += 1
    for k in range(moments.shape[1]):
        add_channels(moments[0, k], coefficients[own, k], sizes, channels[0])
    return n


@compiled
def row_into(
    centres, n, changed_moments, changed_slopes, moments, slopes, kinds, sizes, own,
    of_coefficients, of_constants,
):  # fmt: skip
    """Write the derivatives of dE/dx of an atom by coefficients and constants, from its entries."""
    of_coefficients[:] = 0.0
    of_constants[:] = 0.0
    for entry in range(n):
        i = centres[entry]
        kind = kinds[i]
        for k in range(moments.shape[1]):
            add_outer(moments[i, k], changed_slopes[entry], 1.0, sizes, of_coefficients[kind, k])
            if entry == 0 or k == own:
                add_outer(
                    changed_moments[entry, k], slopes[i], 1.0, sizes, of_coefficients[kind, k]
                )
        for k in range(sizes[1]):
            of_constants[kind, k] += changed_slopes[entry, 3 * sizes[0] + k]
