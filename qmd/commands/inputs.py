"""Inputs of commands in any form: a file, a mapping, or the config object."""

from collections.abc import Callable, Mapping
from multiprocessing import current_process
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from qmd.config.base import Config
from qmd.config.load import Changes, LoadedConfig, from_mapping, load, of_config
from qmd.errors import InputError

C = TypeVar("C", bound=Config)

Input: TypeAlias = str | PathLike[str] | Mapping[str, Any] | C | LoadedConfig[C]
"""Path of a file, mapping of its keys, or config; without a file, paths are relative to the
current folder, and the outputs go where they would for a file there."""


def loaded(
    given: Input[C], schema: type[C], name: str, changes: Changes, log: Callable[[str], None]
) -> LoadedConfig[C]:
    """Return the checked input, and log its notes, such as on keys with old names.

    Parameters
    ----------
    given : path, mapping, config or LoadedConfig
    schema : type
    name : str
        Name that a file of this kind has, without its suffix.
    changes : sequence of str or mapping
        Changes of keys, as `--set` makes them.
    log : callable
        Takes lines for the user.

    Raises
    ------
    InputError
        In one line, if the input is wrong.
    """
    _refuse_in_a_worker()
    checked = _checked(given, schema, Path(f"{name}.yaml"), changes)
    for line in checked.notes:
        log(line)
    return checked


def _checked(given: Input[C], schema: type[C], here: Path, changes: Changes) -> LoadedConfig[C]:
    match given:
        case LoadedConfig():
            if not changes:
                return given
            return from_mapping(given.config.model_dump(mode="json"), given.path, schema, changes)
        case Mapping():
            return from_mapping(given, here, schema, changes)
        case str() | PathLike():
            return load(Path(given), schema, changes)
    if isinstance(given, schema):
        return _checked(of_config(given, here), schema, here, changes)
    raise InputError(
        f"expected the path of an input file, a mapping or a {schema.__name__}, got a "
        f"{type(given).__name__}"
    )


def _refuse_in_a_worker() -> None:
    """Refuse calls of a script that a new worker process imports, as each of them does first."""
    if getattr(current_process(), "_inheriting", False):
        raise InputError(
            "a worker process imports this script, which calls qmd again",
            hint='put the calls of the script under `if __name__ == "__main__":`',
        )
