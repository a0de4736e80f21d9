"""Native kernel: energy and forces of any lowered circuit, in Numba, by the adjoint method.

One compiled function serves every model: what differs lies in two arrays, `program`
(integers: sizes, offsets, the list of operations) and `workspace` (constants, then scratch).
Nothing is allocated per call. A state is 2 n_sectors real vectors of length ``N = 4**n_pairs``
(real and imaginary part of each sector) in the magic basis of `lowering`.

Forward, ``psi_d = Phi_d U_d psi_{d-1}`` is kept for every d. Backward, ``lambda_D = O psi_D``,
``lambda_{d-1} = U_d^+ Phi_d^+ lambda_d``. A change of the vector v of a spin turns its rotation
by ``delta w = J(v) delta v``, so the gradient needs only the torques
``t = 2 Im <lambda_d| sigma |psi_d>``; they are linear in the 4 x 4 matrices
``C_ij = Re sum_rest lambda_i^* psi_j`` of each pair, which are summed over all layers that share
their vectors before the chain rule is applied once.
"""
# mypy: disable-error-code="call-arg"
# Numba passes the first argument of an intrinsic itself.

import math

import numpy as np

from qmd.integrators import FORCE_SIGNATURE

from ..compilation import inner, when_needed
from ..contract import fill
from ..parts import PART, call_part
from ..simd.vectors import (
    DIAGONAL,
    ROWS,
    encode_two_pairs,
    graded_diagonal,
    graded_lanes,
    graded_rows,
    outer_lanes,
    outer_rows,
    steps_back_two_pairs,
    steps_two_pairs,
    turn_lanes,
    turn_rows,
)
from .layout import (
    ADJOINTS,
    GRADIENT,
    INITIAL,
    N_ATOMS,
    N_ENCODINGS,
    N_LAYERS,
    N_OPERATIONS,
    N_PAIRS,
    N_SECTORS,
    N_TERMS,
    N_VECTORS,
    OFFSET,
    OPERATIONS,
    OUTER,
    PREPARE,
    PROPAGATE,
    READ,
    RECORD,
    SCALES,
    SCRATCH,
    SPINS,
    STATES,
    TERMS,
    TORQUES,
    TURNS,
    VECTOR,
    VECTORS,
    WEIGHTS,
    WRITE,
)
from .lowering import GRADED, TURN


@inner
def turn_pair(w, y, x, k, pair, matrix):
    """Apply a 4 x 4 rotation to one pair of both parts of a sector; x and y may coincide."""
    size, stride = 2 << (2 * k), 1 << (2 * (k - 1 - pair))
    if stride == 1:
        for i in range(0, size, 4):
            turn_lanes(w, y + i, x + i, matrix)
        return
    for start in range(0, size, 4 * stride):
        for i in range(start, start + stride, 4):
            turn_rows(w, y + i, x + i, stride, matrix)


@inner
def apply_graded(w, y, x, k, program, record, u):
    """y = U x on one sector."""
    size, pattern = 1 << (2 * k), program[record + 2]
    flip_1, flip_2 = program[record + 3] & ~3, program[record + 4] & ~3
    if pattern == DIAGONAL:
        for i in range(0, size, 4):
            graded_diagonal(w, y, x, i, flip_1, flip_2, u + 2 * i, size)
    elif pattern == ROWS:
        for i in range(0, size, 4):
            graded_rows(w, y, x, i, flip_1, flip_2, u + 8 * i, size)
    else:
        for i in range(0, size, 4):
            graded_lanes(w, y, x, i, flip_1, flip_2, u + 8 * i, size)


@inner
def exchange_sectors(w, x, k, cosine, sine):
    """RZ on the ancilla, in place: ``cos - i sin (exchange)``."""
    size = 1 << (2 * k)
    for i in range(x, x + size):
        re0, im0 = w[i], w[i + size]
        re1, im1 = w[i + 2 * size], w[i + 3 * size]
        w[i], w[i + size] = cosine * re0 + sine * im1, cosine * im0 - sine * re1
        w[i + 2 * size], w[i + 3 * size] = cosine * re1 + sine * im0, cosine * im1 - sine * re0


@inner
def apply_layer(w, x, layer, program, adjoint):
    """Apply U_d or its adjoint to the state at x; returns where the result lies."""
    k, sectors, n = program[N_PAIRS], program[N_SECTORS], program[N_OPERATIONS]
    part = 2 << (2 * k)
    spare = program[SCRATCH]
    for step in range(n):
        record = program[OPERATIONS] + RECORD * (n - 1 - step if adjoint else step)
        kind, stride = program[record], program[record + 6]
        u = program[record + 5] + layer * stride
        if kind == GRADED:
            y = spare if x != spare else spare + sectors * part
            if adjoint:
                u += stride // 2
            for s in range(sectors):
                apply_graded(w, y + s * part, x + s * part, k, program, record, u)
            x = y
            continue
        if x != spare and x != spare + sectors * part:  # never write over a kept state
            for i in range(sectors * part):
                w[spare + i] = w[x + i]
            x = spare
        if kind == TURN:
            for s in range(sectors):
                start = x + s * part
                turn_pair(w, start, start, k, program[record + 1], u + (16 if adjoint else 0))
        else:
            exchange_sectors(w, x, k, w[u], -w[u + 1] if adjoint else w[u + 1])
    return x


@inner
def encode_vectors(w, y, x, encoding, program, adjoint):
    """Turn every pair by its rotation; x and y may coincide."""
    k, sectors = program[N_PAIRS], program[N_SECTORS]
    part = 2 << (2 * k)
    for s in range(sectors):
        matrix = program[TURNS] + 32 * k * (encoding * sectors + s) + (16 if adjoint else 0)
        source = x + s * part
        for pair in range(k):
            turn_pair(w, y + s * part, source, k, pair, matrix + 32 * pair)
            source = y + s * part


@when_needed(PART)
def prepare(positions, w, program):
    """Encoding vectors, and the rotation matrix of every pair and its transpose."""
    call_part(program[READ], positions, w, program)
    for e in range(program[N_ENCODINGS]):
        _half_angles(w, e, program)
        _rotations(w, e, program)
    return 0.0


@inner
def _half_angles(w, e, program):
    """Cosine and sinc of the length of every vector."""
    for v in range(program[N_VECTORS]):
        start = program[VECTORS] + VECTOR * (e * program[N_VECTORS] + v)
        x, y, z = w[start], w[start + 1], w[start + 2]
        r = math.sqrt(x * x + y * y + z * z)
        w[start + 3] = math.cos(r)
        w[start + 4] = math.sin(r) / r if r > 1e-6 else 1.0 - r * r / 6.0


@inner
def _rotations(w, e, program):
    k = program[N_PAIRS]
    matrix = program[TURNS] + 32 * k * e * program[N_SECTORS]
    for pair in range(k):
        if pair > 0 and _alike(pair, program):
            for i in range(32):
                w[matrix + 32 * pair + i] = w[matrix + 32 * pair - 32 + i]
        else:
            _rotation(w, matrix + 32 * pair, e, pair, program)
    if program[N_SECTORS] == 2:  # turned by -v: the transposed
        for start in range(matrix, matrix + 32 * k, 32):
            for i in range(16):
                w[start + 32 * k + i] = w[start + 16 + i]
                w[start + 32 * k + 16 + i] = w[start + i]


@when_needed(PART)
def read_linear(positions, w, program):
    """Linear vectors of all encodings."""
    n_vectors, n_atoms = program[N_VECTORS], program[N_ATOMS]
    for e in range(program[N_ENCODINGS]):
        for v in range(n_vectors):
            scale = w[program[SCALES] + e * n_vectors + v]
            start = program[VECTORS] + VECTOR * (e * n_vectors + v)
            for axis in range(3):
                total = 0.0
                for atom in range(n_atoms):
                    total += w[program[WEIGHTS] + v * n_atoms + atom] * positions[atom, axis]
                w[start + axis] = scale * total
    return 0.0


@inner
def _alike(pair, program):
    """Return True if a pair is rotated by the same two vectors as the previous one."""
    spin = program[SPINS] + 2 * pair
    return program[spin] == program[spin - 2] and program[spin + 1] == program[spin - 1]


@inner
def _half_turn(w, e, spin, program):
    """(cos |v|, v sin |v| / |v|) of one spin."""
    vector = program[program[SPINS] + spin]
    if vector < 0:
        return 1.0, 0.0, 0.0, 0.0
    start = program[VECTORS] + VECTOR * (e * program[N_VECTORS] + vector)
    sinc = w[start + 4]
    return w[start + 3], sinc * w[start], sinc * w[start + 1], sinc * w[start + 2]


@inner
def _row(w, at, a, b, c, d):
    w[at], w[at + 1], w[at + 2], w[at + 3] = a, b, c, d


@inner
def _rotation(w, matrix, e, pair, program):
    """exp(-i v.sigma) of both spins of a pair, transposed and straight (16 numbers each)."""
    a0, a1, a2, a3 = _half_turn(w, e, 2 * pair, program)
    b0, b1, b2, b3 = _half_turn(w, e, 2 * pair + 1, program)
    scratch = program[SCRATCH]
    # cos - sum_a s_a G_a: the generators are signed permutations, written out.
    _row(w, scratch, a0, a1, a2, a3)
    _row(w, scratch + 4, -a1, a0, -a3, a2)
    _row(w, scratch + 8, -a2, a3, a0, -a1)
    _row(w, scratch + 12, -a3, -a2, a1, a0)
    _row(w, scratch + 16, b0, -b1, -b2, -b3)
    _row(w, scratch + 20, b1, b0, -b3, b2)
    _row(w, scratch + 24, b2, b3, b0, -b1)
    _row(w, scratch + 28, b3, -b2, b1, b0)
    for i in range(4):
        turn_lanes(w, matrix + 16 + 4 * i, scratch + 4 * i, scratch + 16)
    for i in range(4):
        for j in range(4):
            w[matrix + 4 * j + i] = w[matrix + 16 + 4 * i + j]


@inner
def _collect(w, e, layers, program):
    """Gradient of encoding e, summed over `layers` layers from e on that share it."""
    k, sectors, n_vectors = program[N_PAIRS], program[N_SECTORS], program[N_VECTORS]
    part = 2 << (2 * k)
    step = sectors * part
    c = program[OUTER]
    for i in range(3 * n_vectors):
        w[program[GRADIENT] + 3 * e * n_vectors + i] = 0.0
    for s in range(sectors):
        a = program[ADJOINTS] + e * step + s * part
        b = program[STATES] + e * step + s * part
        for i in range(3 * n_vectors):
            w[program[TORQUES] + i] = 0.0
        for pair in range(k):
            stride = 1 << (2 * (k - 1 - pair))
            if stride == 1:
                outer_lanes(w, c, a, b, layers, step, part)
            else:
                outer_rows(w, c, a, b, layers, step, part, stride)
            for side in range(2):
                _add_torque(w, c, 2 * pair + side, program)
        _turn_torques(w, e, s, program)


@inner
def _add_torque(w, c, spin, program):
    """Add the torque on a spin, from the matrix at c, to that of its vector.

    t = -2 sum_ij G_ij C_ij, and the generators of `lowering` are antisymmetric with two pairs of
    elements each: the torques on the spins of a pair are the two halves of an element of so(4).
    """
    vector = program[program[SPINS] + spin]
    if vector < 0:
        return
    side = -1.0 if spin % 2 == 0 else 1.0
    torque = program[TORQUES] + 3 * vector
    w[torque] -= 2.0 * (side * (w[c + 1] - w[c + 4]) + (w[c + 11] - w[c + 14]))
    w[torque + 1] -= 2.0 * (side * (w[c + 2] - w[c + 8]) - (w[c + 7] - w[c + 13]))
    w[torque + 2] -= 2.0 * (side * (w[c + 3] - w[c + 12]) + (w[c + 6] - w[c + 9]))


@inner
def _turn_torques(w, e, s, program):
    """Add ``J(v)^T t`` to the gradient with respect to each vector.

    ``J^T t = a t + b v (v.t) - d v x t`` with ``a = sin 2r / 2r, b = (1 - a) / r^2,
    d = (sin r / r)^2``: 2 r is the angle by which a spin turns.
    """
    sign = 1.0 if s == 0 else -1.0
    for vector in range(program[N_VECTORS]):
        start = program[VECTORS] + VECTOR * (e * program[N_VECTORS] + vector)
        x, y, z = sign * w[start], sign * w[start + 1], sign * w[start + 2]
        cosine, sinc = w[start + 3], w[start + 4]
        torque = program[TORQUES] + 3 * vector
        tx, ty, tz = w[torque], w[torque + 1], w[torque + 2]
        r2 = x * x + y * y + z * z
        a, d = sinc * cosine, sinc * sinc
        b = (1.0 - a) / r2 if r2 > 1e-6 else 2.0 / 3.0 - 2.0 / 15.0 * r2
        dot = b * (x * tx + y * ty + z * tz)
        gradient = program[GRADIENT] + 3 * (e * program[N_VECTORS] + vector)
        w[gradient] += sign * (a * tx + dot * x - d * (y * tz - z * ty))
        w[gradient + 1] += sign * (a * ty + dot * y - d * (z * tx - x * tz))
        w[gradient + 2] += sign * (a * tz + dot * z - d * (x * ty - y * tx))


@inner
def _observe(w, program):
    """lambda_D = O psi_D; returns <psi_D|O|psi_D>."""
    x = last_state(program)
    y = x - program[STATES] + program[ADJOINTS]
    k, sectors = program[N_PAIRS], program[N_SECTORS]
    part = 2 << (2 * k)
    for term in range(program[N_TERMS]):
        record = program[TERMS] + RECORD * term
        for s in range(sectors):
            source = x + (sectors - 1 - s if program[record + 1] else s) * part
            target = y + s * part if term == 0 else program[SCRATCH]
            apply_graded(w, target, source, k, program, record, program[record + 5])
            if term > 0:
                for i in range(part):
                    w[y + s * part + i] += w[target + i]
    energy = 0.0
    for i in range(0, sectors * part, 4):  # four sums: latency counts
        energy += (w[x + i] * w[y + i] + w[x + i + 1] * w[y + i + 1]) + (
            w[x + i + 2] * w[y + i + 2] + w[x + i + 3] * w[y + i + 3]
        )
    return energy


@inner
def last_state(program):
    """Return the place of psi_D."""
    size = program[N_SECTORS] * (2 << (2 * program[N_PAIRS]))
    return program[STATES] + program[N_LAYERS] * size


@inner
def _forward(w, program):
    """All states psi_d."""
    state = program[STATES]
    k, sectors = program[N_PAIRS], program[N_SECTORS]
    part = 2 << (2 * k)
    for s in range(sectors):
        for i in range(part):
            w[state + s * part + i] = w[program[INITIAL] + i]
    encode_vectors(w, state, state, 0, program, False)
    shared = program[N_ENCODINGS] == 1
    for layer in range(program[N_LAYERS]):
        x = apply_layer(w, state, layer, program, False)
        state += sectors * part
        encode_vectors(w, state, x, 0 if shared else layer + 1, program, False)


@inner
def _backward(w, program):
    """All adjoint states lambda_d from the last one."""
    n_layers, shared = program[N_LAYERS], program[N_ENCODINGS] == 1
    step = program[N_SECTORS] * (2 << (2 * program[N_PAIRS]))
    adjoint = program[ADJOINTS] + n_layers * step
    spare = program[SCRATCH]
    for layer in range(n_layers, 0, -1):
        # The encoding goes to scratch: lambda_d itself is needed below.
        x = spare + step
        encode_vectors(w, x, adjoint, 0 if shared else layer, program, True)
        x = apply_layer(w, x, layer - 1, program, True)
        adjoint -= step
        for i in range(step):
            w[adjoint + i] = w[x + i]


@when_needed(PART)
def propagate(positions, w, program):
    """All psi_d and lambda_d of any circuit, operation by operation; energy without offset."""
    _forward(w, program)
    energy = _observe(w, program)
    _backward(w, program)
    return energy


@inner
def _forward_two_pairs(w, program):
    state, n, record = program[STATES], program[N_LAYERS], program[OPERATIONS]
    jump = 64 if program[N_ENCODINGS] > 1 else 0
    u, stride = program[record + 5], program[record + 6]
    encode_two_pairs(w, state, program[INITIAL], program[TURNS])
    steps_two_pairs(w, state, u, stride, program[TURNS] + jump, jump, n)


@inner
def _backward_two_pairs(w, program):
    """The second half of a layer's constants is its adjoint."""
    n, record = program[N_LAYERS], program[OPERATIONS]
    adjoint = program[ADJOINTS] + 32 * n
    jump = 64 if program[N_ENCODINGS] > 1 else 0
    u, stride = program[record + 5], program[record + 6]
    last_turns, last_u = program[TURNS] + 16 + n * jump, u + n * stride - stride // 2
    steps_back_two_pairs(w, adjoint, last_u, -stride, last_turns, -jump, n)


@when_needed(PART)
def propagate_two_pairs(positions, w, program):
    """`propagate` for two pairs with one graded operation a layer, in registers."""
    _forward_two_pairs(w, program)
    energy = _observe(w, program)
    _backward_two_pairs(w, program)
    return energy


@when_needed(PART)
def write_linear(forces, w, program):
    """Chain rule through linear vectors: ``F_i = -sum_k alpha_k C_ki dE/dv_k``."""
    fill(forces, 0.0)
    n_vectors, n_atoms = program[N_VECTORS], program[N_ATOMS]
    for e in range(program[N_ENCODINGS]):
        for v in range(n_vectors):
            scale = w[program[SCALES] + e * n_vectors + v]
            gradient = program[GRADIENT] + 3 * (e * n_vectors + v)
            for atom in range(n_atoms):
                factor = scale * w[program[WEIGHTS] + v * n_atoms + atom]
                for axis in range(3):
                    forces[atom, axis] -= factor * w[gradient + axis]
    return 0.0


@when_needed(FORCE_SIGNATURE)
def energy_and_forces(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of a lowered circuit; writes the forces (eV/angstrom).

    NaN if the number of atoms is not that of the model.
    """
    if positions.shape[0] != program[N_ATOMS] or forces.shape[0] != program[N_ATOMS]:
        fill(forces, np.nan)
        return np.nan
    call_part(program[PREPARE], positions, workspace, program)
    energy = call_part(program[PROPAGATE], positions, workspace, program)
    n_encodings = program[N_ENCODINGS]
    layers = program[N_LAYERS] + 1 if n_encodings == 1 else 1
    for e in range(n_encodings):
        _collect(workspace, e, layers, program)
    call_part(program[WRITE], forces, workspace, program)
    return energy + workspace[program[OFFSET]]
