"""Relaxation and normal modes, against closed forms and ASE."""

import json
import os
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

import qmd
from qmd.analysis.statics.modes import HC_eV_CM, normal_modes_of
from qmd.analysis.statics.relax import relax
from qmd.commands import statics
from qmd.errors import InputError, NumericalError
from qmd.system.system import System

EMT_POTENTIAL = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def input_of(folder: Path, atoms: Atoms, **changes: Any) -> Path:
    ase.io.write(folder / "start.extxyz", atoms)
    document = {
        "system": {"structure": "start.extxyz", "temperature_K": 300},
        "potential": EMT_POTENTIAL,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 2},
        "steps": 20,
    }
    (folder / "input.yaml").write_text(json.dumps(document | changes))
    return folder / "input.yaml"


def stretched(a: float = 3.7) -> Atoms:
    atoms = bulk("Cu", a=a, cubic=True)
    atoms.rattle(0.05, seed=2)
    return atoms


def system_of(atoms: Atoms) -> System:
    cell = np.where(atoms.pbc[:, None], np.array(atoms.cell), 0.0)
    return System(atoms.numbers, atoms.positions, atoms.get_masses(), None, "made", cell=cell)


@pytest.mark.parametrize("optimiser", ["bfgs", "lbfgs", "fire"])
def test_each_optimiser_finds_the_length_of_a_spring(optimiser: str) -> None:
    def spring(x: Any, cell: Any, virial: bool) -> Any:
        arm = x[1] - x[0]
        r = np.linalg.norm(arm)
        pull = 20.0 * (r - 1.2) * arm / r
        return 10.0 * (r - 1.2) ** 2, np.array([pull, -pull]), None

    pair = system_of(Atoms("CO", [[0, 0, 0], [0.3, 0.4, 1.3]]))
    found = relax(spring, pair, "spring", largest_force=1e-4, optimiser=optimiser)
    length = np.linalg.norm(found.positions[1] - found.positions[0])
    assert length == pytest.approx(1.2, abs=1e-4 / 20 * 1.01)  # force over stiffness
    assert found.largest_force <= 1e-4 and found.energy < 1e-9


def test_a_relaxed_crystal_is_the_ideal_one(tmp_path: Path) -> None:
    path = input_of(tmp_path, stretched(3.6))
    found = qmd.relax(path, cell=True, largest_force=1e-4, progress=False)
    atoms = ase.io.read(found.structure)
    # EMT's copper has a = 3.59 A; all sites of fcc are equivalent.
    ideal = bulk("Cu", a=float(atoms.cell.volume ** (1 / 3)), cubic=True)
    ideal.calc = EMT()
    assert atoms.cell.volume == pytest.approx(3.59**3, rel=0.01)
    assert found.energy_eV == pytest.approx(ideal.get_potential_energy(), abs=1e-6)
    # Forces of the filter are dH/dstrain / 4 atoms: 4 x 1e-4 eV over 46 A^3 is 1.4 MPa.
    assert abs(found.pressure_GPa or 0.0) < 0.002
    assert found.largest_force_eV_per_A <= 1e-4
    assert atoms.get_potential_energy() == pytest.approx(found.energy_eV, abs=1e-12)


def test_a_pressure_from_outside_is_that_of_the_relaxed_cell(tmp_path: Path) -> None:
    path = input_of(tmp_path, stretched(3.56))
    found = qmd.relax(path, cell=True, pressure_GPa=5.0, progress=False)
    # As above, with forces of 1e-3.
    assert found.pressure_GPa == pytest.approx(5.0, abs=0.02)
    assert found.volume_A3 is not None and found.volume_A3 < 3.58**3
    assert "5 GPa" in found.summary()


def test_positions_alone_leave_the_cell_as_it_is(tmp_path: Path) -> None:
    path = input_of(tmp_path, stretched())
    found = qmd.relax(path, progress=False)
    atoms = ase.io.read(found.structure)
    np.testing.assert_allclose(atoms.cell, np.eye(3) * 3.7, atol=1e-12)
    assert found.pressure_GPa is None and found.largest_force_eV_per_A <= 1e-3
    with pytest.raises(InputError, match="exists"):
        qmd.relax(path, progress=False)
    assert qmd.relax(path, progress=False, overwrite=True).steps == found.steps


def test_what_cannot_be_relaxed_is_one_line(tmp_path: Path) -> None:
    def without(positions: Any, cell: Any, virial: bool) -> Any:
        return 0.0, np.zeros_like(positions), None

    def wrong(positions: Any, cell: Any, virial: bool) -> Any:
        return float(np.sum(positions**2)), -2 * positions, np.eye(3)

    def endless(positions: Any, cell: Any, virial: bool) -> Any:
        x = 1 + np.abs(positions[:, :1])
        return -float(np.log(x).sum()), 1 / x * [1.0, 0, 0], None

    def slope(positions: Any, cell: Any, virial: bool) -> Any:
        return -float(positions[:, 0].sum()), np.tile([1.0, 0, 0], (len(positions), 1)), None

    crystal, molecule = system_of(stretched()), system_of(Atoms("Cu2", [[0, 0, 0], [0, 0, 2]]))
    with pytest.raises(NumericalError, match="no virial"):
        relax(without, crystal, "it", cell=True)
    with pytest.raises(NumericalError, match="virial of it is wrong"):
        relax(wrong, crystal, "it", cell=True)
    with pytest.raises(InputError, match="no cell to relax"):
        relax(without, molecule, "it", cell=True)
    with pytest.raises(NumericalError, match="not relaxed after 5 steps"):
        relax(endless, molecule, "it", steps=5)
    with pytest.raises(NumericalError, match="lost its way"):
        relax(slope, molecule, "it", steps=5)
    path = input_of(tmp_path, stretched())
    with pytest.raises(InputError, match="unless the cell is relaxed"):
        qmd.relax(path, pressure_GPa=1.0)
    for command in (qmd.relax, qmd.modes):
        with pytest.raises(InputError, match="`system.fixed` is for runs"):
            command(path, set={"system.fixed": [0]})
    with pytest.raises(InputError, match="no optimiser 'newton'"):
        qmd.relax(path, optimiser="newton")


def test_modes_of_a_spring_have_the_reduced_mass() -> None:
    k, length, masses = 20.0, 1.2, np.array([12.0, 16.0])

    def spring(x: Any, cell: Any, virial: bool) -> Any:
        arm = x[1] - x[0]
        r = np.linalg.norm(arm)
        pull = k * (r - length) * arm / r
        return 0.5 * k * (r - length) ** 2, np.array([pull, -pull]), None

    system = System(np.array([6, 8]), np.array([[0, 0, 0], [0, 0, length]]), masses, None, "CO")
    found = normal_modes_of(spring, system)
    # sqrt(20 eV/A^2 / 6.857 u): 1.602176634e-19 / 1e-20 / 1.66053907e-27, over 2 pi c.
    mass = 12 * 16 / 28 * 1.66053906892e-27
    expected = np.sqrt(k * 1.602176634e-19 / 1e-20 / mass) / (2 * np.pi * 2.99792458e10)
    # Differences of 0.005 A see no quartic term of a spring but that of its turning: none along it.
    assert found.wavenumbers == pytest.approx([expected], rel=1e-6)
    assert found.zero_point_energy == pytest.approx(HC_eV_CM * expected / 2, rel=1e-6)
    ends = found.displacements[0, :, 2]
    assert ends[0] / ends[1] == pytest.approx(-16 / 12) and np.abs(ends).max() == pytest.approx(1)
    off = System(system.numbers, system.positions * 1.05, masses, None, "CO")
    with pytest.raises(InputError, match="at no minimum"):
        normal_modes_of(spring, off)


def test_modes_of_a_crystal_are_those_of_ase(tmp_path: Path) -> None:
    from ase.vibrations import Vibrations

    path = input_of(tmp_path, stretched(3.6))
    relaxed = qmd.relax(path, largest_force=1e-5, progress=False).structure
    found = qmd.modes(path, set={"system.structure": str(relaxed)}, frames=8, progress=False)
    atoms = ase.io.read(relaxed)
    atoms.calc = EMT()
    theirs = Vibrations(atoms, name=str(tmp_path / "vib"), delta=0.005)
    theirs.run()
    expected = np.sort(theirs.get_frequencies().real)[-9:]
    # Translations are projected out here; three of ASE's are nearly zero. Forces of 1e-5 eV/A.
    assert len(found.wavenumbers_per_cm) == 9
    np.testing.assert_allclose(found.wavenumbers_per_cm, expected, rtol=1e-4)
    energies = theirs.get_energies().real
    assert found.zero_point_energy_eV == pytest.approx(np.sort(energies)[-9:].sum() / 2, rel=1e-4)
    frames = ase.io.read(found.pictures[-1], ":")
    assert len(frames) == 8 and frames[0].pbc.all()
    np.testing.assert_allclose(frames[0].positions, atoms.positions, atol=1e-7)
    moved = np.linalg.norm(frames[2].positions - frames[0].positions, axis=1)
    assert moved.max() == pytest.approx(0.3, abs=1e-7)
    saved = json.loads(found.modes.read_text())
    assert saved["wavenumbers_per_cm"] == list(found.wavenumbers_per_cm)
    assert saved["imaginary"] == 0 and "zero-point energy" in found.summary()


def test_a_saddle_has_imaginary_modes() -> None:
    def tip(x: Any, cell: Any, virial: bool) -> Any:
        arm = x[1] - x[0]
        r = np.linalg.norm(arm)
        push = 20.0 * (r - 1.2) * arm / r
        return -10.0 * (r - 1.2) ** 2, np.array([-push, push]), None

    pair = np.array([[0, 0, 0], [0, 0, 1.2]])
    found = normal_modes_of(tip, System(np.array([6, 8]), pair, np.ones(2), None, "CO"))
    assert found.n_imaginary == 1 and found.zero_point_energy == 0
    text = statics.ModesResult(Path("m"), (), tuple(found.wavenumbers.tolist()), 0.0).summary()
    assert "1 imaginary" in text
