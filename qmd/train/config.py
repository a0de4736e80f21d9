"""The input of `qmd train`: a strict, frozen schema like that of a run (`qmd.config`)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from qmd.config.base import Config, Count, Name, Seed
from qmd.jobs.config import ExecutorConfig, Line, not_both
from qmd.train.architectures.atom_centred import AtomCentredNetworkConfig, InitialConfig
from qmd.train.architectures.base import NotNegative, Positive, Symbol
from qmd.train.architectures.density_dimer import DensityDimerConfig
from qmd.train.architectures.package import PackageModelConfig
from qmd.train.architectures.perceptron import PerceptronConfig
from qmd.train.architectures.polynomial import PolynomialConfig
from qmd.train.architectures.sivqlm import DimerConfig, LiHConfig, WaterConfig
from qmd.train.architectures.vqlm import VqlmLiHConfig, VqlmWaterConfig

MAY_CHANGE_ON_RESUME = (
    "dataset", "test_dataset", "extra_dataset", "workers", "executor", "name", "description",
    "citation", "licence", "level_of_theory", "starts.average",
)  # fmt: skip
"""Keys that do not change the numbers of a start; data is known by its hash."""

EnergyUnit = Literal["eV", "meV", "Hartree", "kcal/mol", "kJ/mol"]
Share = Count | Annotated[float, Field(gt=0, lt=1)]


class LabelsConfig(Config):
    """What the labels in the file are called, and their units."""

    energy_key: Name | None = None
    """Name of the energies; default: by format (E; energies; REF_energy or energy)."""
    forces_key: Name | None = None
    """Name of the forces; default: by format (F; forces; REF_forces or forces)."""
    energy_unit: EnergyUnit | None = None
    """Default: by format; rMD17 names mean kcal/mol, all others eV."""
    length_unit: Literal["angstrom", "bohr", "nm"] | None = None
    """Default: angstrom."""
    forces_unit: (
        Annotated[str, Field(pattern=r"^(eV|meV|Hartree|kcal/mol|kJ/mol)/(angstrom|bohr|nm)$")]
        | None
    ) = None
    """Such as Hartree/bohr; default: energy_unit over length_unit."""
    zero: Literal["lowest", "labels"] = "lowest"
    """Zero of the model: the lowest training energy, or that of the labels (interactions)."""
    repeats: Literal["refuse", "drop"] = "refuse"
    """What to do about geometries that occur twice."""


class SplitConfig(Config):
    """Which frames are for what."""

    train: Share = 0.7
    """Number, or fraction, of frames that are fitted."""
    validation: Share = 0.1
    """Number, or fraction, of frames that choose among starts and iterations."""
    test: Share | None = None
    """Number, or fraction, of frames for the final errors; default: the rest."""
    method: Literal["random", "even"] = "random"
    """Training frames at random, or evenly spaced along the file with both ends, as for a curve."""
    seed: Seed = 1
    """Seed of the draw."""


class LossConfig(Config):
    """What is made small: squares of weighted errors."""

    energy_weight_per_A: NotNegative = 3.0
    """Weight (1/angstrom) of an energy error beside those of force components."""
    forces: bool = True
    """Whether forces are fitted; if not, energies alone."""
    high_energy_eV: Positive | None = None
    """Energy (eV) at which a frame weighs half: 1 / (1 + (E / high_energy_eV)^power)."""
    high_energy_power: Literal[1, 2] = 2
    """The power."""

    @model_validator(mode="after")
    def _something_is_fitted(self) -> "LossConfig":
        if not self.forces and self.energy_weight_per_A == 0:
            raise ValueError("leaves nothing to fit: neither energies nor forces")
        return self


class NoiseConfig(Config):
    """Gaussian noise added to the labels of training and validation."""

    energy_std_eV: NotNegative = 0.0
    """Standard deviation (eV)."""
    forces_std_eV_per_A: NotNegative = 0.0
    """Standard deviation (eV/angstrom) of each component."""
    seed: Seed = 1
    """Seed of the noise."""


class StartsConfig(Config):
    """Random starts: the first stage is for all, the later ones are for the best."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many."""
    finalists: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """How many go on to the second stage; default: all."""
    average: Annotated[int, Field(ge=1, le=100)] = 1
    """The potential is the mean of so many starts, the best ones: what each has learnt of its
    frames alone averages out, and a force takes so many times as long."""
    seed: Seed = 0
    """Seed of the first; the others follow."""
    judged_below_eV: Positive | None = None
    """Validation frames of higher energy (eV) do not count in choosing; default: all count."""

    @field_validator("finalists")
    @classmethod
    def _not_more_than_starts(cls, value: int | None, info: ValidationInfo) -> int | None:
        count = info.data.get("count", 1)
        if value is not None and value > count:
            raise ValueError(f"must be at most starts.count = {count}")
        return value

    @field_validator("average")
    @classmethod
    def _not_more_than_finalists(cls, value: int, info: ValidationInfo) -> int:
        key = "finalists" if info.data.get("finalists") else "count"
        if value > info.data.get(key, 1):
            raise ValueError(f"must be at most starts.{key} = {info.data.get(key, 1)}")
        return value


class LeastSquaresConfig(Config):
    """Second order: exact Jacobians, for up to some thousand parameters."""

    kind: Literal["least_squares"]
    """Trust region up to 300 parameters, Levenberg-Marquardt on normal equations beyond."""
    evaluations: Count = 150
    """At most so many evaluations of the residuals."""
    pull: NotNegative = 0.0
    """Weight that holds each parameter to its value at the begin of the stage: early stopping."""
    frames: Count | None = None
    """Fit the first so many training frames only."""
    loss: LossConfig | None = None
    """Another loss in this stage."""


class AdamConfig(Config):
    """First order in batches, learning rate with cosine decay."""

    kind: Literal["adam"]
    """Adam, or AdamW with weight_decay (optax)."""
    steps: Count = 3000
    """Number of steps."""
    batch: Count | None = None
    """Frames of a step; default: all."""
    learning_rate: Positive = 0.01
    """At the first step."""
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Learning rate at the last step, as a fraction of the first."""
    weight_decay: NotNegative = 0.0
    """Of AdamW: each step shrinks every number by this times the learning rate."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of a moving average of the numbers, which is what is judged and kept; 0: none."""
    patience: Count | None = None
    """Stop early after so many validations without a better one; default: run all steps."""
    report_every: Count = 50
    """Steps between validations."""
    frames: Count | None = None
    """Fit the first so many training frames only."""
    loss: LossConfig | None = None
    """Another loss in this stage."""


class GaussNewtonConfig(Config):
    """Second order in batches, with momentum: for some thousand parameters and many frames."""

    kind: Literal["gauss_newton"]
    """Gauss-Newton steps of batches (Goldshlager et al., arXiv:2401.10190)."""
    steps: Count = 500
    """Number of steps."""
    batch: Count = 64
    """Frames of a step."""
    slopes: Count | None = None
    """Directions of each frame along which forces are fitted in a step; default: all."""
    learning_rate: Positive = 0.3
    """At the first step; it falls to 0 as a cosine."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """What is kept of the step before, where the batch leaves it free."""
    damping: Annotated[float, Field(ge=1e-10, le=1e6)] = 1e-4
    """Of the mean of the diagonal."""
    patience: Count | None = None
    """Stop early after so many validations without a better one; default: run all steps."""
    report_every: Count = 10
    """Steps between validations."""
    frames: Count | None = None
    """Fit the first so many training frames only."""
    loss: LossConfig | None = None
    """Another loss in this stage."""


class LBFGSConfig(Config):
    """Quasi-Newton on all frames."""

    kind: Literal["lbfgs"]
    """L-BFGS with a zoom line search (optax)."""
    steps: Count = 500
    """Number of steps."""
    memory: Annotated[int, Field(ge=1, le=100)] = 10
    """Steps that are remembered."""
    report_every: Count = 10
    """Steps between validations."""
    frames: Count | None = None
    """Fit the first so many training frames only."""
    loss: LossConfig | None = None
    """Another loss in this stage."""


ModelConfig = (
    LiHConfig
    | WaterConfig
    | DimerConfig
    | DensityDimerConfig
    | VqlmLiHConfig
    | VqlmWaterConfig
    | PolynomialConfig
    | AtomCentredNetworkConfig
    | InitialConfig
    | PerceptronConfig
    | PackageModelConfig
)
StageConfig = LeastSquaresConfig | AdamConfig | GaussNewtonConfig | LBFGSConfig


class MoleculeConfig(Config):
    """Another molecule, fitted by the same numbers."""

    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)]
    """Chemical symbols in the atom order of the labels."""
    dataset: Name
    """Its labels, as for the first molecule."""
    test_dataset: Name | None = None
    """File with its test frames; default: they come from the same file."""


class TrainConfig(Config):
    """The input of `qmd train`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Name of the potential and of its package."""
    dataset: Name
    """Labels: .npz, .extxyz or an ASE database, relative to this file or to where you are."""
    test_dataset: Name | None = None
    """File with the test frames; default: they come from the same file."""
    extra_dataset: Name | None = None
    """File with more frames of the same kind, all of them for training; default: none."""
    together: Annotated[list[MoleculeConfig], Field(max_length=20)] = []
    """More molecules for the same network, by stages gauss_newton; default: none."""
    labels: LabelsConfig = LabelsConfig()
    """Names and units of the labels."""
    model: Annotated[ModelConfig, Field(discriminator="kind")]
    """What is fitted."""
    split: SplitConfig = SplitConfig()
    """Which frames are for what."""
    label_noise: NoiseConfig = NoiseConfig()
    """Noise added on purpose."""
    loss: LossConfig = LossConfig()
    """What is made small."""
    stages: Annotated[
        list[Annotated[StageConfig, Field(discriminator="kind")]],
        Field(min_length=1, max_length=20),
    ]
    """Optimisers, one after the other, each from the best of the one before."""
    starts: StartsConfig = StartsConfig()
    """Random starts."""
    backend: Literal["native", "jax"] | None = None
    """What computes derivatives; default: the native kernel, JAX for lbfgs, generic circuits,
    polynomials and perceptrons."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    """Cores to use: starts in parallel, or parts of the data if there is one start."""
    executor: Annotated[ExecutorConfig, Field(discriminator="kind")] | None = None
    """Where the starts run; default: as workers says."""
    description: Line = ""
    """One line for the list of potentials."""
    level_of_theory: Line = ""
    """Of the labels, for the card."""
    citation: Line = ""
    """Of the model, for the card."""
    licence: Line = ""
    """Of the package."""

    _not_both = model_validator(mode="after")(not_both)

    @model_validator(mode="after")
    def _molecules_of_a_network(self) -> "TrainConfig":
        if not self.together:
            return self
        known = self.model.known_elements
        if known is None:
            raise ValueError("has together, which needs model.kind: qnn-revised")
        if any(stage.kind != "gauss_newton" for stage in self.stages):
            raise ValueError("has together, which needs stages of kind gauss_newton")
        own = self.model.traits(Path()).species
        molecules = [own, *(tuple(other.species) for other in self.together)]
        if len(set(molecules)) < len(molecules):
            raise ValueError("has together, which names a molecule twice")
        if missing := {s for other in self.together for s in other.species} - set(known):
            raise ValueError(
                f"has together, which needs {', '.join(sorted(missing))} in model.elements"
            )
        return self

    @model_validator(mode="after")
    def _control_stages(self) -> "TrainConfig":
        control = getattr(self.model, "control", None)
        if control and any(stage.kind != "gauss_newton" for stage in self.stages):
            raise ValueError("has model.control, which needs stages of kind gauss_newton")
        return self

    @model_validator(mode="after")
    def _native_stages(self) -> "TrainConfig":
        if self.backend != "native":
            return self
        if any(stage.kind == "lbfgs" for stage in self.stages):
            raise ValueError("has a stage lbfgs, which needs backend: jax")
        if self.model.trained_on == "jax":
            raise ValueError(f"has model.kind: {self.model.kind}, which needs backend: jax")
        return self
