"""Symmetry-invariant models (siVQLM) of LiH, water and the water dimer.

Source: Le et al., New J. Phys. 27, 023015 (2025), with three corrections to the printed
text: layers run over d = 1..D, the head is affine and trainable, and RZ gates with angle 0
are left out rather than kept. Products in the paper act from right to left.
"""

from ..circuit.architecture import Architecture
from ..circuit.circuit import Circuit, Encode, Heisenberg, Observable, RotationZ
from ..circuit.features import LinearVectors


def _ring(block: int, *, close: bool) -> tuple[Heisenberg, ...]:
    """Return RH12(j1) RH34(j2) RH23(j3) [RH14(j3)] of one block, in the order of their action."""
    j1, j2, j3 = 3 * block, 3 * block + 1, 3 * block + 2
    ring = ((1, 2), (0, 3)) if close else ((1, 2),)
    return Heisenberg(j3, ring), Heisenberg(j2, ((2, 3),)), Heisenberg(j1, ((0, 1),))


def _blocks(n_blocks: int, *, close: bool) -> tuple[Heisenberg | RotationZ, ...]:
    return tuple(g for b in reversed(range(n_blocks)) for g in _ring(b, close=close))


def lih(n_layers: int = 22, n_blocks: int = 1) -> Architecture:
    """Return the model of LiH on 4 qubits, atom order Li H: x1 = -x2, half the bond vector.

    It is invariant under rotation, inversion of the axis and exchange of the encodings.
    """
    circuit = Circuit(
        n_qubits=4,
        n_layers=n_layers,
        singlets=((0, 1), (2, 3)),
        encoding=tuple(Encode(q % 2, q) for q in range(4)),
        layer=_blocks(n_blocks, close=False),
        observables=(Observable(((0, 1),)),),
    )
    return Architecture(LinearVectors(((0.5, -0.5), (-0.5, 0.5)), (0, 0)), circuit)


def water(
    n_layers: int = 11, n_blocks: int = 2, *, symmetry_breaking: bool = False
) -> Architecture:
    """Return the model of water on 4 qubits, atom order O H H: x1, x2 are H1, H2 relative to O.

    It is invariant under rotation and exchange of the hydrogens; with `symmetry_breaking` (one RZ
    angle per layer on all qubits) only rotations about z remain.
    """
    layer = _blocks(n_blocks, close=True)
    if symmetry_breaking:
        layer += (RotationZ(3 * n_blocks, (0, 1, 2, 3)),)
    circuit = Circuit(
        n_qubits=4,
        n_layers=n_layers,
        singlets=((0, 1), (2, 3)),
        encoding=tuple(Encode(q % 2, q) for q in range(4)),
        layer=layer,
        observables=(Observable(((0, 1),)),),
    )
    return Architecture(LinearVectors(((-1.0, 1.0, 0.0), (-1.0, 0.0, 1.0)), (0, 0)), circuit)


def water_dimer(n_layers: int = 30, *, symmetry_breaking: bool = False) -> Architecture:
    """Return the model of two waters on 6 qubits and an ancilla, about the O-O midpoint.

    The atom order is O H H O H H. It is invariant under rotation, inversion, and exchange of equal
    atoms and of the molecules; with `symmetry_breaking` one RZ angle per layer rotates all qubits,
    including the ancilla.
    """
    layer: tuple[Heisenberg | RotationZ, ...] = (
        RotationZ(2, (6,)),
        Heisenberg(1, ((0, 3),)),
        Heisenberg(0, ((1, 2), (4, 5))),
    )
    if symmetry_breaking:
        layer += (RotationZ(3, tuple(range(7))),)
    circuit = Circuit(
        n_qubits=7,
        n_layers=n_layers,
        singlets=((1, 2), (4, 5), (3, 0)),
        encoding=tuple(Encode(q, q) for q in range(6)),
        layer=layer,
        observables=(Observable(((0, 3),), with_ancilla=True),),
        ancilla=6,
    )
    midpoint = (0.5, 0.0, 0.0, 0.5, 0.0, 0.0)
    weights = tuple(
        tuple(float(i == atom) - m for i, m in enumerate(midpoint)) for atom in range(6)
    )
    return Architecture(LinearVectors(weights, (0, 1, 1, 0, 1, 1)), circuit)
