"""Packing of a model for `two_pairs_kernel`."""

import numpy as np

from qmd.integrators import VECTOR_WIDTH, Force, aligned

from .architecture import Architecture, Parameters
from .features import LinearVectors
from .lowering import GRADED, Program
from .two_pairs_beside import flips_of, room
from .two_pairs_kernel import (
    ADJOINTS,
    HEAD,
    INITIAL,
    LAYERS,
    N_ATOMS,
    N_LAYERS,
    OBSERVABLE,
    OFFSET,
    STATES,
    WEIGHTS,
    energy_and_forces,
    side_by_side,
)

Array = np.ndarray
_LINE = 8
"""Numbers of a line of a cache, at the begin of which each part of the workspace lies."""
_INDEX = np.arange(4)
_NOISE = 1e-14
"""Bound of the rounding errors of a constant; see `lowering._invariant`."""


def fits(architecture: Architecture, parameters: Parameters, lowered: Program) -> bool:
    """Tell if a model is a circuit on two pairs whose layers share their vectors."""
    return (
        isinstance(architecture.features, LinearVectors)
        and len(parameters.scales) == 1
        and lowered.n_pairs == 2
        and lowered.n_sectors == 1
        and [operation.kind for operation in lowered.operations] == [GRADED]
        and len(lowered.terms) == 1
    )


def force(architecture: Architecture, parameters: Parameters, lowered: Program) -> Force:
    """Return the native kernel of a model that `fits`."""
    layers, keeps_parity = _without_noise(lowered.operations[0].constants)
    observable = lowered.terms[0].constants
    parts = {
        WEIGHTS: _weights(architecture, parameters, lowered),
        INITIAL: np.stack([lowered.initial.real, lowered.initial.imag]),
        LAYERS: _layers(layers),
        ADJOINTS: _layers(_adjoints(layers)),
        OBSERVABLE: _by_vector(observable.real),
        OFFSET: np.asarray(parameters.offset),
        STATES: np.zeros(room(len(layers)) * VECTOR_WIDTH),
    }
    program = np.zeros(HEAD, np.int64)
    numbers: list[Array] = []
    program[N_ATOMS], program[N_LAYERS] = architecture.features.n_atoms, len(layers)
    for word, part in parts.items():
        program[word] = sum(part.size for part in numbers)
        numbers.append(np.pad(part.ravel(), (0, -part.size % _LINE)))
    beside = side_by_side if keeps_parity else None
    workspace = aligned(np.concatenate(numbers))
    return Force(energy_and_forces(), program, workspace, beside=beside)


def _without_noise(layers: Array) -> tuple[Array, bool]:
    """Return the layers, and whether none joins odd and even numbers of singlets.

    Then the constants that would are rounding errors, and are left out.
    """
    c, a, b = np.indices((4, 4, 4)).reshape(3, -1)
    none = np.array([c not in flips_of(a, b) for c, a, b in zip(c, a, b, strict=True)])
    flat = layers.reshape(len(layers), -1)
    if np.abs(flat[:, none]).max() > _NOISE:
        return layers, False
    return np.where(none, 0.0, flat).reshape(layers.shape), True


def _weights(architecture: Architecture, parameters: Parameters, lowered: Program) -> Array:
    """Return the weight of each atom in the vector of each spin, (n_atoms, 4)."""
    features = architecture.features
    assert isinstance(features, LinearVectors)
    scales = np.asarray(parameters.scales)[0, list(features.scale_index)]
    rows = np.asarray(features.weights, float) * scales[:, None]
    rows = np.concatenate([rows, np.zeros((1, features.n_atoms))])  # -1: a spin without a vector
    return np.ascontiguousarray(rows[lowered.vectors].T)


def _adjoints(layers: Array) -> Array:
    """Return graded constants of the adjoints: ``conj U_c[a ^ c, b ^ c]``."""
    found = np.empty_like(layers)
    for c in range(4):
        found[:, c] = layers[:, c][:, _INDEX ^ c][:, :, _INDEX ^ c].conj()
    return found


def _by_vector(graded: Array) -> Array:
    """Reorder (..., c, a, b) to (..., vector, c, eight numbers)."""
    parts = graded.reshape(*graded.shape[:-2], 2, 8)
    return np.moveaxis(parts, -2, -3)


def _layers(layers: Array) -> Array:
    """Return (layers, vector, c, real and imaginary, eight numbers)."""
    return np.stack([_by_vector(layers.real), _by_vector(layers.imag)], axis=-2)
