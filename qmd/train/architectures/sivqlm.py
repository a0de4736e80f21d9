"""Symmetry-invariant circuits (siVQLM) of LiH, water and its dimer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from qmd.config.base import Config
from qmd.train.architectures.base import (
    ArchitectureConfig,
    Layers,
    ModelTraits,
    NotNegative,
    Positive,
)

if TYPE_CHECKING:
    from qmd.potentials import Architecture, Quantum
    from qmd.train.problem import Frames

LE = "Le et al., New J. Phys. 27, 023015 (2025), arXiv:2311.11362"


class StartConfig(Config):
    """Random parameters with which a circuit begins."""

    scale_per_A: Positive = 0.5
    """Scale alpha of the encoded vectors (1/angstrom)."""
    coupling_spread: NotNegative = 0.3
    """Standard deviation of the couplings (rad)."""


class LiHConfig(ArchitectureConfig):
    """Symmetry-invariant circuit of LiH on 4 qubits."""

    kind: Literal["sivqlm-lih"]
    """Symmetry-invariant circuit."""
    layers: Layers = 22
    """Number of trainable layers."""
    blocks: Annotated[int, Field(ge=1, le=20)] = 1
    """Number of blocks of gates in a layer."""
    start: StartConfig = StartConfig()
    """Random initial parameters."""

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(("Li", "H"), True, LE)

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "Quantum":
        from qmd.potentials import sivqlm

        return _circuit(sivqlm.lih(self.layers, self.blocks), self.start, frames, seed)


class WaterConfig(ArchitectureConfig):
    """Symmetry-invariant circuit of H2O on 4 qubits."""

    kind: Literal["sivqlm-h2o"]
    """Symmetry-invariant circuit."""
    layers: Layers = 11
    """Number of trainable layers."""
    blocks: Annotated[int, Field(ge=1, le=20)] = 2
    """Number of blocks of gates in a layer."""
    symmetry_breaking: bool = False
    """If true, each layer has an RZ angle: more freedom, but no invariance under rotation."""
    start: StartConfig = StartConfig()
    """Random initial parameters."""

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(("O", "H", "H"), not self.symmetry_breaking, LE)

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "Quantum":
        from qmd.potentials import sivqlm

        architecture = sivqlm.water(
            self.layers, self.blocks, symmetry_breaking=self.symmetry_breaking
        )
        return _circuit(architecture, self.start, frames, seed)


class DimerConfig(ArchitectureConfig):
    """Symmetry-invariant circuit of (H2O)2 on 6 qubits and an ancilla."""

    kind: Literal["sivqlm-dimer"]
    """Symmetry-invariant circuit."""
    layers: Layers = 30
    """Number of trainable layers."""
    symmetry_breaking: bool = False
    """If true, each layer has an RZ angle: more freedom, but no invariance under rotation."""
    start: StartConfig = StartConfig()
    """Random initial parameters."""

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(("O", "H", "H") * 2, not self.symmetry_breaking, LE)

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "Quantum":
        from qmd.potentials import sivqlm

        architecture = sivqlm.water_dimer(self.layers, symmetry_breaking=self.symmetry_breaking)
        return _circuit(architecture, self.start, frames, seed)


def _circuit(
    architecture: "Architecture", start: StartConfig, frames: "Frames", seed: int
) -> "Quantum":
    """Return a circuit whose head is scaled to the energies of the frames."""
    from qmd.potentials import Parameters, Quantum

    rng = np.random.default_rng(seed)
    circuit, features = architecture.circuit, architecture.features
    n_observables = len(circuit.observables)
    parameters = Parameters(
        scales=np.full((1, features.n_scales), start.scale_per_A),
        couplings=start.coupling_spread
        * rng.standard_normal((circuit.n_layers, circuit.n_couplings)),
        weights=np.full(n_observables, max(float(np.std(frames.energies)), 1e-3) / n_observables),
        offset=np.asarray(np.mean(frames.energies)),
    )
    return Quantum(architecture, parameters)
