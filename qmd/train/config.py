"""Strict, frozen schema of the input of `qmd train`; see `qmd.config.base`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from qmd.config.base import Config, Count, Name, Seed
from qmd.jobs.config import ExecutorConfig, Line, not_both
from qmd.train.architectures.allegro import AllegroConfig
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
"""Keys that do not change the parameters of a start; data are identified by their hash."""

EnergyUnit = Literal["eV", "meV", "Hartree", "kcal/mol", "kJ/mol"]
Share = Count | Annotated[float, Field(gt=0, lt=1)]


class LabelsConfig(Config):
    """Names and units of the labels in the file."""

    energy_key: Name | None = None
    """Name of the energies; default: by format (E; energies; REF_energy or energy, or
    free_energy where it differs from energy)."""
    forces_key: Name | None = None
    """Name of the forces; default: by format (F; forces; REF_forces or forces)."""
    energy_unit: EnergyUnit | None = None
    """Unit of the energies; default: by format (kcal/mol for the names of rMD17, else eV)."""
    stress_key: Name | None = None
    """Name of the stresses of frames in cells, in energy_unit/length_unit^3 with the sign of ASE;
    default: stress, where there is one."""
    length_unit: Literal["angstrom", "bohr", "nm"] | None = None
    """Unit of the positions; default: angstrom."""
    forces_unit: (
        Annotated[str, Field(pattern=r"^(eV|meV|Hartree|kcal/mol|kJ/mol)/(angstrom|bohr|nm)$")]
        | None
    ) = None
    """Unit of the forces, such as Hartree/bohr; default: energy_unit/length_unit."""
    zero: Literal["lowest", "labels", "elements"] = "lowest"
    """Zero of energy of the model: the lowest training energy, the zero of the labels (for
    interactions), or one energy for each element, fitted to the training frames by least squares:
    for labels of many compositions (needs `allegro` without species, and `adam` stages)."""
    repeats: Literal["refuse", "drop"] = "refuse"
    """Action if a geometry occurs twice."""


class SplitConfig(Config):
    """Division of the frames into training, validation and test."""

    train: Share = 0.7
    """Number, or fraction, of frames that are fitted."""
    validation: Share = 0.1
    """Number, or fraction, of frames that select starts and iterations."""
    test: Share | None = None
    """Number, or fraction, of frames for the final errors; default: the rest."""
    method: Literal["random", "even"] = "random"
    """Choice of the training frames: at random, or evenly spaced along the file with both ends."""
    seed: Seed = 1
    """Seed of the random choice."""
    groups_key: Name | None = None
    """Name of the group of each frame in the file, a whole number, such as the piece of a
    trajectory; needs test_groups."""
    test_groups: Annotated[list[int], Field(min_length=1, max_length=1000)] | None = None
    """Groups whose frames, all of them, are those of the test; train and validation come from the
    others."""

    @model_validator(mode="after")
    def _groups_together(self) -> "SplitConfig":
        if (self.groups_key is None) != (self.test_groups is None):
            raise ValueError("needs both groups_key and test_groups, or neither")
        if self.test_groups is not None and self.test is not None:
            raise ValueError("has test and test_groups; the test is all frames of these groups")
        return self


class LossConfig(Config):
    """Loss function: squares of weighted errors."""

    energy_weight_per_A: NotNegative = 3.0
    """Weight of an energy error relative to force components (1/angstrom)."""
    forces: bool = True
    """If true, forces are fitted as well as energies."""
    virial_weight_per_A: NotNegative = 0.1
    """Weight of an error of a component of the virial, in frames with stresses, relative to force
    components (1/angstrom)."""
    high_energy_eV: Positive | None = None
    """Energy (eV) at which a frame has half the weight: 1 / (1 + (E / high_energy_eV)^power);
    default: all frames have the same weight."""
    high_energy_power: Literal[1, 2] = 2
    """Power in the weight of a frame."""

    @model_validator(mode="after")
    def _something_is_fitted(self) -> "LossConfig":
        if not self.forces and self.energy_weight_per_A == 0:
            raise ValueError("leaves nothing to fit: neither energies nor forces")
        return self


class NoiseConfig(Config):
    """Gaussian noise added to the labels of training and validation."""

    energy_std_eV: NotNegative = 0.0
    """Standard deviation of the energies (eV)."""
    forces_std_eV_per_A: NotNegative = 0.0
    """Standard deviation of each force component (eV/angstrom)."""
    seed: Seed = 1
    """Seed of the noise."""


class StartsConfig(Config):
    """Random starts: all run the first stage, and the best run the later stages."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Number of starts."""
    finalists: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Number of starts that run the later stages; default: all."""
    average: Annotated[int, Field(ge=1, le=100)] = 1
    """Number of starts, the best ones, whose mean is the potential. The mean reduces the error of a
    single start, but a force takes `average` times as long."""
    seed: Seed = 0
    """Seed of the first start; the others have consecutive seeds."""
    scored_below_eV: Positive | None = None
    """Energy (eV) above which validation frames do not count in the selection of starts and
    iterations; default: all count."""

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
    """Second-order least squares with exact Jacobians, for up to a few thousand parameters."""

    kind: Literal["least_squares"]
    """Trust region up to 300 parameters, Levenberg-Marquardt on normal equations beyond."""
    evaluations: Count = 150
    """Largest number of evaluations of the residuals."""
    pull: NotNegative = 0.0
    """Weight of a penalty that keeps each parameter near its value at the start of the stage; it
    acts like early stopping."""
    frames: Count | None = None
    """Fit only the first `frames` training frames; default: all."""
    loss: LossConfig | None = None
    """Loss of this stage; default: that of the training."""


class AdamConfig(Config):
    """First-order optimiser on batches; the learning rate decays as a cosine."""

    kind: Literal["adam"]
    """Adam, or AdamW with weight_decay (optax)."""
    steps: Count = 3000
    """Number of steps."""
    batch: Count | None = None
    """Number of frames in a step; default: all."""
    learning_rate: Positive = 0.01
    """Learning rate at the first step."""
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Learning rate at the last step, as a fraction of that at the first."""
    weight_decay: NotNegative = 0.0
    """Weight decay of AdamW: each step shrinks every parameter by this times the learning rate."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of an exponential moving average of the parameters, which is scored and saved in their
    place; 0: no average."""
    patience: Count | None = None
    """Number of validations without improvement after which the stage stops; default: no limit."""
    report_every: Count = 50
    """Number of steps between validations."""
    frames: Count | None = None
    """Fit only the first `frames` training frames; default: all."""
    loss: LossConfig | None = None
    """Loss of this stage; default: that of the training."""


class GaussNewtonConfig(Config):
    """Second-order optimiser on batches, with momentum, for many parameters and many frames."""

    kind: Literal["gauss_newton"]
    """Gauss-Newton steps on batches (Goldshlager et al., arXiv:2401.10190)."""
    steps: Count = 500
    """Number of steps."""
    batch: Count = 64
    """Number of frames in a step."""
    slopes: Count | None = None
    """Number of directions of each frame along which forces are fitted in a step, of frames in
    cells components of the forces, drawn anew in each step; default: all."""
    learning_rate: Positive = 0.3
    """Learning rate at the first step; it falls to 0 as a cosine."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Fraction of the previous step that is kept in directions that the batch leaves free."""
    damping: Annotated[float, Field(ge=1e-10, le=1e6)] = 1e-4
    """Damping, relative to the mean of the diagonal of the matrix."""
    patience: Count | None = None
    """Number of validations without improvement after which the stage stops; default: no limit."""
    report_every: Count = 10
    """Number of steps between validations."""
    frames: Count | None = None
    """Fit only the first `frames` training frames; default: all."""
    loss: LossConfig | None = None
    """Loss of this stage; default: that of the training."""


class LBFGSConfig(Config):
    """Quasi-Newton optimiser on all frames."""

    kind: Literal["lbfgs"]
    """L-BFGS with a zoom line search (optax)."""
    steps: Count = 500
    """Number of steps."""
    memory: Annotated[int, Field(ge=1, le=100)] = 10
    """Number of steps that are remembered."""
    report_every: Count = 10
    """Number of steps between validations."""
    frames: Count | None = None
    """Fit only the first `frames` training frames; default: all."""
    loss: LossConfig | None = None
    """Loss of this stage; default: that of the training."""


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
    | AllegroConfig
    | PackageModelConfig
)
StageConfig = LeastSquaresConfig | AdamConfig | GaussNewtonConfig | LBFGSConfig


class MoleculeConfig(Config):
    """Another molecule, fitted with the same parameters."""

    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)]
    """Chemical symbols in the atom order of the labels."""
    dataset: Name
    """File with its labels, as for the first molecule."""
    test_dataset: Name | None = None
    """File with its test frames; default: they come from the same file."""


class TrainConfig(Config):
    """The input of `qmd train`."""

    renamed_keys: ClassVar[Mapping[str, str]] = {
        "together": "other_molecules",
        "starts.judged_below_eV": "starts.scored_below_eV",
    }

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Name of the potential and of its package."""
    dataset: Name
    """File with the labels: .npz, .extxyz or an ASE database; relative to this input file or to the
    current folder."""
    test_dataset: Name | None = None
    """File with the test frames; default: they come from the same file."""
    extra_dataset: Name | None = None
    """File with further frames, all of them for training; default: none."""
    other_molecules: Annotated[list[MoleculeConfig], Field(max_length=20)] = []
    """Further molecules that are fitted with the same parameters (needs `gauss_newton` stages);
    default: none."""
    labels: LabelsConfig = LabelsConfig()
    """Names and units of the labels."""
    model: Annotated[ModelConfig, Field(discriminator="kind")]
    """Model to train."""
    split: SplitConfig = SplitConfig()
    """Division of the frames into training, validation and test."""
    label_noise: NoiseConfig = NoiseConfig()
    """Noise that is added to the labels on purpose."""
    loss: LossConfig = LossConfig()
    """Loss function."""
    stages: Annotated[
        list[Annotated[StageConfig, Field(discriminator="kind")]],
        Field(min_length=1, max_length=20),
    ]
    """Optimisers, which run one after the other, each from the best result of the previous one."""
    starts: StartsConfig = StartsConfig()
    """Random starts."""
    backend: Literal["native", "jax"] | None = None
    """Engine of the derivatives; default: the native kernel, but JAX for lbfgs, generic circuits,
    polynomials, perceptrons and Allegro."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 2
    """Number of cores to use: for starts in parallel, or for parts of the data of one start."""
    executor: Annotated[ExecutorConfig, Field(discriminator="kind")] | None = None
    """Executor of the starts; default: as `workers` says."""
    description: Line = ""
    """Description of one line, for the list of potentials."""
    level_of_theory: Line = ""
    """Level of theory of the labels, for the card."""
    citation: Line = ""
    """Citation of the model, for the card."""
    licence: Line = ""
    """Licence of the package."""

    _not_both = model_validator(mode="after")(not_both)

    @model_validator(mode="after")
    def _molecules_of_a_network(self) -> "TrainConfig":
        if not self.other_molecules:
            return self
        known = self.model.known_elements
        if known is None:
            raise ValueError("has other_molecules, which needs model.kind: qnn-revised")
        if any(stage.kind != "gauss_newton" for stage in self.stages):
            raise ValueError("has other_molecules, which needs stages of kind gauss_newton")
        own = self.model.traits(Path()).species
        molecules = [own, *(tuple(other.species) for other in self.other_molecules)]
        if len(set(molecules)) < len(molecules):
            raise ValueError("has other_molecules, which names a molecule twice")
        if missing := {s for other in self.other_molecules for s in other.species} - set(known):
            raise ValueError(
                f"has other_molecules, which needs {', '.join(sorted(missing))} in model.elements"
            )
        return self

    @model_validator(mode="after")
    def _many_compositions(self) -> "TrainConfig":
        if self.labels.zero != "elements":
            return self
        if not (self.model.serves_compositions and self.model.serves_elements):
            raise ValueError(
                "has labels.zero: elements, which needs model.kind: allegro without species"
            )
        if any(stage.kind != "adam" for stage in self.stages):
            raise ValueError("has labels.zero: elements, which needs stages of kind adam")
        given = {
            "split.groups_key": self.split.groups_key is not None,
            "split.method: even": self.split.method == "even",
            "labels.repeats: drop": self.labels.repeats == "drop",
            "other_molecules": bool(self.other_molecules),
        }
        if wrong := [key for key, is_given in given.items() if is_given]:
            raise ValueError(f"has labels.zero: elements, which excludes {wrong[0]}")
        return self

    @model_validator(mode="after")
    def _control_stages(self) -> "TrainConfig":
        control = getattr(self.model, "control", None)
        if control and any(stage.kind != "gauss_newton" for stage in self.stages):
            raise ValueError("has model.control, which needs stages of kind gauss_newton")
        return self

    @model_validator(mode="after")
    def _frozen_stages(self) -> "TrainConfig":
        frozen = getattr(getattr(self.model, "head", None), "frozen", False)
        if frozen and any(stage.kind not in ("adam", "gauss_newton") for stage in self.stages):
            raise ValueError(
                "has model.head.frozen, which needs stages of kind adam or gauss_newton"
            )
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
