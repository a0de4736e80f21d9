"""Lower a trained circuit to real arithmetic: the program of the native kernel.

Spins are taken in pairs, and each pair in the magic (Bell) basis ``e_0 = singlet``,
``e_a = i sigma_a e_0``. There

- a product of two single-qubit rotations is a *real* 4 x 4 rotation,
- ``sigma_p.sigma_q`` is real and symmetric; within a pair it is diagonal, across two pairs it
  is graded: it takes basis states (a, b) only to (a^c, b^c), c = 0..3 (the three half-turns
  about x, y, z are symmetries, and their characters are the bits of the index),

so a Heisenberg gate on two pairs, or a product of such gates, is 64 complex numbers
``U[c, a, b] = <a, b| U |a^c, b^c>``. Everything that is constant after training is computed
here, once, in NumPy; `native` only interprets the result.

These constants are made invariant under rotation to the last bit (`_invariant`): rounding would
leave a torque of 1e-14 eV, always of the same sign, and an isolated water would lose 8e-10 of its
angular momentum in 100 ps instead of 3e-12 (measured).
"""

import functools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from .architecture import Architecture, Parameters
from .circuit import Circuit, Heisenberg, Pair, RotationZ, clusters

GRADED, TURN, ANCILLA = 0, 1, 2
"""Kinds of operation: graded on two pairs, real rotation of one pair, RZ on the ancilla."""

_SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
_SINGLET = np.array([0, 1, -1, 0]) / np.sqrt(2)
MAGIC = np.stack([_SINGLET, *(1j * np.kron(s, np.eye(2)) @ _SINGLET for s in _SIGMA)], axis=1)
"""Magic basis of two qubits in the computational basis, as columns, shape (4, 4)."""


def in_magic_basis(operator: np.ndarray) -> np.ndarray:
    """Return the matrix of a two-qubit operator in the magic basis."""
    return np.asarray(MAGIC.conj().T @ operator @ MAGIC)


GENERATORS = np.stack(
    [[(1j * in_magic_basis(np.kron(s, np.eye(2)))).real for s in _SIGMA],
     [(1j * in_magic_basis(np.kron(np.eye(2), s))).real for s in _SIGMA]]
)  # fmt: skip
"""i sigma_a of the first and of the second spin of a pair, real, shape (2, 3, 4, 4)."""


class Operation(NamedTuple):
    """One step of a layer, for all layers at once."""

    kind: int
    pairs: Pair
    """Two pairs of a GRADED operation; otherwise the same pair twice."""
    constants: np.ndarray
    """Constants: complex (n_layers, 4, 4, 4) for GRADED, real (n_layers, 4, 4) for TURN, and real
    (n_layers,) for ANCILLA."""


class Term(NamedTuple):
    """Part of the observable: graded constants (4, 4, 4) on two pairs, [Z on the ancilla]."""

    pairs: Pair
    constants: np.ndarray
    with_ancilla: bool


@dataclass(frozen=True)
class Program:
    """Circuit with its trained parameters, in the magic basis."""

    n_pairs: int
    n_sectors: int
    """Number of sectors: 2 with an ancilla (its X eigenstates), else 1."""
    vectors: np.ndarray
    """Index of the vector that rotates each spin, shape (2 n_pairs,); -1 for none."""
    initial: np.ndarray
    """Initial state, complex, shape (4**n_pairs,), the same in each sector."""
    operations: tuple[Operation, ...]
    terms: tuple[Term, ...]


def lower(architecture: Architecture, parameters: Parameters) -> Program:
    """Lower a trained model; the weights of the head become part of the observable.

    Raises
    ------
    ValueError
        If no pairing of the spins puts each Heisenberg gate within two pairs.
    """
    circuit = architecture.circuit
    spins = _pairing(circuit)
    place = {q: i for i, q in enumerate(spins)}
    vector_of = {gate.qubit: gate.vector for gate in circuit.encoding}
    return Program(
        n_pairs=len(spins) // 2,
        n_sectors=1 if circuit.ancilla is None else 2,
        vectors=np.array([vector_of.get(q, -1) for q in spins]),
        initial=_initial_state(circuit, place),
        operations=tuple(_operations(circuit, np.asarray(parameters.couplings), place)),
        terms=tuple(_terms(circuit, np.asarray(parameters.weights), place)),
    )


Gates = tuple[tuple[int, tuple[Pair, ...]], ...]


class Group(NamedTuple):
    """Gates of a layer that become one operation."""

    kind: int
    touched: frozenset[int]
    """Pairs on which the group acts."""
    gates: Gates
    """Gates as (coupling, pairs of places), in the order of their action."""

    def joined(self, other: "Group") -> "Group":
        return Group(self.kind, self.touched | other.touched, self.gates + other.gates)


@functools.lru_cache(maxsize=64)
def _pairing(circuit: Circuit) -> tuple[int, ...]:
    """Return the spins in the order (pair 0, pair 1, ...) that makes a layer cheapest.

    Spectators, named -1, -2, -3, pad to an even number and to two pairs.
    """
    spins = list(circuit.spins)
    spins += [-1, -2, -3][: max(4 - len(spins), len(spins) % 2)]
    if len(spins) > 8:  # 105 pairings of 8 spins; with more, the given order is taken
        return tuple(spins)
    costs: list[tuple[int, list[int]]] = []
    for order in _pairings(spins):
        with suppress(ValueError):  # a gate does not fit on two of these pairs
            costs.append((_cost(_fuse(circuit, {q: i for i, q in enumerate(order)})), order))
    return tuple(min(costs)[1] if costs else spins)  # the latter to say which gate does not fit


def _cost(groups: list[Group]) -> int:
    """Return the multiplications per basis state; a group within its pairs is diagonal."""
    within = [all(p // 2 == q // 2 for _, ts in group.gates for p, q in ts) for group in groups]
    return sum(1 if inside else 4 for inside in within)


def _pairings(spins: list[int]) -> Iterator[list[int]]:
    if not spins:
        yield []
    for i in range(1, len(spins)):
        for rest in _pairings(spins[1:i] + spins[i + 1 :]):
            yield [spins[0], spins[i], *rest]


def _fuse(circuit: Circuit, place: dict[int, int]) -> list[Group]:
    """Group the gates of a layer.

    A gate joins an earlier group if both fit on two pairs (one, for a rotation) and every
    group between them acts elsewhere.
    """
    groups: list[Group] = []
    for gate in circuit.layer:
        for piece in _pieces(gate, circuit, place):
            limit = 2 if piece.kind == GRADED else 1
            for i in reversed(range(len(groups))):
                union = groups[i].touched | piece.touched
                if groups[i].kind == piece.kind and len(union) <= limit:
                    groups[i] = groups[i].joined(piece)
                    break
                if groups[i].touched & piece.touched:
                    groups.append(piece)
                    break
            else:
                groups.append(piece)
    return groups


def _two(touched: frozenset[int], n_pairs: int) -> Pair:
    """Return the two pairs of a graded operation; a single pair is joined by a neighbour."""
    first, last = min(touched), max(touched)
    if first == last:
        last = first + 1 if first + 1 < n_pairs else first - 1
    return min(first, last), max(first, last)


def _pieces(
    gate: Heisenberg | RotationZ, circuit: Circuit, place: dict[int, int]
) -> Iterator[Group]:
    """Yield the parts of a gate that act on different spins."""
    if isinstance(gate, RotationZ):
        for qubit in gate.qubits:
            if qubit == circuit.ancilla:
                yield Group(ANCILLA, frozenset(), ((gate.coupling, ()),))
            else:
                spin = place[qubit]
                yield Group(TURN, frozenset({spin // 2}), ((gate.coupling, ((spin, spin),)),))
        return
    for spins, pairs in clusters(gate.pairs):
        touched = frozenset(place[q] // 2 for q in spins)
        if len(touched) > 2:
            raise ValueError(
                f"The native kernel pairs the spins and needs overlapping pairs of a Heisenberg "
                f"gate within two pairs, but one gate joins {sorted(spins)}. Use the JAX backend."
            )
        at = tuple((place[p], place[q]) for p, q in pairs)
        yield Group(GRADED, touched, ((gate.coupling, at),))


def _operations(
    circuit: Circuit, couplings: np.ndarray, place: dict[int, int]
) -> Iterator[Operation]:
    for kind, touched, gates in _fuse(circuit, place):
        if kind == ANCILLA:
            angle = np.sum([couplings[:, c] for c, _ in gates], axis=0)
            yield Operation(kind, (0, 0), angle)
        elif kind == TURN:
            (pair,) = touched
            angles = np.sum([_spin_angles(couplings[:, c], terms) for c, terms in gates], axis=0)
            yield Operation(kind, (pair, pair), np.array([_turn(a) for a in angles]))
        else:
            pairs = _two(touched, len(place) // 2)
            yield Operation(kind, pairs, _grade(_invariant(_product(couplings, gates, pairs))))


def _spin_angles(angle: np.ndarray, terms: tuple[Pair, ...]) -> np.ndarray:
    """Return the angles about z of the first and second spin of a pair, shape (n_layers, 2)."""
    return np.stack([angle * sum(p % 2 == side for p, _ in terms) for side in (0, 1)], axis=1)


def _turn(angles: np.ndarray) -> np.ndarray:
    """Return exp(-i angle/2 Z) on both spins of a pair, real."""
    single = [np.diag(np.exp([-0.5j * a, 0.5j * a])) for a in angles]
    return in_magic_basis(np.kron(*single)).real


def _product(couplings: np.ndarray, gates: Gates, pairs: Pair) -> np.ndarray:
    """Return the product of the Heisenberg gates of a group, (n_layers, 16, 16)."""
    return reduce(lambda total, u: u @ total, [_gate(couplings, g, pairs) for g in gates])


def _gate(couplings: np.ndarray, gate: tuple[int, tuple[Pair, ...]], pairs: Pair) -> np.ndarray:
    values, vectors = _spectrum(gate[1], pairs)
    phases = np.exp(-1j * couplings[:, gate[0], None] * values)
    # From the identity, so that no coupling is no gate, to the last bit.
    return np.asarray(np.eye(16) + (vectors * (phases - 1)[:, None, :]) @ vectors.T)


@functools.cache
def _spectrum(terms: tuple[Pair, ...], pairs: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues and eigenvectors of a sum of sigma.sigma on two pairs.

    Degenerate eigenvalues are made equal: a large angle would amplify their rounding errors.
    """
    values, vectors = np.linalg.eigh(_generator(terms, pairs))
    equal = np.abs(values[:, None] - values) < 1e-9
    return equal @ values / equal.sum(axis=1), vectors


def _generator(terms: tuple[Pair, ...], pairs: Pair) -> np.ndarray:
    return np.asarray(np.sum([_coupling(p, q, pairs) for p, q in terms], axis=0))


@functools.cache
def _permutations() -> np.ndarray:
    """Return 14 permutations of four spins that span all SU(2)-invariant operators, (256, 14).

    In the magic basis their elements are 0, 1/2 or 1 in size.
    """
    couplings = [_coupling(p, q, (0, 1)) for p, q in combinations(range(4), 2)]
    swaps = [np.round(coupling + np.eye(16)) / 2 for coupling in couplings]
    basis, products = [np.eye(16).reshape(-1)], [np.eye(16)]
    for product in products:  # grows while it is walked, up to the full dimension
        for swap in swaps:
            candidate = swap @ product
            enlarged = [*basis, candidate.reshape(-1)]
            if np.linalg.matrix_rank(np.array(enlarged)) == len(enlarged):
                basis.append(candidate.reshape(-1))
                products.append(candidate)
    return np.array(basis).T


@functools.cache
def _to_permutations() -> np.ndarray:
    return np.linalg.pinv(_permutations())


def _invariant(matrices: np.ndarray) -> np.ndarray:
    """Make `matrices` (..., 16, 16), which are invariant up to rounding, exactly invariant.

    Their coefficients in the permutations are rounded to multiples of 2**-50, so that their sums
    have no rounding errors; the change is below 1e-14. Each matrix is treated separately: the
    rounding of a product of matrices depends on its number of rows, and a layer must not depend on
    the others.
    """
    flat = matrices.reshape(-1, 256)
    coefficients = np.array([_to_permutations() @ row for row in flat])
    exact = (coefficients * 2**50).round() / 2**50 @ _permutations().T
    if not np.abs(exact - flat).max() < 1e-12:
        raise AssertionError("a Heisenberg gate must be invariant under rotation")
    return np.asarray(exact).reshape(matrices.shape)


def _coupling(p: int, q: int, pairs: Pair) -> np.ndarray:
    """Return sigma_p.sigma_q of two places on two pairs, real symmetric (16, 16)."""
    p, q = sorted((p, q), key=lambda x: pairs.index(x // 2))
    if p // 2 == q // 2:
        inside = np.diag([-3.0, 1.0, 1.0, 1.0])
        both = (inside, np.eye(4)) if p // 2 == pairs[0] else (np.eye(4), inside)
        return np.asarray(np.kron(*both))
    return _across(p % 2, q % 2)


@functools.cache
def _across(p: int, q: int) -> np.ndarray:
    """Return sigma.sigma of spin p of the first pair and spin q of the second."""
    generators = zip(GENERATORS[p], GENERATORS[q], strict=True)
    total = np.sum([-np.kron(g, h) for g, h in generators], axis=0)  # (-i G)(-i H) = -G H
    total.flags.writeable = False
    return np.asarray(total)


_A, _B = np.divmod(np.arange(16), 4)
_COLUMNS = np.array([4 * (_A ^ c) + (_B ^ c) for c in range(4)])


def _grade(matrices: np.ndarray) -> np.ndarray:
    """Return U[..., c, a, b] = <a, b| U |a^c, b^c> of graded matrices (..., 16, 16)."""
    graded = np.stack([matrices[..., np.arange(16), columns] for columns in _COLUMNS], axis=-2)
    kept, whole = np.sum(np.abs(graded) ** 2), np.sum(np.abs(matrices) ** 2)
    if not whole - kept < 1e-9 * max(whole, 1.0):
        raise AssertionError("a Heisenberg gate must be graded in the magic basis")
    return np.asarray(graded.reshape(*graded.shape[:-2], 4, 4, 4))


def _terms(circuit: Circuit, weights: np.ndarray, place: dict[int, int]) -> Iterator[Term]:
    n_pairs = len(place) // 2
    sums: dict[tuple[Pair, bool], Any] = {}
    for weight, observable in zip(weights, circuit.observables, strict=True):
        for p, q in observable.pairs:
            pairs = _two(frozenset({place[p] // 2, place[q] // 2}), n_pairs)
            key = (pairs, observable.with_ancilla)
            coupling = _coupling(place[p], place[q], pairs)
            sums[key] = sums.get(key, 0) + weight * _grade(coupling)
    for (pairs, with_ancilla), constants in sums.items():
        yield Term(pairs, constants, with_ancilla)


def settings(architecture: Architecture, parameters: Parameters) -> tuple[tuple[Term, ...], ...]:
    """Return the parts of the observable that are measured in the settings x, y and z.

    In a setting each spin is read along the same axis, and the ancilla along z. All products of a
    part come from the same shots; the sum of the parts is the observable of `lower`.
    """
    circuit = architecture.circuit
    place = {q: i for i, q in enumerate(_pairing(circuit))}
    weights = np.asarray(parameters.weights)
    return tuple(tuple(_part(circuit, weights, place, axis)) for axis in range(3))


def _part(
    circuit: Circuit, weights: np.ndarray, place: dict[int, int], axis: int
) -> Iterator[Term]:
    sums: dict[tuple[Pair, bool], Any] = {}
    for weight, observable in zip(weights, circuit.observables, strict=True):
        for p, q in observable.pairs:
            pairs = _two(frozenset({place[p] // 2, place[q] // 2}), len(place) // 2)
            key = (pairs, observable.with_ancilla)
            product = _along(place[p], place[q], pairs, axis)
            sums[key] = sums.get(key, 0) + weight * _grade(product)
    for (pairs, with_ancilla), constants in sums.items():
        yield Term(pairs, constants, with_ancilla)


def _along(p: int, q: int, pairs: Pair, axis: int) -> np.ndarray:
    """Return one of the three products of `_coupling`, real symmetric (16, 16)."""
    p, q = sorted((p, q), key=lambda x: pairs.index(x // 2))
    if p // 2 == q // 2:
        inside = np.diag([-1.0 if i in (0, 1 + axis) else 1.0 for i in range(4)])
        both = (inside, np.eye(4)) if p // 2 == pairs[0] else (np.eye(4), inside)
        return np.asarray(np.kron(*both))
    return np.asarray(-np.kron(GENERATORS[p % 2][axis], GENERATORS[q % 2][axis]))


def _initial_state(circuit: Circuit, place: dict[int, int]) -> np.ndarray:
    """Return singlets, and |0> elsewhere, in the magic basis, shape (4**n_pairs,)."""
    n = len(place)
    psi = np.zeros((2,) * n, complex)
    psi[(0,) * n] = 1
    for p, q in circuit.singlets:
        psi = (np.flip(psi, place[q]) - np.flip(psi, place[p])) / np.sqrt(2)
    for k in range(n // 2):
        split = psi.reshape(4**k, 4, -1)
        psi = np.einsum("ji,ljr->lir", MAGIC.conj(), split)
    psi /= np.sqrt(1 if circuit.ancilla is None else 2)
    return psi.reshape(-1)


class Derivative(NamedTuple):
    """Derivative of one operation by one coupling, for all layers at once."""

    operation: int
    """Index among the operations of a layer."""
    coupling: int
    constants: np.ndarray
    """Derivatives of the constants of the operation; the multiplicity of the angle for ANCILLA."""


def derivatives(architecture: Architecture, parameters: Parameters) -> Iterator[Derivative]:
    """Return the derivatives of the operations of `lower`, in its order.

    Raises
    ------
    ValueError
        See `lower`.
    """
    circuit, couplings = architecture.circuit, np.asarray(parameters.couplings)
    spins = _pairing(circuit)
    place = {q: i for i, q in enumerate(spins)}
    for i, (kind, touched, gates) in enumerate(_fuse(circuit, place)):
        for coupling in sorted({c for c, _ in gates}):
            if kind == ANCILLA:
                times = sum(c == coupling for c, _ in gates)
                yield Derivative(i, coupling, np.full(len(couplings), float(times)))
            elif kind == TURN:
                yield Derivative(i, coupling, _turned(couplings, gates, coupling))
            else:
                pairs = _two(touched, len(place) // 2)
                derived = _derived_product(couplings, gates, pairs, coupling)
                yield Derivative(i, coupling, _grade(derived))


def _derived_product(couplings: np.ndarray, gates: Gates, pairs: Pair, coupling: int) -> np.ndarray:
    """Return the derivative of `_product` by one coupling, with ``dU = -i K U`` for each gate."""
    total = np.eye(16, dtype=complex)[None]
    derived = np.zeros_like(total)
    for gate in gates:
        unitary = _gate(couplings, gate, pairs)
        derived = unitary @ derived
        total = unitary @ total
        if gate[0] == coupling:
            derived = derived - 1j * _generator(gate[1], pairs) @ total
    return derived


def _turned(couplings: np.ndarray, gates: Gates, coupling: int) -> np.ndarray:
    """Return the derivative of a rotation of a pair by one coupling, real (n_layers, 4, 4)."""
    angles = np.sum([_spin_angles(couplings[:, c], terms) for c, terms in gates], axis=0)
    times = np.sum(
        [_spin_angles(np.ones(1), terms)[0] for c, terms in gates if c == coupling], axis=0
    )
    z = np.diag([1.0, -1.0])
    generator = times[0] * np.kron(z, np.eye(2)) + times[1] * np.kron(np.eye(2), z)
    left = (-0.5j * in_magic_basis(generator)).real
    return np.array([left @ _turn(a) for a in angles])


@functools.lru_cache(maxsize=64)
def observables(circuit: Circuit) -> tuple[tuple[int, Term], ...]:
    """Return the terms of each observable, as (index of the observable, term)."""
    place = {q: i for i, q in enumerate(_pairing(circuit))}
    alone = np.eye(len(circuit.observables))
    return tuple(
        (i, term)
        for i, weights in enumerate(alone)
        for term in _terms(circuit, weights, place)
        if term.constants.any()
    )
