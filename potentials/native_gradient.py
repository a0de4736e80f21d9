"""Derivatives of the energy of a tree by all its trained numbers, on the native kernel.

Circuits are differentiated by `gradient_kernel`; the few classical numbers by JAX. Rows are in the
order in which JAX flattens the tree (`jax.flatten_util.ravel_pytree`).
"""

from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from . import gradient_kernel as layout
from . import jax_model, lowering, native
from .circuit import Circuit
from .features import LinearVectors
from .kernel_layout import N_PAIRS, N_SECTORS
from .tree import Leaf, ManyBody, Model, OnAtoms, Quantum, Sum, Switched

Array = np.ndarray


def gradient_rows(model: Model, positions: Array) -> Array:
    """Derivatives of the energies by the trained numbers, (n, n_parameters).

    Parameters
    ----------
    model : tree
    positions : (n, n_atoms, 3)
        angstrom

    Raises
    ------
    ValueError
        If a circuit has no native form.
    """
    match model:
        case Quantum():
            return _circuit_rows(model, positions)
        case OnAtoms():
            return gradient_rows(model.model, positions[:, model.atoms])
        case Switched():
            rows = gradient_rows(model.model, positions)
            return np.asarray(_switch(model, positions)[:, None] * rows)
        case Sum():
            parts = [gradient_rows(t, positions[:, : t.n_atoms]) for t in model.terms]
            return np.concatenate(parts, axis=1)
        case ManyBody():
            one = sum(gradient_rows(model.monomer, positions[:, m]) for m in model.molecules)
            two = sum(gradient_rows(model.pair, positions[:, p]) for p in model.pairs)
            return np.concatenate([one, two], axis=1)
        case _:
            return _by_jax(model, positions)


def gradient_sum(model: Model, positions: Array, factors: Array) -> Array:
    """``factors @ gradient_rows(model, positions)`` without the rows."""
    match model:
        case Quantum():
            return _circuit_sum(model, positions, factors)
        case OnAtoms():
            return gradient_sum(model.model, positions[:, model.atoms], factors)
        case Switched():
            return gradient_sum(model.model, positions, factors * _switch(model, positions))
        case Sum():
            parts = [gradient_sum(t, positions[:, : t.n_atoms], factors) for t in model.terms]
            return np.concatenate(parts)
        case _:
            return np.asarray(factors @ gradient_rows(model, positions))


def _circuit_rows(model: Quantum, positions: Array) -> Array:
    program, workspace, base = _packed(model)
    energies = np.empty(len(positions))
    rows = np.empty((len(positions), sum(np.size(p) for p in model.parameters)))
    layout.rows_into(np.ascontiguousarray(positions), energies, rows, program, workspace, base)
    return rows


def _circuit_sum(model: Quantum, positions: Array, factors: Array) -> Array:
    program, workspace, base = _packed(model)
    row = np.zeros(sum(np.size(p) for p in model.parameters))
    layout.add_into(np.ascontiguousarray(positions), factors, row, program, workspace, base)
    return row


def _packed(model: Quantum) -> tuple[Array, Array, int]:
    """Program, workspace, and where in the program the table of derivatives begins."""
    architecture, parameters = model.architecture, model.parameters
    circuit: Circuit = architecture.circuit
    program, workspace = native.packed(architecture, parameters)
    k, sectors = int(program[N_PAIRS]), int(program[N_SECTORS])
    constants: list[Array] = []
    end = len(workspace)

    def place(values: Array) -> int:
        nonlocal end
        start, end = end, end + values.size
        constants.append(values.reshape(-1))
        return start

    operations = lowering.lower(architecture, parameters).operations
    derived = []
    for operation, coupling, values in lowering.derivatives(architecture, parameters):
        kind, pairs, _ = operations[operation]
        if kind == lowering.GRADED:
            record = native.graded_record(values, pairs, k, place)
        else:
            flat = values.swapaxes(1, 2) if kind == lowering.TURN else values[:, None]
            record = (kind, pairs[0], 0, 0, 0, place(np.ascontiguousarray(flat)), flat[0].size)
        derived.append((*record, operation, coupling))
    parts = []
    for i, term in lowering.observables(circuit):
        record = native.graded_record(term.constants[None].astype(complex), term.pairs, k, place)
        parts.append((record[0], int(term.with_ancilla), *record[2:], i, 0))

    features, base = architecture.features, len(program)
    step, n_operations = sectors * (2 << (2 * k)), len(operations)
    index = features.scale_index if isinstance(features, LinearVectors) else ()
    head = np.zeros(layout.GRADIENT_HEAD + len(index), np.int64)
    head[layout.SCALE_INDEX :][: len(index)] = index
    tables = np.array([*derived, *parts], np.int64)
    head[layout.N_DERIVATIVES], head[layout.N_PARTS] = len(derived), len(parts)
    head[layout.DERIVATIVES] = base + len(head)
    head[layout.PARTS] = base + len(head) + len(derived) * layout.LONG_RECORD
    head[layout.INSIDE], head[layout.SPARE] = end, end + (n_operations + 1) * step
    head[layout.N_SCALES], head[layout.N_COUPLINGS] = features.n_scales, circuit.n_couplings
    head[layout.N_OBSERVABLES] = len(circuit.observables)
    scratch = np.zeros((n_operations + 4) * step)
    return (
        np.concatenate([program, head, tables.reshape(-1)]),
        np.concatenate([workspace, *constants, scratch]),
        base,
    )


def _switch(model: Switched, positions: Array) -> Array:
    i, j = model.between
    r = np.linalg.norm(positions[:, i] - positions[:, j], axis=1)
    t = np.clip((r - model.inner) / (model.outer - model.inner), 0.0, 1.0)
    return np.asarray(1 - t**3 * (10 - t * (15 - 6 * t)))


def _by_jax(model: Leaf, positions: Array) -> Array:
    """Rows of a leaf that is not a circuit; padded, so that few sizes are compiled."""
    n = len(positions)
    padded = np.concatenate([positions, np.repeat(positions[-1:], -n % 64, axis=0)])
    return np.asarray(_jax_rows(model, padded))[:n]


@jax.jit
def _jax_rows(model: Any, positions: Any) -> Any:
    def row(x: Any) -> Any:
        return ravel_pytree(jax.grad(jax_model.energy)(model, x))[0]

    return jax.vmap(row)(positions)
