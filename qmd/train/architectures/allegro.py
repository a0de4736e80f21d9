"""Allegro, with a perceptron or a circuit behind the features of a pair."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from qmd.config.base import Config
from qmd.errors import MismatchError
from qmd.train.architectures.base import ArchitectureConfig, Cutoff, ModelTraits, Symbol

if TYPE_CHECKING:
    from qmd.potentials import Allegro
    from qmd.train.problem import Frames
    from qmd.typing import Array

Widths = Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(max_length=8)]
COUNTED_FRAMES = 100
"""Frames from which the average number of neighbours is taken, evenly spaced."""


class PerceptronHeadConfig(Config):
    """Perceptron behind the features."""

    kind: Literal["perceptron"]
    """Perceptron with biases."""
    features: Annotated[int, Field(ge=1, le=1024)] = 4
    """Number of features of a pair."""
    hidden: Annotated[Widths, Field(min_length=1)] = [8, 8]
    """Widths of its hidden layers."""


class CircuitHeadConfig(Config):
    """Circuit behind the features: a quantum depth-infused layer."""

    kind: Literal["qdi"]
    """Circuit, then a perceptron with biases on its expectation values."""
    features: Annotated[int, Field(ge=1, le=512)] = 4
    """Number of features of a pair, which are uploaded as angles."""
    qubits: Annotated[int, Field(ge=1, le=8)] = 4
    """Number of qubits."""
    depth: Annotated[int, Field(ge=1, le=50)] = 1
    """Number of layers of a trained block; there is one before, and one behind each upload."""
    entangled: bool = True
    """If false, the layers are without CNOTs."""
    uploads: Annotated[int, Field(ge=1, le=10)] = 1
    """Number of times that all features are uploaded."""
    hidden: Widths = [8]
    """Widths of the hidden layers behind the circuit."""
    frozen: bool = False
    """If true, the circuit keeps its random angles (needs `adam` or `gauss_newton` stages)."""


class AllegroConfig(ArchitectureConfig):
    """Strictly local equivariant network of pairs of atoms, parameters shared by element."""

    kind: Literal["allegro"]
    """Allegro, trained by JAX."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)] | None = None
    """Chemical symbols in the atom order of the labels; default: those of the labels, for a
    potential of elements that serves any number of atoms, in cells or not."""
    elements: Annotated[list[Symbol], Field(min_length=1, max_length=20)] | None = None
    """Elements that have parameters; default: those of the atoms, or of all labels of many
    compositions."""
    cutoff_A: Cutoff = 5.0
    """Cut-off radius of the neighbours (angstrom)."""
    power: Annotated[float, Field(ge=2, le=100)] = 6.0
    """Power of the polynomial envelope that ends at the cut-off."""
    order: Annotated[int, Field(ge=0, le=4)] = 2
    """Highest order of the tensors."""
    parity: bool = True
    """If true, tensors of both parities are kept."""
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    """Number of products with the surroundings."""
    scalars: Annotated[int, Field(ge=2, le=1024, multiple_of=2)] = 32
    """Number of latent scalars of a pair."""
    tensors: Annotated[int, Field(ge=1, le=1024)] = 8
    """Number of channels of the tensors of a pair."""
    radial: Annotated[int, Field(ge=1, le=100)] = 8
    """Number of radial functions."""
    two_body: Widths = [32]
    """Widths of the hidden layers of the perceptron of the length and the elements of a pair."""
    latent: Widths = [32]
    """Widths of the hidden layers of the perceptron of each layer."""
    readout: Widths = [32]
    """Widths of the hidden layers of the perceptron of the energy of a pair, or of its features."""
    head: (
        Annotated[PerceptronHeadConfig | CircuitHeadConfig, Field(discriminator="kind")] | None
    ) = None
    """What makes the energy of the features of a pair; default: the energy is the only feature."""

    trained_on: ClassVar[Literal["native", "jax"]] = "jax"

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(tuple(self.species or ()), True, "")

    @field_validator("elements")
    @classmethod
    def _has_its_own(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if value is not None and not set(info.data.get("species") or []) <= set(value):
            raise ValueError("must have all elements of model.species")
        return value

    def on_labels(self, species: tuple[str, ...]) -> Self:
        if self.species is not None:
            return self
        if missing := set(species) - set(self.elements or species):
            raise MismatchError(
                f"the labels have atoms of {', '.join(sorted(missing))}, which are not among "
                "model.elements"
            )
        return self.model_copy(update={"species": list(species)})

    @property
    def serves_elements(self) -> bool:
        return self.species is None

    @property
    def known_elements(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.elements or self.species or ())))

    @property
    def serves_compositions(self) -> bool:
        return True

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "Allegro":
        from qmd.potentials import QDI, Allegro, AllegroQdi

        assert self.species is not None  # of the labels by now
        known = self.known_elements
        form: dict[str, Any] = {
            "kinds": tuple(known.index(symbol) for symbol in self.species),
            "cutoff": self.cutoff_A, "power": self.power,
            "n_average": average_neighbours(frames, self.cutoff_A),
            "l_max": self.order, "parity": self.parity, "n_layers": self.layers,
            "n_scalars": self.scalars, "n_tensors": self.tensors,
            "two_body": tuple(self.two_body), "latent": tuple(self.latent),
            "readout": tuple(self.readout),
            "n_features": 1 if self.head is None else self.head.features,
            "hidden": () if self.head is None else tuple(self.head.hidden),
            "parameters": None,
        }  # fmt: skip
        bare: Allegro
        if isinstance(self.head, CircuitHeadConfig):
            head = self.head
            circuit = QDI(head.qubits, head.features, head.depth, head.entangled, head.uploads)
            bare = AllegroQdi(**form, circuit=circuit)
        else:
            bare = Allegro(**form)
        return bare.with_random_parameters(
            seed, n_kinds=len(known), n_radial=self.radial, scale=_scale(frames),
            offset=float(np.mean(frames.energies)) / float(np.mean(frames.n_atoms)),
        )  # fmt: skip

    def trainable_mask(self, model: Any) -> "Array | None":
        """Return the mask that leaves out the angles of a frozen circuit; None without one."""
        if not (isinstance(self.head, CircuitHeadConfig) and self.head.frozen):
            return None
        from jax.flatten_util import ravel_pytree
        from jax.tree_util import tree_map

        ones = tree_map(np.ones_like, model.parameters)
        return np.asarray(ravel_pytree(ones._replace(angles=np.zeros_like(ones.angles)))[0])


def average_neighbours(frames: "Frames", cutoff: float) -> float:
    """Return the average number of neighbours of an atom within `cutoff` (angstrom), or 1 if less.

    It is taken from 100 of the frames, or from all if they are fewer.
    """
    from qmd.integrators import ISOLATED, neighbour_pairs

    n, n_atoms, cells = len(frames.energies), frames.n_atoms, frames.cells
    chosen = np.unique(np.linspace(0, n - 1, COUNTED_FRAMES).astype(int))
    counts = [
        2 * len(neighbour_pairs(frames.positions[f, : n_atoms[f]],
                                ISOLATED if cells is None else cells[f], cutoff)[0])
        for f in chosen
    ]  # fmt: skip
    average = float(np.mean(counts) / np.mean(n_atoms[chosen]))
    return max(1.0, average)


def _scale(frames: "Frames") -> float:
    """Return the first factor of the energy of an atom (eV): the size of the forces over 1 A."""
    if frames.forces is None:
        mean = np.var(frames.energies) / np.mean(frames.n_atoms)
    else:
        mean = np.mean(frames.forces[frames.present] ** 2)
    size: float = math.sqrt(mean)
    return max(size, 1e-3)
