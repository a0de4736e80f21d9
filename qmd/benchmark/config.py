"""The input of `qmd benchmark`: a strict, frozen schema like that of a run (`qmd.config`)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from qmd.config.base import Config, Count, Name, Temperature, Timestep
from qmd.forces.config import Potential
from qmd.jobs.config import ExecutorConfig, SerialConfig

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._()+/-]{0,59}$")]
Title = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$")]
Seeds = Annotated[int, Field(ge=1, le=1000)]
Length = Annotated[float, Field(gt=0, le=1e6)]
Text = Annotated[str, Field(max_length=2000)]


class MeasureConfig(Config):
    """What every measure has."""

    name: Title | None = None
    """Of its folder and of its columns; default: its kind. Two of one kind need two names."""
    potentials: Annotated[list[Label], Field(min_length=1)] | None = None
    """Those that are measured, by their labels; default: all."""


class ErrorsConfig(MeasureConfig):
    """Errors of energies and forces on labelled geometries."""

    kind: Literal["errors"]
    """Errors on labels, after a constant offset of the energies."""
    dataset: Name | None = None
    """Labels, relative to this file: all frames."""
    test_frames_of: Name | None = None
    """Input of a training, relative to this file: its test frames, which it has not seen."""
    below_eV: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Only frames of lower energy (eV) above the lowest; default: all."""
    frames: Count | None = None
    """Only the first so many; default: all."""

    @model_validator(mode="after")
    def _one_source(self) -> "ErrorsConfig":
        if (self.dataset is None) == (self.test_frames_of is None):
            raise ValueError("needs one of dataset and test_frames_of")
        return self


class PathConfig(MeasureConfig):
    """Errors along a reference trajectory."""

    kind: Literal["path"]
    """Errors along a trajectory of `qmd reference`."""
    reference: Name
    """Its folder, relative to this file."""
    every: Count = 1
    """Only every so many-th frame."""


class NVEConfig(MeasureConfig):
    """Energy conservation of runs at constant energy."""

    kind: Literal["nve"]
    """Drift at constant energy."""
    structure: Name
    """As in the input of a run."""
    temperature_K: Temperature
    """Of the thermal start (K)."""
    timesteps_fs: Annotated[list[Timestep], Field(min_length=1, max_length=20)]
    """Time steps (fs)."""
    length_ps: Length
    """Length (ps) of each run."""
    seeds: Seeds = 3
    """Starts, the same for all potentials."""


class StabilityConfig(MeasureConfig):
    """Time until a run at constant temperature fails."""

    kind: Literal["stability"]
    """Time to failure in a bath."""
    structure: Name
    """As in the input of a run."""
    temperatures_K: Annotated[list[Temperature], Field(min_length=1, max_length=20)]
    """Temperatures (K) of start and bath."""
    timestep_fs: Timestep = 0.5
    """Time step (fs)."""
    friction_per_ps: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Coupling to the bath (1/ps)."""
    length_ps: Length
    """Length (ps) of each run."""
    seeds: Seeds = 5
    """Starts and baths, the same for all potentials."""
    stretch: Annotated[float, Field(gt=1, le=10)] = 1.75
    """A run has failed when a bond is longer than this times its length in the structure, or
    shorter than the inverse; besides when energy, force or displacement run away."""


class SymmetryConfig(MeasureConfig):
    """Change of energy and forces under what must not change them."""

    kind: Literal["symmetry"]
    """Errors under rotation, reflection, and exchange of like atoms."""
    structure: Name
    """As in the input of a run."""
    geometries: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Random distortions of the structure, 0.05 angstrom wide."""


class SpeedConfig(MeasureConfig):
    """Time of a force, of a step, and of a start, measured in turn."""

    kind: Literal["speed"]
    """Times, interleaved in one process, after everything else."""
    structure: Name
    """As in the input of a run."""
    rounds: Annotated[int, Field(ge=2, le=1000)] = 9
    """Samples of each; medians are taken."""
    starts: Annotated[int, Field(ge=1, le=1000)] = 3
    """New processes for the time of a start; medians are taken."""


class ResourcesConfig(MeasureConfig):
    """What the circuit of a potential needs of a quantum computer."""

    kind: Literal["resources"]
    """Qubits, gates and evaluations of circuits; trained numbers of all."""
    structure: Name
    """As in the input of a run."""


AnyMeasure = (
    ErrorsConfig
    | PathConfig
    | NVEConfig
    | StabilityConfig
    | SymmetryConfig
    | SpeedConfig
    | ResourcesConfig
)


class BenchmarkConfig(Config):
    """The input of `qmd benchmark`."""

    title: Text
    """Heading of the page and of the report."""
    text: Text = ""
    """A paragraph below it."""
    potentials: Annotated[dict[Label, Potential], Field(min_length=1, max_length=100)]
    """Label -> name, .qmdp path relative to this file, or a mapping, as in the input of a run."""
    measures: Annotated[
        list[Annotated[AnyMeasure, Field(discriminator="kind")]],
        Field(min_length=1, max_length=100),
    ]
    """What is measured."""
    executor: Annotated[ExecutorConfig, Field(discriminator="kind")] = SerialConfig(kind="serial")
    """Where it runs; speed is always measured here, alone."""

    @model_validator(mode="after")
    def _labels_are_known(self) -> "BenchmarkConfig":
        for measure in self.measures:
            unknown = set(measure.potentials or ()) - set(self.potentials)
            if unknown:
                raise ValueError(f"measures name potentials that are not there: {sorted(unknown)}")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> "BenchmarkConfig":
        names = [measure.name or measure.kind for measure in self.measures]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two measures are called {twice[0]}; give them names")
        return self
