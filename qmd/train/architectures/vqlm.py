"""Generic circuits without built-in symmetry, of LiH and water, for comparison."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from qmd.train.architectures.base import ArchitectureConfig, Layers, ModelTraits

if TYPE_CHECKING:
    from qmd.potentials import Vqlm
    from qmd.train.problem import Frames

KISS = "Kiss et al., Mach. Learn.: Sci. Technol. 3, 035004 (2022), arXiv:2203.04666"


class VqlmLiHConfig(ArchitectureConfig):
    """Generic circuit on the bond length of LiH with 3 qubits, for comparison."""

    kind: Literal["vqlm-lih"]
    """Generic circuit."""
    layers: Layers = 13
    """Number of trainable layers."""

    trained_on: ClassVar[Literal["native", "jax"]] = "jax"

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(("Li", "H"), True, KISS)

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "Vqlm":
        from qmd.potentials import vqlm

        return _scaled(vqlm.lih(self.layers, seed=seed), frames)


class VqlmWaterConfig(ArchitectureConfig):
    """Generic circuit on the bond lengths and the angle of H2O with 3 qubits, for comparison."""

    kind: Literal["vqlm-h2o"]
    """Generic circuit."""
    layers: Layers = 11
    """Number of trainable layers."""

    trained_on: ClassVar[Literal["native", "jax"]] = "jax"

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(("O", "H", "H"), True, KISS)

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "Vqlm":
        from qmd.potentials import vqlm

        return _scaled(vqlm.water(self.layers, seed=seed), frames)


def _scaled(model: "Vqlm", frames: "Frames") -> "Vqlm":
    """Return the model with slope and offset scaled to the energies of the frames."""
    head = model.parameters._replace(
        slope=np.asarray(max(float(np.std(frames.energies)), 1e-3)),
        offset=np.asarray(np.mean(frames.energies)),
    )
    return replace(model, parameters=head)
