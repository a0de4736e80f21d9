"""Interaction of two water molecules: a circuit on vector densities, with every symmetry.

There is one spin per atom, in the order O H H O H H, and an ancilla. The vector of each atom is the
density of its neighbours; each layer has all Heisenberg couplings that the permutations of equal
atoms and of the molecules allow, one angle for each orbit of pairs; the read-out is linear in all
invariant observables. Rotation is exact because every gate is SU(2) invariant or rotates a spin
about a vector, and inversion because the sectors of the ancilla have v and -v.
"""

import numpy as np

from ..circuit.architecture import Architecture, Parameters, Quantum
from ..circuit.circuit import Circuit, Encode, Heisenberg, Observable, Pair, RotationZ
from ..circuit.features import Entry, LinearVectors, VectorDensities
from ..classical.water import water_baseline
from ..parameters import smooth_normals
from ..tree.nodes import Model, Sum, Switched
from . import sivqlm

ORBITS: tuple[tuple[Pair, ...], ...] = (
    ((1, 2), (4, 5)),
    ((0, 3),),
    ((0, 1), (0, 2), (3, 4), (3, 5)),
    ((0, 4), (0, 5), (3, 1), (3, 2)),
    ((1, 4), (1, 5), (2, 4), (2, 5)),
)
"""Orbits of pairs of atoms under the permutations."""
SHORT, LONG = (0.0, 4.0), (0.0, 5.0)
"""Ranges of O-H and H-H within a molecule, angstrom. They are wide, and so are their Gaussians, so
that bonds longer than all of the training have no undetermined force."""
BETWEEN = ((2.0, 7.5), (1.2, 7.5), (1.2, 7.5))
"""Ranges of O-O, O-H and H-H between molecules, angstrom."""
CUTOFF = 10.0
SPREAD = 0.04
"""Standard deviation of the initial coefficients. A fit with a rough start, from 0.2 or from
uncorrelated ones, shrinks the weights of the head instead, until all other slopes vanish."""
FADE = 2.0, 7.0
"""O-O distances over which the circuit is switched off, angstrom: from contact on, like the
interaction, so that none of its capacity is spent on distant molecules."""
SWITCH = 6.5, 9.0
"""O-O distances over which the pair terms are switched off, angstrom."""


def architecture(n_layers: int = 6, n_radial: int | None = 14) -> Architecture:
    """Return the circuit and its features.

    Parameters
    ----------
    n_layers : int
        Number of layers D.
    n_radial : int or None
        Number of Gaussians of each of the seven radial functions, which differ between layers;
        None encodes positions about the O-O midpoint instead, as the published circuit does.
    """
    observables = [Observable(orbit, sign) for sign in (False, True) for orbit in ORBITS]
    gates = [Heisenberg(k, orbit) for k, orbit in enumerate(ORBITS)]
    circuit = Circuit(
        n_qubits=7,
        n_layers=n_layers,
        singlets=((1, 2), (4, 5), (0, 3)),
        encoding=tuple(Encode(q, q) for q in range(6)),
        layer=(*gates, RotationZ(len(gates), (6,))),
        observables=tuple(observables),
        ancilla=6,
    )
    if n_radial is None:
        return Architecture(sivqlm.water_dimer().features, circuit)
    oo, oh, hh = BETWEEN
    features = VectorDensities(
        n_atoms=6,
        entries=tuple(Entry(i, i, j, _kind(i, j)) for i in range(6) for j in range(6) if i != j),
        ranges=(SHORT, SHORT, oh, oh, oo, LONG, hh),
        n_radial=n_radial,
        cutoff=CUTOFF,
    )
    return Architecture(features, circuit)


def _kind(centre: int, neighbour: int) -> int:
    """Return the kind: 0, 1 for O-H within, from O or H; 2, 3 for O-H between; 4 O-O; 5, 6 H-H."""
    between = centre // 3 != neighbour // 3
    oxygens = (centre % 3 == 0) + (neighbour % 3 == 0)
    if oxygens == 1:
        return 2 * between + (centre % 3 != 0)
    return 4 if oxygens == 2 else 5 + between


def interaction(
    seed: int,
    n_layers: int = 6,
    n_radial: int | None = 14,
    *,
    n_circuits: int = 1,
    baseline: bool = True,
    fade: tuple[float, float] = FADE,
    switch: tuple[float, float] = SWITCH,
) -> Sum:
    """Return ``S(r_OO) baseline + S'(r_OO) circuits`` with random circuits, to train.

    Parameters
    ----------
    seed : int
        Seed of the parameters.
    n_layers, n_radial : int
        See `architecture`.
    n_circuits : int
        Number of circuits whose energies are added up.
    baseline : bool
        True to include classical pair terms, `classical.water_baseline`.
    fade, switch : pairs of floats
        Distances over which circuits and pair terms are switched off, angstrom.
    """
    rng = np.random.default_rng(seed)
    made = architecture(n_layers, n_radial)
    terms: list[Model] = [Switched(_random(made, rng), (0, 3), *fade) for _ in range(n_circuits)]
    if baseline:
        terms.append(Switched(water_baseline(), (0, 3), *switch))
    return Sum(tuple(terms))


def _random(made: Architecture, rng: np.random.Generator) -> Quantum:
    circuit, features = made.circuit, made.features
    size = circuit.n_layers + 1, features.n_scales
    if isinstance(features, LinearVectors):
        scales = 0.15 + 0.05 * rng.standard_normal(size)
    else:
        kinds = size[0], len(features.ranges), features.n_radial
        scales = SPREAD * smooth_normals(rng, kinds).reshape(size)
    parameters = Parameters(
        scales=scales,
        couplings=0.3 * rng.standard_normal((circuit.n_layers, circuit.n_couplings)),
        weights=0.05 * rng.standard_normal(len(circuit.observables)),
        offset=np.asarray(0.0),
    )
    return Quantum(made, parameters)
