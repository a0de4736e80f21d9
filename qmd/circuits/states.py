"""States of circuits and their derivatives, by NumPy, for batches of parameters and inputs.

The circuits are small and the gates Pauli rotations; tests compare with PennyLane.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import combinations

import numpy as np

from qmd.potentials import Fixed, Rotation, RotationProgram

Array = np.ndarray
Word = tuple[tuple[int, str], ...]
"""Product of Pauli operators, as in `RotationProgram`."""
MAX_QUBITS = 12
"""Largest number of qubits; sums of words that do not commute are diagonalised as matrices."""


class Pauli:
    """Product of Pauli operators on amplitudes in the last axis; qubit 0 is the highest bit."""

    def __init__(self, word: Word, n_qubits: int) -> None:
        index = np.arange(1 << n_qubits)
        flips, phase = 0, np.ones(1 << n_qubits, complex)
        for qubit, axis in word:
            place = n_qubits - 1 - qubit
            sign = 1.0 - 2.0 * (index >> place & 1)  # of the amplitude that arrives here
            if axis != "Z":
                flips |= 1 << place
            if axis == "Y":
                phase = phase * -1j * sign
            elif axis == "Z":
                phase = phase * sign
        self._from, self._phase = index ^ flips, phase
        self._moves = flips != 0

    def __call__(self, psi: Array) -> Array:
        """Return the operator applied to amplitudes (..., 2**n_qubits)."""
        moved = psi[..., self._from] if self._moves else psi
        return moved * self._phase


def commute(one: Word, two: Word) -> bool:
    """Return True if two products of Pauli operators commute."""
    other = dict(two)
    return bool(sum(axis != other.get(qubit, axis) for qubit, axis in one) % 2 == 0)


class Turn:
    """Rotation ``exp(-i angle sum_words)`` of a program."""

    def __init__(self, rotation: Rotation, n_qubits: int) -> None:
        self.words = [Pauli(word, n_qubits) for word in rotation.words]
        self._n_qubits = n_qubits
        self._commuting = all(commute(a, b) for a, b in combinations(rotation.words, 2))

    @cached_property
    def _eigen(self) -> tuple[Array, Array]:
        matrix = self.generate(np.eye(1 << self._n_qubits, dtype=complex)).T
        return np.linalg.eigh(matrix)

    def generate(self, psi: Array) -> Array:
        """Return the sum of the words, applied to amplitudes."""
        total = self.words[0](psi)
        for word in self.words[1:]:
            total = total + word(psi)
        return total

    def __call__(self, psi: Array, angle: Array) -> Array:
        """Return turned amplitudes (n, ..., 2**n_qubits), each by its angle (n,) or by one."""
        angle = np.reshape(angle, np.shape(angle) + (1,) * (psi.ndim - np.ndim(angle)))
        if self._commuting:
            cosine, sine = np.cos(angle), -1j * np.sin(angle)
            for word in self.words:
                psi = cosine * psi + sine * word(psi)
            return psi
        values, vectors = self._eigen
        return np.asarray((psi @ vectors.conj() * np.exp(-1j * angle * values)) @ vectors.T)


class Simulator:
    """A circuit that is ready to be evaluated.

    Parameters
    ----------
    program : RotationProgram

    Raises
    ------
    ValueError
        If it has more than `MAX_QUBITS` qubits.
    """

    def __init__(self, program: RotationProgram) -> None:
        if program.n_qubits > MAX_QUBITS:
            raise ValueError(
                f"States are computed for up to {MAX_QUBITS} qubits, not for {program.n_qubits}."
            )
        self.program = program
        self._observables = [
            Turn(Rotation(words, "input", 0, 1.0), program.n_qubits)
            for words in program.observables
        ]
        turns: dict[tuple[Word, ...], Turn] = {}
        self._gates: list[tuple[Rotation | Fixed, Turn | None]] = []
        for gate in program.gates:
            turn = None
            if isinstance(gate, Rotation):
                turn = turns.setdefault(gate.words, Turn(gate, program.n_qubits))
            self._gates.append((gate, turn))

    def states(self, parameters: Array, inputs: Array) -> Array:
        """Return amplitudes (n, 2**n_qubits) at parameters (n, P) and inputs (n, I)."""
        psi = np.zeros((len(parameters), 1 << self.program.n_qubits), complex)
        psi[:, 0] = 1.0
        for gate, turn in self._gates:
            if isinstance(gate, Fixed):
                psi = self._fixed(gate, psi)
            elif turn is not None:
                psi = turn(psi, self._angles(gate, parameters, inputs))
        return psi

    def tangents(self, parameters: Array, inputs: Array) -> tuple[Array, Array]:
        """Return amplitudes (dim,) and their derivatives (P, dim) at parameters (P,)."""
        stack = np.zeros((1 + self.program.n_parameters, 1 << self.program.n_qubits), complex)
        stack[0, 0] = 1.0
        for gate, turn in self._gates:
            if isinstance(gate, Fixed):
                stack = self._fixed(gate, stack)
            elif turn is not None:
                values = parameters if gate.source == "parameter" else inputs
                stack = turn(stack, np.asarray(gate.factor * values[gate.place]))
                if gate.source == "parameter":
                    stack[1 + gate.place] += -1j * gate.factor * turn.generate(stack[0])
        return stack[0], stack[1:]

    def gradients(self, parameters: Array, inputs: Array, observable: int) -> Array:
        """Return the derivatives (n, P) of an expectation value, by the adjoint method."""
        psi = self.states(parameters, inputs)
        after = self._observables[observable].generate(psi)
        found = np.zeros((len(psi), self.program.n_parameters))
        for gate, turn in reversed(self._gates):
            if isinstance(gate, Fixed):
                psi, after = (self._fixed(gate, x, inverse=True) for x in (psi, after))
            elif turn is not None:
                if gate.source == "parameter":
                    slope = np.einsum("ni,ni->n", after.conj(), turn.generate(psi)).imag
                    found[:, gate.place] += 2 * gate.factor * slope
                back = -self._angles(gate, parameters, inputs)
                psi, after = turn(psi, back), turn(after, back)
        return found

    def expectations(self, psi: Array) -> Array:
        """Return the expectation values (n, n_observables) of states (n, dim)."""
        return np.stack(
            [np.einsum("ni,ni->n", psi.conj(), o.generate(psi)).real for o in self._observables],
            axis=1,
        )

    def jacobian(self, psi: Array, tangents: Array) -> Array:
        """Return the derivatives (n_observables, P) of the expectation values."""
        return np.stack([2 * (tangents @ o.generate(psi).conj()).real for o in self._observables])

    def _angles(self, gate: Rotation, parameters: Array, inputs: Array) -> Array:
        values = parameters if gate.source == "parameter" else inputs
        return np.asarray(gate.factor * values[:, gate.place])

    def _fixed(self, gate: Fixed, psi: Array, inverse: bool = False) -> Array:
        return apply_fixed(gate, psi, self.program.n_qubits, inverse)


def apply_fixed(gate: Fixed, psi: Array, n_qubits: int, inverse: bool = False) -> Array:
    """Return amplitudes (..., 2**n_qubits) after a gate without an angle, or its inverse."""
    index = np.arange(1 << n_qubits)
    last = n_qubits - 1 - gate.qubits[-1]
    if gate.name == "X":
        return psi[..., index ^ (1 << last)]
    if gate.name == "CNOT":
        control = index >> (n_qubits - 1 - gate.qubits[0]) & 1
        return psi[..., index ^ (control << last)]
    bit = index >> last & 1
    if gate.name == "S":
        return np.asarray(psi * np.where(bit, -1j if inverse else 1j, 1.0))
    flipped = psi[..., index ^ (1 << last)]
    return np.asarray(((1.0 - 2.0 * bit) * psi + flipped) / np.sqrt(2))


def settings(program: RotationProgram) -> list[dict[int, str]]:
    """Return measurement settings, qubit -> axis, in which all observables can be measured.

    Words join the first setting that agrees with them on every qubit; a qubit that no word of a
    setting names is measured along Z.
    """
    found: list[dict[int, str]] = []
    for word in dict.fromkeys(word for sum_ in program.observables for word in sum_):
        for setting in found:
            if all(setting.get(qubit, axis) == axis for qubit, axis in word):
                setting.update(word)
                break
        else:
            found.append(dict(word))
    return [{q: s.get(q, "Z") for q in range(program.n_qubits)} for s in found]


def in_basis(setting: dict[int, str], psi: Array, n_qubits: int) -> Array:
    """Return amplitudes (..., dim) of the outcomes of a measurement."""
    for gate, inverse in _changes(setting):
        psi = apply_fixed(gate, psi, n_qubits, inverse)
    return psi


def _changes(setting: dict[int, str]) -> Iterator[tuple[Fixed, bool]]:
    for qubit, axis in setting.items():
        if axis == "Y":
            yield Fixed("S", (qubit,)), True
        if axis != "Z":
            yield Fixed("H", (qubit,)), False
