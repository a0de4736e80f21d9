"""The interaction of two water molecules: a circuit on vector densities, with every symmetry.

One spin an atom, order O H H O H H, and an ancilla. Each atom's vector is the density of its
neighbours; each layer has all Heisenberg couplings that the permutations of like atoms and of the
molecules allow, one angle for each orbit of pairs; the read-out is linear in all invariant
observables. Rotation is exact because every gate is SU(2) invariant or turns a spin about a vector,
inversion because the ancilla's sectors see v and -v.
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
"""Pairs of atoms that the permutations take into each other."""
SHORT, LONG = (0.0, 4.0), (0.0, 5.0)
"""Ranges of O-H and H-H within a molecule, angstrom: wide, so that their Gaussians are, and a bond
that is longer than all of the training has no force that nothing has fixed."""
BETWEEN = ((2.0, 7.5), (1.2, 7.5), (1.2, 7.5))
"""Ranges of O-O, O-H and H-H between molecules, angstrom."""
CUTOFF = 10.0
SPREAD = 0.04
"""Of the first coefficients. A fit that begins rough, from 0.2 or from uncorrelated ones, shrinks
the weights of the head instead, to where nothing else has a slope."""
FADE = 2.0, 7.0
"""O-O distances over which the circuit ends, angstrom: from contact on, as the interaction does, so
that nothing of what it can tell apart is spent on molecules that are far away."""
SWITCH = 6.5, 9.0
"""O-O distances over which the pair terms end, angstrom."""


def architecture(n_layers: int = 6, n_radial: int | None = 14) -> Architecture:
    """Circuit and what it encodes.

    Parameters
    ----------
    n_layers : int
        D.
    n_radial : int or None
        Gaussians of each of the seven radial functions, which differ from layer to layer; None
        encodes positions about the O-O midpoint instead, as the published circuit does.
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
    """0, 1: O-H of a molecule seen from O, from H; 2, 3: between; 4: O-O; 5, 6: H-H."""
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
    """``S(r_OO) baseline + S'(r_OO) circuits`` with random circuits, to start a training from.

    Parameters
    ----------
    seed : int
        Of the parameters.
    n_layers, n_radial : int
        As in `architecture`.
    n_circuits : int
        Circuits whose energies are added up.
    baseline : bool
        Whether there are classical pair terms, `classical.water_baseline`.
    fade, switch : pairs of floats
        Over which circuits and pair terms end, angstrom.
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
