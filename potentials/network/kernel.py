"""Energy, forces and derivatives of atom-centred networks in Numba, `LANES` centres at a time.

The geometry determines the channels of a centre: three blocks for x, y, z of the encoding vectors,
one for the scalars, which are couplings of the layers, then weights of the observables, and with
rank two five for the components of the tensors, in the order of the scalars (see `rank_two`).
Channels are sums over neighbours of radial functions. The circuits turn them into an energy and
its derivative by each channel, from which the chain rule gives the forces, or the derivatives by
the trained parameters.

No state is stored: on the way back the gates are undone on both psi_d and lambda_d. One sector has
v and the other -v; energies are their mean. One compiled function serves all networks: `program`
has sizes and places, `workspace` constants, then scratch.
"""
# mypy: disable-error-code="call-arg"
# Numba passes the first argument of an intrinsic itself.

import math

from qmd.integrators import FORCE_SIGNATURE, njit

from ..compilation import inner, when_needed
from ..contract import fill
from ..parts import CENTRES, PART, call_centres, call_part
from ..simd.gaussians import fill_gaussians
from ..simd.vectors import radial_rows
from .lanes import (
    AMPLITUDE,
    FOUR,
    LANES,
    add_outer,
    add_scaled,
    dot,
    exchange,
    exchange_back,
    observe,
    prepare_phase,
    prepare_turn,
    rotate,
    rotate_back,
)

# fmt: off
(N_ATOMS, N_KINDS, N_QUBITS, N_LAYERS, N_RADIAL, N_GATES, N_COUPLINGS, N_OBSERVED, N_OBSERVABLES,
 HAS_SCALARS, N_VECTORS, N_SCALARS, KINDS, GATES, OBSERVED,
 COEFFICIENTS, CONSTANTS, OFFSETS, RADIAL, STEPS, INITIAL,
 GAUSSIANS, KEPT, CHANNELS, SLOPES, DOTS, TURNS, PHASES, WEIGHTS, VALUES, TORQUES, PSI, AFTER,
 COEFFICIENT_SLOPES, CONSTANT_SLOPES, OFFSET_SLOPES, SHIFT, CIRCUITS, SLOPED,
 N_TENSORS, UNITARIES, MATRICES, ENERGIES, HEAD) = range(44)
# fmt: on
# CONSTANTS: couplings of all layers, then weights, of each kind; N_VECTORS and N_SCALARS are
# filled up to fours, and so is N_TENSORS, 0 for rank one. KEPT, for each ordered pair: radial
# functions, their slopes, r^, and r, or 0 beyond the cut-off. ENERGIES: of each four centres.
VECTOR = 5 * LANES
"""Numbers of an encoding vector on lanes: cos r and v sin r / r, then sin r / r."""


@inner
def _record_size(program):
    return 2 * _radial_size(program) + 4


@inner
def _radial_size(program):
    """Return the number of radial functions of a centre and a neighbour."""
    return program[N_VECTORS] + program[N_SCALARS] + program[N_TENSORS]


@inner
def channel_size(program):
    """Return the number of channels of a centre."""
    return 3 * program[N_VECTORS] + program[N_SCALARS] + 5 * program[N_TENSORS]


@inner
def gaussians_of(w, positions, i, program):
    """Distances, directions, and Gaussians of the pairs of i with later atoms: both directions."""
    end, size = _record_size(program) - 4, 2 * program[N_RADIAL]
    for j in range(i + 1, program[N_ATOMS]):
        x = positions[j, 0] - positions[i, 0]
        y = positions[j, 1] - positions[i, 1]
        z = positions[j, 2] - positions[i, 2]
        r = math.sqrt(x * x + y * y + z * z)
        near = _gaussians(w, program[GAUSSIANS] + size * _pair(i, j, program), r, program)
        for sign, record in ((1.0, _record(i, j, program)), (-1.0, _record(j, i, program))):
            unit = record + end
            w[unit], w[unit + 1], w[unit + 2] = sign * x / r, sign * y / r, sign * z / r
            w[unit + 3] = r if near else 0.0


@inner
def _record(i, j, program):
    """Return the place of the record of centre i and neighbour j in KEPT."""
    return program[KEPT] + _record_size(program) * (i * program[N_ATOMS] + j)


@inner
def _pair(i, j, program):
    """Return the index of an unordered pair, with those of atom 0 first."""
    low, high = min(i, j), max(i, j)
    return low * program[N_ATOMS] - low * (low + 1) // 2 + high - low - 1


@inner
def add_channels(w, i, program):
    """Channels of centre i, from its constants and its neighbours within the cut-off."""
    vectors, scalars = program[N_VECTORS], program[N_SCALARS]
    at = program[CHANNELS] + i * channel_size(program)
    for channel in range(3 * vectors):
        w[at + channel] = 0.0
    constants = program[CONSTANTS] + program[program[KINDS] + i] * scalars
    for channel in range(scalars):
        w[at + 3 * vectors + channel] = w[constants + channel]
    for channel in range(3 * vectors + scalars, channel_size(program)):
        w[at + channel] = 0.0
    for j in range(program[N_ATOMS]):
        if j != i:
            _add_neighbour(w, i, j, program)


@inner
def _gaussians(w, values, r, program):
    """Gaussians times the envelope, and their slopes; False beyond the cut-off."""
    at = program[RADIAL]
    low, spacing, cutoff = w[at], w[at + 1], w[at + 2]
    t = r / cutoff
    if t >= 1.0:
        return False
    t5 = t * t * t * t * t
    envelope = 1.0 - t5 * t * (28.0 - t * (48.0 - 21.0 * t))
    slope = -168.0 * t5 * (1.0 - t) * (1.0 - t) / cutoff
    u = (r - low) / spacing
    fill_gaussians(w, values, program[N_RADIAL], u, program[STEPS])
    for g in range(program[N_RADIAL]):
        gaussian = w[values + 2 * g]
        w[values + 2 * g] = gaussian * envelope
        w[values + 2 * g + 1] = gaussian * (slope - envelope * (u - g) / spacing)
    return True


@inner
def _coefficients(i, j, program):
    """Return the place, from 0, of the radial coefficients of centre i and neighbour j."""
    kinds = program[KINDS]
    pair = program[kinds + i] * program[N_KINDS] + program[kinds + j]
    return pair * program[N_RADIAL] * _radial_size(program)


@inner
def _add_neighbour(w, i, j, program):
    vectors, scalars, tensors = program[N_VECTORS], program[N_SCALARS], program[N_TENSORS]
    size, kept = _radial_size(program), _record(i, j, program)
    unit = kept + 2 * size
    if w[unit + 3] == 0.0:
        return
    row = program[COEFFICIENTS] + _coefficients(i, j, program)
    gaussians = program[GAUSSIANS] + 2 * program[N_RADIAL] * _pair(i, j, program)
    radial_rows(w, kept, row, gaussians, program[N_RADIAL], size)
    at = program[CHANNELS] + i * channel_size(program)
    add_scaled(w, at, w[unit], kept, vectors)
    add_scaled(w, at + vectors, w[unit + 1], kept, vectors)
    add_scaled(w, at + 2 * vectors, w[unit + 2], kept, vectors)
    if program[HAS_SCALARS]:
        add_scaled(w, at + 3 * vectors, 1.0, kept + vectors, scalars)
    if tensors:
        at += 3 * vectors + scalars
        for component in range(5):
            factor = _product(w, unit, component)
            add_scaled(w, at + component * tensors, factor, kept + vectors + scalars, tensors)


@inner
def _product(w, unit, component):
    """Return a component of ``r^ r^T - 1/3``, in the order xx, yy, xy, xz, yz."""
    x, y, z = w[unit], w[unit + 1], w[unit + 2]
    if component == 0:
        return x * x - 1.0 / 3.0
    if component == 1:
        return y * y - 1.0 / 3.0
    if component == 2:
        return x * y
    return x * z if component == 3 else y * z


@inner
def centre_of(first, lane, program):
    """Atom of a lane; lanes without one repeat the last."""
    return min(first + lane, program[N_ATOMS] - 1)


@inner
def to_lanes(w, first, shift, program):
    """Angles of `LANES` centres, from their channels."""
    n_vectors, vectors = (program[N_LAYERS] + 1) * program[N_QUBITS], program[N_VECTORS]
    n_couplings = program[N_LAYERS] * program[N_COUPLINGS]
    for lane in range(LANES):
        at = program[CHANNELS] + centre_of(first, lane, program) * channel_size(program)
        for v in range(n_vectors):
            turn = shift + program[TURNS] + VECTOR * v + lane
            w[turn + LANES], w[turn + 2 * LANES] = w[at + v], w[at + vectors + v]
            w[turn + 3 * LANES] = w[at + 2 * vectors + v]
        at += 3 * vectors
        for c in range(n_couplings):
            w[shift + program[PHASES] + AMPLITUDE * c + lane] = w[at + c]
        for o in range(program[N_OBSERVABLES]):
            w[shift + program[WEIGHTS] + LANES * o + lane] = 0.5 * w[at + n_couplings + o]
    for v in range(n_vectors):
        prepare_turn(w, shift + program[TURNS] + VECTOR * v)
    for c in range(n_couplings):
        prepare_phase(w, shift + program[PHASES] + AMPLITUDE * c)


@inner
def encode(w, layer, sign, shift, program):
    """Rotate all qubits by the vectors of an encoding, times `sign`."""
    n = program[N_QUBITS]
    for q in range(n):
        turn = shift + program[TURNS] + VECTOR * (layer * n + q)
        rotate(w, shift + program[PSI], turn, sign, 1 << (n - 1 - q), 1 << n)


@inner
def encode_back(w, layer, sign, torques, shift, program):
    """Undo `encode` on both states; add the torques."""
    n = program[N_QUBITS]
    for q in range(n):
        v = layer * n + q
        turn, out = shift + program[TURNS] + VECTOR * v, torques + 3 * LANES * v
        rotate_back(
            w,
            shift + program[PSI],
            shift + program[AFTER],
            turn,
            sign,
            1 << (n - 1 - q),
            1 << n,
            out,
        )


@inner
def _sector(w, sign, torques, slopes, shift, program):
    """One sector: adds expectation values, torques, and derivatives by the couplings."""
    size = 1 << program[N_QUBITS]
    psi, after, n_layers = shift + program[PSI], shift + program[AFTER], program[N_LAYERS]
    for i in range(size):
        for k in range(AMPLITUDE):
            w[psi + AMPLITUDE * i + k] = w[program[INITIAL] + i] if k < LANES else 0.0
            w[after + AMPLITUDE * i + k] = 0.0
    encode(w, 0, sign, shift, program)
    for layer in range(n_layers):
        for g in range(program[N_GATES]):
            gate = program[GATES] + 3 * g
            coupling = layer * program[N_COUPLINGS] + program[gate + 2]
            phase = shift + program[PHASES] + AMPLITUDE * coupling
            exchange(w, psi, phase, program[gate], program[gate + 1], size)
        encode(w, layer + 1, sign, shift, program)
    for g in range(program[N_OBSERVED]):
        pair = program[OBSERVED] + 3 * g
        weight = shift + program[WEIGHTS] + LANES * program[pair + 2]
        value = shift + program[VALUES] + LANES * program[pair + 2]
        observe(w, psi, after, weight, program[pair], program[pair + 1], size, value)
    for layer in range(n_layers - 1, -1, -1):
        encode_back(w, layer + 1, sign, torques, shift, program)
        for g in range(program[N_GATES] - 1, -1, -1):
            gate = program[GATES] + 3 * g
            coupling = layer * program[N_COUPLINGS] + program[gate + 2]
            phase, out = shift + program[PHASES] + AMPLITUDE * coupling, slopes + LANES * coupling
            exchange_back(w, psi, after, phase, program[gate], program[gate + 1], size, out)
    encode_back(w, 0, sign, torques, shift, program)


@when_needed(CENTRES)
def circuits(w, first, shift, program):
    """Energies of up to `LANES` centres, four together, and derivatives by their channels.

    The scratch begins `shift` numbers further on, so that others can be computed at once.
    """
    n_vectors = (program[N_LAYERS] + 1) * program[N_QUBITS]
    n_couplings, n_observables = program[N_LAYERS] * program[N_COUPLINGS], program[N_OBSERVABLES]
    to_lanes(w, first, shift, program)
    values, torques = shift + program[VALUES], shift + program[TORQUES]
    slopes = torques + 6 * LANES * n_vectors
    for i in range(LANES * n_observables):
        w[values + i] = 0.0
    for i in range(LANES * (6 * n_vectors + n_couplings)):
        w[torques + i] = 0.0
    _sector(w, 1.0, torques, slopes, shift, program)
    _sector(w, -1.0, torques + 3 * LANES * n_vectors, slopes, shift, program)
    for lane in range(min(LANES, program[N_ATOMS] - first)):
        four = begin_centre(w, first + lane, program)
        vector_slopes(w, first + lane, lane, n_vectors, shift, program)
        at = program[SLOPES] + (first + lane) * channel_size(program) + 3 * program[N_VECTORS]
        for c in range(n_couplings):
            w[at + c] = w[slopes + LANES * c + lane]
        for o in range(n_observables):
            value = 0.5 * w[values + LANES * o + lane] + n_pairs(o, program)
            w[at + n_couplings + o] = value
            w[four] += 2.0 * w[shift + program[WEIGHTS] + LANES * o + lane] * value
        kind = program[program[KINDS] + first + lane]
        w[four] += w[program[OFFSETS] + kind]
    return 0.0


@inner
def begin_centre(w, centre, program):
    """Return the place of the energy of the four with a centre; set it to 0 for the first."""
    four = program[ENERGIES] + centre // FOUR
    if centre % FOUR == 0:
        w[four] = 0.0
    return four


@inner
def sum_of_fours(w, program):
    """Return the energy of all centres: the sum over fours, in their order."""
    energy = 0.0
    for four in range((program[N_ATOMS] + FOUR - 1) // FOUR):
        energy += w[program[ENERGIES] + four]
    return energy


@inner
def n_pairs(observable, program):
    """Return the number of pairs of an observable, for each of which `observe` omits 1."""
    total = 0.0
    for g in range(program[N_OBSERVED]):
        if program[program[OBSERVED] + 3 * g + 2] == observable:
            total += 1.0
    return total


@inner
def vector_slopes(w, centre, lane, n_vectors, shift, program):
    """Derivatives by the vectors, from the torques of both sectors (see `kernel._turn_torques`)."""
    vectors, size = program[N_VECTORS], channel_size(program)
    for v in range(n_vectors):
        channel = program[CHANNELS] + centre * size + v
        x, y, z = w[channel], w[channel + vectors], w[channel + 2 * vectors]
        turn = shift + program[TURNS] + VECTOR * v + lane
        cosine, sinc = w[turn], w[turn + 4 * LANES]
        one = shift + program[TORQUES] + 3 * LANES * v + lane
        two = one + 3 * LANES * n_vectors
        dx, sx = w[one] - w[two], w[one] + w[two]
        dy, sy = w[one + LANES] - w[two + LANES], w[one + LANES] + w[two + LANES]
        dz, sz = w[one + 2 * LANES] - w[two + 2 * LANES], w[one + 2 * LANES] + w[two + 2 * LANES]
        r2 = x * x + y * y + z * z
        a, d = sinc * cosine, sinc * sinc
        b = (1.0 - a) / r2 if r2 > 1e-6 else 2.0 / 3.0 - 2.0 / 15.0 * r2
        along = b * (x * dx + y * dy + z * dz)
        slope = program[SLOPES] + centre * size + v
        w[slope] = a * dx + along * x - d * (y * sz - z * sy)
        w[slope + vectors] = a * dy + along * y - d * (z * sx - x * sz)
        w[slope + 2 * vectors] = a * dz + along * z - d * (x * sy - y * sx)


@inner
def pulls(w, i, program):
    """Compute the pull of each neighbour on centre i, by the chain rule through its channels.

    The pull replaces r^ in KEPT.
    """
    vectors, scalars, tensors = program[N_VECTORS], program[N_SCALARS], program[N_TENSORS]
    size, at = _radial_size(program), program[SLOPES] + i * channel_size(program)
    for j in range(program[N_ATOMS]):
        kept = _record(i, j, program)
        unit = kept + 2 * size
        r = w[unit + 3]
        if i == j or r == 0.0:
            continue
        x, y, z = w[unit], w[unit + 1], w[unit + 2]
        ax = dot(w, kept, at, vectors) / r
        ay = dot(w, kept, at + vectors, vectors) / r
        az = dot(w, kept, at + 2 * vectors, vectors) / r
        along = x * dot(w, kept + size, at, vectors)
        along += y * dot(w, kept + size, at + vectors, vectors)
        along += z * dot(w, kept + size, at + 2 * vectors, vectors)
        if program[HAS_SCALARS]:
            along += dot(w, kept + size + vectors, at + 3 * vectors, scalars)
        if tensors:
            functions, slopes = kept + vectors + scalars, at + 3 * vectors + scalars
            for component in range(5):
                slope = slopes + component * tensors
                factor = _product(w, unit, component)
                along += factor * dot(w, size + functions, slope, tensors)
            xx = dot(w, functions, slopes, tensors) / r
            yy = dot(w, functions, slopes + tensors, tensors) / r
            xy = dot(w, functions, slopes + 2 * tensors, tensors) / r
            xz = dot(w, functions, slopes + 3 * tensors, tensors) / r
            yz = dot(w, functions, slopes + 4 * tensors, tensors) / r
            ax += 2.0 * xx * x + xy * y + xz * z
            ay += 2.0 * yy * y + xy * x + yz * z
            az += xz * x + yz * y
        along -= ax * x + ay * y + az * z
        w[unit], w[unit + 1], w[unit + 2] = ax + along * x, ay + along * y, az + along * z


@inner
def write_force(w, forces, i, program):
    """Pulls of centre i, less those on i as a neighbour of others."""
    forces[i, :] = 0.0
    end = _record_size(program) - 4
    for j in range(program[N_ATOMS]):
        to, back = _record(i, j, program) + end, _record(j, i, program) + end
        if i == j or w[to + 3] == 0.0:
            continue
        for axis in range(3):
            forces[i, axis] += w[to + axis] - w[back + axis]


@when_needed(PART)
def energy_and_slopes(positions, w, program):
    """Energy, and its derivatives by all channels."""
    for i in range(program[N_ATOMS]):
        gaussians_of(w, positions, i, program)
    for i in range(program[N_ATOMS]):
        add_channels(w, i, program)
    for first in range(0, program[N_ATOMS], LANES):
        call_centres(program[CIRCUITS], w, first, 0, program)
    return sum_of_fours(w, program)


@when_needed(FORCE_SIGNATURE)
def energy_and_forces(positions, cell, forces, virial, program, workspace):
    """Energy (eV) of a network; writes the forces (eV/angstrom).

    NaN if the number of atoms is not that of the network.
    """
    if positions.shape[0] != program[N_ATOMS] or forces.shape[0] != program[N_ATOMS]:
        fill(forces, math.nan)
        return math.nan
    energy = call_part(program[SLOPED], positions, workspace, program)
    for i in range(program[N_ATOMS]):
        pulls(workspace, i, program)
    for i in range(program[N_ATOMS]):
        write_force(workspace, forces, i, program)
    return energy


@inner
def _add_derivatives(w, factor, program):
    """Add `factor` times the derivatives by the trained parameters, as the constants lie."""
    n, vectors, scalars = program[N_ATOMS], program[N_VECTORS], program[N_SCALARS]
    tensors, size, dots = program[N_TENSORS], _radial_size(program), program[DOTS]
    pair = 0
    for i in range(n):
        for j in range(i + 1, n):
            gaussians = program[GAUSSIANS] + 2 * program[N_RADIAL] * pair
            pair += 1
            for centre, neighbour in ((i, j), (j, i)):
                at = program[SLOPES] + centre * channel_size(program)
                unit = _record(centre, neighbour, program) + 2 * size
                if w[unit + 3] == 0.0:
                    continue
                for k in range(size):
                    w[dots + k] = 0.0
                add_scaled(w, dots, factor * w[unit], at, vectors)
                add_scaled(w, dots, factor * w[unit + 1], at + vectors, vectors)
                add_scaled(w, dots, factor * w[unit + 2], at + 2 * vectors, vectors)
                if program[HAS_SCALARS]:
                    add_scaled(w, dots + vectors, factor, at + 3 * vectors, scalars)
                if tensors:
                    at += 3 * vectors + scalars
                    for component in range(5):
                        slope = at + component * tensors
                        scale = factor * _product(w, unit, component)
                        add_scaled(w, dots + vectors + scalars, scale, slope, tensors)
                row = program[COEFFICIENT_SLOPES] + _coefficients(centre, neighbour, program)
                add_outer(w, row, gaussians, program[N_RADIAL], dots, size)
    for i in range(n):
        kind = program[program[KINDS] + i]
        at = program[SLOPES] + i * channel_size(program) + 3 * vectors
        add_scaled(w, program[CONSTANT_SLOPES] + kind * scalars, factor, at, scalars)
        w[program[OFFSET_SLOPES] + kind] += factor


@njit(error_model="numpy", nogil=True)
def rows_into(positions, factors, rows, program, workspace, begin, end):
    """Write the derivatives at `positions` (n, n_atoms, 3), times `factors`, to `rows`.

    They are by all parameters, and accumulated at `begin` to `end` of the workspace, in the order
    of the constants. `rows` has n rows, or one for the sum.
    """
    for i in range(len(positions)):
        if i < len(rows):
            workspace[begin:end] = 0.0
        call_part(program[SLOPED], positions[i], workspace, program)
        _add_derivatives(workspace, factors[i], program)
        rows[min(i, len(rows) - 1), :] = workspace[begin:end]
