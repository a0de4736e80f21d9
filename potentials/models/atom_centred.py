"""Atom-centred networks: one small circuit per atom, on its surroundings.

The energy is a sum over atoms. In `revised` the circuit of an atom has any number of qubits, which
are channels, not atoms. Each channel and layer has its own vector density of the neighbours,
``v_qd = sum_j w_qd(r_ij; Z_i, Z_j) r^_ij``, with learnable radial functions that end at a cut-off
with a continuous second derivative; between the encodings are Heisenberg gates on all pairs of
channels. Their couplings, and the weights of the observables, depend on the neighbours through
scalar densities of the same kind: a vector density alone cannot see changes that are equal on
opposite sides, such as the stretch of all bonds of an atom. All parameters belong to elements, so
that equal atoms are equivalent, a neighbour that leaves has no effect, and the same parameters
serve any molecule of these elements. Rotation is exact because the gates are SU(2) invariant, and
inversion because the sectors of an ancilla have v and -v.

`initial` gives a qubit to each of the nearest neighbours of an atom, by index, and encodes its
distance in the angle: ``exp(-i alpha_j r_ij.sigma)``. It shares no parameters and has no cut-off:
it serves one molecule, whose atoms are not exchanged.
"""

from dataclasses import replace
from itertools import combinations
from typing import Literal

import numpy as np

from ..circuit.architecture import Architecture, Parameters, Quantum
from ..circuit.circuit import Circuit, Encode, Heisenberg, Observable
from ..circuit.features import Entry, LinearVectors, VectorDensities
from ..network.network import AtomCentredNetwork, NetworkParameters
from ..parameters import smooth_normals
from ..tree.nodes import PerAtomSum

FROM_A = 0.5
"""Centre of the first Gaussian, angstrom."""
SPREAD, SCALAR_SPREAD, TENSOR_SPREAD = 0.02, 0.03, 0.02
"""Standard deviation of the first radial coefficients of vectors, of scalars and of tensors.

Small values make the initial functions smooth, and also those that are learnt from few frames;
docs/rmd17.md has results with ten times these values.
"""


def circuit(n_qubits: int, n_layers: int) -> Circuit:
    """Return encodings on `n_qubits` channels, all couplings between them, and all observables.

    Parameters
    ----------
    n_qubits : int
        Number of channels, even: they start as singlets, which no rotation changes.
    n_layers : int

    Raises
    ------
    ValueError
        If the number of channels is odd.
    """
    if n_qubits % 2:
        raise ValueError(f"Channels start as singlets of two: {n_qubits} is odd.")
    pairs = list(combinations(range(n_qubits), 2))
    return Circuit(
        n_qubits=n_qubits + 1,
        n_layers=n_layers,
        singlets=tuple((q, q + 1) for q in range(0, n_qubits, 2)),
        encoding=tuple(Encode(q, q) for q in range(n_qubits)),
        layer=tuple(Heisenberg(k, (pair,)) for k, pair in enumerate(pairs)),
        observables=tuple(Observable((pair,)) for pair in pairs),
        ancilla=n_qubits,
    )


def revised(
    species: tuple[str, ...],
    seed: int,
    *,
    elements: tuple[str, ...] | None = None,
    n_qubits: int = 4,
    n_layers: int = 4,
    n_radial: int = 12,
    cutoff: float = 5.0,
    scalars: bool = True,
    rank: Literal[1, 2] = 1,
    energy: float = 0.0,
) -> AtomCentredNetwork:
    """Return a network of densities on channels, with random initial parameters.

    Parameters
    ----------
    species : tuple of str
        Chemical symbols of the molecule, in the atom order of the labels.
    seed : int
    elements : tuple of str, optional
        Elements that have parameters, in any order; default: those of the molecule.
    n_qubits, n_layers : int
        Size; see `circuit`.
    n_radial : int
        Number of Gaussians of each radial function, from 0.5 angstrom to the cut-off.
    cutoff : float
        Cut-off radius, angstrom.
    scalars : bool
        True if couplings and weights depend on the neighbours.
    rank : int
        Highest rank of the densities: 1 for vectors, 2 for traceless matrices as well.
    energy : float
        Mean of the labels (eV), which is divided among the atoms.
    """
    rng = np.random.default_rng(seed)
    made, known = circuit(n_qubits, n_layers), sorted(set(elements or species))
    k, rows, n = len(known), n_layers + 1, made.n_couplings
    parameters = NetworkParameters(
        vectors=SPREAD * smooth_normals(rng, (k, k, rows, n_qubits, n_radial)),
        scalars=SCALAR_SPREAD * smooth_normals(rng, (k, k, rows, n if scalars else 0, n_radial)),
        couplings=0.3 * rng.standard_normal((k, n_layers, n)),
        weights=0.01 * rng.standard_normal((k, len(made.observables))),
        offsets=np.full(k, energy / len(species)),
    )
    if rank == 2:  # drawn last, so that the other numbers are those of rank one
        tensors = TENSOR_SPREAD * smooth_normals(rng, (k, k, rows, n, n_radial))
        parameters = parameters._replace(tensors=tensors)
    kinds = tuple(known.index(symbol) for symbol in species)
    return AtomCentredNetwork(kinds, made, FROM_A, cutoff, parameters)


def uncoupled(network: AtomCentredNetwork) -> AtomCentredNetwork:
    """Return the network without couplings between qubits, as a control: layers are identities."""
    p = network.parameters
    last = np.arange(network.circuit.n_layers + 1)[:, None, None] == network.circuit.n_layers
    without = p._replace(
        scalars=p.scalars * last,
        couplings=np.zeros_like(p.couplings),
        tensors=None if p.tensors is None else p.tensors * last,
    )
    return replace(network, parameters=without)


def unrolled(network: AtomCentredNetwork) -> PerAtomSum:
    """Return the network as a sum of circuits, atom by atom, for PennyLane and shots.

    Raises
    ------
    ValueError
        If couplings depend on the neighbours: they are then not constants of a circuit; or if the
        network is of rank two.
    """
    if network.rank == 2:
        raise ValueError("The pair gates of rank two depend on the neighbours.")
    if network.has_scalars:
        raise ValueError("Couplings that depend on the neighbours are no constants of a circuit.")
    here = sorted(set(network.kinds))
    kinds, p = tuple(here.index(kind) for kind in network.kinds), network.parameters
    rows, n_qubits = network.circuit.n_layers + 1, len(network.circuit.spins)
    models = []
    for place, kind in enumerate(here):
        features = _densities(kinds, place, n_qubits, network)
        parameters = Parameters(
            # Kinds of radial functions are those of the neighbours, channel by channel.
            scales=np.moveaxis(p.vectors[kind][here], 0, 2).reshape(rows, -1),
            couplings=p.couplings[kind],
            weights=p.weights[kind],
            offset=np.asarray(p.offsets[kind]),
        )
        models.append(Quantum(Architecture(features, network.circuit), parameters))
    return PerAtomSum(kinds, tuple(models))


def _densities(
    kinds: tuple[int, ...], kind: int, n_qubits: int, network: AtomCentredNetwork
) -> VectorDensities:
    """Return the vectors of every channel about a centre of one kind; atom 0 is the centre.

    The others are in the order of `PerAtomSum.surroundings`.
    """
    others, n_kinds = sorted(kinds), max(kinds) + 1
    others.remove(kind)
    return VectorDensities(
        n_atoms=len(kinds),
        entries=tuple(
            Entry(q, 0, 1 + j, q * n_kinds + other)
            for j, other in enumerate(others)
            for q in range(n_qubits)
        ),
        ranges=((network.first, network.cutoff),) * (n_qubits * n_kinds),
        n_radial=network.n_radial,
        cutoff=network.cutoff,
    )


def initial(
    species: tuple[str, ...],
    seed: int,
    positions: np.ndarray,
    *,
    n_qubits: int = 4,
    n_layers: int = 4,
    energy: float = 0.0,
) -> PerAtomSum:
    """Return a network with a qubit per nearest neighbour, and random initial parameters.

    Parameters
    ----------
    species, seed, n_layers, energy
        See `revised`.
    positions : (n_atoms, 3)
        Positions of the molecule, angstrom, which determine the nearest neighbours.
    n_qubits : int
        Number of neighbours of each atom.
    """
    rng = np.random.default_rng(seed)
    n, made = len(species), circuit(n_qubits, n_layers)
    models = []
    for centre in range(n):
        order = PerAtomSum.surroundings_of(tuple(range(n)), centre)
        far = np.linalg.norm(positions[list(order)] - positions[centre], axis=1)
        weights = np.zeros((n_qubits, n))
        weights[:, 0] = -1.0
        weights[np.arange(n_qubits), np.argsort(far)[1 : n_qubits + 1]] = 1.0
        features = LinearVectors(tuple(map(tuple, weights.tolist())), tuple(range(n_qubits)))
        parameters = Parameters(
            scales=0.5 + 0.1 * rng.standard_normal((n_layers + 1, n_qubits)),
            couplings=0.3 * rng.standard_normal((n_layers, made.n_couplings)),
            weights=0.1 * rng.standard_normal(len(made.observables)),
            offset=np.asarray(energy / n),
        )
        models.append(Quantum(Architecture(features, made), parameters))
    return PerAtomSum(tuple(range(n)), tuple(models))
