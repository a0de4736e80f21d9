"""Read an input file, with overrides, into a checked and frozen config."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from qmd.config.base import Config, as_package
from qmd.config.messages import dotted, input_error, shown
from qmd.config.strict_yaml import MAX_BYTES, Document, KeyPath, parse, parse_scalar
from qmd.errors import InputError, quoted
from qmd.io.files import read_regular_file

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class LoadedConfig(Generic[C]):
    """A checked input.

    Attributes
    ----------
    config : Config
        The input with every default filled in.
    path : Path
        Absolute path of the file; paths inside the input are relative to its folder.
    text, sha256 : str
        `config` as canonical JSON, and its SHA-256; a resumed run must have the same.
    notes : tuple of str
        Lines for the user, such as deprecations.
    """

    config: C
    path: Path
    text: str
    sha256: str
    notes: tuple[str, ...] = ()


Changes = Sequence[str] | Mapping[str, Any]
"""Changes of an input: ``key.path=value`` each, as on the command line, or values by dotted key."""


def load(path: str | Path, schema: type[C], overrides: Changes = ()) -> LoadedConfig[C]:
    """Read an input file of any `schema`, as `load_config` does for runs."""
    return _checked(read_document(path), Path(path), schema, overrides)


def from_mapping(
    data: Mapping[str, Any], path: Path, schema: type[C], overrides: Changes = ()
) -> LoadedConfig[C]:
    """Check an input that is no file: what the file would hold, as nested mappings.

    Parameters
    ----------
    data : mapping
        Keys and values of the file. Paths, tuples and numbers of NumPy are taken, too.
    path : Path
        Where the file would be; paths inside the input are relative to its folder.
    schema : type
    overrides : sequence of str or mapping

    Raises
    ------
    InputError
        In one line: key path, what was expected and what was found.
    """
    document = Document(_plain_data(data), f"input of {path.stem}", {})
    return _checked(document, path, schema, overrides)


def _checked(
    document: Document, path: Path, schema: type[C], overrides: Changes
) -> LoadedConfig[C]:
    set_paths = _override_all(document.data, overrides)
    for set_path in set_paths:
        if set_paths.count(set_path) > 1:
            raise InputError(f"--set: {dotted(set_path)} is given twice")
    notes = _rename(document, set_paths, schema)
    try:
        config = schema.model_validate(document.data)
    except ValidationError as error:
        raise input_error(error, schema, document, set_paths) from None
    return of_config(config, path, notes)


def of_config(config: C, path: Path, notes: tuple[str, ...] = ()) -> LoadedConfig[C]:
    """Return a checked config as if it had been read from `path`."""
    text = json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return LoadedConfig(config, Path(os.path.abspath(path)), text, digest, notes)


def rename_keys(data: dict[str, Any], renamed: Mapping[str, str]) -> list[tuple[KeyPath, KeyPath]]:
    """Give keys of earlier releases their present names, in place.

    Parameters
    ----------
    data : dict
        An input as plain dicts and lists.
    renamed : mapping
        Old and new names, dotted, which differ in their last part.

    Returns
    -------
    list of (old path, new path)
        Keys that were renamed.

    Raises
    ------
    InputError
        If a key is given under both names.
    """
    found: list[tuple[KeyPath, KeyPath]] = []
    for old, new in renamed.items():
        *parents, key = old.split(".")
        section: Any = data
        for parent in parents:
            section = section.get(parent) if isinstance(section, dict) else None
        if not isinstance(section, dict) or key not in section:
            continue
        new_key = new.rpartition(".")[2]
        if new_key in section:
            raise InputError(f"{old} is the old name of {new}; keep only {new}")
        section[new_key] = section.pop(key)
        found.append(((*parents, key), (*parents, new_key)))
    return found


def _rename(document: Document, set_paths: list[KeyPath], schema: type[Config]) -> tuple[str, ...]:
    """Rename keys of earlier releases in a document; return a note on each."""
    notes = []
    for old, new in rename_keys(document.data, schema.renamed_keys):
        where = "--set" if old in set_paths else document.where(old)
        notes.append(
            f"{where}: {dotted(old)} is now {dotted(new)}; the old name will be removed in "
            "release 0.3"
        )
        for path in [path for path in document.lines if path[: len(old)] == old]:
            document.lines[*new, *path[len(old) :]] = document.lines.pop(path)
        set_paths[:] = [new if path == old else path for path in set_paths]
    return tuple(notes)


def read_document(path: str | Path) -> Document:
    """Read a YAML file without a schema.

    Raises
    ------
    InputError
        In one line, with the line of the file.
    """
    inside = Path(path, "input.yaml")
    if os.path.isfile(inside):
        raise InputError(f"{quoted(str(path))} is a directory; expected a file", f"give {inside}")
    content = read_regular_file(path, MAX_BYTES, "`qmd init` prints an example of an input")
    return parse(_decode(content, str(path)), str(path))


def changed_keys(
    old: dict[str, Any], new: dict[str, Any], ignoring: Collection[str] = ()
) -> list[str]:
    """Return the differences of two inputs, such as ``integrator.timestep_fs: 0.5 -> 0.25``.

    Parameters
    ----------
    old, new : dict
        Plain dicts, as `json.loads` gives them from `LoadedConfig.text`.
    ignoring : collection of str
        Dotted keys or sections that may differ, such as `MAY_CHANGE_ON_RESUME`.
    """
    before, after = dict(leaves(old)), dict(leaves(new))
    differences = []
    for path in sorted(before.keys() | after.keys()):
        ignored = any(dotted(path[:n]) in ignoring for n in range(1, len(path) + 1))
        was, now = before.get(path, _ABSENT), after.get(path, _ABSENT)
        if was != now and not ignored:
            differences.append(f"{dotted(path)}: {_plain(was)} -> {_plain(now)}")
    return differences


def _decode(content: bytes, source: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{source}:{line}: byte 0x{content[error.start]:02x} is not UTF-8 text",
            hint="save the file as UTF-8",
        ) from None


def _plain_data(value: Any) -> Any:
    """Return the plain dicts, lists and scalars that a file would hold in the place of `value`."""
    match value:
        case Mapping():
            return {str(key): _plain_data(child) for key, child in value.items()}
        case list() | tuple():
            return [_plain_data(child) for child in value]
        case os.PathLike():
            return os.fspath(value)
    # Scalars and arrays of NumPy, which is not imported for this.
    return value.tolist() if hasattr(value, "tolist") else value


def _override_all(data: dict[str, Any], overrides: Changes) -> list[KeyPath]:
    """Put all changes into `data` and return their paths."""
    if isinstance(overrides, str):
        overrides = [overrides]
    if not isinstance(overrides, Mapping):
        return [_override(data, text) for text in overrides]
    paths: list[KeyPath] = []
    for key, value in overrides.items():
        path = tuple(part.strip() for part in key.split("."))
        if not all(path):
            raise InputError(
                f"--set {quoted(key)}: expected a key such as steps or system.structure"
            )
        paths.append(_put(data, path, _plain_data(value)))
    return paths


def _override(data: dict[str, Any], text: str) -> KeyPath:
    """Put one ``key.path=value`` into `data` and return its path."""
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise InputError(
            f"--set {quoted(text)}: expected key=value",
            hint="for example --set integrator.temperature_K=350",
        )
    try:
        scalar = parse_scalar(value)
    except InputError as error:
        raise InputError(
            f"--set: {dotted(path)}: {error.message}", _plain_advice(path, value)
        ) from None
    return _put(data, path, scalar)


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> KeyPath:
    """Put `value` into `data`, and return its path; sections that are missing are made.

    An item of a list is named by its place, from 0.
    """
    node: Any = data
    found: KeyPath = ()
    for n, part in enumerate(path):
        key: Any = part
        if isinstance(node, list):
            if not part.isdecimal() or int(part) >= len(node):
                raise InputError(
                    f"--set: {dotted(path[:n])} is a list of {len(node)}, without item {part}",
                    "items are counted from 0",
                )
            key = int(part)
        elif not isinstance(node, dict):
            raise InputError(f"--set: {dotted(path[:n])} is {shown(node)}, not a mapping")
        found = (*found, key)
        if n == len(path) - 1:
            node[key] = value
            break
        child = node[key] if isinstance(node, list) else node.setdefault(key, {})
        if key == "potential":
            child = node[key] = as_package(child)
        node = child
    return found


def _plain_advice(path: KeyPath, value: str) -> str | None:
    """Advise what to do where `--set` is given a YAML mapping or list."""
    match value.strip()[:1]:
        case "{":
            return f"set the keys of the section one by one: --set {dotted(path)}.KEY=VALUE"
        case "[":
            return "write the list in the input file"
    return None


_ABSENT = object()


def _plain(value: object) -> str:
    return "(absent)" if value is _ABSENT else json.dumps(value)


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the path and the value of each leaf of nested dicts."""
    if not isinstance(node, dict):
        yield path, node
        return
    for key, child in node.items():
        yield from leaves(child, (*path, key))
