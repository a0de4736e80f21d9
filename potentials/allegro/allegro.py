"""Allegro as data: a strictly local equivariant network of all pairs [1]_.

The form is that of the package nequip-allegro 0.8, whose layers collect the scalars of all layers
before them instead of adding them up.

References
----------
.. [1] A. Musaelian et al., Nat. Commun. 14, 579 (2023).
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from ..parameters import check_arrays
from . import tensors

MAX_KINDS, MAX_ORDER, MAX_LAYERS, MAX_WIDTH, MAX_DEPTH = 20, 4, 8, 1024, 8


class AllegroParameters(NamedTuple):
    """All trainable arrays; a pytree (NumPy or JAX).

    K elements, B radial functions, S scalars, T channels of tensors, H = T (l_max + 1). A
    perceptron is one vector: its matrices (inputs, outputs), one after the other.
    """

    elements: Any
    """Factors of the radial part, by the element of the centre and of the neighbour, (2, K, S/2)"""
    radial: Any
    """From the radial functions, (B, S)."""
    two_body: Any
    """Perceptron of the scalars of a pair, S to S."""
    tensors: Any
    """From these scalars to the weights of the tensors of a pair, (S, H)."""
    environment: Any
    """From these scalars to the first latent scalars and weights of the surroundings, (S, S + H)"""
    products: Any
    """Weights of the products of tensors, (T, paths of all layers)."""
    latents: Any
    """Perceptrons of the layers, one after the other, to S + H numbers each, the last one to S."""
    readout: Any
    """Perceptron from the scalars of all layers to the energy of a pair, or to features."""
    scales: Any
    """Factor of the energy of an atom of each element, eV, (K,)."""
    offsets: Any
    """Energy of an atom of each element without neighbours, eV, (K,)."""


@dataclass(frozen=True)
class Allegro:
    """``E = sum_i (scale_i sum_j E_ij / sqrt(2 n_average) + offset_i)``, pairs within the cut-off.

    E_ij is a perceptron of scalars of the pair: of its length and elements, and of products of its
    tensors with those of the surroundings of atom i. The sum over the surroundings is divided by
    ``sqrt(n_average)``.

    Parameters
    ----------
    kinds : tuple of int
        Index of the element of each atom, among those of the parameters.
    cutoff : float
        Cut-off radius, angstrom.
    power : float
        Power p of the envelope that ends at the cut-off.
    n_average : float
        Average number of neighbours, a constant.
    l_max : int
        Highest order of the tensors.
    parity : bool
        True if tensors of both parities are kept.
    n_layers : int
        Number of products with the surroundings.
    n_scalars, n_tensors : int
        Numbers of latent scalars, which is even, and of channels of tensors.
    two_body, latent, readout : tuple of int
        Widths of the hidden layers of the perceptrons.
    parameters : AllegroParameters

    Raises
    ------
    ValueError
        If a number is out of range, or there are no atoms.
    """

    kinds: tuple[int, ...]
    cutoff: float
    power: float
    n_average: float
    l_max: int
    parity: bool
    n_layers: int
    n_scalars: int
    n_tensors: int
    two_body: tuple[int, ...]
    latent: tuple[int, ...]
    readout: tuple[int, ...]
    parameters: AllegroParameters

    def __post_init__(self) -> None:
        if not self.kinds or min(self.kinds) < 0:
            raise ValueError(f"Allegro must be for atoms of its elements: {self.kinds[:12]}.")
        if not (0 < self.cutoff < math.inf and 2 <= self.power <= 100):
            raise ValueError(
                f"The cut-off must be positive, and the power of its envelope between 2 and 100, "
                f"but they are {self.cutoff} and {self.power}."
            )
        if not 0 < self.n_average < math.inf:
            raise ValueError(f"The average number of neighbours is {self.n_average}.")
        if not (0 <= self.l_max <= MAX_ORDER and 1 <= self.n_layers <= MAX_LAYERS):
            raise ValueError(
                f"Tensors must be of order 0 to {MAX_ORDER} and layers 1 to {MAX_LAYERS}, "
                f"but the order is {self.l_max}, and the layers are {self.n_layers}."
            )
        widths = *self.two_body, *self.latent, *self.readout, self.n_scalars, self.n_tensors
        deepest = max(map(len, (self.two_body, self.latent, self.readout)))
        if min(widths) < 1 or max(widths) > MAX_WIDTH or self.n_scalars % 2 or deepest > MAX_DEPTH:
            raise ValueError(
                f"All widths must be 1 to {MAX_WIDTH}, at most {MAX_DEPTH} hidden layers, and the "
                f"number of scalars even, but the widths are {widths}."
            )

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
        """Number of radial functions."""
        return int(np.shape(self.parameters.radial)[0])

    @property
    def n_weights(self) -> int:
        """Number of weights of the tensors of a pair, one for each order and channel."""
        return self.n_tensors * (self.l_max + 1)

    @property
    def layers(self) -> tuple[tensors.Layer, ...]:
        """Tensors and products of all layers."""
        return tensors.layers(self.l_max, self.parity, self.n_layers)

    @property
    def widths_of_two_body(self) -> tuple[int, ...]:
        """Widths of all layers of the perceptron of a pair, inputs first."""
        return (self.n_scalars, *self.two_body, self.n_scalars)

    @property
    def widths_of_latents(self) -> tuple[tuple[int, ...], ...]:
        """Widths of all layers of the perceptron of each layer."""
        last = self.n_layers - 1
        return tuple(
            (
                self.n_scalars * (layer + 1) + self.n_tensors,
                *self.latent,
                self.n_scalars + (self.n_weights if layer < last else 0),
            )
            for layer in range(self.n_layers)
        )

    @property
    def widths_of_readout(self) -> tuple[int, ...]:
        """Widths of all layers of the perceptron of the energy of a pair."""
        return (self.n_scalars * (self.n_layers + 1), *self.readout, 1)

    def on(self, kinds: tuple[int, ...]) -> Self:
        """Return the network with the same parameters for other atoms."""
        return replace(self, kinds=kinds)

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""
        k, b = self.n_kinds, self.n_radial
        if not (1 <= k <= MAX_KINDS and max(self.kinds) < k and 1 <= b <= MAX_WIDTH):
            raise ValueError(
                f"Allegro must have 1 to {MAX_KINDS} elements, those of its atoms among them, and "
                f"1 to {MAX_WIDTH} radial functions, but has {k} and {b} for atoms of the elements "
                f"{sorted(set(self.kinds))}."
            )
        shapes = shapes_of(self, k, b)
        check_arrays(self.parameters, AllegroParameters(*([shape] for shape in shapes)))


def n_numbers(widths: tuple[int, ...]) -> int:
    """Return the number of numbers of a perceptron without biases."""
    return sum(a * b for a, b in zip(widths, widths[1:], strict=False))


def shapes_of(model: Allegro, n_kinds: int, n_radial: int) -> AllegroParameters:
    """Return the shape of each array of the parameters."""
    s, t, h = model.n_scalars, model.n_tensors, model.n_weights
    return AllegroParameters(
        elements=(2, n_kinds, s // 2),
        radial=(n_radial, s),
        two_body=(n_numbers(model.widths_of_two_body),),
        tensors=(s, h),
        environment=(s, s + h),
        products=(t, sum(len(layer.paths) for layer in model.layers)),
        latents=(sum(map(n_numbers, model.widths_of_latents)),),
        readout=(n_numbers(model.widths_of_readout),),
        scales=(n_kinds,),
        offsets=(n_kinds,),
    )


def with_random_parameters(
    model: Allegro, seed: int, *, n_kinds: int, n_radial: int, scale: float, offset: float
) -> Allegro:
    """Return a network with random parameters of unit variance, whose numbers keep their size.

    Parameters
    ----------
    model : Allegro
        Network whose own parameters are not used.
    seed : int
    n_kinds, n_radial : int
        Numbers of elements and of radial functions.
    scale, offset : float
        Factor and zero of the energy of each atom, eV.
    """
    rng = np.random.default_rng(seed)
    shapes = shapes_of(model, n_kinds, n_radial)
    edge = math.sqrt(3.0)  # of a uniform distribution whose variance is 1
    random = AllegroParameters(*(rng.uniform(-edge, edge, shape) for shape in shapes))
    parameters = random._replace(
        elements=rng.standard_normal(shapes.elements),
        scales=np.full(n_kinds, scale),
        offsets=np.full(n_kinds, offset),
    )
    return replace(model, parameters=parameters)
