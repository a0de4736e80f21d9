"""Perceptrons, the classical control of atom-centred networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from qmd.train.architectures.base import ArchitectureConfig, Cutoff, ModelTraits, Symbol

if TYPE_CHECKING:
    from qmd.potentials import Perceptron
    from qmd.train.problem import Frames


class PerceptronConfig(ArchitectureConfig):
    """Classical control of qnn-revised: a perceptron on invariants of its densities."""

    kind: Literal["perceptron"]
    """Atom-centred perceptron."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)] | None = None
    """Chemical symbols in the atom order of the labels; default: those of the labels, for a
    potential of elements."""
    vectors: Annotated[int, Field(ge=1, le=100)] = 10
    """Number of vector densities of an atom."""
    scalars: Annotated[int, Field(ge=0, le=100)] = 10
    """Number of scalar densities of an atom."""
    tensors: Annotated[int, Field(ge=0, le=20)] = 0
    """Number of densities of rank two of an atom, whose invariants with the vectors and with each
    other are inputs as well."""
    hidden: Annotated[int, Field(ge=1, le=200)] = 16
    """Number of units in each of two hidden layers."""
    radial: Annotated[int, Field(ge=2, le=100)] = 12
    """Number of Gaussians of each radial function."""
    cutoff_A: Cutoff = 5.0
    """Cut-off radius of the neighbours (angstrom)."""

    trained_on: ClassVar[Literal["native", "jax"]] = "jax"

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(tuple(self.species or ()), True, "")

    def on_labels(self, species: tuple[str, ...]) -> Self:
        return self if self.species else self.model_copy(update={"species": list(species)})

    @property
    def serves_elements(self) -> bool:
        return self.species is None

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "Perceptron":
        from qmd.potentials import perceptron

        assert self.species is not None  # of the labels by now
        return perceptron.centred(
            tuple(self.species), seed, n_vectors=self.vectors, n_scalars=self.scalars,
            n_tensors=self.tensors, n_hidden=self.hidden, n_radial=self.radial,
            cutoff=self.cutoff_A, energy=float(np.mean(frames.energies)),
        )  # fmt: skip
