"""Circuit as data, which the three interpreters (PennyLane, JAX, native) read.

The family is that of re-uploading circuits on spins ("siVQLM", [1]_)::

    M = [prod_{d=D..1} Phi_d U_d] Phi_0,     <O> = <psi_0| M^+ O M |psi_0>

with `psi_0` a product of singlets, encodings `Phi_d` that rotate single qubits about vectors,
layers `U_d` of Heisenberg and RZ gates, and observables built from `sigma_p . sigma_q`. An
optional ancilla makes the encoding equivariant under inversion. Qubits count from 0 here, and
from 1 in the paper.

References
----------
.. [1] I. N. M. Le, O. Kiss, J. Schuhmacher, I. Tavernelli, F. Tacchino,
   New J. Phys. 27, 023015 (2025), arXiv:2311.11362.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

Pair = tuple[int, int]

MAX_QUBITS, MAX_LAYERS = 20, 200
MAX_CLUSTER = 10
"""Largest number of spins that the pairs of a Heisenberg gate join: a matrix of 2**spins rows."""


class Encode(NamedTuple):
    """``exp(-i v.sigma_qubit)``, or ``exp(-i v.sigma_qubit X_ancilla)`` with an ancilla."""

    vector: int
    """Index of the vector, among those of the features."""
    qubit: int


class Heisenberg(NamedTuple):
    """``exp(-i J sum_pairs sigma_p.sigma_q)``; the pairs need not commute."""

    coupling: int
    """Index of J among the couplings of the layer."""
    pairs: tuple[Pair, ...]


class RotationZ(NamedTuple):
    """``exp(-i theta/2 Z)`` on each of `qubits`; on a spin it breaks rotation invariance."""

    coupling: int
    """Index of theta among the couplings of the layer."""
    qubits: tuple[int, ...]


class Observable(NamedTuple):
    """``sum_pairs sigma_p.sigma_q``, times ``Z_ancilla`` if `with_ancilla`."""

    pairs: tuple[Pair, ...]
    with_ancilla: bool = False


@dataclass(frozen=True)
class Circuit:
    """Description of a circuit of the family, without its parameters and vectors.

    Parameters
    ----------
    n_qubits, n_layers : int
        Size; there are ``n_layers + 1`` encodings.
    singlets : tuple of pairs
        Pairs of qubits that start as ``(|01> - |10>)/sqrt 2``; the others start as ``|0>``.
    encoding : tuple of Encode
        One encoding ``Phi``, at most one gate per spin. The vectors may differ between layers.
    layer : tuple of Heisenberg and RotationZ
        Gates of one ``U_d`` in the order in which they act.
    observables : tuple of Observable
    ancilla : int, optional
        Qubit to which the encodings couple; it starts as ``|0>``.

    Raises
    ------
    ValueError
        If a gate names a qubit that does not exist, the same qubit twice, or the ancilla in place
        of a spin; if a spin is encoded twice; if a Heisenberg gate joins more than `MAX_CLUSTER`
        spins.
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
        if not self.observables or not self.encoding:
            raise ValueError("A circuit needs at least one encoding gate and one observable.")
        self._check_spins()
        self._check_layer()
        self._check_observables()
        if min(*(g.coupling for g in self.layer), *(e.vector for e in self.encoding), 0) < 0:
            raise ValueError("Couplings and vectors count from 0.")

    def _check_spins(self) -> None:
        started = [q for pair in self._checked(self.singlets) for q in pair]
        if len(set(started)) != len(started):
            raise ValueError(f"Singlets must not share a qubit, but they are {self.singlets}.")
        encoded = [gate.qubit for gate in self.encoding]
        if not set(self.spins).issuperset(encoded) or len(set(encoded)) != len(encoded):
            raise ValueError(
                f"Encodings must act on different spins of {self.spins}, but act on {encoded}."
            )

    def _check_layer(self) -> None:
        for gate in self.layer:
            if isinstance(gate, RotationZ):
                qubits = set(gate.qubits).intersection(range(self.n_qubits))
                if len(qubits) != len(gate.qubits):
                    raise ValueError(
                        f"An RZ gate must act on different qubits of 0..{self.n_qubits - 1}, "
                        f"but acts on {gate.qubits}."
                    )
                continue
            for cluster in clusters(self._checked(gate.pairs)):
                if len(cluster.spins) > MAX_CLUSTER:
                    raise ValueError(
                        f"Overlapping pairs of a Heisenberg gate must join at most {MAX_CLUSTER} "
                        f"spins, but join {sorted(cluster.spins)}. Split the gate."
                    )

    def _check_observables(self) -> None:
        for observable in self.observables:
            if not self._checked(observable.pairs):
                raise ValueError("An observable needs at least one pair.")
            if observable.with_ancilla and self.ancilla is None:
                raise ValueError("An observable uses the ancilla, but the circuit has none.")

    def _checked(self, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        for pair in pairs:
            if not (len(pair) == len(set(pair)) == 2 and set(self.spins).issuperset(pair)):
                raise ValueError(
                    f"A pair must be two different spins of {self.spins}, but it is {pair}."
                )
        if len({frozenset(pair) for pair in pairs}) != len(pairs):
            raise ValueError(f"Each pair may be named once, but the pairs are {pairs}.")
        return pairs

    @property
    def spins(self) -> tuple[int, ...]:
        """Qubits other than the ancilla."""
        return tuple(q for q in range(self.n_qubits) if q != self.ancilla)

    @property
    def n_couplings(self) -> int:
        """Number of trainable couplings of one layer."""
        return 1 + max((gate.coupling for gate in self.layer), default=-1)

    @property
    def n_vectors(self) -> int:
        """Number of vectors of one encoding."""
        return 1 + max(gate.vector for gate in self.encoding)


class Cluster(NamedTuple):
    """Pairs that share spins, with their spins."""

    spins: frozenset[int]
    pairs: tuple[Pair, ...]


def clusters(pairs: Iterable[Pair]) -> list[Cluster]:
    """Split a sum over pairs into parts that act on different spins, so that they commute."""
    found: list[Cluster] = []
    for pair in pairs:
        joined = [c for c in found if not c.spins.isdisjoint(pair)]
        found = [c for c in found if c.spins.isdisjoint(pair)]
        spins = frozenset(pair).union(*(c.spins for c in joined))
        found.append(Cluster(spins, (*sum((c.pairs for c in joined), ()), pair)))
    return found
