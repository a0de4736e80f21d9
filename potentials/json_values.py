"""Values of JSON, read strictly: what is stored may be a stranger's."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .family import JsonForm


class Field(NamedTuple):
    """An attribute of a leaf in its JSON form."""

    name: str
    """Name in JSON, with the unit."""
    attribute: str
    read: Callable[[Any], Any]
    """JSON value -> attribute; raises TypeError, ValueError or KeyError."""
    write: Callable[[Any], Any] | None = None
    """Attribute -> JSON value; default: tuples become lists."""


def fields(*listed: Field) -> JsonForm:
    """Form of a leaf whose attributes are stored one by one."""

    def write(leaf: Any) -> dict[str, Any]:
        return {f.name: (f.write or _plain)(getattr(leaf, f.attribute)) for f in listed}

    def read(data: Mapping[str, Any]) -> dict[str, Any]:
        return {f.attribute: f.read(data[f.name]) for f in listed}

    return JsonForm(write, read)


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def integer(value: Any) -> int:
    """`value` if it is an integer; TypeError for anything else, True and 1.0 too."""
    if type(value) is not int:
        raise TypeError(f"expected an integer, but found {value!r}")
    return value


def number(value: Any) -> float:
    """`value` as a float; TypeError for anything but a number."""
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, but found {value!r}")
    return float(value)


def boolean(value: Any) -> bool:
    """`value` if it is true or false; TypeError for anything else."""
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
