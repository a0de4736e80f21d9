"""Packing of a trained model into the arrays that the native kernel interprets."""

from collections.abc import Callable

import numpy as np

from qmd.integrators import Force

from ..contract import check_bytes
from ..simd.vectors import DIAGONAL, LANES, ROWS, padded
from . import two_pairs_native
from .architecture import Architecture, Parameters
from .features import Features, LinearVectors, VectorDensities
from .kernel import (
    energy_and_forces,
    prepare,
    propagate,
    propagate_two_pairs,
    read_linear,
    write_linear,
)
from .layout import (
    ADJOINTS,
    COEFFICIENTS,
    CUTOFF,
    ENTRIES,
    GAUSSIANS,
    GRADIENT,
    HEAD,
    INITIAL,
    N_ATOMS,
    N_ENCODINGS,
    N_ENTRIES,
    N_LAYERS,
    N_OPERATIONS,
    N_PAIRS,
    N_RADIAL,
    N_SECTORS,
    N_TERMS,
    N_VECTORS,
    OFFSET,
    OPERATIONS,
    OUTER,
    PREPARE,
    PROPAGATE,
    RADIAL,
    RANGES,
    READ,
    RECORD,
    SCALES,
    SCRATCH,
    SPINS,
    STATES,
    STEPS,
    TERMS,
    TORQUES,
    TURNS,
    TWO_PAIRS,
    VECTOR,
    VECTORS,
    WEIGHTS,
    WRITE,
)
from .lowering import GRADED, TURN, Operation, Program, Term, lower
from .radial_kernel import read_densities, write_densities


def native_kernel(architecture: Architecture, parameters: Parameters) -> Force:
    """Return the native kernel of a trained model.

    Raises
    ------
    ValueError
        If the parameters do not fit, if a Heisenberg gate of the circuit couples too many spins
        to be lowered, or if the workspace would be larger than `MAX_BYTES`.
    """
    lowered = _lowered(architecture, parameters)
    if two_pairs_native.fits(architecture, parameters, lowered):
        return two_pairs_native.force(architecture, parameters, lowered)
    return Force(energy_and_forces(), *_pack(architecture, parameters, lowered))


def packed(
    architecture: Architecture, parameters: Parameters
) -> tuple[np.ndarray, np.ndarray, Program]:
    """Return program and workspace of `kernel.energy_and_forces`, and the lowered circuit.

    Raises
    ------
    ValueError
        See `native_kernel`.
    """
    lowered = _lowered(architecture, parameters)
    return *_pack(architecture, parameters, lowered), lowered


def _lowered(architecture: Architecture, parameters: Parameters) -> Program:
    architecture.check(parameters)
    lowered = lower(architecture, parameters)
    _check_size(lowered, architecture.circuit.n_layers)
    return lowered


def _check_size(lowered: Program, n_layers: int) -> None:
    """Refuse a model that would not fit, before anything of that size is allocated."""
    graded = sum(operation.kind == GRADED for operation in lowered.operations)
    per_layer = 16 * graded + 4 * lowered.n_sectors  # constants; state and adjoint state
    n_bytes = 8 * 4**lowered.n_pairs * (n_layers + 1) * per_layer
    check_bytes(n_bytes)


class _Layout:
    """Allocator of places in the workspace: constants first, then scratch."""

    def __init__(self) -> None:
        self.constants: list[np.ndarray] = []
        self.size = 0

    def constant(self, values: np.ndarray) -> int:
        flat = np.asarray(values, float).reshape(-1)
        self.constants.append(flat)
        return self.scratch(flat.size)

    def scratch(self, size: int) -> int:
        start, self.size = self.size, self.size + size
        return start


def _pack(
    architecture: Architecture, parameters: Parameters, lowered: Program
) -> tuple[np.ndarray, np.ndarray]:
    circuit, features = architecture.circuit, architecture.features
    k, sectors = lowered.n_pairs, lowered.n_sectors
    n_encodings, slice_size = len(parameters.scales), 2 * sectors * 4**k
    layout, head = _Layout(), np.zeros(HEAD, np.int64)
    head[N_ATOMS], head[N_VECTORS] = features.n_atoms, features.n_vectors
    head[N_PAIRS], head[N_SECTORS], head[N_LAYERS] = k, sectors, circuit.n_layers
    head[N_ENCODINGS] = n_encodings
    head[N_OPERATIONS], head[N_TERMS] = len(lowered.operations), len(lowered.terms)
    _pack_features(features, np.asarray(parameters.scales), head, layout)
    head[OFFSET] = layout.constant(np.asarray(parameters.offset))
    head[INITIAL] = layout.constant(np.stack([lowered.initial.real, lowered.initial.imag]))
    operations = [_record(op, k, layout) for op in lowered.operations]
    terms = [_term_record(term, k, layout) for term in lowered.terms]
    head[VECTORS] = layout.scratch(VECTOR * n_encodings * features.n_vectors)
    head[GRADIENT] = layout.scratch(3 * n_encodings * features.n_vectors)
    head[TURNS] = layout.scratch(32 * n_encodings * sectors * k)
    head[STATES] = layout.scratch(slice_size * (circuit.n_layers + 1))
    head[ADJOINTS] = layout.scratch(slice_size * (circuit.n_layers + 1))
    head[SCRATCH] = layout.scratch(2 * slice_size + 32)
    head[OUTER] = layout.scratch(16)
    head[TORQUES] = layout.scratch(3 * features.n_vectors)
    head[RADIAL] = layout.scratch(int(head[N_ENTRIES]) * (2 * padded(n_encodings) + 3))
    head[GAUSSIANS] = layout.scratch(2 * int(head[N_RADIAL]))
    head[OPERATIONS] = HEAD
    head[TERMS] = head[OPERATIONS] + RECORD * len(operations)
    head[SPINS] = head[TERMS] + RECORD * len(terms)
    kinds = [(op[0], op[2]) for op in operations]
    head[TWO_PAIRS] = k == 2 and sectors == 1 and kinds == [(GRADED, LANES)]
    head[PREPARE] = prepare().address
    head[PROPAGATE] = (propagate_two_pairs if head[TWO_PAIRS] else propagate)().address
    table = np.array([*operations, *terms], np.int64).reshape(-1)
    vectors = lowered.vectors.astype(np.int64)
    head[ENTRIES] = head[SPINS] + len(vectors)
    entries = features.entries if isinstance(features, VectorDensities) else ()
    workspace = np.zeros(layout.size)
    filled = np.concatenate(layout.constants)
    workspace[: filled.size] = filled
    return np.concatenate([head, table, vectors, np.array(entries, np.int64).ravel()]), workspace


def _pack_features(
    features: Features, scales: np.ndarray, head: np.ndarray, layout: _Layout
) -> None:
    if isinstance(features, LinearVectors):
        head[WEIGHTS] = layout.constant(np.array(features.weights))
        head[SCALES] = layout.constant(scales[:, list(features.scale_index)])
        head[READ], head[WRITE] = read_linear().address, write_linear().address
        return
    head[READ], head[WRITE] = read_densities().address, write_densities().address
    low, high = np.array(features.ranges).T
    spacing = (high - low) / (features.n_radial - 1)
    coefficients = scales.reshape(len(scales), len(features.ranges), features.n_radial)
    head[N_ENTRIES], head[N_RADIAL] = len(features.entries), features.n_radial
    head[RANGES] = layout.constant(np.stack([low, spacing], axis=1))
    head[STEPS] = layout.constant(np.exp(-0.5 - np.arange(features.n_radial)))
    filled = np.zeros((*coefficients.shape[1:], padded(len(scales))))
    filled[:, :, : len(scales)] = np.moveaxis(coefficients, 0, 2)
    head[COEFFICIENTS] = layout.constant(filled)
    head[CUTOFF] = layout.constant(np.array(features.cutoff))


def _record(operation: Operation, k: int, layout: _Layout) -> tuple[int, ...]:
    kind, pairs, constants = operation
    pattern, flips = DIAGONAL, (0, 0)
    if kind == GRADED:
        pattern, flips, forward = _expand(constants, pairs, k)
        index = np.arange(4**k)
        every = (0, flips[0], flips[1], flips[0] ^ flips[1])[: forward.shape[1]]
        adjoint = [forward[:, c, index ^ flip].conj() for c, flip in enumerate(every)]
        values = np.stack([_interleave(forward), _interleave(np.stack(adjoint, axis=1))], axis=1)
    elif kind == TURN:
        values = np.stack([constants.swapaxes(1, 2), constants], axis=1)
    else:
        values = np.stack([np.cos(constants / 2), np.sin(constants / 2)], axis=1)
    return kind, pairs[0], pattern, *flips, layout.constant(values), values[0].size


def _term_record(term: Term, k: int, layout: _Layout) -> tuple[int, ...]:
    record = graded_record(term.constants[None].astype(complex), term.pairs, k, layout.constant)
    return record[0], int(term.with_ancilla), *record[2:]


def graded_record(
    constants: np.ndarray, pairs: tuple[int, int], k: int, place: Callable[[np.ndarray], int]
) -> tuple[int, ...]:
    """Return the record of a graded operation without its adjoint; `place` stores its constants."""
    pattern, flips, values = _expand(constants, pairs, k)
    parts = _interleave(values)
    return GRADED, pairs[0], pattern, *flips, place(parts), parts[0].size


def _expand(
    constants: np.ndarray, pairs: tuple[int, int], k: int
) -> tuple[int, tuple[int, int], np.ndarray]:
    """Expand graded constants to all basis states: (pattern, two flips, (n_layers, c, 4**k))."""
    first, second = (2 * (k - 1 - p) for p in pairs)
    index = np.arange(4**k)
    full = constants[:, :, (index >> first) & 3, (index >> second) & 3]
    if np.abs(constants[:, 1:]).max() < 1e-14:
        return DIAGONAL, (0, 0), full[:, :1]
    flips = (1 << first) | (1 << second), (2 << first) | (2 << second)
    return (LANES if second == 0 else ROWS), flips, full


def _interleave(values: np.ndarray) -> np.ndarray:
    """Reorder (layers, c, N) to (layers, N/4, c, real or imaginary, 4), for the kernel."""
    parts = np.stack([values.real, values.imag], axis=2)
    blocks = parts.reshape(*parts.shape[:3], -1, 4)
    return np.ascontiguousarray(np.moveaxis(blocks, 3, 1))
