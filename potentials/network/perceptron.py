"""The classical control of atom-centred networks: a perceptron on the same radial functions.

What the circuit of an atom makes of its vectors, a multilayer perceptron makes of their dot
products; scalars, elements and cut-off are those of `AtomCentredNetwork`. The comparison shows
what the circuit contributes.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..parameters import check_arrays, smooth_normals
from .network import check_centres, check_elements

SPREAD = 0.1
"""Standard deviation of the first radial coefficients; others in docs/rmd17.md."""


class PerceptronParameters(NamedTuple):
    """Everything trainable. K elements, V vectors, S scalars, G Gaussians, H hidden units."""

    vectors: Any
    """Of the densities, dimensionless, (K, K, V, G): element of the centre first."""
    scalars: Any
    """(K, K, S, G)."""
    first: Any
    """Weights of the first layer, (K, V (V + 1) / 2 + S, H)."""
    first_bias: Any
    """(K, H)."""
    second: Any
    """(K, H, H)."""
    second_bias: Any
    """(K, H)."""
    last: Any
    """eV, (K, H)."""
    offsets: Any
    """Energy of each element, eV, (K,)."""


@dataclass(frozen=True)
class Perceptron:
    """``E = sum_i MLP_i({v_a . v_b}, {s})``: two hidden layers, tanh.

    Parameters
    ----------
    kinds : tuple of int
        Element of each atom, as its place among those that the parameters have.
    first, cutoff : float
        Of the Gaussians, angstrom.
    parameters : PerceptronParameters

    Raises
    ------
    ValueError
        If there are no atoms or too many, or the Gaussians have no room.
    """

    kinds: tuple[int, ...]
    first: float
    cutoff: float
    parameters: PerceptronParameters

    def __post_init__(self) -> None:
        check_centres(self.kinds, self.first, self.cutoff)

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return len(self.kinds)

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        k = len(self.parameters.offsets)
        _, _, v, g = self.parameters.vectors.shape
        s, h = self.parameters.scalars.shape[2], self.parameters.last.shape[-1]
        check_elements(self.kinds, k, g)
        expected = PerceptronParameters(
            vectors=[(k, k, v, g)],
            scalars=[(k, k, s, g)],
            first=[(k, v * (v + 1) // 2 + s, h)],
            first_bias=[(k, h)],
            second=[(k, h, h)],
            second_bias=[(k, h)],
            last=[(k, h)],
            offsets=[(k,)],
        )
        check_arrays(self.parameters, expected)


def centred(
    species: tuple[str, ...],
    seed: int,
    *,
    n_vectors: int,
    n_scalars: int,
    n_hidden: int,
    n_radial: int = 12,
    cutoff: float = 5.0,
    energy: float = 0.0,
) -> Perceptron:
    """Random numbers to start a training from; arguments as for `atom_centred.revised`."""
    rng = np.random.default_rng(seed)
    known = sorted(set(species))
    k, n_in = len(known), n_vectors * (n_vectors + 1) // 2 + n_scalars
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
    return Perceptron(tuple(known.index(s) for s in species), 0.5, cutoff, parameters)
