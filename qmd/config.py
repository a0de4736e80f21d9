"""The input of a run: a strict, frozen schema, and errors that name file, line and key.

Units stand in the key names and stay the user's (fs, K, 1/ps); `qmd.system` and `qmd.build`
convert. Unknown keys, numbers given as text, true/false given as numbers, non-finite and
out-of-range values are errors, never guesses.
"""

import difflib
import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from qmd.errors import InputError, quoted
from qmd.strict_yaml import MAX_BYTES, Document, KeyPath, parse, parse_scalar

MAY_CHANGE_ON_RESUME = ("steps", "wall_time_h", "output")
"""Keys, or sections, that do not change the trajectory of a run that is continued."""


def _integral(value: object) -> object:
    """``1e6`` is a count; above 2**53 a float no longer says which integer was meant."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


def _hours(value: object) -> object:
    """Hours of a duration such as ``1:30:00``, which YAML 1.1 reads as the number 5400."""
    if isinstance(value, str) and re.fullmatch(_DURATION, value):
        hours, minutes, seconds = map(int, value.split(":"))
        return hours + minutes / 60 + seconds / 3600
    return value


def _package(value: object) -> object:
    """Bare text where a potential stands is the name of a package."""
    return {"kind": "package", "name": value} if isinstance(value, str) else value


_DURATION = "^[0-9]{1,6}:[0-5][0-9]:[0-5][0-9]$"
Name = Annotated[str, Field(min_length=1, max_length=4096)]
Count = Annotated[int, Field(ge=1, le=10**12), BeforeValidator(_integral)]
Seed = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_integral)]
Timestep = Annotated[float, Field(gt=0, le=20)]
Temperature = Annotated[float, Field(gt=0, le=100_000)]
Hours = Annotated[float, Field(gt=0, le=10_000)]


class Config(BaseModel):
    """Base of all input sections: frozen, strict, no unknown keys, finite numbers."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        field_title_generator=lambda name, _: name,
    )


class SystemConfig(Config):
    """The molecule and its first velocities."""

    structure: Name
    """Built-in name (h2o, lih, h2o-dimer) or a structure file, relative to this file."""
    velocities: Literal["thermal", "file", "zero"] = "thermal"
    """Maxwell-Boltzmann at temperature_K, those of the structure file, or none."""
    temperature_K: Annotated[float, Field(ge=0, le=100_000)] | None = Field(
        None, validate_default=True
    )
    """Temperature (K) of the thermal start."""
    exact_temperature: bool = False
    """Rescale the thermal start to exactly temperature_K."""
    remove_rotation: bool = False
    """Remove the overall rotation of the thermal start; translation is always removed."""

    @field_validator("temperature_K", "exact_temperature", "remove_rotation")
    @classmethod
    def _belongs_to_thermal(cls, value: object, info: ValidationInfo) -> object:
        velocities = info.data.get("velocities", "thermal")
        if velocities != "thermal" and value is not None and value is not False:
            raise ValueError(f"has no effect with `velocities: {velocities}`; remove it")
        if velocities == "thermal" and value is None:
            raise ValueError("is needed for the thermal start (`velocities: thermal`)")
        return value


class PotentialConfig(Config):
    """A trained potential."""

    kind: Literal["package"]
    """Only packages (.qmdp) so far."""
    name: Name
    """Name of an installed package, or the path of a .qmdp file relative to this file."""
    backend: Literal["native", "jax"] = "native"
    """Compiled kernel, or the JAX function."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Refuse the package if its SHA-256 is another one."""


class VelocityVerletConfig(Config):
    """Constant energy."""

    kind: Literal["velocity_verlet"]
    """The method."""
    timestep_fs: Timestep
    """Time step (fs); with O-H bonds 0.5 is usual, and above 2.8 no step is stable."""


class LangevinConfig(Config):
    """Constant temperature."""

    kind: Literal["langevin_baoab"]
    """The method."""
    timestep_fs: Timestep
    """Time step (fs)."""
    temperature_K: Temperature
    """Temperature (K) of the bath."""
    friction_per_ps: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """Coupling to the bath (1/ps), not a property of the molecule."""


class OutputConfig(Config):
    """How often results are written."""

    trajectory_every: Count = 100
    """Steps between frames of trajectory.nc."""
    log_every: Count = 100
    """Steps between rows of log.csv."""
    checkpoint_every: Count = 10_000
    """Steps between checkpoints, of which at most one a second is written."""


class GuardsConfig(Config):
    """When a run stops itself, with exit code 4."""

    max_force_eV_per_A: Annotated[float, Field(gt=0, le=1_000_000)] = 50.0
    """Largest force (eV/angstrom) on an atom."""
    max_displacement_A_per_step: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Largest displacement (angstrom) of an atom in one step."""
    on_leaving_domain: Literal["stop", "warn"] = "stop"
    """What to do beyond the stop level of the trained domain."""


IntegratorConfig = VelocityVerletConfig | LangevinConfig


class RunConfig(Config):
    """The input of `qmd run`."""

    system: SystemConfig
    """The molecule and its first velocities."""
    potential: Annotated[
        PotentialConfig, BeforeValidator(_package, json_schema_input_type=Name | PotentialConfig)
    ]
    """Name or .qmdp path of a potential, or a mapping with more settings."""
    integrator: Annotated[IntegratorConfig, Field(discriminator="kind")]
    """The method of integration."""
    steps: Count
    """Total number of steps: running the same input again continues to it."""
    seed: Seed = 1
    """Seed of the start velocities and of the bath."""
    output: OutputConfig = OutputConfig()
    """How often results are written."""
    guards: GuardsConfig = GuardsConfig()
    """When the run stops itself."""
    wall_time_h: (
        Annotated[
            Hours,
            BeforeValidator(
                _hours, json_schema_input_type=Hours | Annotated[str, Field(pattern=_DURATION)]
            ),
        ]
        | None
    ) = None
    """Stop in good time before this many hours, resumable; also h:mm:ss."""


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
        `config` as canonical JSON, and the SHA-256 of that: what a resumed run must match.
    """

    config: C
    path: Path
    text: str
    sha256: str


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> LoadedConfig[RunConfig]:
    """Read the input of a run.

    Parameters
    ----------
    path : str or Path
        A regular file.
    overrides : sequence of str
        ``key.path=value`` each, checked like the lines of the file.

    Raises
    ------
    InputError
        One line: file, line, key path, what was expected and what came.
    """
    return load(path, RunConfig, overrides)


def load(path: str | Path, schema: type[C], overrides: Sequence[str] = ()) -> LoadedConfig[C]:
    """Read an input file of any `schema`, as `load_config` does for runs."""
    document = parse(_decode(read_regular_file(path, MAX_BYTES), str(path)), str(path))
    set_paths = [_override(document.data, text) for text in overrides]
    for set_path in set_paths:
        if set_paths.count(set_path) > 1:
            raise InputError(f"--set: {_dotted(set_path)} is given twice")
    try:
        config = schema.model_validate(document.data)
    except ValidationError as error:
        raise _input_error(error, schema, document, set_paths) from None
    text = json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return LoadedConfig(config, Path(os.path.abspath(path)), text, digest)


def changed_keys(
    old: dict[str, Any], new: dict[str, Any], ignoring: Collection[str] = ()
) -> list[str]:
    """Differences of two resolved inputs, as ``integrator.timestep_fs: 0.5 -> 0.25``.

    Parameters
    ----------
    old, new : dict
        Plain dicts, as `json.loads` gives them from `LoadedConfig.text`.
    ignoring : collection of str
        Dotted keys or sections that may differ, such as `MAY_CHANGE_ON_RESUME`.
    """
    before, after = dict(_leaves(old)), dict(_leaves(new))
    differences = []
    for path in sorted(before.keys() | after.keys()):
        ignored = any(_dotted(path[:n]) in ignoring for n in range(1, len(path) + 1))
        was, now = before.get(path, _ABSENT), after.get(path, _ABSENT)
        if was != now and not ignored:
            differences.append(f"{_dotted(path)}: {_plain(was)} -> {_plain(now)}")
    return differences


def read_regular_file(path: str | Path, max_bytes: int) -> bytes:
    """Content of a regular file: not a directory, not a pipe or device that would block.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read, or it has more than `max_bytes`.
    """
    name = quoted(str(path), limit=200)
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{name} is a directory; expected a file")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name} is not a regular file")
        if status.st_size > max_bytes:
            raise InputError(f"{name} has {status.st_size} bytes; at most {max_bytes} are read")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{name} does not exist") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{name} cannot be read: {reason}") from None


def _decode(content: bytes, source: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{source}:{line}: byte 0x{content[error.start]:02x} is not UTF-8 text",
            hint="save the file as UTF-8",
        ) from None


def _override(data: dict[str, Any], text: str) -> KeyPath:
    """Put one ``key.path=value`` into `data`; its path."""
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise InputError(
            f"--set {quoted(text)}: expected key=value",
            hint="for example --set integrator.temperature_K=350",
        )
    for n, part in enumerate(path[:-1], start=1):
        child = data.setdefault(part, {})
        if part == "potential":
            child = data[part] = _package(child)
        if not isinstance(child, dict):
            raise InputError(f"--set: {_dotted(path[:n])} is {_shown(child)}, not a mapping")
        data = child
    try:
        data[path[-1]] = parse_scalar(value)
    except InputError as error:
        raise InputError(f"--set: {_dotted(path)}: {error.message}") from None
    return path


# Errors. The wording comes from the JSON schema, so that a new key needs no new message.


class _Problem(NamedTuple):
    path: KeyPath
    what: str
    hint: str | None = None


def _input_error(
    error: ValidationError, schema: type[C], document: Document, set_paths: list[KeyPath]
) -> InputError:
    """The first problem by line, and how many more there are."""
    problems = _problems(error, _Schema(schema.model_json_schema()), document.data)
    options = [_option(problem.path, set_paths) for problem in problems]
    lines = [0 if o else document.line(p.path) for o, p in zip(options, problems, strict=True)]
    first = lines.index(min(lines))
    path, what, hint = problems[first]
    where = "--set" if options[first] else document.where(path)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InputError(f"{where}: {what}{more}", hint)


def _option(path: KeyPath, set_paths: list[KeyPath]) -> KeyPath:
    """The --set option above or below `path`, empty if the value came from the file."""
    return next((p for p in set_paths if path[: len(p)] == p[: len(path)]), ())


def _problems(error: ValidationError, schema: "_Schema", data: Any) -> list[_Problem]:
    problems = [
        _Problem(path, *_did_you_mean(path, known, schema)) for path, known in schema.unknown(data)
    ]
    misspelt = bool(problems)
    for details in error.errors():
        path, kind = _path_in_file(details["loc"], data), details["type"]
        if kind.startswith("union_tag"):
            path = (*path, "kind")
        missing = kind in ("missing", "union_tag_not_found")
        absent = missing or (kind == "value_error" and _value(data, path) is None)
        if kind == "extra_forbidden" or (absent and misspelt):
            continue  # reported above, or a consequence of it
        if kind == "value_error":
            what = f"{_dotted(path)} {details['ctx']['error']}"
        elif missing:
            what = f"{_dotted(path)} is missing: expected {schema.expected(path, data)}"
        else:
            got = _shown(_value(data, path))
            what = f"{_dotted(path)}: expected {schema.expected(path, data)}, got {got}"
        problems.append(_Problem(path, what))
    return problems


def _did_you_mean(path: KeyPath, known: list[str], schema: "_Schema") -> tuple[str, str]:
    """Cause and hint for an unknown key: it may belong elsewhere, or be misspelt."""
    key = str(path[-1])
    what = f"unknown key {quoted(key)}" + (f" in {_dotted(path[:-1])}" if path[:-1] else "")
    elsewhere = [_dotted(p) for p in schema.paths() if p[-1] == key]
    if _dotted(path) in elsewhere:
        what += " of this kind"
    elif candidates := elsewhere or difflib.get_close_matches(key, known, n=1):
        what += f". Did you mean '{candidates[0]}'?"
    return what, f"keys known here: {', '.join(known)}"


def _path_in_file(loc: tuple[str | int, ...], data: Any) -> KeyPath:
    """`loc` without the tags that pydantic adds for a union, such as 'langevin_baoab'."""
    path: KeyPath = ()
    for part in loc:
        parent = _value(data, path)
        if not (isinstance(parent, dict) and part not in parent and parent.get("kind") == part):
            path = (*path, part)
    return path


def _value(data: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


@dataclass(frozen=True)
class _Schema:
    """A JSON schema as pydantic writes it, and the questions that messages put to it."""

    root: dict[str, Any]

    def alternatives(self, node: dict[str, Any]) -> list[dict[str, Any]]:
        """The schemas that `node` stands for, references followed."""
        if "$ref" in node:
            return self.alternatives(self.root["$defs"][node["$ref"].rpartition("/")[2]])
        options = node.get("anyOf") or node.get("oneOf")
        if options is None:
            return [node]
        return [leaf for option in options for leaf in self.alternatives(option)]

    def children(self, node: dict[str, Any], value: Any) -> dict[str | int, dict[str, Any]]:
        """Schemas of the keys of a section, those of its `kind` where that is valid."""
        options = self.alternatives(node)
        if isinstance(value, list):
            items: dict[str, Any] = next(
                (option["items"] for option in options if "items" in option), {}
            )
            return dict.fromkeys(range(len(value)), items)
        sections = [option["properties"] for option in options if "properties" in option]
        kind = value.get("kind") if isinstance(value, dict) else None
        sections = [s for s in sections if s.get("kind", {}).get("const") == kind] or sections
        keys = dict.fromkeys(key for section in sections for key in section)
        return {key: {"anyOf": [s[key] for s in sections if key in s]} for key in keys}

    def unknown(
        self, value: Any, node: dict[str, Any] | None = None, path: KeyPath = ()
    ) -> Iterator[tuple[KeyPath, list[str]]]:
        """Paths in `value` that are not in the schema, each with the keys known in its place."""
        if not isinstance(value, (dict, list)):
            return
        known = self.children(self.root if node is None else node, value)
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            if key in known:
                yield from self.unknown(child, known[key], (*path, key))
            elif known:
                yield (*path, key), [str(k) for k in known]

    def paths(self, node: dict[str, Any] | None = None, path: KeyPath = ()) -> Iterator[KeyPath]:
        """The path of every key."""
        for key, child in self.children(self.root if node is None else node, None).items():
            yield (*path, key)
            yield from self.paths(child, (*path, key))

    def expected(self, path: KeyPath, data: Any) -> str:
        """What may stand at `path`, in words."""
        node = self.root
        for n, key in enumerate(path):
            node = self.children(node, _value(data, path[:n])).get(key, {})
        return " or ".join(dict.fromkeys(map(_in_words, self.alternatives(node))))


def _in_words(leaf: dict[str, Any]) -> str:
    match leaf:
        case {"enum": values}:
            return "one of " + ", ".join(f"'{value}'" for value in values)
        case {"const": value}:
            return f"'{value}'"
        case {"type": "number" | "integer" as number}:
            word = "a number" if number == "number" else "a whole number"
            bounds = [f"{sign} {leaf[key]}" for key, sign in _BOUNDS.items() if key in leaf]
            return f"{word} {' and '.join(bounds)}".strip()
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "null"}:
            return "null"
        case {"type": "object", "properties": properties}:
            return f"a mapping with the keys {', '.join(properties)}"
        case {"pattern": pattern}:
            return f"text of the form {pattern.strip('^$')}"
    return "text"


_BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {quoted(value)}"
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return repr(value)


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


_ABSENT = object()


def _plain(value: object) -> str:
    return "(absent)" if value is _ABSENT else json.dumps(value)


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(node, dict):
        yield path, node
        return
    for key, child in node.items():
        yield from _leaves(child, (*path, key))
