"""A circuit as data: what the three interpreters (PennyLane, JAX, native) all read.

The family is that of re-uploading circuits on spins ("siVQLM", [1]_)::

    M = [prod_{d=D..1} Phi_d U_d] Phi_0,     <O> = <psi_0| M^+ O M |psi_0>

with `psi_0` a product of singlets, encodings `Phi_d` that turn single qubits about vectors,
layers `U_d` of Heisenberg and RZ gates, and observables made of `sigma_p . sigma_q`. An
optional ancilla makes the encoding equivariant under inversion. Qubits count from 0 here,
from 1 in the paper.

References
----------
.. [1] I. N. M. Le, O. Kiss, J. Schuhmacher, I. Tavernelli, F. Tacchino,
   New J. Phys. 27, 023015 (2025), arXiv:2311.11362.
"""

from dataclasses import dataclass
from typing import NamedTuple

Pair = tuple[int, int]

MAX_QUBITS, MAX_LAYERS = 20, 200


class Encode(NamedTuple):
    """``exp(-i v.sigma_qubit)``, or ``exp(-i v.sigma_qubit X_ancilla)`` with an ancilla."""

    vector: int
    """Which of the vectors that the features provide."""
    qubit: int


class Heisenberg(NamedTuple):
    """``exp(-i J sum_pairs sigma_p.sigma_q)``; the pairs need not commute."""

    coupling: int
    """Which of the couplings of the layer is J."""
    pairs: tuple[Pair, ...]


class RotationZ(NamedTuple):
    """``exp(-i theta/2 Z)`` on each of `qubits`; on a spin it breaks rotation invariance."""

    coupling: int
    """Which of the couplings of the layer is theta."""
    qubits: tuple[int, ...]


class Observable(NamedTuple):
    """``sum_pairs sigma_p.sigma_q``, times ``Z_ancilla`` if `with_ancilla`."""

    pairs: tuple[Pair, ...]
    with_ancilla: bool = False


@dataclass(frozen=True)
class Circuit:
    """Description of a circuit of the family; parameters and vectors are kept apart.

    Parameters
    ----------
    n_qubits, n_layers : int
        Size; there are ``n_layers + 1`` encodings.
    singlets : tuple of pairs
        Pairs of qubits that start as ``(|01> - |10>)/sqrt 2``; the others start as ``|0>``.
    encoding : tuple of Encode
        One encoding ``Phi``; its gates commute. The vectors may differ from layer to layer.
    layer : tuple of Heisenberg and RotationZ
        Gates of one ``U_d`` in the order in which they act.
    observables : tuple of Observable
    ancilla : int, optional
        Qubit that the encodings couple to; it starts as ``|0>``.

    Raises
    ------
    ValueError
        If a gate names a qubit that does not exist, or the ancilla where a spin is needed.
    """

    n_qubits: int
    n_layers: int
    singlets: tuple[Pair, ...]
    encoding: tuple[Encode, ...]
    layer: tuple[Heisenberg | RotationZ, ...]
    observables: tuple[Observable, ...]
    ancilla: int | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.n_qubits <= MAX_QUBITS or not 1 <= self.n_layers <= MAX_LAYERS:
            raise ValueError(
                f"A circuit must have 2 to {MAX_QUBITS} qubits and 1 to {MAX_LAYERS} layers, "
                f"but it has n_qubits={self.n_qubits} and n_layers={self.n_layers}."
            )
        if self.ancilla is not None and not 0 <= self.ancilla < self.n_qubits:
            raise ValueError(f"`ancilla` must be a qubit, but ancilla={self.ancilla}.")
        rotations = [q for g in self.layer if isinstance(g, RotationZ) for q in g.qubits]
        if any(q not in range(self.n_qubits) for q in rotations):
            raise ValueError(f"An RZ gate names a qubit outside 0..{self.n_qubits - 1}.")
        pairs = [*self.singlets, *(p for g in self.layer if isinstance(g, Heisenberg) for p in g.pairs)]
        pairs += [p for o in self.observables for p in o.pairs]
        spins = set(self.spins)
        for pair in pairs:
            if not (len(set(pair)) == 2 and spins.issuperset(pair)):
                raise ValueError(f"A pair must be two different spins of {self.spins}, but it is {pair}.")
        if not spins.issuperset(e.qubit for e in self.encoding):
            raise ValueError("An encoding must act on a spin.")
        started = [q for pair in self.singlets for q in pair]
        if len(set(started)) != len(started):
            raise ValueError(f"Singlets must not share a qubit, but they are {self.singlets}.")
        if not self.observables or not self.encoding:
            raise ValueError("A circuit needs at least one encoding gate and one observable.")
        if self.ancilla is None and any(o.with_ancilla for o in self.observables):
            raise ValueError("An observable uses the ancilla, but the circuit has none.")
        if min((g.coupling for g in self.layer), default=0) < 0 or self.encoding[0].vector < 0:
            raise ValueError("Couplings and vectors count from 0.")

    @property
    def spins(self) -> tuple[int, ...]:
        """The qubits that are not the ancilla."""
        return tuple(q for q in range(self.n_qubits) if q != self.ancilla)

    @property
    def n_couplings(self) -> int:
        """Trainable couplings of one layer."""
        return 1 + max((gate.coupling for gate in self.layer), default=-1)

    @property
    def n_vectors(self) -> int:
        """Vectors that one encoding needs."""
        return 1 + max(gate.vector for gate in self.encoding)
