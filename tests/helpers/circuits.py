"""Circuits of the family at random parameters, for the tests of the three interpreters."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from qmd.potentials import (
    Architecture,
    Circuit,
    Encode,
    Heisenberg,
    LinearVectors,
    Observable,
    Parameters,
    RotationZ,
    sivqlm,
)

Evaluation = tuple[float, np.ndarray]


class Model(NamedTuple):
    """A circuit with parameters."""

    architecture: Architecture
    parameters: Parameters

    @property
    def n_atoms(self) -> int:
        return self.architecture.features.n_atoms

    def positions(self, seed: int) -> np.ndarray:
        """Atoms about 1.4 angstrom from the origin."""
        return np.random.default_rng(seed).normal(0, 0.8, (self.n_atoms, 3))


def random_parameters(
    architecture: Architecture, seed: int, *, per_layer: bool = False
) -> Parameters:
    """Couplings of order 1, scales around 0.5 / angstrom, either sign of the weights."""
    rng = np.random.default_rng(seed)
    circuit, n_scales = architecture.circuit, architecture.features.n_scales
    return Parameters(
        scales=rng.uniform(0.3, 0.7, (circuit.n_layers + 1 if per_layer else 1, n_scales)),
        couplings=rng.normal(0, 0.7, (circuit.n_layers, circuit.n_couplings)),
        weights=rng.choice([-1.0, 1.0], len(circuit.observables)) * rng.uniform(0.5, 1.5),
        offset=np.array(rng.normal()),
    )


DIMER_ORBITS = (
    ((1, 2), (4, 5)),
    ((0, 3),),
    ((0, 1), (0, 2), (3, 4), (3, 5)),
    ((0, 4), (0, 5), (3, 1), (3, 2)),
    ((1, 4), (1, 5), (2, 4), (2, 5)),
)
"""Sets of pairs that the symmetry of two waters, O H H O H H, maps to themselves."""


def dimer_with_all_couplings(n_layers: int) -> Architecture:
    """The water dimer with every coupling and observable that its symmetry allows.

    Two stars and a bipartite square: pairs that do not commute within one gate.
    """
    dimer = sivqlm.water_dimer(n_layers)
    gates = [Heisenberg(i, pairs) for i, pairs in enumerate(DIMER_ORBITS)]
    circuit = Circuit(
        n_qubits=7,
        n_layers=n_layers,
        singlets=dimer.circuit.singlets,
        encoding=dimer.circuit.encoding,
        layer=(*gates, RotationZ(5, (6,))),
        observables=tuple(
            Observable(pairs, with_ancilla)
            for pairs in DIMER_ORBITS
            for with_ancilla in (False, True)
        ),
        ancilla=6,
    )
    return Architecture(dimer.features, circuit)


def chain(n_spins: int) -> Architecture:
    """A chain of spins, every other one turned about a vector from atom 0 to 1, 2 or 3."""
    edges = [(i, i + 1) for i in range(n_spins - 1)]
    circuit = Circuit(
        n_qubits=n_spins,
        n_layers=2,
        singlets=((1, 2),),
        encoding=tuple(Encode(i % 3, i) for i in range(0, n_spins, 2)),
        layer=(
            Heisenberg(0, tuple(edges[::2])),
            RotationZ(1, (0, n_spins - 1)),
            Heisenberg(2, tuple(edges[1::2])),
        ),
        observables=tuple(Observable((edge,)) for edge in edges),
    )
    weights = tuple(map(tuple, (np.eye(3, 4, 1) - np.eye(1, 4)).tolist()))
    return Architecture(LinearVectors(weights, (0, 1, 0)), circuit)


def two_spins() -> Architecture:
    """The smallest circuit: no singlet, one spin encoded."""
    circuit = Circuit(
        n_qubits=2,
        n_layers=2,
        singlets=(),
        encoding=(Encode(0, 1),),
        layer=(Heisenberg(0, ((0, 1),)), RotationZ(1, (0,))),
        observables=(Observable(((1, 0),)),),
    )
    return Architecture(LinearVectors(((-1.0, 1.0),), (0,)), circuit)


def random_member(seed: int) -> Architecture:
    """Two to six spins, perhaps an ancilla, and gates that overlap within two pairs of spins."""
    rng = np.random.default_rng(seed)
    n_spins, has_ancilla = int(rng.integers(2, 7)), bool(rng.integers(2))
    n_qubits = n_spins + has_ancilla
    ancilla = int(rng.integers(n_qubits)) if has_ancilla else None
    spins = [q for q in rng.permutation(n_qubits).tolist() if q != ancilla]
    blocks = [tuple(spins[i : i + 2]) for i in range(0, n_spins, 2)]
    n_vectors = int(rng.integers(1, 4))
    encoded = spins[: int(rng.integers(1, n_spins + 1))]
    vectors = [n_vectors - 1, *rng.integers(n_vectors, size=len(encoded) - 1).tolist()]

    def some_pairs(among: list[int]) -> tuple[tuple[int, int], ...]:
        pairs = list(combinations(among, 2))
        chosen = rng.permutation(len(pairs))[: rng.integers(1, len(pairs) + 1)]
        return tuple(pairs[i] for i in chosen)

    def some_gate(coupling: int) -> Heisenberg | RotationZ:
        if rng.random() < 0.3:
            qubits = rng.permutation(n_qubits)[: rng.integers(1, n_qubits + 1)]
            return RotationZ(coupling, tuple(qubits.tolist()))
        two = rng.permutation(len(blocks))[:2]
        return Heisenberg(coupling, some_pairs([q for b in two for q in blocks[b]]))

    weights = rng.normal(size=(n_vectors, 3))
    circuit = Circuit(
        n_qubits=n_qubits,
        n_layers=2,
        singlets=tuple(b for b in blocks if len(b) == 2 and rng.random() < 0.7),
        encoding=tuple(Encode(v, q) for v, q in zip(vectors, encoded, strict=True)),
        layer=tuple(some_gate(int(rng.integers(4))) for _ in range(5)),
        observables=tuple(
            Observable(some_pairs(spins), has_ancilla and bool(rng.integers(2))) for _ in range(2)
        ),
        ancilla=ancilla,
    )
    rows = tuple(map(tuple, (weights - weights.mean(axis=1, keepdims=True)).tolist()))
    return Architecture(LinearVectors(rows, tuple(range(n_vectors))), circuit)


ARCHITECTURES = {
    "lih": sivqlm.lih(3),
    "water": sivqlm.water(3),
    "water-sb": sivqlm.water(3, symmetry_breaking=True),
    "dimer": sivqlm.water_dimer(3),
    "dimer-sb": sivqlm.water_dimer(2, symmetry_breaking=True),
    "dimer-all": dimer_with_all_couplings(2),
    "chain-5": chain(5),
    "chain-9": chain(9),
    "two": two_spins(),
}
PER_LAYER = ("water-sb", "dimer-all", "chain-5")
"""Circuits with scales of their own in every encoding."""
N_RANDOM = 24


@functools.cache
def model(name: str) -> Model:
    """One of `ARCHITECTURES`, or "random-<seed>"."""
    seed = int(name.removeprefix("random-")) if name.startswith("random-") else None
    architecture = ARCHITECTURES[name] if seed is None else random_member(seed)
    per_layer = name in PER_LAYER if seed is None else seed % 2 == 1
    return Model(architecture, random_parameters(architecture, 1, per_layer=per_layer))


FIXED = tuple(ARCHITECTURES)
RANDOM = tuple(f"random-{seed}" for seed in range(N_RANDOM))


@functools.cache
def native(name: str) -> Callable[[np.ndarray], Evaluation]:
    """Energy and forces by the native kernel."""
    from qmd.potentials import evaluate, native_kernel

    kernel = native_kernel(*model(name))
    return lambda positions: evaluate(kernel, positions)


@functools.cache
def jax_interpreter(name: str) -> Callable[[np.ndarray], Evaluation]:
    """Energy and forces by JAX, with the parameters as constants."""
    from qmd.potentials import ModelPotential, Quantum

    potential = ModelPotential(Quantum(*model(name)))
    return quickly_compiled(potential.energy_and_forces, model(name).positions(0))


def pennylane_energy(model: Model, positions: np.ndarray) -> float:
    """Energy by PennyLane's `default.qubit` in NumPy: no compilation, 0.1 s."""
    from qmd.potentials import reference

    architecture, parameters = model
    node = reference.qnode(architecture.circuit, diff_method=None)
    angles = reference.spherical(architecture.features, parameters.scales, positions)
    values = np.array(node(parameters.couplings, np.asarray(angles)))
    return float(parameters.weights @ values + parameters.offset)


@contextlib.contextmanager
def relaxed_jax() -> Iterator[None]:
    """Without the strict promotion of `conftest`, which PennyLane does not keep to."""
    import jax

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def quickly_compiled(function: Callable, *examples: object) -> Callable:
    """`function` compiled by JAX without optimisation, in half the time."""
    import jax

    options = {"xla_backend_optimization_level": 0}
    return jax.jit(lambda *x: function(*x)).lower(*examples).compile(compiler_options=options)


def difference_forces(
    evaluate: Callable[[np.ndarray], Evaluation], positions: np.ndarray, h: float = 1e-5
) -> np.ndarray:
    """Minus the central differences of the energy."""
    forces = np.empty_like(positions)
    for index in np.ndindex(positions.shape):
        step = np.zeros_like(positions)
        step[index] = h
        forces[index] = -(evaluate(positions + step)[0] - evaluate(positions - step)[0]) / (2 * h)
    return forces
