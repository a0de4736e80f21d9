"""Building blocks of the schemas of all inputs: strict sections, and types with bounds."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag


def integral(value: object) -> object:
    """Return a whole float such as ``1e6`` as an integer; above 2**53 it is ambiguous, and kept."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


def _hours(value: object) -> object:
    """Return the hours of a duration such as ``1:30:00``, which YAML 1.1 reads as 5400."""
    if isinstance(value, str) and re.fullmatch(_DURATION, value):
        hours, minutes, seconds = map(int, value.split(":"))
        return hours + minutes / 60 + seconds / 3600
    return value


def as_package(value: object) -> object:
    """Return the section of the package that plain text, in place of a potential, names."""
    return {"kind": "package", "name": value} if isinstance(value, str) else value


_DURATION = "^[0-9]{1,6}:[0-5][0-9]:[0-5][0-9]$"


Name = Annotated[str, Field(min_length=1, max_length=4096)]


Count = Annotated[int, Field(ge=1, le=10**12), BeforeValidator(integral)]


Seed = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(integral)]


Timestep = Annotated[float, Field(gt=0, le=20)]


Temperature = Annotated[float, Field(gt=0, le=100_000)]


Hours = Annotated[float, Field(gt=0, le=10_000)]


Positive = Annotated[float, Field(gt=0, le=1_000_000)]


WallTime = Annotated[
    Hours,
    BeforeValidator(
        _hours, json_schema_input_type=Hours | Annotated[str, Field(pattern=_DURATION)]
    ),
]


class Config(BaseModel):
    """Base of all input sections: frozen, strict, no unknown keys, finite numbers."""

    renamed_keys: ClassVar[Mapping[str, str]] = {}
    """Present names of keys of earlier releases, which still work; both dotted, from the top."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        field_title_generator=lambda name, _: name,
    )


class RampConfig(Config):
    """Temperature that changes linearly with the step, and then stays."""

    from_K: Temperature
    """Temperature (K) of step 0."""
    to_K: Temperature
    """Temperature (K) from step `steps` on."""
    steps: Count
    """Number of steps of the change, counted from the start of the run."""


def _kind_of_temperature(value: object) -> str:
    # `qmd.config.messages` leaves parts in angle brackets out of the paths of keys.
    return "<ramp>" if isinstance(value, dict | RampConfig) else "<number>"


TemperatureOrRamp = Annotated[
    Annotated[Temperature, Tag("<number>")] | Annotated[RampConfig, Tag("<ramp>")],
    Discriminator(_kind_of_temperature),
]
