"""Trained packages as the start of another training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qmd.config.base import Name
from qmd.errors import MismatchError
from qmd.train.architectures.base import ArchitectureConfig, ModelTraits, NotNegative

if TYPE_CHECKING:
    from qmd.train.problem import Frames


class PackageModelConfig(ArchitectureConfig):
    """Trained potential, whose parameters are trained further."""

    kind: Literal["package"]
    """Begin with the parameters of a package."""
    name: Name
    """Name of an installed package, or path of a .qmdp file relative to this file."""
    spread: NotNegative = 0.0
    """Standard deviation of noise on the parameters, for several different starts."""

    def traits(self, folder: Path) -> ModelTraits:
        from qmd.forces.catalogue import load_package
        from qmd.potentials import families, leaves

        package = load_package(self.name, folder)
        if not any(families.n_parameters(leaf) for _, leaf in leaves(package.model)):
            raise MismatchError(f"{self.name} has no parameters to train")
        return ModelTraits(package.species, False, package.citation)

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> Any:
        import jax

        from qmd.forces.catalogue import load_package

        model, rng = load_package(self.name, folder).model, np.random.default_rng(seed)
        return jax.tree.map(lambda p: p + self.spread * rng.standard_normal(np.shape(p)), model)
