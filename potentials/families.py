"""All potential families. A new one is a folder of its own and its name in `FOLDERS`."""

from importlib import import_module
from typing import Any

import numpy as np

from .family import Family, Leaf, LeafCircuit

__all__ = [
    "FAMILIES",
    "FOLDERS",
    "Family",
    "Leaf",
    "LeafCircuit",
    "family_named",
    "family_of",
    "n_parameters",
    "trained_arrays",
]

FOLDERS = (
    "allegro",
    "circuit",
    "network",
    "vqlm",
    "polynomial",
    "classical",
)
"""Each has a module `family` with its `FAMILIES`, which imports neither JAX nor PennyLane."""

FAMILIES: tuple[Family[Any], ...] = tuple(
    family
    for folder in FOLDERS
    for family in import_module(f".{folder}.family", __package__).FAMILIES
)

_BY_LEAF = {family.leaf: family for family in FAMILIES}
_BY_KIND = {family.kind: family for family in FAMILIES}


def family_of(leaf: Leaf) -> Family[Any]:
    """Return the family of a leaf.

    Raises
    ------
    TypeError
        If no family has a leaf of this class.
    """
    if type(leaf) not in _BY_LEAF:
        raise TypeError(f"{type(leaf).__name__} is no leaf of a family in `potentials.families`.")
    return _BY_LEAF[type(leaf)]


def family_named(kind: str) -> Family[Any]:
    """Return the family of a kind in JSON.

    Raises
    ------
    ValueError
        If there is none.
    """
    if kind not in _BY_KIND:
        raise ValueError(f"model {kind!r} is unknown to this version")
    return _BY_KIND[kind]


def trained_arrays(leaf: Leaf) -> dict[str, Any]:
    """Return the trained arrays of a leaf by name, none for a leaf without."""
    parameters = getattr(leaf, "parameters", None)
    named = {} if parameters is None else parameters._asdict()
    return {name: array for name, array in named.items() if array is not None}


def n_parameters(leaf: Leaf) -> int:
    """Return the number of trained parameters of a leaf."""
    return sum(np.size(array) for array in trained_arrays(leaf).values())
