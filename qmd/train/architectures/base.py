"""Contract of a trainable model: its section of the input, its traits, its initial parameters."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from qmd.config.base import Config

if TYPE_CHECKING:
    from qmd.potentials import Package
    from qmd.train.problem import Frames
    from qmd.typing import Array

Positive = Annotated[float, Field(gt=0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
Layers = Annotated[int, Field(ge=1, le=200)]
Symbol = Annotated[str, Field(pattern="^[A-Z][a-z]?$")]
Cutoff = Annotated[float, Field(gt=0.5, le=100)]
"""Cut-off radius in angstrom; the first Gaussian of a network is at 0.5."""
Channels = Annotated[int, Field(ge=2, le=12, multiple_of=2)]


@dataclass(frozen=True)
class ModelTraits:
    """Properties that all starts of a model share."""

    species: tuple[str, ...]
    """Chemical symbols in the atom order that the model serves."""
    rotations: bool
    """True if the model is invariant under rotation."""
    citation: str


class ArchitectureConfig(Config):
    """Base of the kinds of the section `model`."""

    trained_on: ClassVar[Literal["native", "jax"]] = "native"
    """Default engine, the faster one. A model of the native engine may also be trained by JAX."""

    @abstractmethod
    def traits(self, folder: Path) -> ModelTraits:
        """Return species, symmetry and source; paths are relative to `folder`.

        Raises
        ------
        MismatchError
            If a package cannot be used, or has no trained parameters.
        """

    @abstractmethod
    def first_model(self, folder: Path, frames: "Frames", seed: int) -> Any:
        """Return a model with random parameters of `seed`, scaled to the training `frames`."""

    def on_labels(self, species: tuple[str, ...]) -> Self:
        """Return the model with the atoms of the labels, if the input leaves them to these.

        Raises
        ------
        MismatchError
            If the labels have elements that the model does not know.
        """
        return self

    @property
    def serves_elements(self) -> bool:
        """True if the package is to serve any number of atoms of the known elements."""
        return False

    @property
    def serves_compositions(self) -> bool:
        """True if frames of many compositions can be fitted in one compiled function."""
        return False

    @property
    def known_elements(self) -> tuple[str, ...] | None:
        """Elements that have parameters, if the model serves several molecules; else None."""
        return None

    def trainable_mask(self, model: Any) -> "Array | None":
        """Return a mask: 1 for each parameter that is trained, 0 for others; None if all are."""
        return None

    def assembled(self, package: "Package", positions: "Array", folder: Path) -> "Package":
        """Return the package to run; `positions` (n, n_atoms, 3) are those of training."""
        return package
