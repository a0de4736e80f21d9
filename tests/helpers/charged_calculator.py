"""An ASE calculator that takes charge and multiplicity, as tblite does, and shows them."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Charged(Calculator):
    """No forces; the energy is 10 x charge + multiplicity, eV."""

    implemented_properties = ["energy", "free_energy", "forces"]  # noqa: RUF012  (as in ASE)
    default_parameters = {"charge": None, "multiplicity": None}  # noqa: RUF012  (as in ASE)

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        energy = 10.0 * (self.parameters["charge"] or 0) + (self.parameters["multiplicity"] or 1)
        forces = np.zeros((len(self.atoms), 3))
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
