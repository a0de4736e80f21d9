"""Perceptrons of up to `LANES` centres in Numba: energy and derivatives by the channels.

The function of a family that `list_kernel` calls: it sees channels as those of `kernel`, vectors,
scalars and tensors of centre after centre, and finds its constants by its own program, of which the
first words are those of `kernel`.
"""
# mypy: disable-error-code="call-arg"
# Numba passes the first argument of an intrinsic itself.

import math

from ..compilation import inner, when_needed
from ..parts import CENTRES
from .kernel import (
    CHANNELS,
    HEAD,
    KINDS,
    N_ATOMS,
    N_SCALARS,
    N_TENSORS,
    N_VECTORS,
    OFFSETS,
    SLOPES,
    begin_centre,
    channel_size,
)
from .lanes import LANES

# fmt: off
(VECTORS, SCALARS, TENSORS, INPUTS, HIDDEN, FIRST, FIRST_BIAS, SECOND, SECOND_BIAS, LAST,
 INPUT, INPUT_SLOPES, UNITS, UNIT_SLOPES, MATRICES, MATRIX_SLOPES, END) = range(HEAD, HEAD + 17)
# fmt: on
# VECTORS to HIDDEN are numbers, not filled up; UNITS are of both layers; a matrix has nine numbers.
FOUR_KINDS = END
"""Place of the kinds of `LANES` centres in the program."""


@when_needed(CENTRES)
def perceptrons(w, first, shift, program):
    """Energies of up to `LANES` centres, four together, and derivatives by their channels."""
    for centre in range(first, min(first + LANES, program[N_ATOMS])):
        kind, four = program[program[KINDS] + centre], begin_centre(w, centre, program)
        channels = program[CHANNELS] + centre * channel_size(program)
        slopes = program[SLOPES] + centre * channel_size(program)
        for channel in range(channel_size(program)):
            w[slopes + channel] = 0.0
        _matrices(w, channels, program)
        _inputs(w, channels, program)
        w[four] += _forward(w, kind, program)
        _backward(w, kind, program)
        _input_slopes(w, channels, slopes, program)
    return 0.0


@inner
def _tensor(channels, program):
    """Return the place of the first component of the first tensor."""
    return channels + 3 * program[N_VECTORS] + program[N_SCALARS]


@inner
def _matrices(w, channels, program):
    """Write the tensors as matrices of nine numbers; set their slopes to 0."""
    step = program[N_TENSORS]
    for t in range(program[TENSORS]):
        at, m = _tensor(channels, program) + t, program[MATRICES] + 9 * t
        xx, yy, xy = w[at], w[at + step], w[at + 2 * step]
        xz, yz = w[at + 3 * step], w[at + 4 * step]
        w[m], w[m + 1], w[m + 2] = xx, xy, xz
        w[m + 3], w[m + 4], w[m + 5] = xy, yy, yz
        w[m + 6], w[m + 7], w[m + 8] = xz, yz, -xx - yy
        for k in range(9):
            w[program[MATRIX_SLOPES] + 9 * t + k] = 0.0


@inner
def _inputs(w, channels, program):
    """Write the invariants, in the order of the trained weights."""
    vectors, step, to = program[VECTORS], program[N_VECTORS], program[INPUT]
    for a in range(vectors):
        for b in range(a, vectors):
            p, q = channels + a, channels + b
            w[to] = w[p] * w[q] + w[p + step] * w[q + step] + w[p + 2 * step] * w[q + 2 * step]
            to += 1
    for s in range(program[SCALARS]):
        w[to] = w[channels + 3 * step + s]
        to += 1
    for t in range(program[TENSORS]):
        m = program[MATRICES] + 9 * t
        for a in range(vectors):
            x, y, z = _times(w, m, channels + a, step)
            for b in range(a, vectors):
                q = channels + b
                w[to] = x * w[q] + y * w[q + step] + z * w[q + 2 * step]
                to += 1
    for t in range(program[TENSORS]):
        for u in range(t, program[TENSORS]):
            p, q, total = program[MATRICES] + 9 * t, program[MATRICES] + 9 * u, 0.0
            for k in range(9):
                total += w[p + k] * w[q + k]
            w[to] = total
            to += 1
    for t in range(program[TENSORS]):
        for u in range(t, program[TENSORS]):
            for v in range(u, program[TENSORS]):
                w[to] = _triple(w, t, u, v, program)
                to += 1


@inner
def _times(w, m, vector, step):
    """Return a matrix times a vector whose components lie `step` apart."""
    x, y, z = w[vector], w[vector + step], w[vector + 2 * step]
    return (
        w[m] * x + w[m + 1] * y + w[m + 2] * z,
        w[m + 3] * x + w[m + 4] * y + w[m + 5] * z,
        w[m + 6] * x + w[m + 7] * y + w[m + 8] * z,
    )


@inner
def _element(w, p, q, i, k):
    """Return an element of the product of two matrices."""
    return (
        w[p + 3 * i] * w[q + k] + w[p + 3 * i + 1] * w[q + 3 + k] + w[p + 3 * i + 2] * w[q + 6 + k]
    )


@inner
def _triple(w, t, u, v, program):
    """Return ``tr Q_t Q_u Q_v``."""
    matrices, total = program[MATRICES], 0.0
    for i in range(3):
        for k in range(3):
            product = _element(w, matrices + 9 * t, matrices + 9 * u, i, k)
            total += product * w[matrices + 9 * v + 3 * k + i]
    return total


@inner
def _forward(w, kind, program):
    """Energy of a centre from its invariants; keeps the hidden units."""
    n, hidden, units = program[INPUTS], program[HIDDEN], program[UNITS]
    _layer(w, program[INPUT], n, program[FIRST], program[FIRST_BIAS], units, kind, hidden)
    _layer(w, units, hidden, program[SECOND], program[SECOND_BIAS], units + hidden, kind, hidden)
    energy = w[program[OFFSETS] + kind]
    for h in range(hidden):
        energy += w[program[LAST] + kind * hidden + h] * w[units + hidden + h]
    return energy


@inner
def _layer(w, inputs, n, weights, bias, to, kind, hidden):
    """Units of a layer: ``tanh(inputs @ weights + bias)``."""
    for h in range(hidden):
        w[to + h] = w[bias + kind * hidden + h]
    for i in range(n):
        value, row = w[inputs + i], weights + (kind * n + i) * hidden
        for h in range(hidden):
            w[to + h] += value * w[row + h]
    for h in range(hidden):
        w[to + h] = math.tanh(w[to + h])


@inner
def _backward(w, kind, program):
    """Derivatives of the energy by the invariants."""
    n, hidden = program[INPUTS], program[HIDDEN]
    one, two = program[UNITS], program[UNITS] + hidden
    below, above = program[UNIT_SLOPES], program[UNIT_SLOPES] + hidden
    for h in range(hidden):
        w[above + h] = w[program[LAST] + kind * hidden + h] * (1.0 - w[two + h] * w[two + h])
    for i in range(hidden):
        total, row = 0.0, program[SECOND] + (kind * hidden + i) * hidden
        for h in range(hidden):
            total += w[row + h] * w[above + h]
        w[below + i] = total * (1.0 - w[one + i] * w[one + i])
    for i in range(n):
        total, row = 0.0, program[FIRST] + (kind * n + i) * hidden
        for h in range(hidden):
            total += w[row + h] * w[below + h]
        w[program[INPUT_SLOPES] + i] = total


@inner
def _input_slopes(w, channels, slopes, program):
    """Derivatives by the channels from those by the invariants, in the order of `_inputs`."""
    vectors, step, at = program[VECTORS], program[N_VECTORS], program[INPUT_SLOPES]
    for a in range(vectors):
        for b in range(a, vectors):
            for axis in range(0, 3 * step, step):
                w[slopes + a + axis] += w[at] * w[channels + b + axis]
                w[slopes + b + axis] += w[at] * w[channels + a + axis]
            at += 1
    for s in range(program[SCALARS]):
        w[slopes + 3 * step + s] = w[at]
        at += 1
    for t in range(program[TENSORS]):
        m, out = program[MATRICES] + 9 * t, program[MATRIX_SLOPES] + 9 * t
        for a in range(vectors):
            for b in range(a, vectors):
                _add_between(w, w[at], m, out, channels, slopes, a, b, step)
                at += 1
    for t in range(program[TENSORS]):
        for u in range(t, program[TENSORS]):
            for k in range(9):
                p, q = 9 * t + k, 9 * u + k
                w[program[MATRIX_SLOPES] + p] += w[at] * w[program[MATRICES] + q]
                w[program[MATRIX_SLOPES] + q] += w[at] * w[program[MATRICES] + p]
            at += 1
    for t in range(program[TENSORS]):
        for u in range(t, program[TENSORS]):
            for v in range(u, program[TENSORS]):
                _add_triple(w, w[at], t, u, v, program)
                _add_triple(w, w[at], u, v, t, program)
                _add_triple(w, w[at], v, t, u, program)
                at += 1
    _tensor_slopes(w, slopes, program)


@inner
def _add_between(w, slope, m, out, channels, slopes, a, b, step):
    """Add the derivatives of ``v_a . Q . v_b``."""
    x, y, z = _times(w, m, channels + b, step)
    u, v, t = _times(w, m, channels + a, step)
    w[slopes + a] += slope * x
    w[slopes + a + step] += slope * y
    w[slopes + a + 2 * step] += slope * z
    w[slopes + b] += slope * u
    w[slopes + b + step] += slope * v
    w[slopes + b + 2 * step] += slope * t
    for i in range(3):
        for k in range(3):
            w[out + 3 * i + k] += slope * w[channels + a + i * step] * w[channels + b + k * step]


@inner
def _add_triple(w, slope, t, u, v, program):
    """Add the derivatives of ``tr Q_t Q_u Q_v`` by the elements of the first."""
    matrices, out = program[MATRICES], program[MATRIX_SLOPES] + 9 * t
    for i in range(3):
        for k in range(3):
            w[out + 3 * i + k] += slope * _element(w, matrices + 9 * u, matrices + 9 * v, k, i)


@inner
def _tensor_slopes(w, slopes, program):
    """Derivatives by the five components from those by the elements of the matrices."""
    step = program[N_TENSORS]
    for t in range(program[TENSORS]):
        at, m = _tensor(slopes, program) + t, program[MATRIX_SLOPES] + 9 * t
        w[at] = w[m] - w[m + 8]
        w[at + step] = w[m + 4] - w[m + 8]
        w[at + 2 * step] = w[m + 1] + w[m + 3]
        w[at + 3 * step] = w[m + 2] + w[m + 6]
        w[at + 4 * step] = w[m + 5] + w[m + 7]
