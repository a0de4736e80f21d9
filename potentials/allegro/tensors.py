"""Irreducible tensors of the layers of Allegro, and the products between them.

A tensor is known by its order l and its parity p, 1 or -1. Each layer multiplies the tensors of a
pair with those of the surroundings of its centre, whose parity is (-1)^l; only tensors that can
still become scalars of even parity in the last layer are kept.
"""

from functools import cache
from typing import NamedTuple

Irrep = tuple[int, int]
"""Order l and parity p."""
SCALAR: Irrep = (0, 1)


class Layer(NamedTuple):
    """Tensors and products of one layer."""

    before: tuple[Irrep, ...]
    """Tensors of a pair before the layer."""
    after: tuple[Irrep, ...]
    """Tensors of a pair behind it, scalars first."""
    paths: tuple[tuple[int, int, int], ...]
    """Places of both factors, in `before` and among those of the surroundings, and in `after`."""


def surroundings(l_max: int) -> tuple[Irrep, ...]:
    """Return the tensors of spherical harmonics up to `l_max`."""
    return tuple((order, (-1) ** order) for order in range(l_max + 1))


@cache
def layers(l_max: int, parity: bool, n_layers: int) -> tuple[Layer, ...]:
    """Return all layers.

    Parameters
    ----------
    l_max : int
        Highest order of a tensor.
    parity : bool
        True if a pair also has the tensors whose parity is not that of the spherical harmonics.
    n_layers : int
    """
    around = surroundings(l_max)
    known = tuple((order, p) for order in range(l_max + 1) for p in (1, -1)) if parity else around
    stages = [around]
    for layer in range(n_layers):
        wanted = (SCALAR,) if layer == n_layers - 1 else known
        stages.append(tuple(c for c in wanted if _reaches(stages[-1], around, (c,))))
    for layer in reversed(range(1, n_layers)):
        after = stages[layer + 1]
        stages[layer] = tuple(a for a in stages[layer] if _reaches((a,), around, after))
    return tuple(
        Layer(before, after, _paths(before, around, after))
        for before, after in zip(stages, stages[1:], strict=False)
    )


def size(irreps: tuple[Irrep, ...]) -> int:
    """Return the number of components of some tensors."""
    return sum(2 * order + 1 for order, _ in irreps)


def _reaches(a: tuple[Irrep, ...], b: tuple[Irrep, ...], c: tuple[Irrep, ...]) -> bool:
    return any(_couples(x, y, z) for x in a for y in b for z in c)


def _couples(a: Irrep, b: Irrep, c: Irrep) -> bool:
    return a[1] * b[1] == c[1] and abs(a[0] - b[0]) <= c[0] <= a[0] + b[0]


def _paths(
    a: tuple[Irrep, ...], b: tuple[Irrep, ...], c: tuple[Irrep, ...]
) -> tuple[tuple[int, int, int], ...]:
    return tuple(
        (i, j, k)
        for k, z in enumerate(c)
        for i, x in enumerate(a)
        for j, y in enumerate(b)
        if _couples(x, y, z)
    )
