"""Atom-centred network as data: one circuit per atom, with parameters shared by element.

Unlike `Quantum`, it is not limited to one molecule: parameters belong to elements and to pairs of
elements, and only `kinds` determines the molecule.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from ..circuit.circuit import Circuit, Heisenberg
from ..parameters import check_arrays

MAX_KINDS, MAX_RADIAL = 20, 100


class NetworkParameters(NamedTuple):
    """All trainable arrays; a pytree (NumPy or JAX). K elements, G Gaussians."""

    vectors: Any
    """Coefficients of the encoded densities, dimensionless, (K, K, n_layers + 1, n_qubits, G).

    Element of the centre first, then that of the neighbour.
    """
    scalars: Any
    """Coefficients of the densities that are added to couplings (rad) and, last, to weights (eV).

    (K, K, n_layers + 1, n_couplings, G), or with no couplings: none are added.
    """
    couplings: Any
    """Couplings J, rad, (K, n_layers, n_couplings)."""
    weights: Any
    """Weights of the observables, eV, (K, n_observables)."""
    offsets: Any
    """Energy of each element, eV, (K,)."""
    tensors: Any = None
    """Coefficients of the densities of rank two: matrices of the gates (dimensionless) and, last,
    of the observables (eV); shaped as scalars. None: the network is one of rank one."""


@dataclass(frozen=True)
class AtomCentredNetwork:
    """``E = sum_i (weights_i . <O>_i + offset_i)``, one circuit for each atom.

    The vector of channel q in encoding d is ``sum_j w_qd(r_ij) r^_ij``, and the coupling k of
    layer d is ``J_kd + sum_j s_kd(r_ij)``, where w and s are radial functions of the elements of i
    and j: the Gaussians and the envelope of `VectorDensities`, from `first` to `cutoff`. In the
    row after the last layer s is added to the weights of the observables.

    With parameters `tensors` the network is of rank two: the traceless matrix
    ``Q_kd = sum_j t_kd(r_ij) (r^_ij r^_ij^T - 1/3)`` acts after coupling k of layer d on the same
    pair of qubits, see `pair_gates`; with the matrices in the row after the last layer
    ``<sigma_p . Q . sigma_q>`` is added to the energy.

    Parameters
    ----------
    kinds : tuple of int
        Index of the element of each atom, among those of the parameters.
    circuit : Circuit
        One encoding ``Encode(q, q)`` for each spin, an ancilla, Heisenberg gates on pairs.
    first, cutoff : float
        Centre of the first Gaussian, and cut-off radius, angstrom.
    parameters : NetworkParameters

    Raises
    ------
    ValueError
        If the circuit has another form, or there are no atoms or too many elements.
    """

    kinds: tuple[int, ...]
    circuit: Circuit
    first: float
    cutoff: float
    parameters: NetworkParameters

    def __post_init__(self) -> None:
        n = len(self.circuit.spins)
        if self.circuit.spins != tuple(range(n)) or self.circuit.ancilla is None or n % 2:
            raise ValueError(
                "The circuit of a network must have an even number of spins, then an ancilla, but "
                f"has spins {self.circuit.spins} and the ancilla {self.circuit.ancilla}."
            )
        if self.circuit.encoding != tuple((q, q) for q in range(n)):
            raise ValueError("The circuit of a network must encode vector q on qubit q.")
        for gate in self.circuit.layer:
            if not isinstance(gate, Heisenberg) or len(gate.pairs) != 1:
                raise ValueError("The gates of a network must be Heisenberg gates on single pairs.")
        if any(o.with_ancilla for o in self.circuit.observables):
            raise ValueError("The observables of a network must not use the ancilla.")
        check_centres(self.kinds, self.first, self.cutoff)

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return len(self.kinds)

    @property
    def n_kinds(self) -> int:
        """Number of elements that have parameters."""
        return len(self.parameters.offsets)

    @property
    def n_radial(self) -> int:
        """Number of Gaussians of each radial function."""
        return int(self.parameters.vectors.shape[-1])

    @property
    def has_scalars(self) -> bool:
        """True if couplings depend on the neighbours."""
        return bool(self.parameters.scalars.shape[3] > 0)

    @property
    def rank(self) -> int:
        """Highest rank of the densities, 1 or 2."""
        return 1 if self.parameters.tensors is None else 2

    def on(self, kinds: tuple[int, ...]) -> Self:
        """Return the network with the same parameters for other atoms."""
        return replace(self, kinds=kinds)

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        c, k, p = self.circuit, self.n_kinds, self.parameters
        check_elements(self.kinds, k, self.n_radial)
        g, rows, n = self.n_radial, c.n_layers + 1, c.n_couplings
        of_couplings = [(k, k, rows, n, g)] if len(c.observables) == n else []
        expected = NetworkParameters(
            vectors=[(k, k, rows, len(c.spins), g)],
            scalars=[*of_couplings, (k, k, rows, 0, g)],
            couplings=[(k, c.n_layers, n)],
            weights=[(k, len(c.observables))],
            offsets=[(k,)],
            tensors=of_couplings,
        )
        check_arrays(p, expected)


def check_centres(kinds: tuple[int, ...], first: float, cutoff: float) -> None:
    """Raise ValueError for no atoms, or for an empty range of the Gaussians."""
    if not kinds or min(kinds) < 0:
        raise ValueError(f"A network must be for atoms of its elements: {kinds[:12]}.")
    if not 0 <= first < cutoff < float("inf"):
        raise ValueError(
            f"Gaussians must lie from a distance to a larger one, but lie from {first} to {cutoff}."
        )


def check_elements(kinds: tuple[int, ...], n_kinds: int, n_radial: int) -> None:
    """Raise ValueError if elements are missing or too many, or Gaussians too few or too many."""
    if n_kinds > MAX_KINDS or max(kinds) >= n_kinds or not 2 <= n_radial <= MAX_RADIAL:
        raise ValueError(
            f"A network must have 1 to {MAX_KINDS} elements, those of its atoms among them, "
            f"and 2 to {MAX_RADIAL} Gaussians, but has {n_kinds} and {n_radial} for atoms of the "
            f"elements {sorted(set(kinds))}."
        )
