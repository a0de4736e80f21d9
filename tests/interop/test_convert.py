"""`qmd convert`: the same frames in the formats of other programs."""

from pathlib import Path
from typing import Any

import ase.io
import MDAnalysis
import numpy as np
import pytest

import qmd
from qmd.commands.dynamics import RunResult
from qmd.errors import InputError, NotInstalledError, OutputError
from qmd.interop.convert import SUFFIXES

INPUT: dict[str, Any] = {
    "system": {"structure": "h2o", "temperature_K": 300, "masses_u": {"H": 2.014}},
    "potential": "sivqlm-h2o",
    "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
    "steps": 40,
    "output": {"trajectory_every": 10, "log_every": 10},
}
# Digits that a format keeps: single precision, nine decimals, 1e-5 nm, three decimals.
TOLERANCE_A = {".dcd": 1e-6, ".xyz": 1e-6, ".xtc": 1e-4, ".trr": 1e-6, ".pdb": 1e-3, ".h5md": 1e-6}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return qmd.run(INPUT, output=tmp_path_factory.mktemp("convert") / "d2o", progress=False)


def test_every_format_is_tested() -> None:
    assert {*TOLERANCE_A, ".extxyz", ".traj"} == set(SUFFIXES)


@pytest.mark.parametrize("suffix", TOLERANCE_A)
@pytest.mark.filterwarnings("ignore")  # MDAnalysis on files without a cell
def test_mdanalysis_reads_the_same_positions(run: RunResult, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"water{suffix}"
    if suffix == ".h5md":
        pytest.importorskip("h5py")
    assert qmd.convert(run, target, progress=False).frames == 5
    assert [path.name for path in tmp_path.iterdir()] == [target.name]  # nothing unfinished
    found = MDAnalysis.Universe(str(run.topology), str(target))
    truth = run.load()
    assert len(found.trajectory) == len(truth.trajectory) == 5
    for frame, true in zip(found.trajectory, truth.trajectory, strict=True):
        np.testing.assert_allclose(
            frame.positions, true.positions, rtol=1e-6, atol=TOLERANCE_A[suffix]
        )
        if suffix in (".xtc", ".trr"):
            assert frame.time == pytest.approx(true.time, abs=1e-6)
        if suffix in (".trr", ".h5md"):
            np.testing.assert_allclose(frame.velocities, true.velocities, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(frame.forces, true.forces, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("suffix", [".extxyz", ".traj"])
def test_ase_reads_energies_forces_momenta_and_masses(
    run: RunResult, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"water{suffix}"
    qmd.convert(run, target, every=2, progress=False)
    frames = ase.io.read(target, ":")
    log = np.genfromtxt(run.log, delimiter=",", names=True)[::2]
    assert [atoms.info["step"] for atoms in frames] == [0, 20, 40]
    for atoms, row in zip(frames, log, strict=True):
        assert atoms.get_masses()[1:] == pytest.approx(2.014)
        # extxyz has eight decimals of each number; forces are of the order of 1 eV/angstrom.
        assert atoms.get_potential_energy() == pytest.approx(row["potential_energy_eV"], abs=1e-7)
        assert atoms.get_kinetic_energy() == pytest.approx(row["kinetic_energy_eV"], rel=1e-5)
        assert np.abs(atoms.get_forces()).max() > 0
    final = ase.io.read(run.final)
    np.testing.assert_allclose(frames[-1].positions, final.positions, atol=1e-6)
    np.testing.assert_allclose(frames[-1].get_forces(), final.get_forces(), atol=1e-5)


@pytest.mark.parametrize("suffix", [".extxyz", ".traj", ".dcd"])
@pytest.mark.filterwarnings("ignore")  # MDAnalysis on files without a cell
def test_a_planted_link_is_not_followed(run: RunResult, tmp_path: Path, suffix: str) -> None:
    victim, target = tmp_path / "victim", tmp_path / f"water{suffix}"
    victim.write_text("not yours")
    target.with_name(f".water.part{suffix}").symlink_to(victim)
    assert qmd.convert(run, target, every=3, progress=False).frames == 2  # of 0, 10, ... 40
    assert victim.read_text() == "not yours"
    assert target.is_file() and not target.is_symlink()


def test_one_replica_of_several(tmp_path: Path) -> None:
    many = qmd.run(INPUT, set={"replicas": 2}, output=tmp_path / "r", progress=False)
    for suffix in (".extxyz", ".dcd"):
        found = qmd.convert(many, tmp_path / f"one{suffix}", replica=1, progress=False)
        assert found.frames == 5
    last = ase.io.read(tmp_path / "one.extxyz")
    assert last.info["replica"] == 1
    np.testing.assert_allclose(last.positions, ase.io.read(many.final, 1).positions, atol=1e-6)


def test_what_cannot_be_written_is_said_in_one_line(run: RunResult, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.extxyz, \.traj"):
        qmd.convert(run, tmp_path / "water.gro", progress=False)
    target = tmp_path / "water.dcd"
    target.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        qmd.convert(run, target, progress=False)
    assert target.read_text() == "mine"
    qmd.convert(run, target, overwrite=True, progress=False)
    assert target.stat().st_size > 100
    with pytest.raises(OutputError):
        qmd.convert(run, tmp_path / "nowhere" / "water.dcd", progress=False)
    with pytest.raises(InputError, match=r"trajectory\.nc"):
        qmd.convert(tmp_path, tmp_path / "x.dcd", progress=False)


def test_a_package_that_is_missing_is_named(
    run: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import MDAnalysis.coordinates.H5MD as h5md

    monkeypatch.setattr(h5md, "HAS_H5PY", False)
    with pytest.raises(NotInstalledError, match="h5py"):
        qmd.convert(run, tmp_path / "water.h5md", progress=False)
