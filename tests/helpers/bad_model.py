"""Made-up bad models: one that a comparison must see through, and one that fails."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class HarmonicBonds(Calculator):
    """Atom 0 bound to all others."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, stiffness: float = 20.0, length: float = 1.0) -> None:
        super().__init__()
        self.stiffness, self.length = stiffness, length  # eV/angstrom^2, angstrom

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        x = self.atoms.positions
        bonds = x[1:] - x[0]
        lengths = np.linalg.norm(bonds, axis=1)
        stretch = lengths - self.length
        pulls = self.stiffness * (stretch / lengths)[:, None] * bonds
        energy = 0.5 * self.stiffness * float(stretch @ stretch)
        self.results = {"energy": energy, "forces": np.concatenate([[pulls.sum(axis=0)], -pulls])}


class Fragile(HarmonicBonds):
    """Does not converge where a bond is long."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        if np.linalg.norm(atoms.positions[1] - atoms.positions[0]) > 1.2:
            raise RuntimeError("no convergence")
        super().calculate(atoms, properties, system_changes)


class Greedy(HarmonicBonds):
    """Asks for more memory than there is where a bond is long."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        if np.linalg.norm(atoms.positions[1] - atoms.positions[0]) > 1.2:
            np.zeros(2**57)
        super().calculate(atoms, properties, system_changes)
