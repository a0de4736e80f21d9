"""Derivatives of the energy of a tree by all its trained numbers, on the native kernel.

Circuits are differentiated by `gradient_kernel`; the few classical numbers by JAX. Rows are in the
order in which JAX flattens the tree (`jax.flatten_util.ravel_pytree`).
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from ..circuit import gradient_kernel as layout
from ..circuit import lowering, native
from ..circuit.architecture import Quantum
from ..circuit.circuit import Circuit
from ..circuit.features import LinearVectors
from ..circuit.kernel import energy_and_forces
from ..circuit.layout import N_PAIRS, N_SECTORS
from ..family import Leaf
from ..network.native import NetworkGradient
from ..network.network import AtomCentredNetwork
from . import jax_energy as jax_model
from .nodes import Committee, ManyBody, Model, OnAtoms, PerAtomSum, Scaled, Sum, Switched
from .walk import leaves

Array = np.ndarray


class Packed(NamedTuple):
    """A circuit as `gradient_kernel` takes it, and how many numbers it has."""

    program: Array
    workspace: Array
    base: int
    """Where in the program the table of derivatives begins."""
    n_parameters: int


class ParameterGradient:
    """Derivatives of the energy of `model` at any positions; may be used by several threads.

    Parameters
    ----------
    model : tree

    Raises
    ------
    ValueError
        If a circuit has no native form.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        circuits = {id(leaf): leaf for _, leaf in leaves(model) if isinstance(leaf, Quantum)}
        self._packed = {key: _packed(leaf) for key, leaf in circuits.items()}
        networks = {
            id(leaf): leaf for _, leaf in leaves(model) if isinstance(leaf, AtomCentredNetwork)
        }
        self._networks = {key: NetworkGradient(leaf) for key, leaf in networks.items()}

    def rows(self, positions: Array) -> Array:
        """Of the energies at `positions` (n, n_atoms, 3), angstrom: (n, n_parameters)."""
        return self._rows(self._model, positions)

    def sum(self, positions: Array, factors: Array) -> Array:
        """``factors @ rows(positions)`` without the rows, (n_parameters,)."""
        return self._sum(self._model, positions, factors)

    def _rows(self, model: Model, x: Array) -> Array:
        match model:
            case Quantum():
                return _circuit_rows(self._packed[id(model)], x)
            case AtomCentredNetwork():
                return self._networks[id(model)].rows(x)
            case OnAtoms():
                return self._rows(model.model, x[:, model.atoms])
            case Switched():
                return np.asarray(_switch(model, x)[:, None] * self._rows(model.model, x))
            case Scaled():
                return model.factor * self._rows(model.model, x)
            case Committee():
                parts = [self._rows(member, x) for member in model.members]
                return np.concatenate(parts, axis=1) / len(parts)
            case Sum():
                parts = [self._rows(term, x[:, : term.n_atoms]) for term in model.terms]
                return np.concatenate(parts, axis=1)
            case ManyBody():
                one = sum(self._rows(model.monomer, x[:, m]) for m in model.molecules)
                two = sum(self._rows(model.pair, x[:, p]) for p in model.pairs)
                return np.concatenate([one, two], axis=1)
            case PerAtomSum():
                each = enumerate(model.models)
                return np.concatenate([
                    np.sum([self._rows(one, x[:, order]) for order in model.of_kind(kind)], axis=0)
                    for kind, one in each
                ], axis=1)  # fmt: skip
            case _:
                return _by_jax(model, x)

    def _sum(self, model: Model, x: Array, factors: Array) -> Array:
        match model:
            case Quantum():
                return _circuit_sum(self._packed[id(model)], x, factors)
            case AtomCentredNetwork():
                return self._networks[id(model)].sum(x, factors)
            case OnAtoms():
                return self._sum(model.model, x[:, model.atoms], factors)
            case Switched():
                return self._sum(model.model, x, factors * _switch(model, x))
            case Sum():
                parts = [self._sum(term, x[:, : term.n_atoms], factors) for term in model.terms]
                return np.concatenate(parts)
            case PerAtomSum():
                each = enumerate(model.models)
                return np.concatenate([
                    np.sum([self._sum(one, x[:, o], factors) for o in model.of_kind(kind)], axis=0)
                    for kind, one in each
                ])  # fmt: skip
            case _:
                return np.asarray(factors @ self._rows(model, x))


def _circuit_rows(packed: Packed, x: Array) -> Array:
    energies, rows = np.empty(len(x)), np.empty((len(x), packed.n_parameters))
    workspace = packed.workspace.copy()  # has scratch, which threads must not share
    x = np.ascontiguousarray(x)
    layout.rows_into(
        energy_and_forces().address, x, energies, rows, packed.program, workspace, packed.base
    )
    return rows


def _circuit_sum(packed: Packed, x: Array, factors: Array) -> Array:
    row, workspace = np.zeros(packed.n_parameters), packed.workspace.copy()
    x = np.ascontiguousarray(x)
    layout.add_into(
        energy_and_forces().address, x, factors, row, packed.program, workspace, packed.base
    )
    return row


def _packed(model: Quantum) -> Packed:
    architecture, parameters = model.architecture, model.parameters
    circuit: Circuit = architecture.circuit
    program, workspace, lowered = native.packed(architecture, parameters)
    k, sectors = int(program[N_PAIRS]), int(program[N_SECTORS])
    constants: list[Array] = []
    end = len(workspace)

    def place(values: Array) -> int:
        nonlocal end
        start, end = end, end + values.size
        constants.append(values.reshape(-1))
        return start

    operations = lowered.operations
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
    return Packed(
        np.concatenate([program, head, tables.reshape(-1)]),
        np.concatenate([workspace, *constants, scratch]),
        base,
        sum(np.size(p) for p in parameters),
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
