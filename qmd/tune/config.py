"""Strict, frozen schema of the input of `qmd tune`; see `qmd.config.base`."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from qmd.config.base import Config, Count, Name, Seed
from qmd.jobs.config import ExecutorConfig, SerialConfig

Key = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.([A-Za-z_]\w*|[0-9]{1,3}))*$", max_length=200)]
Value = str | int | float | bool | None
Quantity = Literal["forces_rmse_meV_per_A", "energy_rmse_meV", "inference_us", "parameters"]
Number = Annotated[float, Field(ge=-1e12, le=1e12)]
Whole = Annotated[int, Field(ge=-(10**9), le=10**9)]
RANGES = "real", "log", "integer", "log_integer", "choice"


class ParameterConfig(Config):
    """Values of a key of the training input: one of the keys but `step`."""

    real: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest number."""
    log: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest positive number; equal factors are equally far apart."""
    integer: Annotated[list[Whole], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest whole number, both included."""
    log_integer: Annotated[list[Whole], Field(min_length=2, max_length=2)] | None = None
    """Lowest and highest positive whole number; equal factors are equally far apart."""
    choice: Annotated[list[Value], Field(min_length=2, max_length=20)] | None = None
    """Values without order."""
    step: Annotated[int, Field(ge=1, le=10**6)] = 1
    """Distance of the whole numbers of `integer`."""

    @property
    def range(self) -> str:
        """Name of the key that is set."""
        return next(name for name in RANGES if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _one_range(self) -> Self:
        given = [name for name in RANGES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"must have exactly one of {', '.join(RANGES)}")
        values = getattr(self, given[0])
        if self.step != 1 and given != ["integer"]:
            raise ValueError(f"has step, which needs integer, not {given[0]}")
        if given == ["choice"]:
            if len({repr(value) for value in values}) < len(values):
                raise ValueError("has a choice with the same value twice")
        elif not values[0] < values[1]:
            raise ValueError(f"has {given[0]}, whose first number must be below the second")
        elif given[0].startswith("log") and values[0] <= 0:
            raise ValueError(f"has {given[0]}, whose numbers must be positive")
        elif given == ["integer"] and values[0] + self.step > values[1]:
            raise ValueError("has a step that leaves one value only")
        return self


class SamoCobraConfig(Config):
    """Interpolants of all objectives and constraints; few evaluations."""

    kind: Literal["samo_cobra"]
    """SAMO-COBRA (de Winter, van Stein and Back, 2021)."""
    criterion: Literal["PHV", "SMS"] = "PHV"
    """Merit of the next point: the hypervolume that its predicted objectives gain, or these less
    one standard error."""


class NSGA2Config(Config):
    """Genetic algorithm; many evaluations."""

    kind: Literal["nsga2"]
    """NSGA-II of optuna (extra `tune`)."""
    population: Annotated[int, Field(ge=2, le=10_000)] = 50
    """Number of points in a generation."""


class TPEConfig(Config):
    """Densities of good and of bad points."""

    kind: Literal["tpe"]
    """Tree of Parzen estimators of optuna (extra `tune`)."""


class TuneConfig(Config):
    """The input of `qmd tune`."""

    input: Name
    """Input file of a training, relative to this file."""
    parameters: Annotated[dict[Key, ParameterConfig], Field(min_length=1, max_length=30)]
    """Keys of the input of the training, such as model.layers or stages.0.learning_rate, each with
    its values."""
    objectives: Annotated[list[Quantity], Field(min_length=1, max_length=4)]
    """Quantities to minimise: errors on the validation frames, CPU time of energy and forces at one
    geometry on one core (us), number of parameters."""
    constraints: Annotated[
        dict[Quantity, Annotated[float, Field(gt=0, le=1e12)]], Field(max_length=4)
    ] = {}
    """Largest allowed values; default: no constraint."""
    reference: (
        Annotated[dict[Quantity, Annotated[float, Field(gt=0, le=1e12)]], Field(max_length=4)]
        | None
    ) = None
    """Reference point of the hypervolume, one value for each objective; points beyond it do not
    count. Default: a tenth of the spread of the Pareto front behind its worst values."""
    method: Annotated[SamoCobraConfig | NSGA2Config | TPEConfig, Field(discriminator="kind")] = (
        SamoCobraConfig(kind="samo_cobra")
    )
    """Method of the search."""
    evaluations: Count | None = None
    """Number of trainings; default: 40 for each coordinate of the search."""
    batch: Annotated[int, Field(ge=1, le=1024)] = 1
    """Number of trainings between two choices of points; more than 1 is for several workers."""
    seed: Seed = 0
    """Seed of the search. The trainings have those of their input."""
    executor: Annotated[ExecutorConfig, Field(discriminator="kind")] = SerialConfig(kind="serial")
    """Executor of the trainings; default: one after the other in this process, each on the cores
    that its input names."""

    @field_validator("objectives")
    @classmethod
    def _each_once(cls, value: list[Quantity]) -> list[Quantity]:
        if len(set(value)) < len(value):
            raise ValueError("names an objective twice")
        return value

    @model_validator(mode="after")
    def _reference_of_all(self) -> Self:
        if self.reference is not None and set(self.reference) != set(self.objectives):
            raise ValueError(
                f"has a reference that must name the objectives: {', '.join(self.objectives)}"
            )
        return self
