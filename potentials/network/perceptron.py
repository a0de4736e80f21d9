"""Classical control of atom-centred networks: a perceptron on the same radial functions.

A multilayer perceptron of the dot products of the vectors replaces the circuit of an atom;
scalars, elements and cut-off are those of `AtomCentredNetwork`. The comparison shows the
contribution of the circuit.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from ..parameters import check_arrays, smooth_normals
from .network import check_centres, check_elements

SPREAD = 0.1
"""Standard deviation of the initial radial coefficients; docs/rmd17.md compares others."""


class PerceptronParameters(NamedTuple):
    """All trainable arrays. K elements, V vectors, S scalars, G Gaussians, H hidden units."""

    vectors: Any
    """Coefficients of vector densities, (K, K, V, G); element of the centre first."""
    scalars: Any
    """Coefficients of scalar densities, (K, K, S, G)."""
    first: Any
    """Weights of the first layer, (K, `n_invariants`, H)."""
    first_bias: Any
    """Biases of the first layer, (K, H)."""
    second: Any
    """Weights of the second layer, (K, H, H)."""
    second_bias: Any
    """Biases of the second layer, (K, H)."""
    last: Any
    """Weights of the last layer, eV, (K, H)."""
    offsets: Any
    """Energy of each element, eV, (K,)."""
    tensors: Any = None
    """Coefficients of densities of rank two, (K, K, T, G). None: there are none."""


def n_invariants(n_vectors: int, n_scalars: int, n_tensors: int = 0) -> int:
    """Return the number of inputs of the first layer.

    Matrices Q add ``v.Q.w``, ``tr QQ'`` and ``tr QQ'Q''``, each for all different choices.
    """
    pairs, t = n_vectors * (n_vectors + 1) // 2, n_tensors
    return pairs * (1 + t) + n_scalars + t * (t + 1) // 2 + t * (t + 1) * (t + 2) // 6


@dataclass(frozen=True)
class Perceptron:
    """``E = sum_i MLP_i({v_a . v_b}, {s})``: two hidden layers, tanh.

    With parameters `tensors` the traceless matrices ``Q = sum_j t(r_ij) (r^_ij r^_ij^T - 1/3)`` add
    the invariants ``v.Q.w``, ``tr QQ'`` and ``tr QQ'Q''``.

    Parameters
    ----------
    kinds : tuple of int
        Index of the element of each atom, among those of the parameters.
    first, cutoff : float
        Centre of the first Gaussian, and cut-off radius, angstrom.
    parameters : PerceptronParameters

    Raises
    ------
    ValueError
        If there are no atoms, or the range of the Gaussians is empty.
    """

    kinds: tuple[int, ...]
    first: float
    cutoff: float
    parameters: PerceptronParameters

    def __post_init__(self) -> None:
        check_centres(self.kinds, self.first, self.cutoff)

    @property
    def n_atoms(self) -> int:
        """Number of atoms whose positions are the input."""
        return len(self.kinds)

    def on(self, kinds: tuple[int, ...]) -> Self:
        """Return the perceptron with the same parameters for other atoms."""
        return replace(self, kinds=kinds)

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        k = len(self.parameters.offsets)
        _, _, v, g = self.parameters.vectors.shape
        s, h = self.parameters.scalars.shape[2], self.parameters.last.shape[-1]
        check_elements(self.kinds, k, g)
        t = 0 if self.parameters.tensors is None else self.parameters.tensors.shape[2]
        expected = PerceptronParameters(
            vectors=[(k, k, v, g)],
            scalars=[(k, k, s, g)],
            first=[(k, n_invariants(v, s, t), h)],
            first_bias=[(k, h)],
            second=[(k, h, h)],
            second_bias=[(k, h)],
            last=[(k, h)],
            offsets=[(k,)],
            tensors=[(k, k, t, g)],
        )
        check_arrays(self.parameters, expected)


def centred(
    species: tuple[str, ...],
    seed: int,
    *,
    n_vectors: int,
    n_scalars: int,
    n_hidden: int,
    n_tensors: int = 0,
    n_radial: int = 12,
    cutoff: float = 5.0,
    energy: float = 0.0,
) -> Perceptron:
    """Return random initial parameters; for the arguments see `atom_centred.revised`."""
    rng = np.random.default_rng(seed)
    known = sorted(set(species))
    k, n_in = len(known), n_invariants(n_vectors, n_scalars, n_tensors)
    parameters = PerceptronParameters(
        vectors=SPREAD * smooth_normals(rng, (k, k, n_vectors, n_radial)),
        scalars=SPREAD * smooth_normals(rng, (k, k, n_scalars, n_radial)),
        first=rng.standard_normal((k, n_in, n_hidden)) / np.sqrt(n_in),
        first_bias=0.1 * rng.standard_normal((k, n_hidden)),
        second=rng.standard_normal((k, n_hidden, n_hidden)) / np.sqrt(n_hidden),
        second_bias=0.1 * rng.standard_normal((k, n_hidden)),
        last=0.1 * rng.standard_normal((k, n_hidden)),
        offsets=np.full(k, energy / len(species)),
    )
    if n_tensors:
        tensors = SPREAD * smooth_normals(rng, (k, k, n_tensors, n_radial))
        parameters = parameters._replace(tensors=tensors)
    return Perceptron(tuple(known.index(s) for s in species), 0.5, cutoff, parameters)
