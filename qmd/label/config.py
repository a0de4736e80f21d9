"""Strict, frozen schema of the input of `qmd label`; see `qmd.config.base`."""

from typing import Annotated

from pydantic import Field, model_validator

from qmd.config.base import Config, Count, Name
from qmd.forces.config import ASEConfig, DFTConfig, FCIConfig
from qmd.jobs.config import ExecutorConfig, not_both

Molecule = Annotated[list[Annotated[int, Field(ge=0, le=999)]], Field(min_length=1, max_length=999)]


class LabelConfig(Config):
    """The input of `qmd label`."""

    structures: Name
    """File of geometries: .npz with Z and R, .xyz or .extxyz; relative to this input file or to the
    current folder. Frames may have different atoms."""
    method: Annotated[DFTConfig | FCIConfig | ASEConfig, Field(discriminator="kind")]
    """Method that computes energies and forces."""
    molecules: Annotated[list[Molecule], Field(min_length=2, max_length=100)] | None = None
    """Atoms of each molecule. If set, also label each molecule by itself (E1, F1) and the
    interaction (E2, F2); default: not set."""
    forces: bool = True
    """Compute forces, and the stress of a calculator that has one; false: only energies."""
    first: Count | None = None
    """Label only the first `first` geometries; default: all."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of processes with one core each; short for executor: {kind: processes, workers: N}."""
    executor: Annotated[ExecutorConfig, Field(discriminator="kind")] | None = None
    """Executor that computes the labels; default: as `workers` says."""
    save_every: Count = 10
    """Number of frames between two saves; finished frames are also saved when the command stops."""

    _not_both = model_validator(mode="after")(not_both)
