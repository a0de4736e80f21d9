"""Trained parameters that survive the simplification of a circuit by ZX rules [1]_.

Every rotation gets an angle from which it can be told in any sum: its place is a digit of a long
binary fraction. After the simplification by pyzx each phase of the diagram is a sum of angles with
signs, plus multiples of pi/2, and the digits say of which. The rank of these sums as functions of
the trained parameters is the number of parameters that survive.

A circuit is simplified with open inputs, where it has to stay the same operation, and on its first
state ``|0...0>``, where only the state counts. Rules that join phases find parameters that are
redundant for all values of the others; the rank of the Fisher matrix is the final word.

References
----------
.. [1] A. Kissinger, J. van de Wetering, Phys. Rev. A 102, 022406 (2020), arXiv:1903.10477.
"""

from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from itertools import combinations
from typing import Any

import numpy as np

from qmd.circuits.states import Word, commute
from qmd.errors import MismatchError
from qmd.potentials import Fixed, Rotation, RotationProgram

BASE = 8
"""A digit stands for -1, 0 or 1, and a quarter turn is a whole number of the first digits."""
MAX_ROTATIONS = 4000


@dataclass(frozen=True)
class Redundancy:
    """Parameters and phases of a circuit before and after the simplification."""

    n_layers: int
    n_parameters: int
    kept: int
    """Parameters that survive with open inputs."""
    kept_on_zero: int
    """Parameters that survive on ``|0...0>``."""
    rotations: int
    """Rotations by angles, of parameters and of inputs."""
    phases: int
    """Phases that are left of them with open inputs."""
    phases_on_zero: int

    @property
    def share(self) -> float:
        """Share of the parameters that survives with open inputs."""
        return self.kept / self.n_parameters if self.n_parameters else 1.0


def why_not(program: RotationProgram) -> str:
    """Return why the ZX rules cannot be used on a circuit, or no text if they can."""
    if find_spec("pyzx") is None:
        return "pyzx is not installed: pip install 'qmd-dynamics[circuits]'"
    rotations = [gate for gate in program.gates if isinstance(gate, Rotation)]
    if not all(commute(a, b) for r in rotations for a, b in combinations(r.words, 2)):
        return "it has sums of pairs that do not commute, which are no rotations of ZX diagrams"
    if (n := sum(len(r.words) for r in rotations)) > MAX_ROTATIONS:
        return f"it has {n} rotations, and {MAX_ROTATIONS} are the most that are simplified"
    return ""


def redundancy(program: RotationProgram, n_layers: int) -> Redundancy:
    """Simplify a circuit, and count the parameters that survive.

    Raises
    ------
    MismatchError
        If the circuit is no ZX diagram, or pyzx is not installed.
    """
    if reason := why_not(program):
        raise MismatchError("the circuit is not simplified", reason)
    owners = [
        gate.place if gate.source == "parameter" else -1
        for gate in program.gates
        if isinstance(gate, Rotation)
        for _ in gate.words
    ]
    factors = [
        gate.factor for gate in program.gates if isinstance(gate, Rotation) for _ in gate.words
    ]
    to_parameters = np.zeros((len(owners), program.n_parameters))
    for k, (owner, factor) in enumerate(zip(owners, factors, strict=True)):
        if owner >= 0:
            to_parameters[k, owner] = factor
    kept, phases = [], []
    for on_zero in (False, True):
        sums = _simplified(program, len(owners), on_zero)
        phases.append(len(sums))
        kept.append(int(np.linalg.matrix_rank(sums @ to_parameters)) if len(sums) else 0)
    return Redundancy(
        n_layers, program.n_parameters, kept[0], kept[1], len(owners), phases[0], phases[1]
    )


def _simplified(program: RotationProgram, n_rotations: int, on_zero: bool) -> np.ndarray:
    """Return the signs (n_phases, n_rotations) of the rotations in each phase that is left."""
    from pyzx.simplify import full_reduce

    graph = diagram(program, [_angle(k, n_rotations) for k in range(n_rotations)]).to_graph()
    if on_zero:
        graph.apply_state("0" * program.n_qubits)
    full_reduce(graph, quiet=True)
    signs = [_digits(Fraction(graph.phase(v)), n_rotations) for v in graph.vertices()]
    return np.array([row for row in signs if any(row)], dtype=float).reshape(-1, n_rotations)


def diagram(program: RotationProgram, angles: list[Any]) -> Any:
    """Return the circuit as one of pyzx; rotation k turns by ``pi angles[k]``."""
    from pyzx.circuit import Circuit

    circuit, left = Circuit(program.n_qubits), iter(angles)
    names = {"X": "NOT", "H": "HAD", "S": "S", "CNOT": "CNOT"}
    for gate in program.gates:
        if isinstance(gate, Fixed):
            circuit.add_gate(names[gate.name], *gate.qubits)
            continue
        for word in gate.words:
            _rotation(circuit, word, next(left))
    return circuit


def _rotation(circuit: Any, word: Word, angle: Any) -> None:
    """Turn all axes to Z, gather the parity, rotate about it, and go back."""
    for qubit, axis in word:
        if axis == "Y":
            circuit.add_gate("S", qubit, adjoint=True)
        if axis != "Z":
            circuit.add_gate("HAD", qubit)
    qubits = [qubit for qubit, _ in word]
    ladder = list(zip(qubits, qubits[1:], strict=False))
    for pair in ladder:
        circuit.add_gate("CNOT", *pair)
    circuit.add_gate("ZPhase", qubits[-1], phase=angle)
    for pair in reversed(ladder):
        circuit.add_gate("CNOT", *pair)
    for qubit, axis in word:
        if axis != "Z":
            circuit.add_gate("HAD", qubit)
        if axis == "Y":
            circuit.add_gate("S", qubit)


def _angle(k: int, n: int) -> Fraction:
    """Return the angle of rotation k of n, in units of pi."""
    return Fraction(BASE**k, BASE ** (n + 1))


def _digits(phase: Fraction, n: int) -> list[int]:
    """Return the sign of each rotation in a phase, without its multiple of pi/2."""
    scaled = phase * BASE ** (n + 1)
    if scaled.denominator != 1:
        raise ArithmeticError(f"A phase is no sum of the angles of {n} rotations.")
    rest, found = int(scaled) % (BASE ** (n + 1) // 2), []
    for _ in range(n):
        digit = (rest + BASE // 2) % BASE - BASE // 2
        found.append(digit)
        rest = (rest - digit) // BASE
    return found
