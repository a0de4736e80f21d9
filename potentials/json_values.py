"""Strict reading of JSON values, since a file may come from a stranger."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .family import JsonForm


class Field(NamedTuple):
    """Attribute of a leaf in its JSON form."""

    name: str
    """Name in JSON, with the unit."""
    attribute: str
    read: Callable[[Any], Any]
    """Function that converts a JSON value; raises TypeError, ValueError or KeyError."""
    write: Callable[[Any], Any] | None = None
    """Function that converts the attribute to JSON; default: tuples become lists."""


def fields(*listed: Field) -> JsonForm:
    """Return the form of a leaf whose attributes are stored one by one."""

    def write(leaf: Any) -> dict[str, Any]:
        return {f.name: (f.write or _plain)(getattr(leaf, f.attribute)) for f in listed}

    def read(data: Mapping[str, Any]) -> dict[str, Any]:
        return {f.attribute: f.read(data[f.name]) for f in listed}

    return JsonForm(write, read)


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def integer(value: Any) -> int:
    """Return `value` if it is an integer; raise TypeError for anything else, also True and 1.0."""
    if type(value) is not int:
        raise TypeError(f"expected an integer, but found {value!r}")
    return value


def number(value: Any) -> float:
    """Return `value` as a float; raise TypeError for anything but a number."""
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, but found {value!r}")
    return float(value)


def boolean(value: Any) -> bool:
    """Return `value` if it is true or false; raise TypeError for anything else."""
    if type(value) is not bool:
        raise TypeError(f"expected true or false, but found {value!r}")
    return value


def integers(values: Iterable[Any]) -> tuple[int, ...]:
    """Return a tuple of integers."""
    return tuple(integer(value) for value in values)


def numbers(values: Iterable[Any]) -> tuple[float, ...]:
    """Return a tuple of floats."""
    return tuple(number(value) for value in values)


def pairs(values: Iterable[Iterable[Any]]) -> tuple[tuple[int, int], ...]:
    """Return a tuple of pairs of integers."""
    return tuple((integer(p), integer(q)) for p, q in values)


def triples(values: Iterable[Iterable[Any]]) -> tuple[tuple[int, int, int], ...]:
    """Return a tuple of triples of integers."""
    return tuple((integer(i), integer(j), integer(k)) for i, j, k in values)


def ranges(values: Iterable[Iterable[Any]]) -> tuple[tuple[float, float], ...]:
    """Return a tuple of pairs of floats."""
    return tuple((number(low), number(high)) for low, high in values)


def lists(values: Iterable[Iterable[Any]]) -> tuple[tuple[int, ...], ...]:
    """Return a tuple of tuples of integers."""
    return tuple(integers(row) for row in values)
