"""The input of `qmd label`: a strict, frozen schema like that of a run (`qmd.config`)."""

from typing import Annotated

from pydantic import Field, model_validator

from qmd.config.base import Config, Count, Name
from qmd.forces.config import ASEConfig, DFTConfig, FCIConfig
from qmd.jobs.config import ExecutorConfig, not_both

Molecule = Annotated[list[Annotated[int, Field(ge=0, le=999)]], Field(min_length=1, max_length=999)]


class LabelConfig(Config):
    """The input of `qmd label`."""

    structures: Name
    """Geometries: .npz with Z and R, .xyz or .extxyz, relative to this file or to where you are."""
    method: Annotated[DFTConfig | FCIConfig | ASEConfig, Field(discriminator="kind")]
    """What computes energies and forces."""
    molecules: Annotated[list[Molecule], Field(min_length=2, max_length=100)] | None = None
    """Atoms of each molecule: label them alone (E1, F1) and the rest (E2, F2) too; default: no."""
    first: Count | None = None
    """Label only so many, from the first on; default: all."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes, one core each: short for executor: {kind: processes, workers: N}."""
    executor: Annotated[ExecutorConfig, Field(discriminator="kind")] | None = None
    """Where the labels are computed; default: as workers says."""
    save_every: Count = 10
    """Frames between two saves; all that is done is also saved when it stops."""

    _not_both = model_validator(mode="after")(not_both)
