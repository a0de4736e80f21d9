"""Packaged potentials in ASE."""

import copy
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase import units as ase_units
from ase.build import bulk
from ase.calculators.calculator import CalculatorSetupError, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet

from qmd import units
from qmd.errors import MismatchError
from qmd.interop.ase_calculator import QmdCalculator
from qmd.run import session
from qmd.run.config import load_config

WATER = np.array([[0.0, 0.0, 0.0], [0.97, 0.0, 0.0], [-0.24, 0.94, 0.0]])


def test_forces_are_minus_the_slope_of_the_energy():
    atoms = Atoms("OHH", WATER + 0.01, calculator=QmdCalculator("sivqlm-h2o"))
    forces, h = atoms.get_forces(), 1e-4
    for a, c in ((0, 1), (1, 0), (2, 2)):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[a, c] += sign * h
            moved.calc = atoms.calc
            energies.append(moved.get_potential_energy())
        # h^2/6 of a third derivative of 1e3 eV/A^3.
        assert forces[a, c] == pytest.approx((energies[1] - energies[0]) / (2 * h), abs=2e-6)


def test_absolute_energies_are_those_of_the_labels():
    relative, absolute = (QmdCalculator("sivqlm-h2o", absolute=a) for a in (False, True))
    zero = relative.package.reference_energy_eV
    energies = [
        Atoms("OHH", WATER, calculator=c).get_potential_energy() for c in (relative, absolute)
    ]
    assert energies[1] - energies[0] == pytest.approx(zero, abs=1e-9) and zero < -2000


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_dynamics_of_ase_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    document = {
        "system": {"structure": "h2o", "temperature_K": 300},
        "potential": "sivqlm-h2o",
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 1000,
    }
    path = tmp_path / "input.yaml"
    path.write_text(json.dumps(document))
    loaded = load_config(path)
    from qmd.run.setup import set_up
    from qmd.run.start import start_state

    setup = set_up(loaded)
    start = start_state(setup)
    atoms = Atoms(setup.system.numbers, start.positions, masses=setup.system.masses)
    atoms.calc = QmdCalculator("sivqlm-h2o")
    atoms.set_velocities(start.velocities)
    VelocityVerlet(atoms, 0.5 * ase_units.fs).run(1000)
    session.run(loaded)
    from ase.io import read

    ours = read(tmp_path / "output" / "final.extxyz")
    np.testing.assert_allclose(atoms.positions, ours.positions, rtol=0, atol=1e-10)
    assert units.fs == ase_units.fs


def test_other_atoms_periodic_ones_and_far_ones_are_noticed():
    calculator = QmdCalculator("sivqlm-h2o")
    with pytest.raises(CalculatorSetupError, match="is for O H H in this order"):
        Atoms("HOH", WATER, calculator=calculator).get_potential_energy()
    for symbols, pbc in (("OHH", True), ("HOH", [True, False, False])):  # the cell comes first
        crystal = Atoms(symbols, WATER, calculator=calculator, cell=[9] * 3, pbc=pbc)
        with pytest.raises(CalculatorSetupError, match=r"pbc = .* set `atoms.pbc = False`"):
            crystal.get_forces()
    box = Atoms("OHH", WATER, calculator=calculator, cell=[9] * 3, pbc=True)
    box.pbc = False  # as the message says
    free = Atoms("OHH", WATER, calculator=calculator)
    assert box.get_potential_energy() == free.get_potential_energy()
    with pytest.warns(UserWarning, match=r"atoms 0 and 1 are 2\.910 A apart"):
        Atoms("OHH", WATER * [3, 1, 1], calculator=calculator).get_forces()
    with pytest.raises(MismatchError, match="no potential 'none'"):
        QmdCalculator("none")


def pickled(atoms: Atoms) -> Atoms:
    return pickle.loads(pickle.dumps(atoms))  # noqa: S301  # our own bytes


@pytest.mark.parametrize("clone", [copy.deepcopy, pickled])
def test_atoms_with_a_calculator_can_be_copied(clone: Any) -> None:
    atoms = Atoms("OHH", [[0, 0, 0], [0.97, 0, 0], [-0.24, 0.94, 0]])
    atoms.calc = QmdCalculator("sivqlm-h2o")
    forces = atoms.get_forces()
    twin = clone(atoms)
    np.testing.assert_array_equal(twin.get_forces(), forces)
    twin.positions[1, 0] += 0.01
    assert np.abs(twin.get_forces() - forces).max() > 1e-3
    np.testing.assert_array_equal(atoms.get_forces(), forces)


def test_a_pickle_is_not_read_with_another_potential() -> None:
    state = QmdCalculator("sivqlm-h2o").__getstate__()
    state["_config"] = state["_config"].model_copy(update={"sha256": "0" * 64})
    with pytest.raises(MismatchError, match="SHA-256"):
        QmdCalculator.__new__(QmdCalculator).__setstate__(state)


EMT_POTENTIAL = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}


def test_a_crystal_has_the_energy_forces_and_stress_of_the_calculator_behind() -> None:
    atoms = bulk("Cu").repeat(2)
    atoms.rattle(0.05, seed=1)
    expected = atoms.copy()
    expected.calc, atoms.calc = EMT(), QmdCalculator(EMT_POTENTIAL)
    assert atoms.get_potential_energy() == pytest.approx(expected.get_potential_energy(), abs=1e-12)
    np.testing.assert_allclose(atoms.get_forces(), expected.get_forces(), atol=1e-12)
    np.testing.assert_allclose(atoms.get_stress(), expected.get_stress(), atol=1e-14)
    atoms.set_cell(atoms.cell * 1.01, scale_atoms=True)  # nothing of the old cell is kept
    expected.set_cell(expected.cell * 1.01, scale_atoms=True)
    np.testing.assert_allclose(atoms.get_stress(), expected.get_stress(), atol=1e-14)


def test_a_molecule_and_a_slab_have_no_stress() -> None:
    free = Atoms("OHH", WATER, calculator=QmdCalculator("sivqlm-h2o"))
    slab = bulk("Cu", cubic=True)
    slab.pbc = True, True, False
    slab.calc = QmdCalculator(EMT_POTENTIAL)
    for atoms in (free, slab):
        with pytest.raises(PropertyNotImplementedError, match="has no stress of these atoms"):
            atoms.get_stress()


def test_charges_and_spins_of_the_atoms_are_not_dropped() -> None:
    charged = Atoms("OHH", WATER, charges=[-1, 0, 0], calculator=QmdCalculator("sivqlm-h2o"))
    with pytest.raises(CalculatorSetupError, match="states charges of atoms"):
        charged.get_potential_energy()
    stated = Atoms("OHH", WATER, info={"charge": 1}, calculator=QmdCalculator("sivqlm-h2o"))
    with pytest.raises(CalculatorSetupError, match="neutral molecules with paired electrons"):
        stated.get_potential_energy()
    morse = {"kind": "morse", "bonds": [[0, 1]], "depth_eV": 1, "steepness_per_A": 1, "length_A": 1}
    stated.calc = QmdCalculator(morse)
    with pytest.raises(CalculatorSetupError, match="states charge 1"):
        stated.get_potential_energy()
