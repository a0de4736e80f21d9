"""Interaction of two water molecules."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from qmd.config.base import Name
from qmd.train.architectures.base import ArchitectureConfig, Layers, ModelTraits, Positive

if TYPE_CHECKING:
    from qmd.potentials import Package, Sum
    from qmd.train.problem import Frames
    from qmd.typing import Array


class DensityDimerConfig(ArchitectureConfig):
    """Interaction of two H2O: circuits and pair terms, which are switched off at long distances."""

    kind: Literal["density-dimer"]
    """Circuits on vector densities, and pair terms."""
    layers: Layers = 6
    """Number of trainable layers."""
    vectors: Literal["densities", "positions"] = "densities"
    """Encoded vectors: densities of neighbours, or positions relative to the O-O midpoint."""
    radial: Annotated[int, Field(ge=2, le=100)] = 14
    """Number of Gaussians of each radial function, for densities."""
    circuits: Annotated[int, Field(ge=0, le=8)] = 1
    """Number of circuits that are added up."""
    baseline: bool = True
    """If true, classical pair terms (charges, repulsion, dispersion) are added, and trained."""
    circuit_from_A: Positive = 2.0
    """O-O distance (angstrom) at which the energy of the circuits begins to be switched off."""
    circuit_to_A: Positive = 7.0
    """O-O distance (angstrom) beyond which the energy of the circuits is zero."""
    switch_from_A: Positive = 6.5
    """O-O distance (angstrom) at which the pair terms begin to be switched off."""
    switch_to_A: Positive = 9.0
    """O-O distance (angstrom) beyond which the pair terms are zero."""
    monomer: Name | None = None
    """Potential of one water. If given, the package contains the total energy, which can be run;
    default: none, and the package contains the interaction only."""
    wall_eV_per_A3: Positive = 100.0
    """Stiffness of the wall below the shortest distances of the data (eV/angstrom^3), with a
    monomer."""

    @field_validator("baseline")
    @classmethod
    def _something(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("circuits") == 0:
            raise ValueError("must be true with model.circuits = 0")
        return value

    @field_validator("circuit_to_A", "switch_to_A")
    @classmethod
    def _beyond_its_begin(cls, value: float, info: ValidationInfo) -> float:
        begin = str(info.field_name).replace("_to_A", "_from_A")
        if value <= info.data.get(begin, 0.0):
            raise ValueError(f"must be larger than model.{begin}")
        return value

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(("O", "H", "H") * 2, True, "")

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "Sum":
        from qmd.potentials import water_pair

        return water_pair.interaction(
            seed, self.layers, self.radial if self.vectors == "densities" else None,
            n_circuits=self.circuits, baseline=self.baseline,
            fade=(self.circuit_from_A, self.circuit_to_A),
            switch=(self.switch_from_A, self.switch_to_A),
        )  # fmt: skip

    def assembled(self, package: "Package", positions: "Array", folder: Path) -> "Package":
        """Return the total energy of two waters, if a monomer is named."""
        from qmd.forces.catalogue import load_package
        from qmd.train.two_waters import two_waters

        if self.monomer is None:
            return package
        monomer = load_package(self.monomer, folder)
        whole = two_waters(package.model, monomer, positions, package.domain, self.wall_eV_per_A3)
        card = {
            **package.training,
            "fitted_keys": package.training["labels_keys"],
            "labels_keys": {"energy": "E", "forces": "F"},
            "monomer": {"name": monomer.name, "sha256": monomer.sha256},
        }
        return replace(
            package, model=whole.model, reference_energy_eV=whole.reference, domain=whole.domain,
            training=card,
        )  # fmt: skip
