"""The exported ASE calculator: dynamics in a process without `qmd`, and what it refuses."""

import copy
import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculatorSetupError
from exports import native, run_alone, water

from qmd.export.formats import Format, export

DYNAMICS = """\
import jax, numpy as np
from ase import Atoms, units
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from water_ase import ExportedPotential

def record(frames):
    frames.append((water.positions.copy(), water.get_potential_energy(), water.get_forces()))

water = Atoms("OHH", [[0, 0, 0], [0.79, 0.57, 0], [-0.75, 0.6, 0.1]])
water.calc = ExportedPotential()
frames = []
for dynamics, length in (
    (BFGS(water, logfile=None), {"fmax": 1e-9, "steps": 8}),
    (VelocityVerlet(water, 0.5 * units.fs), {"steps": 8}),
):
    dynamics.attach(lambda: record(frames))
    dynamics.run(**length)
    water.rattle(0.02)
assert not jax.config.jax_enable_x64
positions, energies, forces = map(np.array, zip(*frames))
np.savez("frames.npz", positions=positions, energies=energies, forces=forces)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("ase") / "water_ase.py"
    export(water(), Format.ASE, path)
    return path


@pytest.fixture(scope="module")
def module(file: Path) -> ModuleType:
    return imported(file)


def imported(file: Path) -> ModuleType:
    """The file, imported afresh: nothing compiled yet."""
    spec = importlib.util.spec_from_file_location("water_ase", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def molecule(symbols: str = "OHH", **options: object) -> Atoms:
    return Atoms(symbols, water().test_positions[1], **options)


def test_relaxation_and_dynamics_see_the_native_forces(file: Path) -> None:
    run_alone(DYNAMICS, file.parent)
    with np.load(file.parent / "frames.npz") as frames:
        energies, forces = native(water(), frames["positions"])
        assert len(energies) == 18  # 8 steps and the start, twice
        np.testing.assert_allclose(frames["energies"], energies, rtol=0, atol=1e-10)
        np.testing.assert_allclose(frames["forces"], forces, rtol=0, atol=1e-10)


def test_energies_count_from_the_model_or_from_the_labels(module: ModuleType) -> None:
    atoms = molecule()
    atoms.calc = module.ExportedPotential()
    relative = atoms.get_potential_energy()
    assert atoms.get_potential_energy(force_consistent=True) == relative
    atoms.calc = module.ExportedPotential(absolute=True)
    assert atoms.get_potential_energy() == relative + water().reference_energy_eV
    np.testing.assert_array_equal(atoms.get_forces(), copy.deepcopy(atoms.calc).get_forces(atoms))


@pytest.mark.parametrize(
    ("atoms", "words"),
    [
        (molecule("HOH"), "O, H, H in this order, but got H, O, H"),
        (molecule() + molecule(), "but got O, H, H, O, H, H"),
        (molecule(cell=np.eye(3) * 9, pbc=True), "one isolated molecule"),
    ],
)
def test_atoms_of_another_system_are_refused(module: ModuleType, atoms: Atoms, words: str) -> None:
    atoms.calc = module.ExportedPotential()
    with pytest.raises(CalculatorSetupError, match=words):
        atoms.get_potential_energy()


def test_leaving_the_domain_is_a_warning(module: ModuleType) -> None:
    atoms = molecule()
    atoms.calc = module.ExportedPotential()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        atoms.get_potential_energy()
    atoms.set_distance(0, 2, water().domain.stop[1, 1] + 0.01, fix=0)
    with pytest.warns(UserWarning, match="atoms 0 and 2 have left the trained domain"):
        atoms.get_potential_energy()


@pytest.mark.parametrize("key", ["energies_eV", "forces_eV_per_A"])
def test_a_program_that_gives_other_numbers_is_not_used(file: Path, key: str) -> None:
    module = imported(file)
    vectors = module.CARD["test_vectors"]
    vectors[key] = (np.array(vectors[key]) + 1e-7).tolist()
    with pytest.raises(RuntimeError, match="does not reproduce the test vectors"):
        module.ExportedPotential()
