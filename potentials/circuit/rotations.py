"""Circuits on spins as Pauli rotations, for analyses."""

from math import pi

from ..rotations import Fixed, Gate, PauliWord, Rotation, RotationProgram
from .circuit import Circuit, Encode, Heisenberg, Observable, Pair, clusters
from .features import LinearVectors

Directions = tuple[tuple[int, float], ...]
"""For each vector of an encoding: the vector whose multiple it always is, and the factor."""


def rotations(
    circuit: Circuit, *, shared: Directions | None = None, rank: int = 1
) -> RotationProgram:
    """Return the circuit as Pauli rotations; parameters are the couplings, layer by layer.

    The inputs of a vector are its length, polar angle and azimuth (rad). Vectors do not depend on
    trained parameters here.

    Parameters
    ----------
    circuit : Circuit
    shared : tuple of pairs, optional
        Vectors that all layers encode alike, see `parallel`; default: every layer has its own.
    rank : int
        2 adds the pair gate of rank two behind each Heisenberg gate. Its inputs are the three axes
        of its matrix (Euler angles) and three angles about them.
    """
    first_of, vectors = _vector_inputs(circuit, shared)
    n_inputs, gates = 3 * len(vectors), _start(circuit)
    gates += _encoding(circuit, first_of[0], shared)
    for layer in range(circuit.n_layers):
        for gate in circuit.layer:
            index = layer * circuit.n_couplings + gate.coupling
            if isinstance(gate, Heisenberg):
                gates += [Rotation(_dots(c.pairs), "parameter", index, 1.0)
                          for c in clusters(gate.pairs)]  # fmt: skip
                if rank == 2:
                    gates += _pair_gate(gate.pairs[0], n_inputs)
                    n_inputs += 6
            else:
                gates += [Rotation((((q, "Z"),),), "parameter", index, 0.5) for q in gate.qubits]
        gates += _encoding(circuit, first_of[layer + 1], shared)
    return RotationProgram(
        n_qubits=circuit.n_qubits,
        gates=tuple(gates),
        observables=_observables(circuit, rank),
        periods=tuple(_period(circuit, k) for k in range(circuit.n_couplings)) * circuit.n_layers,
        n_inputs=n_inputs,
        vectors=vectors,
        frequencies=vectors,
    )


def parallel(features: LinearVectors) -> Directions:
    """Return, for each vector, the first one that is parallel to it, and their ratio.

    They are parallel if their rows of weights are multiples and they share the trained scale.
    """
    found: list[tuple[int, float]] = []
    for k, row in enumerate(features.weights):
        found.append((k, 1.0))
        for other in range(k):
            if features.scale_index[other] == features.scale_index[k]:
                ratio = _ratio(row, features.weights[other])
                if ratio is not None:
                    found[k] = (other, ratio)
                    break
    return tuple(found)


def _ratio(row: tuple[float, ...], of: tuple[float, ...]) -> float | None:
    place = next(i for i, x in enumerate(of) if x)
    ratio = row[place] / of[place]
    return ratio if all(abs(a - ratio * b) < 1e-12 for a, b in zip(row, of, strict=True)) else None


def _vector_inputs(
    circuit: Circuit, shared: Directions | None
) -> tuple[list[list[int]], tuple[int, ...]]:
    """Return the first input of each vector in each encoding, and all of them once."""
    n, rows = circuit.n_vectors, circuit.n_layers + 1
    if shared is None:
        first_of = [[3 * (row * n + k) for k in range(n)] for row in range(rows)]
    else:
        bases = sorted({base for base, _ in shared})
        first_of = [[3 * bases.index(base) for base, _ in shared]] * rows
    return first_of, tuple(sorted({first for row in first_of for first in row}))


def _start(circuit: Circuit) -> list[Gate]:
    gates: list[Gate] = []
    for p, q in circuit.singlets:
        gates += [Fixed("X", (p,)), Fixed("H", (p,)), Fixed("X", (q,)), Fixed("CNOT", (p, q))]
    return gates


def _encoding(circuit: Circuit, first: list[int], shared: Directions | None) -> list[Gate]:
    gates: list[Gate] = []
    for encode in circuit.encoding:
        ratio = 1.0 if shared is None else shared[encode.vector][1]
        gates += _turn_about(circuit, encode, first[encode.vector], ratio)
    return gates


def _turn_about(circuit: Circuit, encode: Encode, first: int, ratio: float) -> list[Gate]:
    """``exp(-i v.sigma [X_A])``: rotate v to the z axis, rotate about it, rotate back."""
    q, length, theta, phi = encode.qubit, first, first + 1, first + 2
    about: PauliWord = ((q, "Z"),)
    if circuit.ancilla is not None:
        about += ((circuit.ancilla, "X"),)
    return [
        Rotation((((q, "Z"),),), "input", phi, -0.5),
        Rotation((((q, "Y"),),), "input", theta, -0.5),
        Rotation((about,), "input", length, ratio),
        Rotation((((q, "Y"),),), "input", theta, 0.5),
        Rotation((((q, "Z"),),), "input", phi, 0.5),
    ]


def _pair_gate(pair: Pair, first: int) -> list[Gate]:
    """Turn both qubits, rotate about XX, YY and ZZ, turn back: the gate of a symmetric matrix."""
    turns: list[Gate] = [
        Rotation((((q, axis),),), "input", first + k, 0.5)
        for q in pair
        for k, axis in enumerate("ZYZ")
    ]
    back: list[Gate] = [
        Rotation((((q, axis),),), "input", first + k, -0.5)
        for q in pair
        for k, axis in reversed(list(enumerate("ZYZ")))
    ]
    middle: list[Gate] = [
        Rotation((((pair[0], axis), (pair[1], axis)),), "input", first + 3 + k, 0.5)
        for k, axis in enumerate("XYZ")
    ]
    return [*turns, *middle, *back]


def _dots(pairs: tuple[Pair, ...]) -> tuple[PauliWord, ...]:
    return tuple(((p, axis), (q, axis)) for p, q in pairs for axis in "XYZ")


def _observables(circuit: Circuit, rank: int) -> tuple[tuple[PauliWord, ...], ...]:
    if rank == 2:
        return tuple(
            (((p, a), (q, b)),) for o in circuit.observables for p, q in o.pairs
            for a in "XYZ" for b in "XYZ"
        )  # fmt: skip
    return tuple(_of_observable(o, circuit.ancilla) for o in circuit.observables)


def _of_observable(observable: Observable, ancilla: int | None) -> tuple[PauliWord, ...]:
    words = _dots(observable.pairs)
    if observable.with_ancilla and ancilla is not None:
        words = tuple((*word, (ancilla, "Z")) for word in words)
    return words


def _period(circuit: Circuit, coupling: int) -> float:
    """Return the period of a coupling, up to the phase of the state.

    The eigenvalues of a pair are 1 and -3, those of a sum of pairs are integers that differ by
    even numbers; a rotation about z has the period 2 pi.
    """
    longest = 0.0
    for gate in circuit.layer:
        if gate.coupling == coupling:
            if not isinstance(gate, Heisenberg):
                return 2 * pi
            single = all(len(c.pairs) == 1 for c in clusters(gate.pairs))
            longest = max(longest, pi / 2 if single else pi)
    return longest
