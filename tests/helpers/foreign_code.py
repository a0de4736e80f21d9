"""A module that leaves a mark when it is imported: a stand-in for code that does harm."""

from pathlib import Path

SOURCE = '''\
"""Marks its own import; as a calculator it has no forces."""

from pathlib import Path

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

Path({mark!r}).touch()


class Calm(Calculator):
    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        self.results = {{"energy": 0.0, "forces": np.zeros((len(self.atoms), 3))}}
'''


def write_module(folder: Path, name: str, mark: Path) -> None:
    """Write a module with a calculator, which touches `mark` when it is imported."""
    (folder / f"{name}.py").write_text(SOURCE.format(mark=str(mark)))
