"""Atoms in internal units: numbers, positions, masses, initial velocities and cell.

From here on all values are in eV, angstrom, u and angstrom sqrt(u/eV).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from qmd.errors import InputError, MismatchError
from qmd.system.cell import ISOLATED, checked_cell
from qmd.typing import Array

LARGEST = 1e9
"""Largest position, velocity or mass; squares of larger ones, and their sums, may overflow."""


@dataclass(frozen=True, eq=False)
class System:
    """Atoms of a molecule, a cluster or a periodic cell; the arrays are read-only.

    Attributes
    ----------
    numbers : int64 array, shape (n_atoms,)
        Atomic numbers.
    positions : float64 array, shape (n_atoms, 3)
        Positions (angstrom).
    masses : float64 array, shape (n_atoms,)
        Masses (u).
    velocities : float64 array, shape (n_atoms, 3), or None
        Velocities (internal units) that came with the structure.
    name : str
        Built-in name or file name, safe to print.
    charge : int or None
        Total charge (e) that the structure states; None if it states none.
    multiplicity : int or None
        Multiplicity 2S + 1 that the structure states; None if it states none.
    cell : float64 array, shape (3, 3)
        Lattice vectors (angstrom) in rows; a row of zeros is a direction that is not periodic.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not finite, a mass is not positive, or the cell is not
        one, see `qmd.system.cell.checked_cell`.
    """

    numbers: NDArray[np.int64]
    positions: Array
    masses: Array
    velocities: Array | None
    name: str
    charge: int | None = None
    multiplicity: int | None = None
    cell: Array = field(default_factory=lambda: ISOLATED)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cell", checked_cell(self.cell, self.name))
        n_atoms = len(self.numbers)
        shapes = {"numbers": (n_atoms,), "masses": (n_atoms,), "positions": (n_atoms, 3)}
        if self.velocities is not None:
            shapes["velocities"] = (n_atoms, 3)
        for name, shape in shapes.items():
            dtype = np.int64 if name == "numbers" else np.float64
            array = np.array(getattr(self, name), dtype=dtype, order="C")
            if array.shape != shape:
                raise InputError(f"{self.name}: {name} of shape {array.shape}, expected {shape}")
            if not (fits := np.abs(array) <= LARGEST).all():
                atom = int(np.argwhere(~fits)[0, 0])
                raise InputError(
                    f"{self.name}: {name} of atom {atom + 1} are not finite, or beyond {LARGEST:g}"
                )
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if not (self.masses > 0).all():
            raise InputError(f"{self.name}: a mass is not positive")

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.numbers)

    @property
    def is_periodic(self) -> bool:
        """True if the system has a lattice vector."""
        return bool(self.cell.any())

    @property
    def symbols(self) -> tuple[str, ...]:
        """Chemical symbols, in the order of the atoms."""
        return tuple(chemical_symbols[number] for number in self.numbers)


def check_species(system: System, *served: Sequence[str], name: str = "the potential") -> None:
    """Refuse a system that does not have, atom by atom, the species of a potential.

    Parameters
    ----------
    system : System
    *served : sequence of str
        Chemical symbols of each molecule that the potential serves, in its order.
    name : str
        Name of the potential, for the message.

    Raises
    ------
    MismatchError
        If the species differ. The message has every molecule that is served, and the right order of
        the atoms if one of them has the same composition.
    """
    molecules, found = [tuple(species) for species in served], system.symbols
    if found in molecules:
        return
    listed = ", or ".join(map(_listed, molecules))
    message = f"{name} is for {listed}; {system.name} has {_listed(found)}"
    alike = [species for species in molecules if sorted(species) == sorted(found)]
    if not alike:
        raise MismatchError(
            message, hint="use another molecule or potential; `qmd potential list` shows them"
        )
    order = ",".join(str(atom + 1) for atom in _reordered(system, alike[0]))
    raise MismatchError(message, hint=f"if it is the same molecule, reorder its atoms as {order}")


def _reordered(system: System, species: Sequence[str]) -> list[int]:
    """Return the atoms in the order `species`, each hydrogen after the atom it is bound to.

    For each hydrogen the one closest to the last heavy atom is taken: by species alone, O O H H H H
    would give the hydrogens of one molecule to the other.
    """
    order: list[int] = []
    anchor: int | None = None
    for symbol in species:
        left = [i for i, s in enumerate(system.symbols) if s == symbol and i not in order]
        if anchor is not None and symbol == "H":
            arms = system.positions[left] - system.positions[anchor]
            left = [left[int(np.argmin((arms**2).sum(axis=1)))]]
        order.append(left[0])
        anchor = anchor if symbol == "H" else order[-1]
    return order


def _listed(symbols: Sequence[str], limit: int = 12) -> str:
    shown = ",".join(symbols[:limit])
    return shown if len(symbols) <= limit else f"{shown},... ({len(symbols)} atoms)"
