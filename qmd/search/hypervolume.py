"""Pareto fronts and hypervolumes of points whose coordinates are all minimised.

The volume of any dimension is that of While, Bradstreet and Barone, IEEE Trans. Evol. Comput. 16,
86 (2012): the volumes that each point adds to those after it.
"""

from collections.abc import Sequence

import numpy as np

from qmd.typing import Array


def pareto(points: Array) -> Array:
    """Return a mask (n,) of the points (n, m) that no other dominates; of equal ones, the first."""
    better = (points[:, None] <= points[None]).all(axis=2)
    strictly = better & (points[:, None] < points[None]).any(axis=2)
    equal = better & better.T
    earlier = np.triu(equal, 1)  # [a, b]: a stands before b
    return np.asarray(~(strictly | earlier).any(axis=0))


def hypervolume(points: Array, reference: Sequence[float] | Array) -> float:
    """Return the volume that points (n, m) dominate below a reference point (m,)."""
    reference = np.asarray(reference, float)
    inside = points[(points < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    front = inside[pareto(inside)]
    if front.shape[1] == 2:
        return float(_area(front, reference))
    front = front[np.argsort(-front[:, -1], kind="stable")]
    return float(
        sum(
            np.prod(reference - point) - hypervolume(np.maximum(front[k + 1 :], point), reference)
            for k, point in enumerate(front)
        )
    )


def _area(front: Array, reference: Array) -> float:
    by_first = front[np.argsort(front[:, 0])]
    ends = np.append(by_first[1:, 0], reference[0])
    return float(((ends - by_first[:, 0]) * (reference[1] - by_first[:, 1])).sum())


def gains(points: Array, front: Array, reference: Array) -> Array:
    """Return the volume that each point (k, m) alone would add to a front (n, m), (k,)."""
    if len(reference) == 2:
        return _gains_of_two(points, front, reference)
    covered = [hypervolume(np.maximum(front, point), reference) for point in points]
    own = np.prod(np.maximum(reference - points, 0), axis=1)
    return np.asarray(np.maximum(own - covered, 0))


def _gains_of_two(points: Array, front: Array, reference: Array) -> Array:
    """Sum over the stairs of the front: their width right of a point, by the height above it."""
    stairs = front[(front < reference).all(axis=1)]
    stairs = stairs[np.argsort(stairs[:, 0])]
    begins = np.append(-np.inf, stairs[:, 0])
    ends = np.append(stairs[:, 0], reference[0])
    ceilings = np.append(reference[1], stairs[:, 1])
    first, second = points[:, :1], points[:, 1:]
    widths = np.maximum(ends - np.maximum(begins, first), 0)
    return np.asarray((widths * np.maximum(ceilings - second, 0)).sum(axis=1))


def shortfalls(points: Array, front: Array, reference: Array) -> Array:
    """Return by how much every coordinate of a point (k, m) must fall until it gains, (k,).

    Negative where it gains already. It tells points apart where the gain is zero.
    """
    outside = (points - reference).max(axis=1)
    if not len(front):
        return np.asarray(outside)
    behind = (points[:, None] - front[None]).min(axis=2).max(axis=1)
    return np.asarray(np.maximum(outside, behind))
