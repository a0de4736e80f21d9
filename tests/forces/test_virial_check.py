"""A virial is believed only if it is the slope of the energy by a strain."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from qmd.errors import NumericalError
from qmd.forces.virial_check import check_virial, strain_slopes


def crystal():
    atoms = bulk("Cu").repeat(2)
    atoms.rattle(0.1, seed=1)
    return atoms


def copper(change):
    """Return copper by ASE, with a virial that `change` has gone through."""
    atoms = crystal()
    atoms.calc = EMT()

    def energy_in_cell(positions, cell, virial):
        atoms.set_cell(cell)
        atoms.positions = positions
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        found = -atoms.get_volume() * atoms.get_stress(voigt=False)
        return energy, forces, change(found) if virial else None

    return energy_in_cell


def check(change):
    atoms = crystal()
    check_virial(copper(change), atoms.positions, np.array(atoms.cell), "copper")


def test_the_right_virial_passes_and_equals_the_slopes():
    check(lambda virial: virial)
    atoms = crystal()
    slopes = strain_slopes(copper(lambda virial: virial), atoms.positions, np.array(atoms.cell))
    atoms.calc = EMT()
    virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
    # h^2/6 times a third derivative: 8 atoms of a bulk modulus of 1 eV/A^3 in 12 A^3 each, times
    # a Grueneisen-like factor of 10 twice.
    np.testing.assert_allclose(slopes, -virial, atol=2e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda virial: -virial,
        lambda virial: 0.28 * virial,  # PySCF 2.14 through its ASE calculator
        lambda virial: virial[::-1],
        lambda virial: virial * np.array([[1, 1, 1], [1, 1, 2], [1, 2, 1]]),
        lambda virial: np.zeros((3, 3)),
    ],
    ids=["sign", "unit", "order", "Voigt factor", "zeros"],
)
def test_wrong_ones_are_refused_by_their_element(change):
    with pytest.raises(NumericalError, match="The virial of copper is wrong: its element"):
        check(change)
