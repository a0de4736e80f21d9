"""Runs in periodic cells: what is written, what other programs read, what is refused."""

import json
import os
from pathlib import Path
from typing import Any

import ase.io
import ase.units
import MDAnalysis
import netCDF4
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.geometry import cell_to_cellpar
from run_files import write_by_library

import qmd
from qmd import units
from qmd.analysis import series
from qmd.analysis.compare import compare
from qmd.errors import InputError, MismatchError, NumericalError, QmdError
from qmd.integrators import Batch, State
from qmd.interop.ase_calculator import QmdCalculator
from qmd.interop.convert import convert
from qmd.io import trajectory
from qmd.io.snapshot import Snapshot
from qmd.potentials import find, load
from qmd.run import session
from qmd.run.config import load_config

EMT_POTENTIAL = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
readers = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def copper() -> Atoms:
    """Return eight atoms in a tilted cell, in an orientation that is not the standard one."""
    atoms = bulk("Cu").repeat(2)
    atoms.rattle(0.05, seed=1)
    return atoms


def slab() -> Atoms:
    """Return two layers of copper with an open direction."""
    atoms = fcc111("Cu", (2, 2, 2), vacuum=5.0)
    atoms.info.clear()
    return atoms


def write_input(folder: Path, atoms: Atoms, **settings: Any) -> Path:
    ase.io.write(folder / "start.extxyz", atoms)
    document = {
        "system": {"structure": "start.extxyz", "temperature_K": 300},
        "potential": EMT_POTENTIAL,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 2},
        "steps": 20,
        "output": {"trajectory_every": 5, "log_every": 5, "checkpoint_every": 10},
    }
    path = folder / "input.yaml"
    path.write_text(json.dumps(document | settings))
    return path


def run(folder: Path, atoms: Atoms, **settings: Any) -> session.RunSession:
    return session.run(load_config(write_input(folder, atoms, **settings)))


@readers
def test_rows_and_frames_of_a_run_in_a_cell_are_right(tmp_path: Path) -> None:
    paths = run(tmp_path, copper()).paths
    log = np.genfromtxt(paths.log, delimiter=",", names=True)
    mass, cell = 8 * copper().get_masses()[0], copper().cell
    np.testing.assert_allclose(log["volume_A3"], cell.volume, rtol=1e-10)
    density = mass / cell.volume / units.g_per_cm3
    np.testing.assert_allclose(log["density_g_per_cm3"], density, rtol=1e-10)
    assert density == pytest.approx(8.972, abs=0.001)  # a = 3.61 A, 63.546 u, 4 atoms
    final = ase.io.read(paths.final)
    assert final.pbc.all()
    np.testing.assert_allclose(final.cell.cellpar(), cell.cellpar(), rtol=1e-12)
    momenta = final.get_momenta()
    final.calc = EMT()
    final.set_momenta(momenta)
    # Log with 6 decimals of 1e5 bar; ASE's stress of the ideal gas has all momenta as well.
    stress = final.get_stress(include_ideal_gas=True)
    pressure = -stress[:3].mean() / (1e5 * ase.units.Pascal)
    assert log["pressure_bar"][-1] == pytest.approx(pressure, rel=1e-8)
    assert final.get_potential_energy() == pytest.approx(log["potential_energy_eV"][-1], abs=1e-11)
    universe = qmd.load(tmp_path)
    for ts in universe.trajectory:
        np.testing.assert_allclose(ts.dimensions, cell.cellpar(), rtol=1e-6)
    found = series.read(tmp_path)
    assert found.cells is not None
    np.testing.assert_allclose(cell_to_cellpar(found.cell), cell.cellpar(), rtol=1e-12)


@readers
def test_dimensions_and_positions_of_the_trajectory_belong_together(tmp_path: Path) -> None:
    # Dimensions are lengths and angles: the cell that readers build from them must be the one
    # in which the positions lie, or energies of their images are wrong.
    paths = run(tmp_path, copper()).paths
    universe = MDAnalysis.Universe(str(paths.topology), str(paths.trajectory), format="NCDF")
    for ts in universe.trajectory:
        lattice = MDAnalysis.lib.mdamath.triclinic_vectors(ts.dimensions)
        atoms = Atoms("Cu8", ts.positions, cell=lattice, pbc=True, calculator=EMT())
        energy = trajectory.read_scalars(paths.trajectory)["potential_energy"][ts.frame]
        # Positions have 24 bits: forces of at most 3 eV/A times 8 atoms times 4e-7 A.
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-5)


def test_the_bytes_of_a_periodic_trajectory_are_those_of_the_library(tmp_path: Path) -> None:
    paths = run(tmp_path, copper()).paths
    content = {}
    with netCDF4.Dataset(paths.trajectory) as file:
        file.set_auto_mask(False)
        content = {name: file[name][:] for name in file.variables}
    assert b"".join(content["cell_spatial"]) == b"abc"
    assert [b"".join(row) for row in content["cell_angular"]] == [b"alpha", b"beta ", b"gamma"]
    header = trajectory.verify(paths.trajectory)
    write_by_library(tmp_path / "library.nc", header, content)
    assert paths.trajectory.read_bytes() == (tmp_path / "library.nc").read_bytes()


@readers
def test_frames_of_a_strained_cell_are_in_the_orientation_that_readers_take(tmp_path) -> None:
    atoms, rng = copper(), np.random.default_rng(3)
    strain = np.eye(3) + 0.02 * (m := rng.normal(size=(3, 3))) + 0.02 * m.T
    cell, x = np.array(atoms.cell) @ strain, atoms.positions @ strain
    v, f = rng.normal(size=(2, 8, 3))
    batch = Batch.of([State(x, v, f, 0.0, 0, cell)], [0])
    writer = trajectory.TrajectoryWriter.create(
        tmp_path / "t.nc", atoms.numbers, "copper", "0.1", in_cell=True
    )
    writer.write(Snapshot(batch, 0.0, np.ones(1), np.ones(1)))
    writer.close()
    universe = MDAnalysis.Universe.empty(8, trajectory=True)
    universe.load_new(str(tmp_path / "t.nc"), format="NCDF")
    ts = universe.trajectory.ts
    lattice = MDAnalysis.lib.mdamath.triclinic_vectors(ts.dimensions)
    written = np.concatenate([lattice, ts.positions, ts.velocities / units.ps])
    given = np.concatenate([cell, x, v])
    # All angles between the vectors stay; single precision of sums of three products up to 50.
    np.testing.assert_allclose(written @ written.T, given @ given.T, atol=3e-5)


@readers
def test_frames_for_ase_have_the_cell(tmp_path: Path) -> None:
    paths = run(tmp_path, copper()).paths
    convert(tmp_path, tmp_path / "frames.extxyz")
    for frames in (
        ase.io.read(paths.trajectory, ":"),
        ase.io.read(tmp_path / "frames.extxyz", ":"),
    ):
        assert len(frames) == 5
        for atoms in frames:
            assert atoms.pbc.all()
            np.testing.assert_allclose(atoms.cell.cellpar(), copper().cell.cellpar(), rtol=1e-8)
            energy = atoms.get_potential_energy()
            atoms.calc = EMT()
            # Positions have 24 bits, as above.
            assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-5)


@pytest.mark.parametrize(
    "atoms, suffix, reason",
    [(copper(), "xyz", r"\.xyz has no cell"), (slab(), "dcd", r"\.dcd has only cells that are")],
)
def test_a_format_without_the_cell_is_refused(tmp_path, atoms, suffix, reason) -> None:
    run(tmp_path, atoms, steps=5)
    with pytest.raises(InputError, match=reason):
        convert(tmp_path, tmp_path / f"frames.{suffix}")
    assert not list(tmp_path.glob("*frames*"))


def test_the_spread_of_a_committee_is_that_of_the_forces_in_the_cell(tmp_path: Path) -> None:
    lj = {"kind": "lennard_jones", "sigma_A": 2.3, "cutoff_A": 4.0}
    members = [EMT_POTENTIAL, lj | {"epsilon_eV": 0.3}]
    setup = run(tmp_path, copper(), potential={"kind": "committee", "members": members}).setup
    assert setup.force_spread is not None
    x, cell = setup.system.positions, setup.system.cell
    forces = []
    for member in members:
        calculator = QmdCalculator(member)
        forces.append(Atoms("Cu8", x, cell=cell, pbc=True, calculator=calculator).get_forces())
    half = (forces[0] - forces[1]) / 2  # of two members each is so far from the mean
    spread = setup.force_spread(x, cell)
    np.testing.assert_allclose(spread, np.linalg.norm(half, axis=1), atol=1e-12)
    log = np.genfromtxt(tmp_path / "output/log.csv", delimiter=",", names=True)
    assert log["force_spread_eV_per_A"][0] == pytest.approx(spread.max(), abs=1e-9)
    assert spread.max() > 0.01


def test_periodic_runs_are_not_compared_as_molecules(tmp_path: Path) -> None:
    run(tmp_path, copper())
    reference = series.read(tmp_path)
    with pytest.raises(InputError, match="is periodic; `qmd compare` is for isolated molecules"):
        compare(reference, reference)


def test_a_run_goes_on_from_its_checkpoint_with_the_same_bytes(tmp_path: Path) -> None:
    outputs = {}
    for name, parts in (("whole", [20]), ("parts", [10, 20])):
        folder = tmp_path / name
        folder.mkdir()
        for steps in parts:
            paths = run(folder, copper(), steps=steps).paths
        outputs[name] = [p.read_bytes() for p in (paths.trajectory, paths.log, paths.final)]
    assert outputs["whole"] == outputs["parts"]


def test_another_cell_is_another_run(tmp_path: Path) -> None:
    run(tmp_path, copper())
    wider = copper()
    wider.set_cell(wider.cell * 1.01)
    with pytest.raises(MismatchError, match="other atoms or start than before"):
        run(tmp_path, wider)


def test_a_run_continues_from_its_last_structure(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = run(tmp_path, copper())
    again = run(
        tmp_path / "again",
        ase.io.read(first.paths.final),
        system={"structure": str(first.paths.final), "velocities": "file"},
        steps=1,
        output={"log_every": 100},
    )
    logs = [
        np.atleast_1d(np.genfromtxt(each.paths.log, delimiter=",", names=True)["total_energy_eV"])
        for each in (first, again)
    ]
    assert logs[1][0] == pytest.approx(logs[0][-1], abs=1e-9)


def test_momentum_counts_and_rotation_does_not(tmp_path: Path) -> None:
    assert run(tmp_path, copper()).setup.dof == 3 * 8 - 3


def test_a_slab_has_no_volume_and_goes_to_a_calculator_that_honours_it(tmp_path: Path) -> None:
    atoms = slab()
    paths = run(tmp_path, atoms).paths
    log = np.genfromtxt(paths.log, delimiter=",", names=True)
    assert "volume_A3" not in log.dtype.names
    written: Any = ase.io.read(tmp_path / "start.extxyz")  # with its 8 digits
    written.calc = EMT()
    assert log["potential_energy_eV"][0] == pytest.approx(written.get_potential_energy(), abs=1e-9)
    lengths = trajectory.read_cells(paths.trajectory)
    assert lengths is not None and not lengths[:, 2].any()


@pytest.mark.parametrize(
    "atoms, settings, reason",
    [
        (copper(), {"potential": {"kind": "point_charges", "charges_e": [0.5, -0.5] * 4}},
         "a periodic system needs `cutoff_A`, for Ewald sums"),
        (copper(), {"confinement": {"radius_A": 9}}, "`confinement` is for isolated molecules"),
        (copper(), {"system": {"structure": "start.extxyz", "temperature_K": 300,
                               "remove_rotation": True}}, "`system.remove_rotation`"),
        (slab(),
         {"potential": {"kind": "ase", "calculator": "tblite.ase.TBLite"}},
         r"along some lattice vectors only \(TTF\), which tblite.ase.TBLite"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_in_a_cell_is_refused(tmp_path, atoms, settings, reason) -> None:
    with pytest.raises(QmdError, match=reason) as error:
        run(tmp_path, atoms, **settings)
    assert "\n" not in error.value.message


class _WithStress(EMT):
    """EMT with the stress of a stand-in for faulty calculators."""

    answer: Any = None

    def calculate(self, *args: Any, **settings: Any) -> None:
        super().calculate(*args, **settings)
        self.results["stress"] = self.answer


@pytest.mark.parametrize(
    "answer, reason",
    [
        (np.full(6, np.nan), "a stress that is not finite"),
        (np.ones((2, 2)), "EMT failed: AssertionError"),
    ],
)
def test_a_bad_stress_of_a_calculator_is_refused(tmp_path, monkeypatch, answer, reason) -> None:
    import ase.calculators.emt

    monkeypatch.setattr(_WithStress, "answer", answer)
    monkeypatch.setattr(ase.calculators.emt, "EMT", _WithStress)
    with pytest.raises(QmdError, match=reason):
        run(tmp_path, copper())


def test_waters_that_meet_across_a_face_are_beyond_the_domain(tmp_path: Path) -> None:
    """Two oxygens stop at the least distance of theirs, whichever images of theirs have that."""
    package = load(find("qnn-water"))
    kinds, least = package.domain.least(package.species)
    oxygen = kinds[package.species.index("O")]
    low = least[oxygen, oxygen, 1]
    water = np.array([[0.0, 0.0, 0.0], [0.0, 0.76, 0.59], [0.0, -0.76, 0.59]])
    atoms = Atoms("OHHOHH", [*water, *(water * [1, 1, -1] + [9.0 - low - 0.02, 0, 0])], pbc=True)
    atoms.set_cell([[9.0, 0, 0], [1.0, 9.0, 0], [0, 0, 9.0]])
    atoms.arrays["momenta"] = np.zeros((6, 3))
    speed = 0.04 / 0.5 / ase.units.fs  # 0.04 angstrom a step, towards the image of the first water
    atoms.arrays["momenta"][3:, 0] = atoms.get_masses()[3:] * speed
    system = {"structure": "start.extxyz", "velocities": "file"}
    settings = {
        "system": system, "potential": "qnn-water", "steps": 5,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
    }  # fmt: skip
    with pytest.raises(NumericalError, match="Stopped at step 1 .*: atoms 1 and 4 are 2.1"):
        run(tmp_path, atoms, **settings)
    warned = run(tmp_path, atoms, **settings, guards={"on_leaving_domain": "warn"})
    assert warned.progress.warned_steps == 5
    atoms.positions[3:, 0] += 0.1
    (tmp_path / "nearer").mkdir()
    with pytest.raises(MismatchError, match=f"atoms 1 and 4 .* trained for {low:.2f} and"):
        run(tmp_path / "nearer", atoms, **settings)
