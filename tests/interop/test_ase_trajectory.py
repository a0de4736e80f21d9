"""Trajectories of runs in ASE: `ase.io.read` finds our reader by its entry point."""

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import ase.io
import ase.io.formats
import numpy as np
import pytest
from ase.io.netcdftrajectory import NetCDFTrajectory

import qmd
from qmd import units
from qmd.commands.dynamics import RunResult
from qmd.errors import CorruptError

ROOT = Path(__file__).parents[2]
GROUP = "ase.ioformats"
INPUT: dict[str, Any] = {
    "system": {"structure": "h2o", "temperature_K": 300, "masses_u": {"H": 2.014}},
    "potential": "sivqlm-h2o",
    "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
    "steps": 40,
    "output": {"trajectory_every": 10, "log_every": 10},
}


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    """The format as an installed qmd registers it; a checkout may not be installed."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ((name, value),) = pyproject["project"]["entry-points"][GROUP].items()
    if name not in ase.io.formats.ioformats:
        ase.io.formats.define_external_io_format(EntryPoint(name, value, GROUP))


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run of D2O."""
    return qmd.run(INPUT, output=tmp_path_factory.mktemp("ase") / "d2o", progress=False)


def test_ase_reads_the_frames_of_a_run_with_its_masses(heavy: RunResult) -> None:
    frames = ase.io.read(heavy.trajectory, ":")
    log = np.genfromtxt(heavy.log, delimiter=",", names=True)
    assert [atoms.info["step"] for atoms in frames] == [0, 10, 20, 30, 40]
    for atoms, row in zip(frames, log, strict=True):
        assert atoms.get_masses()[1:] == pytest.approx(2.014)
        assert atoms.info["time_ps"] == pytest.approx(row["time_ps"], abs=1e-9)
        assert atoms.get_potential_energy() == pytest.approx(row["potential_energy_eV"], abs=1e-11)
        # Velocities are stored in single precision: 6e-8, twice in a square.
        kinetic = row["kinetic_energy_eV"]
        assert atoms.get_kinetic_energy() == pytest.approx(kinetic, rel=1e-6)
        assert not atoms.pbc.any() and not atoms.cell.any()
    universe = heavy.load()
    for atoms, _ in zip(frames, universe.trajectory, strict=True):
        np.testing.assert_array_equal(atoms.positions, universe.atoms.positions)
        forces = universe.atoms.forces * units.kJ_per_mol
        # kcal/mol in the file, kJ/mol in MDAnalysis, each in single precision.
        np.testing.assert_allclose(atoms.get_forces(), forces, rtol=1e-5, atol=1e-6)


def test_the_last_frame_is_the_final_structure(heavy: RunResult) -> None:
    last, final = ase.io.read(heavy.trajectory), ase.io.read(heavy.final)
    np.testing.assert_allclose(last.positions, final.positions, rtol=1e-6)
    np.testing.assert_allclose(last.get_momenta(), final.get_momenta(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(last.get_forces(), final.get_forces(), rtol=1e-5, atol=1e-6)


def test_replicas_say_which_one_they_are(tmp_path: Path) -> None:
    run = qmd.run(INPUT, set={"replicas": 2, "steps": 10}, output=tmp_path / "r", progress=False)
    frames = ase.io.read(run.trajectory, ":")
    assert [(a.info["step"], a.info["replica"]) for a in frames] == [
        (0, 0),
        (0, 1),
        (10, 0),
        (10, 1),
    ]


def test_a_file_of_another_program_is_left_to_the_reader_of_ase(tmp_path: Path) -> None:
    atoms = ase.Atoms("OH2", np.arange(9.0).reshape(3, 3), cell=[9, 9, 9], pbc=True)
    with NetCDFTrajectory(str(tmp_path / "trajectory.nc"), "w") as file:
        file.write(atoms)
    found = ase.io.read(tmp_path / "trajectory.nc")
    np.testing.assert_allclose(found.positions, atoms.positions)
    assert found.cell.cellpar()[:3] == pytest.approx([9, 9, 9])


def test_a_truncated_trajectory_is_refused(heavy: RunResult, tmp_path: Path) -> None:
    for path in (heavy.record, heavy.trajectory):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = (tmp_path / "trajectory.nc").read_bytes()
    (tmp_path / "trajectory.nc").write_bytes(whole[:-100])
    with pytest.raises(CorruptError, match="frames"):
        ase.io.read(tmp_path / "trajectory.nc")


def test_the_entry_point_imports_nothing_heavy() -> None:
    code = "import qmd.interop.ase_format, sys; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"numba", "jax", "MDAnalysis"} & set(found.stdout.split())
