"""A trained quantum potential with what it takes to run and to judge it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..tree.nodes import Model
from ..tree.walk import kinds_of, on_atoms
from . import compositions
from .domain import Domain

if TYPE_CHECKING:
    from qmd.integrators import Force

    from ..tree.potential import ModelPotential

EnergyAndForces = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Positions (n_atoms, 3), angstrom -> energy (eV) and forces (n_atoms, 3), eV/angstrom."""


class PackageError(Exception):
    """A package that is damaged, incomplete, or made for another version."""


@dataclass(frozen=True)
class Variant:
    """Another molecule that the same numbers serve; what differs from `Package`."""

    species: tuple[str, ...]
    kinds: tuple[int, ...]
    """Kind of each atom, as in `AtomCentredNetwork`."""
    reference_energy_eV: float
    domain: Domain
    test_positions: np.ndarray
    """angstrom, (n_vectors, n_atoms, 3)"""


@dataclass(frozen=True)
class Package:
    """A trained quantum potential with everything needed to run and to judge it.

    Raises
    ------
    ValueError
        If the parts do not fit together, hold numbers that are not finite, or texts that are
        not one printable line.
    """

    name: str
    description: str
    species: tuple[str, ...]
    """Chemical symbols in the atom order that the model serves."""
    model: Model
    reference_energy_eV: float
    """Energy of the labels at the model's zero; runs and logs leave it out. NaN in a package `on`
    other atoms whose zero the labels do not tell."""
    domain: Domain
    training: Mapping[str, Any]
    """The training card: data, level of theory, errors, seeds, versions, time."""
    citation: str
    licence: str
    test_positions: np.ndarray
    """angstrom, (n_vectors, n_atoms, 3)"""
    sha256: str = ""
    """Hash of the file that the package was read from."""
    variants: tuple[Variant, ...] = ()
    """Other molecules, for a network."""
    elements: tuple[str, ...] = ()
    """Elements in the order of the kinds of a network that serves any number of atoms of them;
    `species` are then the atoms of the test vectors. Empty: only the molecules above."""
    test_cells: np.ndarray | None = None
    """Lattice vectors of the test vectors, angstrom, (n_vectors, 3, 3); None: isolated."""
    reference_energies_eV: tuple[tuple[str, float], ...] = ()
    """Energy of the labels of each element at the zero of the model, where it was trained on many
    compositions: the reference energy of any atoms is the sum over them. Empty: not known."""
    trained_on: tuple[tuple[str, ...], ...] = ()
    """Chemical symbols of the molecules of the training, in a package `on` atoms of which it is not
    known that they were trained on: those of none of these molecules, nor several of one."""

    def __post_init__(self) -> None:
        self.model.check()
        # Texts are printed: control characters would reach the user's terminal.
        own = (self.name, self.description, self.citation, self.licence)
        texts = (*own, *self.species, *self.elements)
        if not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise ValueError("Names, species and texts must be single printable lines.")
        n_atoms = self.model.n_atoms
        if len(self.species) != n_atoms or self.test_positions.shape[1:] != (n_atoms, 3):
            raise ValueError(
                f"The model is for {n_atoms} atoms, but there are {len(self.species)} species "
                f"and test positions of shape {self.test_positions.shape}."
            )
        pairs = self.domain.pairs
        if not ((pairs >= 0) & (pairs < n_atoms)).all() or (pairs[:, 0] == pairs[:, 1]).any():
            raise ValueError("The domain must name pairs of different atoms that exist.")
        told = math.isfinite(self.reference_energy_eV)
        on_others = math.isnan(self.reference_energy_eV) and not len(self.test_positions)
        if not ((told or on_others) and np.isfinite(self.test_positions).all()):
            raise ValueError("The reference energy and the test positions must be finite.")
        if len(set(self.served)) != len(self.served):
            raise ValueError("A molecule is named twice.")
        cells = self.test_cells
        if cells is not None:
            if cells.shape != (len(self.test_positions), 3, 3) or not np.isfinite(cells).all():
                raise ValueError("Cells of test vectors must be finite, and one for each.")
        if self.elements:
            on_atoms(self.model, tuple(self.elements.index(s) for s in self.species)).check()
        known = dict(self.reference_energies_eV)
        if not (set(known) <= set(self.elements) and all(map(math.isfinite, known.values()))):
            raise ValueError("Reference energies must be finite, of elements of the package.")
        for variant in self.variants:
            self.on(variant.species)  # which checks it

    @property
    def served(self) -> tuple[tuple[str, ...], ...]:
        """Chemical symbols of each molecule, the package's own first."""
        return self.species, *(variant.species for variant in self.variants)

    def serves(self, species: tuple[str, ...]) -> bool:
        """Return True if `on` takes these atoms: a molecule of its own, or any of its elements.

        A package of several molecules that were trained on together takes other molecules of their
        elements, too, if each two of these elements are together in one of its own.
        """
        return species in self.served or self._takes(species)

    def _takes(self, species: tuple[str, ...]) -> bool:
        known = self._kinds
        if not species or not set(species) <= set(known):
            return False
        return bool(self.elements) or compositions.have_met(species, self._molecules)

    @property
    def known_elements(self) -> tuple[str, ...]:
        """Elements of other molecules than its own that the package serves, in order."""
        return tuple(sorted(self._kinds))

    @property
    def _kinds(self) -> dict[str, int]:
        """Kind of each element, in a package that serves any atoms of them; else empty."""
        if self.elements:
            return {symbol: kind for kind, symbol in enumerate(self.elements)}
        return compositions.kinds_of_elements(self._molecules) if self.variants else {}

    @property
    def _molecules(self) -> list[compositions.Molecule]:
        """The molecules of the training."""
        own = kinds_of(self.model), self.reference_energy_eV, self.domain
        others = [(v.species, v.kinds, v.reference_energy_eV, v.domain) for v in self.variants]
        return [compositions.Molecule(*m) for m in [(self.species, *own), *others]]

    def on(self, species: tuple[str, ...]) -> "Package":
        """The package for atoms that it serves: a molecule of its own, or others of its elements.

        Raises
        ------
        ValueError
            If it does not serve them.
        """
        if species == self.species:
            return self._with_all_pairs()
        for variant in self.variants:
            if species == variant.species:
                return replace(
                    self,
                    species=species,
                    model=on_atoms(self.model, variant.kinds),
                    reference_energy_eV=variant.reference_energy_eV,
                    domain=variant.domain,
                    test_positions=variant.test_positions,
                    variants=(),
                )
        if not self._takes(species):
            raise ValueError(f"{self.name} does not serve {' '.join(species)}.")
        kinds, molecules = self._kinds, self._molecules
        return replace(
            self,
            species=species,
            model=on_atoms(self.model, tuple(kinds[symbol] for symbol in species)),
            reference_energy_eV=self._zero(species),
            domain=compositions.closest(species, molecules),
            test_positions=np.zeros((0, len(species), 3)),
            test_cells=None,
            variants=(),
            trained_on=self._others(species),
        )

    def _with_all_pairs(self) -> "Package":
        """Return the package for its own atoms.

        Where the domain has least distances alone, each for one pair of its elements, all pairs of
        the atoms keep them, as those of any other atoms do.
        """
        if not (self.elements and len(self.domain.pairs)) or self.domain.bounded.any():
            return self
        return replace(self, domain=compositions.closest(self.species, self._molecules))

    def _zero(self, species: tuple[str, ...]) -> float:
        """Return the reference energy (eV) of other atoms; NaN where the labels do not tell it."""
        energies = dict(self.reference_energies_eV)
        if energies and set(species) <= set(energies):
            return math.fsum(energies[symbol] for symbol in species)
        return compositions.zero(species, self._molecules)

    def _others(self, species: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """Return the molecules of the training, of which these atoms are none; else nothing.

        A package of many compositions does not say which they were.
        """
        if self.reference_energies_eV or (
            self.elements and compositions.is_multiple(species, self._molecules)
        ):
            return ()
        return self.served

    def native(self) -> "Force":
        """The native kernel of the model, with a workspace of its own.

        Raises
        ------
        ValueError
            If a part of the model is beyond the native kernels.
        """
        return self._kernel.for_thread()

    @cached_property
    def _kernel(self) -> "Force":
        from ..tree.native import native_model

        return native_model(self.model)

    def potential(self) -> "ModelPotential":
        """The model as a JAX potential."""
        from ..tree.potential import ModelPotential

        return ModelPotential(self.model)
