"""Relaxation of positions, and of the cell, by the optimisers of ASE."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE, LBFGS
from ase.stress import full_3x3_to_voigt_6_stress

from qmd import units
from qmd.errors import InputError, NumericalError
from qmd.forces.virial_check import check_virial
from qmd.system.cell import is_full, turned, volume
from qmd.system.system import System
from qmd.typing import Array, EnergyInCell

OPTIMISERS = {"bfgs": BFGS, "lbfgs": LBFGS, "fire": FIRE}
"""Optimisers of ASE, by their names here."""


class Relaxed(NamedTuple):
    """Structure at which the forces vanish."""

    positions: Array
    """Positions, angstrom, (n_atoms, 3)."""
    cell: Array
    """Lattice vectors, angstrom, (3, 3), in the standard orientation."""
    energy: float
    """Energy, eV."""
    forces: Array
    """Forces, eV/angstrom, (n_atoms, 3)."""
    pressure_GPa: float | None
    """Pressure of the potential, without motion; None without a volume or a stress."""
    steps: int
    """Number of steps of the optimiser."""

    @property
    def largest_force(self) -> float:
        """Length of the largest force, eV/angstrom."""
        return float(np.linalg.norm(self.forces, axis=1).max())


def relax(
    function: EnergyInCell,
    system: System,
    name: str,
    *,
    cell: bool = False,
    pressure_GPa: float = 0.0,
    largest_force: float = 1e-3,
    steps: int = 1000,
    optimiser: str = "bfgs",
    on_progress: Callable[[int, float], None] = lambda step, force: None,
) -> Relaxed:
    """Move the atoms, and the lattice vectors on request, until the forces are small.

    Parameters
    ----------
    function : callable
        Energy, forces and virial in a cell.
    system : System
    name : str
        Name of the potential, for messages.
    cell : bool
        Relax the cell, too, by ASE's `FrechetCellFilter`.
    pressure_GPa : float
        Pressure from outside, for a cell that is relaxed.
    largest_force : float
        Largest force that is left, eV/angstrom; of the cell, the derivative of the enthalpy by its
        strain over the number of atoms, as ASE has it.
    steps : int
        Largest number of steps.
    optimiser : str
        Name in `OPTIMISERS`.
    on_progress : callable
        Takes the number of steps and the largest force, eV/angstrom.

    Raises
    ------
    InputError
        If a cell is to be relaxed that is not periodic in all directions.
    NumericalError
        If the potential has no stress, or a wrong one, for a cell that is to be relaxed, or if the
        forces are not small after all steps.
    """
    if cell:
        if not is_full(system.cell):
            raise InputError(
                f"{system.name} is not periodic in all directions: there is no cell to relax",
                "relax the positions alone",
            )
        check_virial(function, system.positions, system.cell, name)
    atoms: Any = Atoms(
        system.numbers, system.positions, cell=system.cell, pbc=system.cell.any(axis=1)
    )
    atoms.calc = _Calculator(function, name, stress=cell)
    target: Any = atoms
    if cell:
        target = FrechetCellFilter(atoms, scalar_pressure=pressure_GPa * units.GPa)
    search = OPTIMISERS[optimiser](target, logfile=None)
    search.attach(lambda: on_progress(search.nsteps, _largest(atoms)))
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused below
            done = search.run(fmax=largest_force, steps=steps)
    except np.linalg.LinAlgError:
        raise _lost() from None
    if not done:
        raise NumericalError(
            f"{system.name} is not relaxed after {steps} steps: the largest force is still "
            f"{_largest(atoms):.2g} eV/A",
            "give it more steps, another optimiser, or a start that is nearer",
        )
    found, positions, forces = turned(np.array(atoms.cell), atoms.positions, atoms.get_forces())
    return Relaxed(
        positions, found, atoms.get_potential_energy(), forces,
        _pressure(function, atoms, cell), search.nsteps,
    )  # fmt: skip


def _lost() -> NumericalError:
    return NumericalError("the optimiser has lost its way", "try another: --optimiser fire")


def _largest(atoms: Any) -> float:
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max())


def _pressure(function: EnergyInCell, atoms: Any, has_stress: bool) -> float | None:
    if not has_stress:
        return None
    lattice = np.array(atoms.cell)
    virial = function(np.array(atoms.positions), lattice, True)[2]
    assert virial is not None
    return float(np.trace(virial) / (3 * volume(lattice)) / units.GPa)


class _Calculator(Calculator):
    """Calculator of ASE for a potential of qmd."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012  (as in ASE)

    def __init__(self, function: EnergyInCell, name: str, *, stress: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._function, self._name, self._stress = function, name, stress

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        given: Any = self.atoms
        lattice = np.where(given.pbc[:, None], np.array(given.cell), 0.0)
        x = np.array(given.positions, order="C")
        if not (np.isfinite(x).all() and np.isfinite(lattice).all()):
            raise _lost()
        energy, forces, virial = self._function(x, lattice, self._stress)
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise NumericalError(f"{self._name} has no finite energy or forces on the way")
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        if virial is not None:
            self.results["stress"] = full_3x3_to_voigt_6_stress(-virial / volume(lattice))
