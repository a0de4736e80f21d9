"""A packaged potential as an ASE calculator, on the native kernel."""

import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorSetupError, all_changes

from qmd.build import load_package
from qmd.potentials import evaluate


class QmdCalculator(Calculator):
    """Energy and forces of one molecule, or of the molecules, that a potential serves.

    Parameters
    ----------
    potential : str or path
        Name of a potential, or a .qmdp file.
    absolute : bool
        Add the reference energy of the package, so that energies are those of its labels instead of
        relative to the zero of the model.

    Raises
    ------
    MismatchError
        If there is no such potential, or it is damaged.
    CalculatorSetupError
        In a calculation: if the species are others or in another order, or the atoms periodic.

    Warns
    -----
    UserWarning
        If a distance leaves the domain of the training data.

    Examples
    --------
    >>> from ase import Atoms
    >>> from qmd.calculator import QmdCalculator
    >>> water = Atoms("OHH", [[0, 0, 0], [0.97, 0, 0], [-0.24, 0.94, 0]])
    >>> water.calc = QmdCalculator("sivqlm-h2o")
    >>> float(round(water.get_forces().sum(), 10)) == 0
    True
    """

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012  (as in ASE)

    def __init__(self, potential: str | PathLike[str], *, absolute: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.package = load_package(str(potential), Path())
        self.absolute = absolute
        self._kernel = self.package.native()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fill `results`; ASE calls it."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        positions = self._positions()
        self._warn_outside(positions)
        energy, forces = evaluate(self._kernel, positions)
        total = float(energy) + (self.package.reference_energy_eV if self.absolute else 0.0)
        self.results: dict[str, Any] = {
            "energy": total, "free_energy": total, "forces": forces.copy()
        }  # fmt: skip

    def _positions(self) -> np.ndarray:
        atoms: Any = self.atoms
        found = tuple(atoms.get_chemical_symbols())
        if found != self.package.species:
            raise CalculatorSetupError(
                f"{self.package.name} is for {' '.join(self.package.species)} in this order, but "
                f"the atoms are {' '.join(found)}."
            )
        if atoms.pbc.any():
            raise CalculatorSetupError(f"{self.package.name} is for isolated molecules.")
        return np.array(atoms.positions, float, order="C")

    def _warn_outside(self, positions: np.ndarray) -> None:
        domain = self.package.domain
        i, j = domain.pairs.T
        distances = np.linalg.norm(positions[j] - positions[i], axis=1)
        outside = ~((distances >= domain.warn[:, 0]) & (distances <= domain.warn[:, 1]))
        if outside.any():
            k = int(outside.argmax())
            warnings.warn(
                f"{self.package.name}: atoms {i[k]} and {j[k]} are {distances[k]:.3f} A apart; the "
                f"training data has {domain.warn[k, 0]:.3f} to {domain.warn[k, 1]:.3f} A.",
                stacklevel=3,
            )
