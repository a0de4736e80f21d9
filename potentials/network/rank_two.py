"""Circuits of rank two on `LANES` centres at a time: pair gates and observables of tensors.

A tensor channel has the index of the coupling, or of the observable, whose pairs of qubits it acts
on. Both sectors have the same tensors; otherwise as in `kernel`.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="call-arg"
# Numba carries the types here, and passes the first argument of an intrinsic itself.

from ..compilation import inner, when_needed
from ..parts import CENTRES
from .kernel import (
    AFTER,
    CHANNELS,
    GATES,
    INITIAL,
    KINDS,
    MATRICES,
    N_ATOMS,
    N_COUPLINGS,
    N_GATES,
    N_LAYERS,
    N_OBSERVABLES,
    N_OBSERVED,
    N_QUBITS,
    N_SCALARS,
    N_TENSORS,
    N_VECTORS,
    OBSERVED,
    OFFSETS,
    PHASES,
    PSI,
    SLOPES,
    TORQUES,
    UNITARIES,
    VALUES,
    WEIGHTS,
    begin_centre,
    centre_of,
    channel_size,
    encode,
    encode_back,
    n_pairs,
    to_lanes,
    vector_slopes,
)
from .lanes import AMPLITUDE, LANES
from .pair_lanes import (
    COMPONENTS,
    UNITARY,
    observe_pair,
    prepare_unitary,
    turn_pair,
    turn_pair_back,
)


@inner
def _tensors_to_lanes(w, first, shift, program):
    """Unitaries of the gates, and half of the matrices of the observables, of `LANES` centres."""
    tensors, n_couplings = program[N_TENSORS], program[N_LAYERS] * program[N_COUPLINGS]
    unitaries, matrices = shift + program[UNITARIES], shift + program[MATRICES]
    for lane in range(LANES):
        at = program[CHANNELS] + centre_of(first, lane, program) * channel_size(program)
        at += 3 * program[N_VECTORS] + program[N_SCALARS]
        for m in range(5):
            for c in range(n_couplings):
                w[unitaries + UNITARY * c + LANES * m + lane] = w[at + m * tensors + c]
            for o in range(program[N_OBSERVABLES]):
                half = 0.5 * w[at + m * tensors + n_couplings + o]
                w[matrices + COMPONENTS * o + LANES * m + lane] = half
    for c in range(n_couplings):
        prepare_unitary(w, unitaries + UNITARY * c)


@inner
def _sector(w, sign, torques, slopes, tensor_slopes, shift, program):
    """One sector: as `kernel._sector`, and adds derivatives by the tensors."""
    size, n_layers, n_gates = 1 << program[N_QUBITS], program[N_LAYERS], program[N_GATES]
    psi, after = shift + program[PSI], shift + program[AFTER]
    for i in range(size):
        for k in range(AMPLITUDE):
            w[psi + AMPLITUDE * i + k] = w[program[INITIAL] + i] if k < LANES else 0.0
            w[after + AMPLITUDE * i + k] = 0.0
    encode(w, 0, sign, shift, program)
    for layer in range(n_layers):
        for g in range(n_gates):
            gate = program[GATES] + 3 * g
            c = layer * program[N_COUPLINGS] + program[gate + 2]
            phase = shift + program[PHASES] + AMPLITUDE * c
            unitary = shift + program[UNITARIES] + UNITARY * c
            turn_pair(w, psi, phase, unitary, program[gate], program[gate + 1], size)
        encode(w, layer + 1, sign, shift, program)
    for g in range(program[N_OBSERVED]):
        pair = program[OBSERVED] + 3 * g
        o = program[pair + 2]
        weight = shift + program[WEIGHTS] + LANES * o
        matrix = shift + program[MATRICES] + COMPONENTS * o
        value = shift + program[VALUES] + LANES * o
        out = tensor_slopes + COMPONENTS * (n_layers * program[N_COUPLINGS] + o)
        high, low = program[pair], program[pair + 1]
        observe_pair(w, psi, after, weight, matrix, high, low, size, value, out)
    for layer in range(n_layers - 1, -1, -1):
        encode_back(w, layer + 1, sign, torques, shift, program)
        for g in range(n_gates - 1, -1, -1):
            gate = program[GATES] + 3 * g
            c = layer * program[N_COUPLINGS] + program[gate + 2]
            phase = shift + program[PHASES] + AMPLITUDE * c
            unitary = shift + program[UNITARIES] + UNITARY * c
            one, two = slopes + LANES * c, tensor_slopes + COMPONENTS * c
            high, low = program[gate], program[gate + 1]
            turn_pair_back(w, psi, after, phase, unitary, high, low, size, one, two)
    encode_back(w, 0, sign, torques, shift, program)


@when_needed(CENTRES)
def circuits(w, first, shift, program):
    """Do the work of `kernel.circuits`, for circuits of rank two."""
    n_vectors = (program[N_LAYERS] + 1) * program[N_QUBITS]
    n_couplings, n_observables = program[N_LAYERS] * program[N_COUPLINGS], program[N_OBSERVABLES]
    to_lanes(w, first, shift, program)
    _tensors_to_lanes(w, first, shift, program)
    values, torques = shift + program[VALUES], shift + program[TORQUES]
    slopes = torques + 6 * LANES * n_vectors
    tensor_slopes = slopes + LANES * n_couplings
    n_tensors = n_couplings + n_observables
    for i in range(LANES * n_observables):
        w[values + i] = 0.0
    for i in range(LANES * (6 * n_vectors + n_couplings) + COMPONENTS * n_tensors):
        w[torques + i] = 0.0
    _sector(w, 1.0, torques, slopes, tensor_slopes, shift, program)
    _sector(w, -1.0, torques + 3 * LANES * n_vectors, slopes, tensor_slopes, shift, program)
    for lane in range(min(LANES, program[N_ATOMS] - first)):
        four = begin_centre(w, first + lane, program)
        vector_slopes(w, first + lane, lane, n_vectors, shift, program)
        centre = (first + lane) * channel_size(program)
        at = program[SLOPES] + centre + 3 * program[N_VECTORS]
        for c in range(n_couplings):
            w[at + c] = w[slopes + LANES * c + lane]
        for o in range(n_observables):
            value = 0.5 * w[values + LANES * o + lane] + n_pairs(o, program)
            w[at + n_couplings + o] = value
            w[four] += 2.0 * w[shift + program[WEIGHTS] + LANES * o + lane] * value
        to = 3 * program[N_VECTORS] + program[N_SCALARS]
        for m in range(5):
            for t in range(n_tensors):
                slope = w[tensor_slopes + COMPONENTS * t + LANES * m + lane]
                if t >= n_couplings:
                    slope *= 0.5
                    w[four] += w[program[CHANNELS] + centre + to + t] * slope
                w[program[SLOPES] + centre + to + t] = slope
            to += program[N_TENSORS]
        w[four] += w[program[OFFSETS] + program[program[KINDS] + first + lane]]
    return 0.0
