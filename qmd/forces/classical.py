"""Classical terms in the section `potential` of an input, each with the leaf that it describes."""

from abc import abstractmethod
from collections.abc import Sequence
from math import pi
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from qmd.config.base import Config, Positive

if TYPE_CHECKING:
    from qmd.potentials import Model, families

DEFAULT_SKIN_A, DEFAULT_ACCURACY = 1.0, 1e-10
"""Those of `qmd.potentials`, which is not imported for an input alone."""
Charge = Annotated[float, Field(ge=-1000, le=1000)]
AnyAtomIndex = Annotated[int, Field(ge=0, le=9_999_999)]
AtomPair = Annotated[list[AnyAtomIndex], Field(min_length=2, max_length=2)]
AtomTriple = Annotated[list[AnyAtomIndex], Field(min_length=3, max_length=3)]
Molecule = Annotated[list[AnyAtomIndex], Field(min_length=1, max_length=1000)]


class ClassicalTermConfig(Config):
    """Base of the classical terms, which name atoms of the system by their index."""

    @abstractmethod
    def leaf(self, n_atoms: int) -> "Model":
        """Return the leaf of this term in a system of `n_atoms`.

        Raises
        ------
        ValueError
            If it names atoms that do not exist, or an atom twice.
        """


class MorseConfig(ClassicalTermConfig):
    """Morse bonds, each with the energy depth (1 - exp(-steepness (r - length)))^2."""

    kind: Literal["morse"]
    """Morse bonds."""
    bonds: Annotated[list[AtomPair], Field(min_length=1, max_length=100_000)]
    """Pairs of atoms, counted from 0."""
    depth_eV: Positive
    """Dissociation energy of a bond (eV)."""
    steepness_per_A: Positive
    """Inverse width (1/angstrom); the force constant is 2 depth steepness^2."""
    length_A: Positive
    """Bond length at the minimum (angstrom)."""

    def leaf(self, n_atoms: int) -> "families.Leaf":
        from qmd.potentials import MorseBonds

        values = self.depth_eV, self.steepness_per_A, self.length_A
        return MorseBonds(n_atoms, _pairs(self.bonds), *values)


class HarmonicBondConfig(ClassicalTermConfig):
    """Harmonic bonds, each with the energy stiffness/2 (r - length)^2."""

    kind: Literal["harmonic_bond"]
    """Harmonic bonds."""
    bonds: Annotated[list[AtomPair], Field(min_length=1, max_length=100_000)]
    """Pairs of atoms, counted from 0."""
    stiffness_eV_per_A2: Positive
    """Force constant (eV/angstrom^2)."""
    length_A: Positive
    """Bond length at the minimum (angstrom)."""

    def leaf(self, n_atoms: int) -> "families.Leaf":
        from qmd.potentials import HarmonicBonds

        values = self.stiffness_eV_per_A2, self.length_A
        return HarmonicBonds(n_atoms, _pairs(self.bonds), *values)


class HarmonicAngleConfig(ClassicalTermConfig):
    """Harmonic angles, each with the energy stiffness/2 (theta - angle)^2."""

    kind: Literal["harmonic_angle"]
    """Harmonic angles."""
    angles: Annotated[list[AtomTriple], Field(min_length=1, max_length=100_000)]
    """Triples of atoms, counted from 0, with the vertex in the middle."""
    stiffness_eV_per_rad2: Positive
    """Force constant (eV/rad^2)."""
    angle_deg: Annotated[float, Field(gt=0, lt=180)]
    """Angle at the minimum (degrees)."""

    def leaf(self, n_atoms: int) -> "families.Leaf":
        from qmd.potentials import HarmonicAngles

        angles = tuple((i, vertex, k) for i, vertex, k in self.angles)
        return HarmonicAngles(
            n_atoms, angles, self.stiffness_eV_per_rad2, self.angle_deg * pi / 180
        )


class LennardJonesConfig(ClassicalTermConfig):
    """Lennard-Jones energy 4 epsilon ((sigma/r)^12 - (sigma/r)^6) for each pair of the atoms."""

    kind: Literal["lennard_jones"]
    """Lennard-Jones interaction between atoms."""
    atoms: Annotated[list[AnyAtomIndex], Field(min_length=1, max_length=10_000_000)] | None = None
    """Atoms that interact with each other, counted from 0; default: all."""
    epsilon_eV: Positive
    """Depth of the minimum (eV)."""
    sigma_A: Positive
    """Distance at which the energy is zero (angstrom)."""
    cutoff_A: Positive | None = None
    """Distance (angstrom) beyond which pairs do not interact; required in a cell, and for more than
    1,000 atoms. Default: none."""
    truncation: Literal["cut", "shift", "force_shift", "switch"] | None = None
    """How the energy ends at the cut-off: it jumps (`cut`), is shifted to 0 (`shift`), with its
    force (`force_shift`), or is switched off smoothly; default: `shift`."""
    switch_from_A: Positive | None = None
    """Distance (angstrom) from which `truncation: switch` acts; default: 0.9 of the cut-off."""
    tail_correction: bool = False
    """Add the mean energy and pressure of what the cut-off leaves out, as in a fluid that is
    uniform there; for cells that are periodic in all directions."""
    skin_A: Annotated[float, Field(ge=0, le=100)] = DEFAULT_SKIN_A
    """Width (angstrom) of the shell beyond the cut-off that the neighbour list holds as well: it
    changes the speed only."""

    @field_validator("truncation", "switch_from_A", "tail_correction")
    @classmethod
    def _only_with_a_cutoff(cls, value: object, info: ValidationInfo) -> object:
        if "cutoff_A" in info.data and info.data["cutoff_A"] is None and value:
            raise ValueError("is of no effect without `cutoff_A`")
        return value

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.skin_A != DEFAULT_SKIN_A and self.cutoff_A is None:
            raise ValueError("`skin_A` is of no effect without `cutoff_A`; remove it")
        if self.switch_from_A is not None and self.truncation != "switch":
            raise ValueError("`switch_from_A` is of no effect without `truncation: switch`")
        return self

    def leaf(self, n_atoms: int) -> "Model":
        from qmd.potentials import LennardJones, OnAtoms, TruncatedLennardJones

        atoms = tuple(range(n_atoms) if self.atoms is None else self.atoms)
        if max(atoms) >= n_atoms:
            raise ValueError(f"it names atom {max(atoms)} of {n_atoms}, which count from 0")
        if self.cutoff_A is None:
            return LennardJones(n_atoms, atoms, self.epsilon_eV, self.sigma_A)
        inner = 0.0
        if self.truncation == "switch":
            inner = 0.9 * self.cutoff_A if self.switch_from_A is None else self.switch_from_A
        one = TruncatedLennardJones(
            len(atoms),
            self.epsilon_eV,
            self.sigma_A,
            self.cutoff_A,
            self.truncation or "shift",
            inner,
            self.tail_correction,
            self.skin_A,
        )
        return one if self.atoms is None else OnAtoms(one, atoms)


class PointChargesConfig(ClassicalTermConfig):
    """Coulomb interaction between the atoms of different molecules."""

    kind: Literal["point_charges"]
    """Point charges."""
    charges_e: Annotated[list[Charge], Field(min_length=2, max_length=100_000)]
    """Charge of each atom (e), in order; in a cell their sum must be 0."""
    molecules: Annotated[list[Molecule], Field(min_length=1, max_length=100_000)] | None = None
    """Atoms of each molecule, counted from 0; charges within a molecule do not interact. Default:
    every atom is a molecule."""
    cutoff_A: Positive | None = None
    """Distance (angstrom) to which an Ewald sum takes pairs; required in a cell, which must be
    periodic in all directions. Its surroundings conduct (tin foil). It changes the speed, not the
    energy. Default: none, for isolated atoms, of which all pairs interact."""
    accuracy: Annotated[float, Field(ge=1e-15, le=1e-2)] = DEFAULT_ACCURACY
    """What the Ewald sums leave out, as a part of the energy of two charges at the cut-off."""

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        if self.accuracy != DEFAULT_ACCURACY and self.cutoff_A is None:
            raise ValueError("`accuracy` is of no effect without `cutoff_A`; remove it")
        return self

    def leaf(self, n_atoms: int) -> "families.Leaf":
        from qmd.potentials import PointCharges, ewald_charges

        if len(self.charges_e) != n_atoms:
            raise ValueError(f"it needs {n_atoms} charges, but got {len(self.charges_e)}.")
        molecules = [[atom] for atom in range(n_atoms)]
        if self.molecules is not None:
            molecules = self.molecules
        if sorted(atom for members in molecules for atom in members) != list(range(n_atoms)):
            raise ValueError(f"its molecules must name each of the atoms 0 to {n_atoms - 1} once.")
        molecule_of = {atom: k for k, members in enumerate(molecules) for atom in members}
        of_atoms = tuple(molecule_of[atom] for atom in range(n_atoms))
        if self.cutoff_A is None:
            return PointCharges(tuple(self.charges_e), of_atoms)
        return ewald_charges(self.charges_e, of_atoms, self.cutoff_A, self.accuracy)


def _pairs(bonds: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((i, j) for i, j in bonds)
