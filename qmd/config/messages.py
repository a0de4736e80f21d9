"""Messages that say in one line what is wrong with an input: file, line, key, expected, found.

The wording is derived from the JSON schema, so a new key needs no new message.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from qmd.config.strict_yaml import Document, KeyPath
from qmd.errors import InputError, decimal_comma, quoted


class _Problem(NamedTuple):
    path: KeyPath
    what: str
    hint: str | None = None


def input_error(
    error: ValidationError, schema: type[BaseModel], document: Document, set_paths: list[KeyPath]
) -> InputError:
    """Return the first problem by line as an error, with the number of further ones."""
    problems = _problems(error, _schema(schema), document.data)
    options = [_option(problem.path, set_paths) for problem in problems]
    lines = [0 if o else document.line(p.path) for o, p in zip(options, problems, strict=True)]
    first = lines.index(min(lines))
    path, what, hint = problems[first]
    where = "--set" if options[first] else document.where(path)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InputError(f"{where}: {what}{more}", hint)


@cache
def _schema(schema: type[BaseModel]) -> "_Schema":
    return _Schema(schema.model_json_schema())


def _option(path: KeyPath, set_paths: list[KeyPath]) -> KeyPath:
    """Return the path of the --set option above or below `path`; empty if there is none."""
    return next((p for p in set_paths if path[: len(p)] == p[: len(path)]), ())


def _problems(error: ValidationError, schema: "_Schema", data: Any) -> list[_Problem]:
    problems = [
        _Problem(path, *_did_you_mean(path, known, schema)) for path, known in schema.unknown(data)
    ]
    misspelt = bool(problems)
    for details in error.errors():
        path, kind = _path_in_file(details["loc"], data), details["type"]
        hint: str | None = None
        if kind.startswith("union_tag"):
            path = (*path, "kind")
        if details["loc"][-1:] == ("[key]",):  # of a mapping whose keys are the user's own
            what = f"{dotted(path[:-2])}: {quoted(str(path[-2]))} cannot be a key here"
            words = details["msg"]
            problems.append(_Problem(path[:-1], what, words[:1].lower() + words[1:]))
            continue
        missing = kind in ("missing", "union_tag_not_found")
        absent = missing or (kind == "value_error" and _value(data, path) is None)
        if kind == "extra_forbidden" or (absent and misspelt):
            continue  # reported above, or a consequence of it
        if kind == "value_error":
            what = f"{dotted(path) or 'the input'} {details['ctx']['error']}"
        elif missing:
            what = f"{dotted(path)} is missing: expected {schema.expected(path, data)}"
        else:
            value = _value(data, path)
            what = f"{dotted(path)}: expected {schema.expected(path, data)}, got {shown(value)}"
            hint = decimal_comma(value) if isinstance(value, str) else None
        problems.append(_Problem(path, what, hint))
    return problems


def _did_you_mean(path: KeyPath, known: list[str], schema: "_Schema") -> tuple[str, str]:
    """Return cause and hint for an unknown key, which may belong elsewhere or be misspelt."""
    key = str(path[-1])
    what = f"unknown key {quoted(key)}" + (f" in {dotted(path[:-1])}" if path[:-1] else "")
    if key.isdecimal():  # the rest of {timestep_fs: 0,5}
        return what, "a comma ends a value: numbers have a decimal point, as in 0.5"
    elsewhere = [dotted(p) for p in schema.paths() if p[-1] == key]
    if dotted(path) in elsewhere:
        what += " of this kind"
    elif candidates := elsewhere or difflib.get_close_matches(key, known, n=1):
        what += f". Did you mean '{candidates[0]}'?"
    return what, f"keys known here: {', '.join(known)}"


def _path_in_file(loc: tuple[str | int, ...], data: Any) -> KeyPath:
    """Return `loc` without the tags of unions, such as 'langevin_baoab' and '<box>'."""
    path: KeyPath = ()
    for part in loc:
        if isinstance(part, str) and part.startswith("<"):
            continue
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
    """JSON schema as pydantic writes it, with the queries that the messages need."""

    root: dict[str, Any]

    def alternatives(self, node: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the schemas that `node` stands for, with references followed."""
        if "$ref" in node:
            return self.alternatives(self.root["$defs"][node["$ref"].rpartition("/")[2]])
        options = node.get("anyOf") or node.get("oneOf")
        if options is None:
            return [node]
        return [leaf for option in options for leaf in self.alternatives(option)]

    def children(self, node: dict[str, Any], value: Any) -> dict[str | int, dict[str, Any]]:
        """Return the schemas of the keys of a section; only those of its `kind`, if valid."""
        options = self.alternatives(node)
        if isinstance(value, list):
            items: dict[str, Any] = next(
                (option["items"] for option in options if "items" in option), {}
            )
            return dict.fromkeys(range(len(value)), items)
        for option in options if isinstance(value, dict) else ():
            free = option.get("additionalProperties") or option.get("patternProperties")
            if isinstance(free, dict) and "properties" not in option:  # keys of the user's own
                one = free if "additionalProperties" in option else next(iter(free.values()))
                return dict.fromkeys(value, one)
        sections = [option["properties"] for option in options if "properties" in option]
        kind = value.get("kind") if isinstance(value, dict) else None
        sections = [s for s in sections if s.get("kind", {}).get("const") == kind] or sections
        keys = dict.fromkeys(key for section in sections for key in section)
        return {key: {"anyOf": [s[key] for s in sections if key in s]} for key in keys}

    def unknown(
        self, value: Any, node: dict[str, Any] | None = None, path: KeyPath = ()
    ) -> Iterator[tuple[KeyPath, list[str]]]:
        """Yield the paths in `value` that are not in the schema, each with the keys known there."""
        if not isinstance(value, (dict, list)):
            return
        known = self.children(self.root if node is None else node, value)
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            if key in known:
                yield from self.unknown(child, known[key], (*path, key))
            elif known:
                yield (*path, key), [str(k) for k in known]

    def paths(self, node: dict[str, Any] | None = None, path: KeyPath = ()) -> Iterator[KeyPath]:
        """Yield the path of every key."""
        for key, child in self.children(self.root if node is None else node, None).items():
            yield (*path, key)
            yield from self.paths(child, (*path, key))

    def expected(self, path: KeyPath, data: Any) -> str:
        """Return a description of the values that are allowed at `path`."""
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
        case {"type": "array"}:
            return f"a list{_length(leaf)}"
        case {"type": "object", "properties": properties}:
            return f"a mapping with the keys {', '.join(properties)}"
        case {"type": "object"}:
            return "a mapping"
        case {"pattern": pattern}:
            return f"text of the form {pattern.strip('^$')}"
    return "text"


def _length(leaf: dict[str, Any]) -> str:
    """Return the allowed number of items of a list, as in " of 2 to 20 items"."""
    low, high = leaf.get("minItems", 0), leaf.get("maxItems")
    if high is None:
        return f" of {low} or more items" if low > 1 else " that is not empty" if low else ""
    return f" of {high} items" if low == high else f" of {low} to {high} items"


_BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}


def shown(value: Any) -> str:
    """Return a value of an input as messages show it."""
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
            return f"a list of {len(value)}" if value else "an empty list"
    return repr(value)


def dotted(path: KeyPath) -> str:
    """Return a path of keys as text, such as ``integrator.timestep_fs``."""
    return ".".join(map(str, path))
