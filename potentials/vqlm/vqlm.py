"""Generic variational circuit on internal coordinates, as data, to compare with the siVQLM.

Kiss et al. [1]_ use bond lengths and angles as input of a re-uploading circuit without symmetries;
Le et al. [2]_ compare their invariant circuits with it. The gates of that comparison are not
published. This is a reconstruction that has its numbers of parameters, 94 for LiH and 80 for
water. Every qubit q has one coordinate, scaled to an angle phi_q::

    M = [prod_{d=D..1} Phi_d U_d] Phi_0            on |0...0>
    Phi_d = prod_q exp(-i/2 a_dq phi_q X_q)
    U_d   = exp(-i/2 J_d sum_ring Z_p Z_q) prod_q exp(-i/2 theta_dq Y_q)
    E     = s <Z_0> + b

The range of each coordinate is mapped to [0, pi] and continued as an even function beyond both
ends, which makes the energy periodic for any parameters. It also reverses the force at the ends of
the range: keep trajectories inside.

References
----------
.. [1] O. Kiss, F. Tacchino, S. Vallecorsa, I. Tavernelli, Mach. Learn.: Sci. Technol. 3, 035004
   (2022), arXiv:2203.04666.
.. [2] I. N. M. Le et al., New J. Phys. 27, 023015 (2025), arXiv:2311.11362.
"""

from dataclasses import dataclass
from math import isfinite, pi
from typing import Any, NamedTuple

import numpy as np

from ..circuit.circuit import MAX_LAYERS
from ..parameters import check_arrays

MAX_QUBITS = 8
"""Largest number of qubits; layers are multiplied out to matrices of 2**n_qubits rows."""

Coordinate = tuple[int, int] | tuple[int, int, int]
"""Atoms of a coordinate: (i, j) for a distance, angstrom; (i, j, k) for the angle at j, rad."""


class VqlmParameters(NamedTuple):
    """All trainable arrays; a pytree (NumPy or JAX)."""

    scales: Any
    """Scales a, dimensionless, shape (n_layers + 1, n_qubits)."""
    rotations: Any
    """Rotation angles theta, rad, shape (n_layers, n_qubits)."""
    couplings: Any
    """Couplings J, rad, shape (n_layers,)."""
    slope: Any
    """Slope s of the head, eV, a scalar."""
    offset: Any
    """Offset b of the head, eV, a scalar."""


@dataclass(frozen=True)
class Vqlm:
    """Generic circuit with its coordinates and parameters.

    Parameters
    ----------
    coordinates : tuple, shape (n_qubits,)
        Atoms of each qubit: two for a distance, three for the angle at the second.
    ranges : tuple of pairs, shape (n_qubits, 2)
        Ranges that are mapped to [0, pi]; angstrom for distances, rad for angles.
    n_layers : int
        Number of layers D; there are ``n_layers + 1`` encodings.
    parameters : VqlmParameters

    Raises
    ------
    ValueError
        If a coordinate or range is not valid, or the size is out of bounds. `check` checks the
        parameters, because they may be abstract while JAX traces.
    """

    coordinates: tuple[Coordinate, ...]
    ranges: tuple[tuple[float, float], ...]
    n_layers: int
    parameters: VqlmParameters

    def __post_init__(self) -> None:
        if not 3 <= self.n_qubits <= MAX_QUBITS or not 1 <= self.n_layers <= MAX_LAYERS:
            raise ValueError(
                f"A generic circuit must have 3 to {MAX_QUBITS} qubits and 1 to {MAX_LAYERS} "
                f"layers, but it has {self.n_qubits} and {self.n_layers}."
            )
        if len(self.ranges) != self.n_qubits:
            raise ValueError(
                f"Each coordinate needs a range, but there are {self.n_qubits} and "
                f"{len(self.ranges)}."
            )
        for atoms, (low, high) in zip(self.coordinates, self.ranges, strict=True):
            if len(atoms) not in (2, 3) or len(set(atoms)) != len(atoms) or min(atoms) < 0:
                raise ValueError(f"A coordinate must be 2 or 3 different atoms, but is {atoms}.")
            if not (0 <= low < high and isfinite(high) and (len(atoms) == 2 or high <= pi)):
                raise ValueError(
                    f"The range of coordinate {atoms} must rise from 0 or more"
                    f"{'' if len(atoms) == 2 else ' to pi or less'}, but is ({low}, {high})."
                )

    @property
    def n_qubits(self) -> int:
        """Number of qubits, one per coordinate."""
        return len(self.coordinates)

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return 1 + max(atom for atoms in self.coordinates for atom in atoms)

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        d, n = self.n_layers, self.n_qubits
        check_arrays(self.parameters, [[(d + 1, n)], [(d, n)], [(d,)], [()], [()]])


def lih(n_layers: int = 13, *, seed: int = 0, range_A: tuple[float, float] = (0.7, 4.7)) -> Vqlm:
    """Return the circuit of LiH, the bond length on three qubits, with random parameters.

    Parameters
    ----------
    n_layers : int
    seed : int
        Seed of the parameters.
    range_A : pair of floats
        Bond lengths that are mapped to [0, pi], angstrom: slightly wider than those of the labels.
    """
    coordinates: tuple[Coordinate, ...] = ((0, 1),) * 3
    return Vqlm(coordinates, (range_A,) * 3, n_layers, random_parameters(3, n_layers, seed))


def water(
    n_layers: int = 11,
    *,
    seed: int = 0,
    range_A: tuple[float, float] = (0.7, 1.6),
    range_rad: tuple[float, float] = (1.0, 3.0),
) -> Vqlm:
    """Return the circuit of water, atom order O H H: a qubit for each bond and for the angle.

    The exchange of the hydrogens is not a symmetry of the circuit. See `lih` for the arguments;
    `range_rad` is that of the angle.
    """
    coordinates: tuple[Coordinate, ...] = ((0, 1), (0, 2), (1, 0, 2))
    ranges = (range_A, range_A, range_rad)
    return Vqlm(coordinates, ranges, n_layers, random_parameters(3, n_layers, seed))


def random_parameters(n_qubits: int, n_layers: int, seed: int) -> VqlmParameters:
    """Return random parameters of low frequency: rotations and scales of about 0.3, slope 1 eV."""
    rng = np.random.default_rng(seed)
    return VqlmParameters(
        scales=0.3 + 0.1 * rng.standard_normal((n_layers + 1, n_qubits)),
        rotations=0.3 * rng.standard_normal((n_layers, n_qubits)),
        couplings=0.3 * rng.standard_normal(n_layers),
        slope=np.asarray(1.0),
        offset=np.asarray(0.0),
    )


def signs(n_qubits: int) -> np.ndarray:
    """Return 1 or -1 for every qubit in every basis state, (2**n_qubits, n_qubits)."""
    index = np.arange(2**n_qubits)[:, None]
    return 1.0 - 2.0 * (index >> np.arange(n_qubits)[::-1] & 1)


def layer_matrices(parameters: VqlmParameters) -> tuple[Any, Any]:
    """Return all U_d in the X basis: real and imaginary parts, in NumPy or JAX like the parameters.

    Each part has the shape (n_layers, 2**n_qubits, 2**n_qubits). In the X basis the encodings are
    diagonal, so a layer is a matrix and a phase for each basis state. The matrices do not depend on
    the positions and are computed once for a batch.
    """
    theta, ring = parameters.rotations, _ring(parameters.rotations.shape[1])
    xp = theta.__array_namespace__()
    rotation = _rotation(xp.cos(theta / 2), xp.sin(theta / 2), xp)
    phase = parameters.couplings[:, None] * (ring / 2)[None]
    to_x = _hadamard(len(ring))

    def part(factor: Any) -> Any:
        return to_x @ (factor[:, :, None] * rotation) @ to_x

    return part(xp.cos(phase)), part(-xp.sin(phase))


def _rotation(cosine: Any, sine: Any, xp: Any) -> Any:
    """Return the Y rotations of all qubits of a layer as one matrix, for every layer."""
    n_layers, n_qubits = cosine.shape
    single = xp.stack([cosine, -sine, sine, cosine], axis=-1).reshape(n_layers, n_qubits, 2, 2)
    matrix = single[:, 0]
    for qubit in range(1, n_qubits):
        size = 2 * matrix.shape[1]
        matrix = xp.einsum("dij,dkl->dikjl", matrix, single[:, qubit])
        matrix = matrix.reshape(n_layers, size, size)
    return matrix


def _ring(n_qubits: int) -> np.ndarray:
    """Return ``sum_q Z_q Z_(q+1)`` of every basis state."""
    z = signs(n_qubits)
    return np.asarray((z * np.roll(z, -1, axis=1)).sum(axis=1))


def _hadamard(size: int) -> np.ndarray:
    """Return the matrix of a Hadamard gate on every qubit."""
    index = np.arange(size)
    odd = np.bitwise_count(index[:, None] & index) % 2
    return np.asarray(np.where(odd, -1.0, 1.0) / np.sqrt(size))
