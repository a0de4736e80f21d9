"""Derivatives of the energy of a circuit by its trained parameters, on the native kernel."""

import numpy as np

from . import gradient_kernel as layout
from . import lowering, native
from .architecture import Quantum
from .circuit import Circuit
from .features import LinearVectors
from .kernel import energy_and_forces
from .layout import N_PAIRS, N_SECTORS

Array = np.ndarray


class CircuitGradient:
    """Derivatives of a circuit; see `family.LeafGradient`.

    Parameters
    ----------
    leaf : Quantum

    Raises
    ------
    ValueError
        If the circuit has no native form.
    """

    def __init__(self, leaf: Quantum) -> None:
        self._program, self._workspace, self._base = _packed(leaf)
        self._address = energy_and_forces().address
        self._n_parameters = sum(np.size(p) for p in leaf.parameters)

    def rows(self, positions: Array) -> Array:
        """Return derivatives of the energies at `positions` (n, n_atoms, 3): (n, n_parameters)."""
        return self._into(len(positions), positions, np.ones(len(positions)))

    def sum(self, positions: Array, factors: Array) -> Array:
        """Return ``factors @ rows(positions)`` without storing the rows, (n_parameters,)."""
        return np.asarray(self._into(1, positions, factors)[0])

    def _into(self, n_rows: int, positions: Array, factors: Array) -> Array:
        rows = np.empty((n_rows, self._n_parameters))
        workspace = self._workspace.copy()  # has scratch, which threads must not share
        x, factors = np.ascontiguousarray(positions), np.asarray(factors, float)
        layout.rows_into(self._address, x, factors, rows, self._program, workspace, self._base)
        return rows


def _packed(model: Quantum) -> tuple[Array, Array, int]:
    """Return program, workspace, and the place of the table of derivatives in the program."""
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
    return (
        np.concatenate([program, head, tables.reshape(-1)]),
        np.concatenate([workspace, *constants, scratch]),
        base,
    )
