"""Strict, frozen schema of the input of `qmd ensemble`; see `qmd.config.base`."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from qmd.config.base import Config, Name, Seed
from qmd.jobs.config import ExecutorConfig, ProcessesConfig

Key = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", max_length=200)]
Value = str | int | float | bool | None


class RangeConfig(Config):
    """Range of consecutive whole numbers, such as seeds."""

    first: Seed
    """First number."""
    last: Seed
    """Last number, included."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= self.last - self.first < 100_000:
            raise ValueError("must have last >= first, and at most 100000 numbers")
        return self


def _listed(values: object) -> object:
    """Return the list that a mapping with first and last stands for."""
    if isinstance(values, dict):
        numbers = RangeConfig.model_validate(values)
        return list(range(numbers.first, numbers.last + 1))
    return values


Values = Annotated[
    list[Value],
    Field(min_length=1, max_length=100_000),
    BeforeValidator(_listed, json_schema_input_type=list[Value] | RangeConfig),
]
Axis = Annotated[dict[Key, Values], Field(min_length=1)]


class EnsembleConfig(Config):
    """The input of `qmd ensemble`."""

    input: Name
    """Input file of a run, relative to this file."""
    vary: Annotated[list[Axis], Field(min_length=1, max_length=10)]
    """Keys of the input, each with a list of values. All combinations of the items are run; the
    keys of one item change together."""
    executor: Annotated[ExecutorConfig, Field(discriminator="kind")] = ProcessesConfig(
        kind="processes"
    )
    """Executor of the runs; default: processes, on all available cores."""

    @field_validator("vary")
    @classmethod
    def _one_value_each(cls, axes: list[dict[str, list[Value]]]) -> list[dict[str, list[Value]]]:
        keys = [key for axis in axes for key in axis]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"has {twice[0]} twice")
        for axis in axes:
            lengths = {key: len(values) for key, values in axis.items()}
            if len(set(lengths.values())) > 1:
                counts = ", ".join(f"{key} {n}" for key, n in lengths.items())
                raise ValueError(
                    f"has keys that go together with lists of unequal length: {counts}"
                )
        return axes
