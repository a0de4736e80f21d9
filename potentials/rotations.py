"""Circuit as a list of Pauli rotations, with its parameters and inputs as numbers to be given.

Every circuit of the project can be written so: analyses of circuits (`qmd.circuits`) read this one
form, whatever family the circuit belongs to.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

PauliWord = tuple[tuple[int, str], ...]
"""Product of Pauli operators: (qubit, "X", "Y" or "Z"), each qubit once."""


class Fixed(NamedTuple):
    """Gate without an angle."""

    name: Literal["X", "H", "S", "CNOT"]
    qubits: tuple[int, ...]
    """Control first."""


class Rotation(NamedTuple):
    """``exp(-i factor value sum_words)``; the words need not commute."""

    words: tuple[PauliWord, ...]
    source: Literal["parameter", "input"]
    place: int
    """Index of the value among the parameters or the inputs."""
    factor: float


Gate = Fixed | Rotation


@dataclass(frozen=True)
class RotationProgram:
    """Circuit on ``|0...0>``.

    Parameters
    ----------
    n_qubits : int
    gates : tuple of Fixed and Rotation
        In the order in which they act.
    observables : tuple of tuples of words
        Each is the sum of its words.
    periods : tuple of float, shape (n_parameters,)
        Period of each trained parameter, rad.
    n_inputs : int
        Number of inputs that are not trained.
    vectors : tuple of int
        First of three inputs (length, polar angle, azimuth) of each encoded vector; the other
        inputs are angles of period 2 pi.
    frequencies : tuple of int
        Inputs in which the expectation values are Fourier series: features, or lengths of vectors.

    Raises
    ------
    ValueError
        If a gate names a qubit, a parameter or an input that does not exist.
    """

    n_qubits: int
    gates: tuple[Gate, ...]
    observables: tuple[tuple[PauliWord, ...], ...]
    periods: tuple[float, ...]
    n_inputs: int
    vectors: tuple[int, ...] = ()
    frequencies: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        many = {"parameter": self.n_parameters, "input": self.n_inputs}
        words = [word for observable in self.observables for word in observable]
        for gate in self.gates:
            if isinstance(gate, Fixed):
                words.append(tuple((q, "X") for q in gate.qubits))
                continue
            words += gate.words
            if not 0 <= gate.place < many[gate.source]:
                raise ValueError(f"There is no {gate.source} {gate.place}, but a gate names it.")
        for word in words:
            qubits = [q for q, _ in word]
            if len(set(qubits)) != len(qubits) or not set(qubits) <= set(range(self.n_qubits)):
                raise ValueError(f"Qubits must be different ones of {self.n_qubits}: {qubits}.")

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return len(self.periods)
