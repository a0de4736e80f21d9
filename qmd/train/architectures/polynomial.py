"""Invariant polynomials."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from qmd.train.architectures.base import ArchitectureConfig, ModelTraits, Symbol

if TYPE_CHECKING:
    from qmd.potentials import InvariantPolynomial
    from qmd.train.problem import Frames

BRAAMS = "Braams, Bowman, Int. Rev. Phys. Chem. 28, 577 (2009)"


class PolynomialConfig(ArchitectureConfig):
    """Permutationally invariant polynomial of all distances of a small molecule, for comparison."""

    kind: Literal["polynomial"]
    """Invariant polynomial."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=6)]
    """Chemical symbols in the atom order of the labels."""
    degree: Annotated[int, Field(ge=1, le=12)]
    """Degree of the polynomial; water has 71 parameters at degree 7."""

    trained_on: ClassVar[Literal["native", "jax"]] = "jax"

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(tuple(self.species), True, BRAAMS)

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "InvariantPolynomial":
        """Return the only start: zero weights, and the mean distances of the frames as centres."""
        from qmd.potentials import polynomial

        return polynomial.molecule(tuple(self.species), self.degree, frames.positions)
