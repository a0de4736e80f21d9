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
from ..qdi.circuit import QDI
from . import tensors

MAX_KINDS, MAX_ORDER, MAX_LAYERS, MAX_WIDTH, MAX_DEPTH = 20, 4, 8, 1024, 8
MAX_QUBITS, MAX_BLOCK_LAYERS = 8, 100
"""Of the circuit of each pair, whose blocks are dense matrices."""


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
    head: Any = None
    """Perceptron with biases from the features to the energy of a pair: of each layer the matrix,
    then the biases. None: the energy is the only feature."""
    angles: Any = None
    """Angles of the circuit, rad, (blocks, depth, n_qubits, 3). None: there is no circuit."""


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
    n_features : int
        Number of outputs of the last of them.
    hidden : tuple of int
        Widths of the hidden layers of another perceptron, which makes the energy of these features,
        times the envelope. Empty: the only feature is the energy.
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
    n_features: int
    hidden: tuple[int, ...]
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
        hidden = self.two_body, self.latent, self.readout, self.hidden
        widths = *sum(hidden, ()), self.n_scalars, self.n_tensors, self.n_features
        deepest = max(map(len, hidden))
        if min(widths) < 1 or max(widths) > MAX_WIDTH or self.n_scalars % 2 or deepest > MAX_DEPTH:
            raise ValueError(
                f"All widths must be 1 to {MAX_WIDTH}, at most {MAX_DEPTH} hidden layers, and the "
                f"number of scalars even, but the widths are {widths}."
            )
        if self.widths_of_head is None and self.n_features != 1:
            raise ValueError(f"{self.n_features} features need hidden layers behind them.")

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
        """Widths of all layers of the perceptron of the features of a pair."""
        return (self.n_scalars * (self.n_layers + 1), *self.readout, self.n_features)

    @property
    def widths_of_head(self) -> tuple[int, ...] | None:
        """Widths of all layers of the perceptron behind the features; None if there is none."""
        return (self.n_features, *self.hidden, 1) if self.hidden else None

    @property
    def shape_of_angles(self) -> tuple[int, ...] | None:
        """Shape of the angles of the circuit; None if there is none."""
        return None

    def on(self, kinds: tuple[int, ...]) -> Self:
        """Return the network with the same parameters for other atoms."""
        return replace(self, kinds=kinds)

    def with_random_parameters(
        self, seed: int, *, n_kinds: int, n_radial: int, scale: float, offset: float
    ) -> Self:
        """Return the network with random parameters of unit variance in place of its own.

        Numbers keep their size from layer to layer.

        Parameters
        ----------
        seed : int
        n_kinds, n_radial : int
            Numbers of elements and of radial functions.
        scale, offset : float
            Factor and zero of the energy of each atom, eV.
        """
        rng = np.random.default_rng(seed)
        shapes = shapes_of(self, n_kinds, n_radial)
        edge = math.sqrt(3.0)  # of a uniform distribution whose variance is 1
        parameters = AllegroParameters(
            *(None if shape is None else rng.uniform(-edge, edge, shape) for shape in shapes)
        )._replace(
            elements=rng.standard_normal(shapes.elements),
            scales=np.full(n_kinds, scale),
            offsets=np.full(n_kinds, offset),
        )
        head, angles = self.widths_of_head, self.shape_of_angles
        if head is not None:
            weights = [
                np.concatenate([rng.uniform(-edge, edge, n * m), np.zeros(m)])
                for n, m in zip(head, head[1:], strict=False)
            ]
            parameters = parameters._replace(head=np.concatenate(weights))
        if angles is not None:
            parameters = parameters._replace(angles=rng.uniform(-math.pi, math.pi, angles))
        return replace(self, parameters=parameters)

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
        if self.widths_of_head is not None and self.parameters.head is None:
            raise ValueError("Hidden layers behind the features need numbers.")
        allowed = ([] if shape is None else [shape] for shape in shapes)
        check_arrays(self.parameters, AllegroParameters(*allowed))


@dataclass(frozen=True)
class AllegroQdi(Allegro):
    """Allegro with a circuit between the features of a pair and its energy [1]_.

    The features are angles of the circuit, and the perceptron of `hidden` layers makes the energy
    of its expectation values, times the envelope.

    Parameters
    ----------
    circuit : QDI

    References
    ----------
    .. [1] G. Laskaris et al., Computational Materials Science (2026) 114742.
    """

    circuit: QDI

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.circuit.n_features != self.n_features:
            raise ValueError(
                f"The circuit is for {self.circuit.n_features} features, but there are "
                f"{self.n_features}."
            )
        n, layers = self.circuit.n_qubits, self.circuit.n_blocks * self.circuit.depth
        if n > MAX_QUBITS or layers > MAX_BLOCK_LAYERS:
            raise ValueError(
                f"A circuit of each pair must have at most {MAX_QUBITS} qubits, and "
                f"{MAX_BLOCK_LAYERS} layers in all blocks, but has {n} and {layers}."
            )

    @property
    def widths_of_head(self) -> tuple[int, ...]:
        return (self.circuit.n_qubits, *self.hidden, 1)

    @property
    def shape_of_angles(self) -> tuple[int, ...]:
        return self.circuit.shape

    def check(self) -> None:
        super().check()
        if self.parameters.angles is None:
            raise ValueError("A circuit needs angles.")


def n_numbers(widths: tuple[int, ...]) -> int:
    """Return the number of numbers of a perceptron without biases."""
    return sum(a * b for a, b in zip(widths, widths[1:], strict=False))


def shapes_of(model: Allegro, n_kinds: int, n_radial: int) -> AllegroParameters:
    """Return the shape of each array of the parameters, None where there is none."""
    s, t, h = model.n_scalars, model.n_tensors, model.n_weights
    head = model.widths_of_head
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
        head=None if head is None else (n_numbers(head) + sum(head[1:]),),
        angles=model.shape_of_angles,
    )
