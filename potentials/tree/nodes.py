"""Potentials as data: a tree of what is trained and of how it is put together.

Leaves hold trained parameters, or a classical form; branches say on which atoms they act, how they
are switched off with distance, and what is summed. The same tree is interpreted by JAX
(`jax_model`) and by the native kernels (`compose`), and stored as JSON and arrays
(`serialization`).
"""

from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias, Union

import numpy as np

from ..family import Leaf

MAX_MOLECULES, MAX_CENTRES = 64, 1000


@dataclass(frozen=True)
class OnAtoms:
    """A model on some atoms of a larger system, in the order that the model serves.

    Raises
    ------
    ValueError
        If the atoms are not as many as the model's, or one is named twice.
    """

    model: "Model"
    atoms: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.atoms)) != self.model.n_atoms or min(self.atoms) < 0:
            raise ValueError(
                f"The model needs {self.model.n_atoms} different atoms, but got {self.atoms}."
            )

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return 1 + max(self.atoms)

    def check(self) -> None:
        """Raise ValueError if parameters have wrong shapes or are not finite."""
        self.model.check()


@dataclass(frozen=True)
class Switched:
    """``S(r) E``: a model that ends smoothly with the distance of two atoms.

    ``S = 1 - t^3 (10 - 15 t + 6 t^2)``, t from 0 at `inner` to 1 at `outer`: the second derivative
    is continuous.

    Parameters
    ----------
    model : Model
    between : pair of int
        Atoms.
    inner, outer : float
        angstrom

    Raises
    ------
    ValueError
        If the atoms are not two of the model's, or the distances are not ``0 < inner < outer``.
    """

    model: "Model"
    between: tuple[int, int]
    inner: float
    outer: float

    def __post_init__(self) -> None:
        i, j = self.between
        if i == j or not 0 <= min(i, j) <= max(i, j) < self.model.n_atoms:
            raise ValueError(f"A switch must lie between two of the atoms, not {self.between}.")
        if not 0 < self.inner < self.outer < np.inf:
            raise ValueError(
                f"A switch must have 0 < inner < outer, but got {self.inner} and {self.outer}."
            )

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return self.model.n_atoms

    def check(self) -> None:
        """Raise ValueError if parameters have wrong shapes or are not finite."""
        self.model.check()


@dataclass(frozen=True)
class Sum:
    """Models of the same atoms, added up."""

    terms: tuple["Model", ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("A sum needs at least one term.")

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return max(term.n_atoms for term in self.terms)

    def check(self) -> None:
        """Raise ValueError if parameters have wrong shapes or are not finite."""
        for term in self.terms:
            term.check()


@dataclass(frozen=True)
class Scaled:
    """``factor E``: a model with a weight.

    Raises
    ------
    ValueError
        If `factor` is not finite.
    """

    model: "Model"
    factor: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.factor):
            raise ValueError(f"The factor of a model must be finite, but it is {self.factor}.")

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return self.model.n_atoms

    def check(self) -> None:
        """Raise ValueError if parameters have wrong shapes or are not finite."""
        self.model.check()


@dataclass(frozen=True)
class Committee:
    """The mean of models of the same atoms, which by their spread tell how far to trust it.

    Raises
    ------
    ValueError
        If there are not two members or more, or they are not for as many atoms.
    """

    members: tuple["Model", ...]

    def __post_init__(self) -> None:
        sizes = {member.n_atoms for member in self.members}
        if len(self.members) < 2 or len(sizes) != 1:
            raise ValueError(
                f"A committee needs two members or more for as many atoms, but got "
                f"{len(self.members)} for {sorted(sizes)} atoms."
            )

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return self.members[0].n_atoms

    def check(self) -> None:
        """Raise ValueError if parameters have wrong shapes or are not finite."""
        for member in self.members:
            member.check()


@dataclass(frozen=True)
class ManyBody:
    """``sum_m E1(m) + sum_{m<n} E2(m, n)`` over equal molecules, one after the other.

    Raises
    ------
    ValueError
        If the pair is not of two monomers, or the number of molecules is out of bounds.
    """

    monomer: "Model"
    pair: "Model"
    n_molecules: int = 2

    def __post_init__(self) -> None:
        if self.pair.n_atoms != 2 * self.monomer.n_atoms:
            raise ValueError(
                f"The pair must have twice the {self.monomer.n_atoms} atoms of the monomer, "
                f"but has {self.pair.n_atoms}."
            )
        if not 2 <= self.n_molecules <= MAX_MOLECULES:
            raise ValueError(
                f"There must be 2 to {MAX_MOLECULES} molecules, not {self.n_molecules}."
            )

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return self.monomer.n_atoms * self.n_molecules

    @property
    def molecules(self) -> np.ndarray:
        """Atoms of each molecule, (n_molecules, n)."""
        return np.arange(self.n_atoms).reshape(self.n_molecules, -1)

    @property
    def pairs(self) -> np.ndarray:
        """Atoms of each pair of molecules, (n_pairs, 2 n)."""
        return np.array([np.concatenate(pair) for pair in combinations(self.molecules, 2)])

    def check(self) -> None:
        """Raise ValueError if parameters have wrong shapes or are not finite."""
        self.monomer.check()
        self.pair.check()


@dataclass(frozen=True)
class PerAtomSum:
    """The sum over all atoms of the model of their kind, each on an atom and its surroundings.

    Parameters
    ----------
    kinds : tuple of int
        Of each atom, such as the place of its element; like atoms are alike.
    models : tuple of models
        One of each kind, of all atoms in the order of `surroundings`.

    Raises
    ------
    ValueError
        If kinds are not 0, 1, ..., there is not a model of each, or one is for another number of
        atoms.
    """

    kinds: tuple[int, ...]
    models: tuple["Model", ...]

    def __post_init__(self) -> None:
        n = len(self.models)
        if not 0 < len(self.kinds) <= MAX_CENTRES or sorted(set(self.kinds)) != list(range(n)):
            raise ValueError(
                f"The kinds of 1 to {MAX_CENTRES} atoms must be 0 to {n - 1}, one for each model, "
                f"but are {self.kinds}."
            )
        sizes = [model.n_atoms for model in self.models]
        if set(sizes) != {len(self.kinds)}:
            raise ValueError(
                f"Every model must be for all {len(self.kinds)} atoms, but they are for {sizes}."
            )

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return len(self.kinds)

    @property
    def surroundings(self) -> tuple[tuple[int, ...], ...]:
        """For each atom: itself, then all others, kind by kind."""
        return tuple(self.surroundings_of(self.kinds, i) for i in range(self.n_atoms))

    @staticmethod
    def surroundings_of(kinds: tuple[int, ...], centre: int) -> tuple[int, ...]:
        """The atom `centre`, then all others, kind by kind."""
        others = [j for j in range(len(kinds)) if j != centre]
        return (centre, *sorted(others, key=lambda j: kinds[j]))

    def of_kind(self, kind: int) -> np.ndarray:
        """Surroundings of the atoms of a kind, (n_centres, n_atoms)."""
        return np.array([o for o in self.surroundings if self.kinds[o[0]] == kind])

    def check(self) -> None:
        """Raise ValueError if parameters have wrong shapes or are not finite."""
        for model in self.models:
            model.check()


Model: TypeAlias = Union[  # noqa: UP007  # forward names
    Leaf, OnAtoms, Switched, Scaled, Sum, Committee, ManyBody, PerAtomSum
]
"""A leaf of any family in `potentials.families`, or a combination of models."""
