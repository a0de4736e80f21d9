"""Problems with two objectives and constraints on which searches are compared.

Each takes the coordinates and returns objectives, all minimised, and constraints, fulfilled where
they are at most 0. The reference points of the hypervolume are those of de Winter et al., EMO 2021.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

Results = tuple[tuple[float, ...], tuple[float, ...]]


class Problem(NamedTuple):
    """Function with its bounds."""

    function: Callable[[Sequence[float]], Results]
    bounds: tuple[tuple[float, float], ...]
    n_constraints: int
    reference: tuple[float, float]


def bnh(x: Sequence[float]) -> Results:
    """Binh and Korn, 1997."""
    a, b = x
    objectives = 4 * a**2 + 4 * b**2, (a - 5) ** 2 + (b - 5) ** 2
    return objectives, ((a - 5) ** 2 + b**2 - 25, 7.7 - (a - 8) ** 2 - (b + 3) ** 2)


def srn(x: Sequence[float]) -> Results:
    """Chankong and Haimes, as in Srinivas and Deb, Evol. Comput. 2, 221 (1994)."""
    a, b = x
    objectives = 2 + (a - 2) ** 2 + (b - 1) ** 2, 9 * a - (b - 1) ** 2
    return objectives, (a**2 + b**2 - 225, a - 3 * b + 10)


def osy(x: Sequence[float]) -> Results:
    """Osyczka and Kundu, Struct. Optim. 10, 94 (1995)."""
    a, b, c, d, e, f = x
    first = 25 * (a - 2) ** 2 + (b - 2) ** 2 + (c - 1) ** 2 + (d - 4) ** 2 + (e - 1) ** 2
    constraints = (
        2 - a - b, a + b - 6, b - a - 2, a - 3 * b - 2, (c - 3) ** 2 + d - 4, 4 - (e - 3) ** 2 - f,
    )  # fmt: skip
    return (-first, float(sum(value**2 for value in x))), constraints


PROBLEMS = {
    "BNH": Problem(bnh, ((0, 5), (0, 3)), 2, (140, 50)),
    "SRN": Problem(srn, ((-20, 20), (-20, 20)), 2, (301, 72)),
    "OSY": Problem(osy, ((0, 10), (0, 10), (1, 5), (0, 6), (1, 5), (0, 10)), 6, (0, 386)),
}
