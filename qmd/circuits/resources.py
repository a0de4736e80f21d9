"""Resources of a circuit on a quantum computer: qubits, gates, depth, evaluations."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import pennylane as qml

from qmd.circuits.instances import CircuitInstance
from qmd.potentials import Circuit, Heisenberg, clusters

GATE_SET = {"RX", "RY", "RZ", "Hadamard", "PauliX", "CNOT"}
"""Gates to which PennyLane decomposes; sums of pairs that do not commute stay whole."""
WHOLE = {"Evolution", "Exp"}


@dataclass(frozen=True)
class Resources:
    """Resources of one circuit of a model."""

    name: str
    copies: int
    """Number of evaluations of the circuit in one energy."""
    n_qubits: int
    n_layers: int
    n_parameters: int
    """Number of trained parameters, including those of the features and of the head."""
    n_observables: int
    measurement_groups: int
    """Number of measurement settings, each for observables that commute qubit by qubit."""
    two_qubit_gates: int
    """Two-qubit gates of the model: Heisenberg pairs or rings, encodings with ancilla, singlets."""
    cnots_at_most: int
    """CNOT gates if each of these is compiled at its best known cost, see `cnots_at_most`."""
    gates: dict[str, int]
    """Gates after the decomposition by PennyLane to `GATE_SET`."""
    depth: int
    """Depth of these gates."""
    evaluations_per_energy: int
    evaluations_per_forces: int
    """Evaluations by parameter shift, see `shift_evaluations`."""


def resources(part: CircuitInstance) -> Resources:
    """Count the resources of one circuit."""
    whole = tape(part, part.n_layers)
    (elementary,), _ = qml.transforms.decompose(whole, gate_set=GATE_SET | WHOLE)
    counted = elementary.specs["resources"]
    groups = measurement_groups(whole)
    return Resources(
        name=part.name,
        copies=part.copies,
        n_qubits=part.n_qubits,
        n_layers=part.n_layers,
        n_parameters=part.n_parameters,
        n_observables=len(whole.measurements),
        measurement_groups=groups,
        two_qubit_gates=_two_qubit_gates(part),
        cnots_at_most=cnots_at_most(part),
        gates={str(name): int(n) for name, n in sorted(counted.gate_types.items())},
        depth=int(counted.depth),
        evaluations_per_energy=groups,
        evaluations_per_forces=groups * shift_evaluations(part),
    )


def tape(part: CircuitInstance, n_layers: int) -> Any:
    """Return the tape of the reference interpreter, with `n_layers` layers."""
    node, arguments = part.node(n_layers)
    return qml.workflow.construct_tape(node, level="top")(*arguments)


def measurement_groups(whole: Any) -> int:
    """Return the number of settings in which all observables can be measured, qubit by qubit."""
    words = dict.fromkeys(word for m in whole.measurements for word in m.obs.pauli_rep)
    observables = [word.operation() for word in words]
    return len(qml.pauli.group_observables(observables, method="dsatur"))


def _two_qubit_gates(part: CircuitInstance) -> int:
    if (gates := part.form.gates) is not None:
        return gates.two_qubit_gates
    circuit = _spins(part)
    pairs = sum(len(gate.pairs) for gate in circuit.layer if isinstance(gate, Heisenberg))
    encodings = len(circuit.encoding) if circuit.ancilla is not None else 0
    return part.n_layers * pairs + (part.n_layers + 1) * encodings + len(circuit.singlets)


def cnots_at_most(part: CircuitInstance) -> int:
    """Count CNOT gates, if each gate of the model is compiled separately at its best known cost.

    A singlet costs one, ``exp(-i t ZX)`` and ``exp(-i t ZZ)`` two, a Heisenberg pair three [1]_,
    and pairs that join n > 2 spins and do not commute ``(23/48) 4^n - (3/2) 2^n + 4/3``, like any
    gate on n qubits [2]_. All qubits are assumed to be connected.

    References
    ----------
    .. [1] G. Vidal, C. M. Dawson, Phys. Rev. A 69, 010301 (2004).
    .. [2] V. V. Shende, S. S. Bullock, I. L. Markov, IEEE Trans. CAD 25, 1000 (2006).
    """
    if (gates := part.form.gates) is not None:
        return gates.cnots_at_most
    circuit = _spins(part)
    layer = sum(
        _any_unitary(len(cluster.spins))
        for gate in circuit.layer
        if isinstance(gate, Heisenberg)
        for cluster in clusters(gate.pairs)
    )
    encodings = 2 * len(circuit.encoding) if circuit.ancilla is not None else 0
    return part.n_layers * layer + (part.n_layers + 1) * encodings + len(circuit.singlets)


def _any_unitary(n: int) -> int:
    return int((23 * 4**n - 72 * 2**n + 64) // 48)


def shift_evaluations(part: CircuitInstance) -> int:
    """Count the expectation values from which the parameter-shift rule [1]_ gives all forces.

    A change of the vector v of an encoding is a small rotation in the middle of its gate,
    ``dV(v) = -i V(v/2) (dw . sigma) V(v/2)``, with the ancilla ``(dw . sigma) X_A``. The derivative
    for each of three axes is a difference of two expectation values, with a rotation by plus or
    minus a quarter turn inserted there. With D layers and n encoding gates in each encoding these
    are ``2 * 3 * n * (D + 1)`` for any number of atoms, by the chain rule.

    References
    ----------
    .. [1] M. Schuld et al., Phys. Rev. A 99, 032331 (2019), arXiv:1811.11184.
    """
    if (gates := part.form.gates) is not None:
        return gates.shift_evaluations
    return 2 * 3 * len(_spins(part).encoding) * (part.n_layers + 1)


def _spins(part: CircuitInstance) -> Circuit:
    """Return the circuit on spins, of a family that does not count its own gates."""
    if part.circuit is None:
        raise TypeError(f"The gates of {part.name} are not counted.")
    return part.circuit


def as_json(found: list[Resources]) -> str:
    """Return the counts as JSON."""
    return json.dumps({"circuits": [asdict(r) for r in found]}, indent=2)


def table(found: list[Resources]) -> str:
    """Return the counts as a table, one column per circuit."""
    rows = [("circuit", [r.name for r in found])]
    rows += [
        (label, [f"{getattr(r, field)}" for r in found])
        for label, field in (
            ("uses in one energy", "copies"),
            ("qubits", "n_qubits"),
            ("layers", "n_layers"),
            ("trained parameters", "n_parameters"),
            ("observables", "n_observables"),
            ("measurement settings", "measurement_groups"),
            ("two-qubit gates of the model", "two_qubit_gates"),
            ("CNOTs, best known cost per gate", "cnots_at_most"),
            ("depth, decomposed by PennyLane", "depth"),
            ("evaluations of an energy", "evaluations_per_energy"),
            ("evaluations of all forces", "evaluations_per_forces"),
        )
    ]
    names = sorted({name for r in found for name in r.gates})
    rows += [
        (f"{name}, by PennyLane", [str(r.gates.get(name, 0)) for r in found]) for name in names
    ]
    widths = [max(len(row[1][k]) for row in rows) for k in range(len(found))]
    return "\n".join(
        f"{label:32}  " + "  ".join(text.rjust(w) for text, w in zip(texts, widths, strict=True))
        for label, texts in rows
    )
