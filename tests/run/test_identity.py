"""The identity of a run: every key of its input and every array of its start is a part of it."""

import dataclasses
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest

from qmd.config.base import Config
from qmd.config.schema import json_schema
from qmd.run.config import MAY_CHANGE_ON_RESUME, RunConfig
from qmd.run.setup import _identity
from qmd.system.system import System

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of placeholders

X = np.array([[0.0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
WATER = System(np.array([8, 1, 1]), X, np.array([15.999, 1.008, 1.008]), 0 * X, "water")


FREE = {"steps", "wall_time_h", "output", "threads", "guards.on_failure"}
"""Keys, or sections, that change no step: how many are made, where, and what is written of them."""


def sections(annotation: Any) -> Iterator[type[Config]]:
    """Schemas of the sections that may stand where a type is asked for."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    elif not isinstance(annotation, str):
        for part in get_args(annotation):
            yield from sections(part)


def filled(section: type[Config], key: str, value: str) -> RunConfig:
    """An input with `value` under a key of one section, and `one` under all others."""
    ones: dict[str, Any] = dict.fromkeys(RunConfig.model_fields, "one")
    if section is RunConfig:
        return RunConfig.model_construct(**(ones | {key: value}))
    below = section.model_construct(**(dict.fromkeys(section.model_fields, "one") | {key: value}))
    place = next((name for name, field in fields(RunConfig) if section in field), None)
    if place is not None:
        return RunConfig.model_construct(**(ones | {place: below}))
    place, outer, inner = next(
        (name, part, inner)
        for name, field in fields(RunConfig)
        for part in field
        for inner, nested in fields(part)
        if section in nested
    )
    around = outer.model_construct(**(dict.fromkeys(outer.model_fields, "one") | {inner: below}))
    return RunConfig.model_construct(**(ones | {place: around}))


def fields(section: type[Config]) -> Iterator[tuple[str, list[type[Config]]]]:
    """Keys of a section, each with the sections that may stand there."""
    for name, field in section.model_fields.items():
        yield name, list(sections(field.annotation))


def keys() -> Iterator[tuple[str, type[Config], str]]:
    """Dotted path of each key of the schema, its section and its name in it."""
    for name, field in fields(RunConfig):
        yield name, RunConfig, name
        for part in field:
            for key, nested in fields(part):
                yield f"{name}.{key}", part, key
                for inner in nested:
                    yield from (
                        (f"{name}.{key}.{last}", inner, last) for last in inner.model_fields
                    )


KEYS = {f"{path} of {section.__name__}": (path, section, key) for path, section, key in keys()}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_changes_the_identity_or_is_listed_as_free(name: str) -> None:
    path, section, key = KEYS[name]
    one, two = (_identity(filled(section, key, value), WATER) for value in ("1", "2"))
    assert (one == two) == bool({path, path.partition(".")[0]} & FREE)


def test_the_walk_reaches_every_section_and_every_free_key() -> None:
    in_sections = {section.__name__ for _, section, _ in KEYS.values()}
    assert in_sections == {"RunConfig", *json_schema(RunConfig)["$defs"]}
    assert {path for path, _, _ in KEYS.values()} >= FREE == set(MAY_CHANGE_ON_RESUME)


NOT_OF_THE_START = {"name", "charge", "multiplicity"}
"""A name changes nothing; electrons are a part of the potential, whose hash a run also keeps."""


@pytest.mark.parametrize(
    "field", [f.name for f in dataclasses.fields(System) if f.name not in NOT_OF_THE_START]
)
def test_every_array_of_the_start_changes_the_identity(field: str) -> None:
    config = filled(RunConfig, "seed", "one")
    array = getattr(WATER, field).copy()
    array.flat[-1] += 1
    other = dataclasses.replace(WATER, **{field: array})
    assert _identity(config, other) != _identity(config, WATER)


def test_no_velocities_are_others_than_zero_velocities() -> None:
    config = filled(RunConfig, "seed", "one")
    assert _identity(config, dataclasses.replace(WATER, velocities=None)) != _identity(
        config, WATER
    )
