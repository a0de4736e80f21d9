"""The input of `qmd train`: a strict, frozen schema like that of a run (`qmd.config`)."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from qmd.config.base import Config, Count, Name, Seed
from qmd.jobs.config import ExecutorConfig, Line, not_both

MAY_CHANGE_ON_RESUME = (
    "dataset", "test_dataset", "extra_dataset", "workers", "executor", "name", "description",
    "citation", "licence", "level_of_theory", "starts.average",
)  # fmt: skip
"""Keys that do not change the numbers of a start; data is known by its hash."""

EnergyUnit = Literal["eV", "meV", "Hartree", "kcal/mol", "kJ/mol"]
Share = Count | Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
Layers = Annotated[int, Field(ge=1, le=200)]
Symbol = Annotated[str, Field(pattern="^[A-Z][a-z]?$")]
Cutoff = Annotated[float, Field(gt=0.5, le=100)]
"""angstrom; the first Gaussian of a network is at 0.5."""
Channels = Annotated[int, Field(ge=2, le=12, multiple_of=2)]


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


class StartConfig(Config):
    """Random numbers that a circuit begins with."""

    scale_per_A: Positive = 0.5
    """Scale alpha (1/angstrom) of the encoded vectors."""
    coupling_spread: NotNegative = 0.3
    """Standard deviation (rad) of the couplings."""


class LiHConfig(Config):
    """Symmetry-invariant circuit of LiH on 4 qubits."""

    kind: Literal["sivqlm-lih"]
    """The architecture."""
    layers: Layers = 22
    """Trainable layers."""
    blocks: Annotated[int, Field(ge=1, le=20)] = 1
    """Blocks of gates in a layer."""
    start: StartConfig = StartConfig()
    """Random numbers to begin with."""


class WaterConfig(Config):
    """Symmetry-invariant circuit of H2O on 4 qubits."""

    kind: Literal["sivqlm-h2o"]
    """The architecture."""
    layers: Layers = 11
    """Trainable layers."""
    blocks: Annotated[int, Field(ge=1, le=20)] = 2
    """Blocks of gates in a layer."""
    symmetry_breaking: bool = False
    """One RZ angle a layer: more freedom, but no longer invariant under rotation."""
    start: StartConfig = StartConfig()
    """Random numbers to begin with."""


class DimerConfig(Config):
    """Symmetry-invariant circuit of (H2O)2 on 6 qubits and an ancilla."""

    kind: Literal["sivqlm-dimer"]
    """The architecture."""
    layers: Layers = 30
    """Trainable layers."""
    symmetry_breaking: bool = False
    """One RZ angle a layer: more freedom, but no longer invariant under rotation."""
    start: StartConfig = StartConfig()
    """Random numbers to begin with."""


class DensityDimerConfig(Config):
    """Interaction of two H2O: a circuit on vector densities beside pair terms, switched off."""

    kind: Literal["density-dimer"]
    """The architecture."""
    layers: Layers = 6
    """Trainable layers."""
    vectors: Literal["densities", "positions"] = "densities"
    """What is encoded: densities of neighbours, or positions about the O-O midpoint."""
    radial: Annotated[int, Field(ge=2, le=100)] = 14
    """Gaussians of each radial function, for densities."""
    circuits: Annotated[int, Field(ge=0, le=8)] = 1
    """Circuits that are added up."""
    baseline: bool = True
    """Whether classical pair terms (charges, repulsion, dispersion) are added, and trained."""
    circuit_from_A: Positive = 2.0
    """O-O distance (angstrom) at which the energy of the circuits begins to fade."""
    circuit_to_A: Positive = 7.0
    """O-O distance (angstrom) beyond which there is none of it."""
    switch_from_A: Positive = 6.5
    """O-O distance (angstrom) at which the pair terms begin to fade."""
    switch_to_A: Positive = 9.0
    """O-O distance (angstrom) beyond which there are none."""
    monomer: Name | None = None
    """Potential of one water: the package is then of the total energy, to run; default: none."""
    wall_eV_per_A3: Positive = 100.0
    """Stiffness of the wall below the shortest distances of the data, with a monomer."""

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


class VqlmLiHConfig(Config):
    """Generic circuit on the bond length of LiH, 3 qubits: the baseline."""

    kind: Literal["vqlm-lih"]
    """The architecture."""
    layers: Layers = 13
    """Trainable layers."""


class VqlmWaterConfig(Config):
    """Generic circuit on the bond lengths and the angle of H2O, 3 qubits: the baseline."""

    kind: Literal["vqlm-h2o"]
    """The architecture."""
    layers: Layers = 11
    """Trainable layers."""


class PolynomialConfig(Config):
    """Permutationally invariant polynomial of all distances of a small molecule: the peer."""

    kind: Literal["polynomial"]
    """The architecture."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=6)]
    """Chemical symbols in the atom order of the labels."""
    degree: Annotated[int, Field(ge=1, le=12)]
    """Of the polynomial; water has 71 numbers at degree 7."""


class AtomCentredNetworkConfig(Config):
    """A small circuit for each atom on vector densities of its neighbours, shared by element."""

    kind: Literal["qnn-revised"]
    """The architecture."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)]
    """Chemical symbols in the atom order of the labels."""
    elements: Annotated[list[Symbol], Field(min_length=1, max_length=20)] | None = None
    """Elements that the numbers are for; default: those of the atoms."""
    qubits: Channels = 4
    """Channels of a circuit, an even number."""
    layers: Layers = 4
    """Trainable layers."""
    radial: Annotated[int, Field(ge=2, le=100)] = 12
    """Gaussians of each radial function."""
    cutoff_A: Cutoff = 5.0
    """Where neighbours end, angstrom."""
    scalars: bool = True
    """Whether couplings, and weights of the observables, depend on the neighbours as well."""

    @field_validator("elements")
    @classmethod
    def _has_its_own(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if value is not None and not set(info.data.get("species", [])) <= set(value):
            raise ValueError("must have all elements of model.species")
        return value

    control: Literal["uncoupled", "frozen"] | None = None
    """A control experiment, by stages gauss_newton: no couplings between the qubits, or a random
    circuit whose numbers stay as they are drawn, with trained weights of its observables; default:
    none."""


class PerceptronConfig(Config):
    """The classical control of qnn-revised: a perceptron on dot products of its vectors."""

    kind: Literal["perceptron"]
    """The architecture."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)]
    """Chemical symbols in the atom order of the labels."""
    vectors: Annotated[int, Field(ge=1, le=100)] = 10
    """Vector densities of an atom."""
    scalars: Annotated[int, Field(ge=0, le=100)] = 10
    """Scalar densities of an atom."""
    hidden: Annotated[int, Field(ge=1, le=200)] = 16
    """Units of each of two hidden layers."""
    radial: Annotated[int, Field(ge=2, le=100)] = 12
    """Gaussians of each radial function."""
    cutoff_A: Cutoff = 5.0
    """Where neighbours end, angstrom."""


class InitialConfig(Config):
    """A small circuit for each atom, with a qubit for each of its nearest neighbours, by name."""

    kind: Literal["qnn-initial"]
    """The architecture."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)]
    """Chemical symbols in the atom order of the labels."""
    qubits: Channels = 4
    """Neighbours of an atom, an even number."""
    layers: Layers = 4
    """Trainable layers."""

    @field_validator("qubits")
    @classmethod
    def _has_so_many_neighbours(cls, value: int, info: ValidationInfo) -> int:
        others = len(info.data.get("species", [])) - 1
        if value > others:
            raise ValueError(f"an atom has {others} neighbours")
        return value


class PackageModelConfig(Config):
    """A trained potential, to go on from."""

    kind: Literal["package"]
    """Begin with the numbers of a package."""
    name: Name
    """Name of an installed package, or the path of a .qmdp file relative to this file."""
    spread: NotNegative = 0.0
    """Standard deviation of noise on its numbers, for more than one start."""


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
        if not isinstance(self.model, AtomCentredNetworkConfig):
            raise ValueError("has together, which needs model.kind: qnn-revised")
        if any(stage.kind != "gauss_newton" for stage in self.stages):
            raise ValueError("has together, which needs stages of kind gauss_newton")
        molecules = [tuple(self.model.species), *(tuple(o.species) for o in self.together)]
        if len(set(molecules)) < len(molecules):
            raise ValueError("has together, which names a molecule twice")
        known = {*self.model.species, *(self.model.elements or [])}
        if missing := {s for other in self.together for s in other.species} - known:
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
        if self.model.kind in ("perceptron", "polynomial", "vqlm-lih", "vqlm-h2o"):
            raise ValueError(f"has model.kind: {self.model.kind}, which needs backend: jax")
        return self
