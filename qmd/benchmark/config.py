"""Strict, frozen schema of the input of `qmd benchmark`; see `qmd.config.base`."""

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
    """Keys that all measures share."""

    name: Title | None = None
    """Name of its folder and table; default: its kind. Two measures of one kind need two names."""
    potentials: Annotated[list[Label], Field(min_length=1)] | None = None
    """Labels of the potentials to measure; default: all."""


class ErrorsConfig(MeasureConfig):
    """Errors of energies and forces on labelled geometries."""

    kind: Literal["errors"]
    """Errors on labels, after a constant offset of the energies."""
    dataset: Name | None = None
    """File of labels, relative to this file, of which all frames are used."""
    test_frames_of: Name | None = None
    """Input file of a training, relative to this file, whose unseen test frames are used."""
    below_eV: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Use only frames with an energy less than this (eV) above the lowest; default: all."""
    frames: Count | None = None
    """Use only the first `frames` frames; default: all."""

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
    """Folder of the trajectory, relative to this file."""
    every: Count = 1
    """Use every `every`-th frame only."""


class NVEConfig(MeasureConfig):
    """Energy conservation of runs at constant energy."""

    kind: Literal["nve"]
    """Energy drift at constant energy."""
    structure: Name
    """Structure, as in the input of a run."""
    temperature_K: Temperature
    """Temperature of the initial velocities (K)."""
    timesteps_fs: Annotated[list[Timestep], Field(min_length=1, max_length=20)]
    """Time steps to measure (fs)."""
    length_ps: Length
    """Length of each run (ps)."""
    seeds: Seeds = 3
    """Number of initial states, the same for all potentials."""


class StabilityConfig(MeasureConfig):
    """Time until a run at constant temperature fails."""

    kind: Literal["stability"]
    """Time to failure in a thermostat."""
    structure: Name
    """Structure, as in the input of a run."""
    temperatures_K: Annotated[list[Temperature], Field(min_length=1, max_length=20)]
    """Temperatures of the initial velocities and of the thermostat (K)."""
    timestep_fs: Timestep = 0.5
    """Time step (fs)."""
    friction_per_ps: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Friction of the thermostat (1/ps)."""
    length_ps: Length
    """Length of each run (ps)."""
    seeds: Seeds = 5
    """Number of initial states and noise sequences, the same for all potentials."""
    stretch: Annotated[float, Field(gt=1, le=10)] = 1.75
    """Largest change of a bond length, as a factor up or down from the structure; beyond it a run
    fails. A run also fails if energy, force or displacement diverge."""


class SymmetryConfig(MeasureConfig):
    """Change of energy and forces under transformations that must not change them."""

    kind: Literal["symmetry"]
    """Errors under rotation, reflection, and exchange of equal atoms."""
    structure: Name
    """Structure, as in the input of a run."""
    geometries: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Number of random distortions of the structure, of 0.05 angstrom."""


class SpeedConfig(MeasureConfig):
    """Time of a force evaluation, of a step, and of starting a run, interleaved over potentials."""

    kind: Literal["speed"]
    """Times, interleaved in one process, after all other measures."""
    structure: Name
    """Structure, as in the input of a run."""
    rounds: Annotated[int, Field(ge=2, le=1000)] = 9
    """Number of samples of each, of which the medians are reported."""
    starts: Annotated[int, Field(ge=1, le=1000)] = 3
    """Number of new processes that are started, of which the median time is reported."""


class ResourcesConfig(MeasureConfig):
    """Resources that the circuits of a potential need on a quantum computer."""

    kind: Literal["resources"]
    """Qubits, gates and evaluations of circuits; number of parameters of all potentials."""
    structure: Name
    """Structure, as in the input of a run."""


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
    """Paragraph below the heading."""
    potentials: Annotated[dict[Label, Potential], Field(min_length=1, max_length=100)]
    """Mapping of labels to potentials. A potential is a name, a .qmdp path relative to this file,
    or a mapping, as in the input of a run."""
    measures: Annotated[
        list[Annotated[AnyMeasure, Field(discriminator="kind")]],
        Field(min_length=1, max_length=100),
    ]
    """Measures to take."""
    executor: Annotated[ExecutorConfig, Field(discriminator="kind")] = SerialConfig(kind="serial")
    """Executor of the measurements; speed is always measured in this process, alone."""

    @model_validator(mode="after")
    def _labels_are_known(self) -> "BenchmarkConfig":
        for measure in self.measures:
            unknown = set(measure.potentials or ()) - set(self.potentials)
            if unknown:
                raise ValueError(f"measures name unknown potentials: {sorted(unknown)}")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> "BenchmarkConfig":
        names = [measure.name or measure.kind for measure in self.measures]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two measures are called {twice[0]}; give them names")
        return self
