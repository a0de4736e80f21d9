"""Generic circuits as plain JSON values, and back, as strict as `serialization`."""

from collections.abc import Mapping
from typing import Any

from . import serialization
from .vqlm import Coordinate, Vqlm, VqlmParameters


def to_json(model: Vqlm) -> dict[str, Any]:
    """Everything but the parameters as plain JSON values."""
    return {
        "kind": "vqlm",
        "coordinates": [list(atoms) for atoms in model.coordinates],
        "ranges": [list(bounds) for bounds in model.ranges],
        "n_layers": model.n_layers,
    }


def from_json(data: Mapping[str, Any], parameters: VqlmParameters) -> Vqlm:
    """The inverse of `to_json`; the parameters fit what it describes.

    Raises
    ------
    ValueError, KeyError, TypeError, OverflowError
        If the kind is another, or a value is missing, of another type, or does not fit.
    """
    if data["kind"] != "vqlm":
        raise ValueError(f"expected the kind 'vqlm', but found {data['kind']!r}")
    model = Vqlm(
        coordinates=tuple(_coordinate(atoms) for atoms in data["coordinates"]),
        ranges=tuple(
            (serialization.number(low), serialization.number(high)) for low, high in data["ranges"]
        ),
        n_layers=serialization.integer(data["n_layers"]),
        parameters=parameters,
    )
    model.check()
    return model


def _coordinate(atoms: Any) -> Coordinate:
    match tuple(serialization.integer(atom) for atom in atoms):
        case (i, j):
            return i, j
        case (i, j, k):
            return i, j, k
        case other:
            raise ValueError(f"a coordinate is of two or three atoms, but found {other}")
