"""The virial for i-PI is the slope of the energy, and no stress is ever made up."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from qmd.errors import NumericalError
from qmd.forces.catalogue import load_package
from qmd.interop.ase_calculator import QmdCalculator
from qmd.interop.ipi_client import isolated_virial, refuse_wrapped
from qmd.io.structure import load_system

H = 1e-4


@pytest.mark.parametrize("name", ["h2o", "lih", "h2o-dimer"])
def test_the_virial_is_the_derivative_by_a_strain(name):
    system = load_system(name, ".")
    shaken = system.positions + np.random.default_rng(5).uniform(-0.03, 0.03, (system.n_atoms, 3))
    atoms = Atoms(system.symbols, shaken, calculator=QmdCalculator(f"sivqlm-{name}"))
    virial = isolated_virial(shaken, atoms.get_forces())
    for a, b in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * H
            atoms.positions = shaken @ strain
            energies.append(atoms.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * H)
        # The difference is off by h^2/6 times a third derivative of at most 1e4 eV.
        assert virial[a, b] == pytest.approx(-slope, abs=2e-5)
    np.testing.assert_allclose(virial, virial.T, atol=1e-10)


def test_a_virial_does_not_depend_on_the_place():
    rng = np.random.default_rng(6)
    positions, forces = rng.standard_normal((2, 5, 3))
    forces -= forces.mean(axis=0)
    there = isolated_virial(positions + [1e3, -2e3, 3e3], forces)
    # Places of 3e3 have a rounding of 5e-13.
    np.testing.assert_allclose(there, isolated_virial(positions, forces), atol=1e-11)
    np.testing.assert_allclose(there, positions.T @ forces, atol=1e-11)


@pytest.mark.parametrize("wanted", ["stress", "stresses", "virial"])
def test_a_stress_is_refused_and_not_zero(wanted):
    system = load_system("h2o", ".")
    atoms = Atoms(system.symbols, system.positions, calculator=QmdCalculator("sivqlm-h2o"))
    atoms.cell = np.eye(3) * 20
    with pytest.raises(PropertyNotImplementedError):
        atoms.calc.get_property(wanted, atoms)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_a_molecule_that_the_server_has_wrapped_is_refused():
    domain = load_package("sivqlm-h2o", Path()).domain
    water = load_system("h2o", ".").positions
    cell = np.diag([30.0, 40.0, 50.0])
    wrapped = np.where(water < 0, water + 30, water)
    for known in (domain, None):
        refuse_wrapped(water, cell, known)
        with pytest.raises(NumericalError, match="atoms 1 and 3 are 29.2 angstrom apart"):
            refuse_wrapped(wrapped, cell, known)
    # In one piece, though the cell is small; nobody knows without the trained distances.
    refuse_wrapped(water, cell / 12, domain)
    with pytest.raises(NumericalError, match="pbc='false'|half of the cell"):
        refuse_wrapped(water, cell / 12, None)
    refuse_wrapped(wrapped, np.zeros((3, 3)), None)
