"""Masks and kinds of the models that are trained."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qmd.train.architectures.base import ArchitectureConfig
from qmd.typing import Array


def kinds(config: ArchitectureConfig, species: Sequence[str]) -> tuple[int, ...]:
    """Return the index of the element of each atom, as the network of an input counts elements."""
    known = config.known_elements
    assert known is not None  # the input allows no others
    return tuple(known.index(symbol) for symbol in species)


def offset_mask(model: Any) -> Array:
    """Return the mask of pure energy offsets: 1 for each such parameter, 0 for the others."""
    from jax.tree_util import tree_flatten_with_path

    return np.concatenate(
        [
            np.full(np.size(array), str(path[-1]) in (".offset", ".offsets"), float)
            for path, array in tree_flatten_with_path(model)[0]
        ]
    )
