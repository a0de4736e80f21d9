"""ASE calculator for any potential of qmd, on the native kernel if the potential has one."""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    Calculator,
    CalculatorSetupError,
    PropertyNotImplementedError,
    all_changes,
)
from ase.stress import full_3x3_to_voigt_6_stress

from qmd.errors import InputError, MismatchError
from qmd.forces.build import build_package, build_potential, parse_potential
from qmd.forces.catalogue import for_given_atoms, load_package
from qmd.forces.config import PackageConfig
from qmd.forces.origin import PotentialOrigin, domain_limits
from qmd.forces.other_molecules import on_atoms
from qmd.forces.runnable import RunnablePotential
from qmd.integrators import stray
from qmd.io.stated import NOTHING, Stated, read_stated
from qmd.potentials import BEYOND_A, Package
from qmd.system.cell import is_full, volume
from qmd.system.system import System
from qmd.typing import Array


class QmdCalculator(Calculator):
    """Energy, forces and, in a cell periodic in all directions, stress of supported atoms.

    Parameters
    ----------
    potential : str, path or mapping
        Name of a potential, a .qmdp file, or a mapping as under `potential:` in the input of a
        run, such as ``{"kind": "committee", "members": [...]}``. Paths are relative to the current
        folder.
    absolute : bool
        Add the reference energy of the package, so that energies are those of its labels instead of
        relative to the zero of the model.

    Attributes
    ----------
    results : dict
        Results of ASE; for a committee also `force_spread`, the standard deviation of the force on
        each atom over the members, eV/angstrom, shape (n_atoms,).

    Raises
    ------
    InputError
        If a mapping does not describe a potential.
    MismatchError
        If the potential does not exist, or is damaged.
    CalculatorSetupError
        In a calculation, if the species or their order differ, if the atoms are periodic and the
        potential is for isolated systems, if they state charges or spins that it does not take, or
        if absolute energies are asked for and the labels do not tell those of these atoms.

    Warns
    -----
    UserWarning
        If a distance leaves the domain of the training data, or the potential was trained on
        other molecules of these elements.

    Examples
    --------
    >>> from ase import Atoms
    >>> from qmd.interop.ase_calculator import QmdCalculator
    >>> water = Atoms("OHH", [[0, 0, 0], [0.97, 0, 0], [-0.24, 0.94, 0]])
    >>> water.calc = QmdCalculator("sivqlm-h2o")
    >>> float(round(water.get_forces().sum(), 10)) == 0
    True
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012  (as in ASE)

    def __init__(
        self, potential: str | PathLike[str] | Mapping[str, Any], *, absolute: bool = False
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.absolute = absolute
        self._config = parse_potential(potential)
        self._load()

    def _load(self) -> None:
        self._species: tuple[str, ...] = ()
        self._stated: tuple[object, ...] = ()
        self._runnable: RunnablePotential | None = None
        self.package: Package | None = None
        if isinstance(self._config, PackageConfig) and not for_given_atoms(self._config.name):
            self.package = load_package(self._config.name, Path(), self._config.sha256)
            self._species = self.package.species
            own = self.package.on(self._species)
            self._runnable = build_package(own, self._config.backend)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the results; the potential, which cannot change, is shared."""
        shared = ("_config", "_species", "_stated", "_runnable", "package")
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        for key, value in vars(self).items():
            vars(twin)[key] = value if key in shared else copy.deepcopy(value, memo)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: a name, and the SHA-256 that its potential must have."""
        made_again = ("_species", "_stated", "_runnable")
        state = {key: value for key, value in vars(self).items() if key not in made_again}
        package = state.pop("package")
        if package is not None:
            state["_config"] = self._config.model_copy(update={"sha256": package.sha256})
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the potential again, where the pickle is read."""
        vars(self).update(state)
        self._load()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fill `results`; called by ASE."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        potential, served = self._potential_for_atoms(), cast(Atoms, self.atoms)
        positions = np.array(served.positions, float, order="C")
        cell, virial = _lattice(served), None
        self._warn_outside(potential.source, positions, cell)
        if cell.any():
            in_cell = potential.energy_in_cell
            energy, forces, virial = in_cell(positions, cell, "stress" in properties)
        else:
            energy, forces = potential.energy_and_forces(positions)
        total = energy + (_zero(potential.source) if self.absolute else 0.0)
        self.results: dict[str, Any] = {"energy": total, "free_energy": total, "forces": forces}
        if virial is not None and is_full(cell):
            self.results["stress"] = full_3x3_to_voigt_6_stress(-virial / volume(cell))
        elif "stress" in properties:
            raise PropertyNotImplementedError(
                f"{potential.source.name} has no stress of these atoms: it needs a potential with "
                "a virial, and a cell that is periodic in all directions."
            )
        if potential.force_spread:
            self.results["force_spread"] = potential.force_spread(positions, cell)

    def _potential_for_atoms(self) -> RunnablePotential:
        """Return the potential for the present atoms, built again if they have changed."""
        atoms: Any = self.atoms
        species = tuple(atoms.get_chemical_symbols())
        if self.package and atoms.pbc.any() and not self.package.elements:
            raise CalculatorSetupError(_not_periodic(self.package.name, atoms))
        if self.package and not self.package.serves(species):
            served = ", or ".join(" ".join(symbols) for symbols in self.package.served)
            raise CalculatorSetupError(
                f"{self.package.name} is for {served} in this order, but the atoms are "
                f"{' '.join(species)}."
            )
        stated = _stated(atoms)
        if self.package and stated[0] not in (NOTHING, Stated(0, 1), Stated(0), Stated(None, 1)):
            raise CalculatorSetupError(
                f"{self.package.name} is for neutral molecules with paired electrons, but the "
                f"atoms state {stated[0]}."
            )
        if self._runnable is None or (species, stated) != (self._species, self._stated):
            self._runnable = self._build_for(atoms, species, stated[0])
            self._species, self._stated = species, stated
        if atoms.pbc.any() and not self._runnable.is_periodic:
            raise CalculatorSetupError(_not_periodic(self._runnable.source.name, atoms))
        return self._runnable

    def _build_for(
        self, atoms: Atoms, species: tuple[str, ...], stated: Stated
    ) -> RunnablePotential:
        if self.package and isinstance(self._config, PackageConfig):
            package = on_atoms(self.package, atoms.numbers, atoms.positions, _lattice(atoms))
            return _warned(build_package(package, self._config.backend))
        masses = atoms.get_masses()
        try:
            system = System(
                atoms.numbers, atoms.positions, masses, None, "the Atoms object", *stated,
                cell=_lattice(atoms),
            )  # fmt: skip
            return _warned(build_potential(self._config, system, Path()))
        except (InputError, MismatchError) as error:
            raise CalculatorSetupError(f"{error} {error.hint or ''}".strip()) from None

    def _warn_outside(
        self, source: PotentialOrigin, positions: np.ndarray, cell: np.ndarray
    ) -> None:
        domain = replace(source.domain, stop=source.domain.warn)
        species = cast(Atoms, self.atoms).get_chemical_symbols()
        if found := stray(domain_limits(domain, species, bool(cell.any())), positions, cell):
            to = f"{found.low:.3f} to {found.high:.3f} A"
            if found.high >= BEYOND_A:
                to = f"{found.low:.3f} A and more"
            warnings.warn(
                f"{source.name}: atoms {found.i} and {found.j} are {found.distance:.3f} A apart; "
                f"the training data has {to}.",
                stacklevel=3,
            )


def _warned(potential: RunnablePotential) -> RunnablePotential:
    """Return a potential, after the warning that it was not trained on its atoms, if so."""
    if potential.source.warning:
        warnings.warn(f"{potential.source.warning}.", stacklevel=6)
    return potential


def _zero(source: PotentialOrigin) -> float:
    """Return the energy (eV) of the labels at the zero of a potential."""
    if math.isnan(source.reference_energy_eV):
        raise CalculatorSetupError(
            f"{source.name} has no absolute energy of these atoms: its labels are of another "
            "composition. Leave out absolute=True."
        )
    return source.reference_energy_eV


def _lattice(atoms: Atoms) -> Array:
    """Lattice vectors (angstrom) of the periodic directions; a row of zeros for each other."""
    return np.where(atoms.pbc[:, None], np.array(atoms.cell), 0.0)


def _stated(atoms: Atoms) -> tuple[Stated, tuple[bool, ...]]:
    """Charge and multiplicity that atoms state, and their periodic directions."""
    try:
        return read_stated(atoms, "the Atoms object"), tuple(bool(p) for p in atoms.pbc)
    except InputError as error:
        raise CalculatorSetupError(f"{error} {error.hint or ''}".strip()) from None


def _not_periodic(name: str, atoms: Atoms) -> str:
    return (
        f"The atoms have pbc = {atoms.pbc.tolist()}, but {name} is for isolated molecules. If it "
        "is one molecule, in one piece, set `atoms.pbc = False`."
    )
