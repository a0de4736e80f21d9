"""ASE calculator for any potential of qmd, on the native kernel if the potential has one."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorSetupError, all_changes

from qmd.errors import MismatchError
from qmd.forces.build import build_package, build_potential, parse_potential
from qmd.forces.catalogue import for_given_atoms, load_package
from qmd.forces.config import PackageConfig
from qmd.forces.origin import PotentialOrigin
from qmd.forces.runnable import RunnablePotential
from qmd.potentials import Package
from qmd.system.system import System


class QmdCalculator(Calculator):
    """Energy and forces of the molecule, or of one of the molecules, that a potential serves.

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
        In a calculation, if the species or their order differ, or if the atoms are periodic.

    Warns
    -----
    UserWarning
        If a distance leaves the domain of the training data.

    Examples
    --------
    >>> from ase import Atoms
    >>> from qmd.interop.ase_calculator import QmdCalculator
    >>> water = Atoms("OHH", [[0, 0, 0], [0.97, 0, 0], [-0.24, 0.94, 0]])
    >>> water.calc = QmdCalculator("sivqlm-h2o")
    >>> float(round(water.get_forces().sum(), 10)) == 0
    True
    """

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012  (as in ASE)

    def __init__(
        self, potential: str | PathLike[str] | Mapping[str, Any], *, absolute: bool = False
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.absolute = absolute
        self._config = parse_potential(potential)
        self._load()

    def _load(self) -> None:
        self._species: tuple[str, ...] = ()
        self._runnable: RunnablePotential | None = None
        self.package: Package | None = None
        if isinstance(self._config, PackageConfig) and not for_given_atoms(self._config.name):
            self.package = load_package(self._config.name, Path(), self._config.sha256)
            self._species = self.package.species
            self._runnable = build_package(self.package, self._config.backend)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy the results; the potential, which cannot change, is shared."""
        shared = ("_config", "_species", "_runnable", "package")
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        for key, value in vars(self).items():
            vars(twin)[key] = value if key in shared else copy.deepcopy(value, memo)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: a name, and the SHA-256 that its potential must have."""
        state = {k: v for k, v in vars(self).items() if k not in ("_species", "_runnable")}
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
        self._warn_outside(potential.source, positions)
        energy, forces = potential.energy_and_forces(positions)
        total = energy + (potential.source.reference_energy_eV if self.absolute else 0.0)
        self.results: dict[str, Any] = {"energy": total, "free_energy": total, "forces": forces}
        if potential.force_spread:
            self.results["force_spread"] = potential.force_spread(positions)

    def _potential_for_atoms(self) -> RunnablePotential:
        """Return the potential for the present atoms, built again if they have changed."""
        atoms: Any = self.atoms
        species = tuple(atoms.get_chemical_symbols())
        if atoms.pbc.any():
            raise CalculatorSetupError(
                f"The atoms have pbc = {atoms.pbc.tolist()}, but potentials of qmd are for "
                "isolated molecules. If it is one molecule, in one piece, set `atoms.pbc = False`."
            )
        if self.package and species not in self.package.served:
            served = ", or ".join(" ".join(symbols) for symbols in self.package.served)
            raise CalculatorSetupError(
                f"{self.package.name} is for {served} in this order, but the atoms are "
                f"{' '.join(species)}."
            )
        if self._runnable is None or species != self._species:
            self._runnable, self._species = self._build_for(atoms, species), species
        return self._runnable

    def _build_for(self, atoms: Atoms, species: tuple[str, ...]) -> RunnablePotential:
        if self.package and isinstance(self._config, PackageConfig):
            return build_package(self.package.on(species), self._config.backend)
        masses = atoms.get_masses()
        system = System(atoms.numbers, atoms.positions, masses, None, "the Atoms object")
        try:
            return build_potential(self._config, system, Path())
        except MismatchError as error:
            raise CalculatorSetupError(f"{error} {error.hint or ''}".strip()) from None

    def _warn_outside(self, source: PotentialOrigin, positions: np.ndarray) -> None:
        domain = source.domain
        i, j = domain.pairs.T
        distances = np.linalg.norm(positions[j] - positions[i], axis=1)
        outside = ~((distances >= domain.warn[:, 0]) & (distances <= domain.warn[:, 1]))
        if outside.any():
            k = int(outside.argmax())
            warnings.warn(
                f"{source.name}: atoms {i[k]} and {j[k]} are {distances[k]:.3f} A apart; the "
                f"training data has {domain.warn[k, 0]:.3f} to {domain.warn[k, 1]:.3f} A.",
                stacklevel=3,
            )
