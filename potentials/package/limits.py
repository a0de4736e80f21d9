"""Limits of the work that a check of a package may be: a long one is refused beforehand."""

from collections.abc import Sequence

from ..families import family_of
from ..tree.nodes import Committee, ManyBody, Model, OnAtoms, PerAtomSum, Scaled, Sum, Switched
from ..tree.walk import leaves

MAX_TERMS, MAX_AMPLITUDES, MAX_WRITTEN = 1000, 2**24, 2**31
"""Pairs and rotations of one layer; numbers that an energy by JAX, gate by gate, has to write, and
that all energies of the check have to by any kernel: seconds."""
MAX_VECTORS, MAX_VARIANTS = 1000, 100
"""Test vectors, and molecules beside the first."""


def why_too_expensive(checks: Sequence[tuple[int, Model]]) -> str | None:
    """Why the check would take longer than seconds, or None.

    Parameters
    ----------
    checks : sequence of (int, tree of potentials)
        Test vectors of each molecule that is served, and the model on its atoms.
    """
    if len(checks) > 1 + MAX_VARIANTS:
        return f"it serves more than {1 + MAX_VARIANTS} molecules"
    if any(n > MAX_VECTORS for n, _ in checks):
        return f"it has more than {MAX_VECTORS} test vectors of a molecule"
    for _, leaf in leaves(checks[0][1]):
        if (terms := family_of(leaf).work(leaf).terms) > MAX_TERMS:
            return f"its circuit has {terms} terms a layer, at most {MAX_TERMS} are read"
    if sum(n * amplitudes_written(model) for n, model in checks) > MAX_WRITTEN:
        return "its model is too large to check"
    return None


def amplitudes_written(model: Model) -> int:
    """Numbers that an energy has to write, gate by gate, a leaf as often as it is evaluated."""
    match model:
        case Sum():
            return sum(map(amplitudes_written, model.terms))
        case Committee():
            return sum(map(amplitudes_written, model.members))
        case OnAtoms() | Switched() | Scaled():
            return amplitudes_written(model.model)
        case ManyBody():
            of_all = len(model.molecules) * amplitudes_written(model.monomer)
            return of_all + len(model.pairs) * amplitudes_written(model.pair)
        case PerAtomSum():
            each = [amplitudes_written(one) for one in model.models]
            return sum(each[kind] for kind in model.kinds)
        case _:
            return family_of(model).work(model).written
