"""`qmd.load`: everything an analysis needs, and one clear line if a file is not right."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from run_files import DIMER, NUMBERS, WATER, make_run

import qmd
from qmd.errors import CorruptError, InputError

pytestmark = pytest.mark.filterwarnings(
    # MDAnalysis and its dependencies load modules that warn of their own deprecations.
    "ignore::DeprecationWarning",
    "ignore::PendingDeprecationWarning",
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def test_a_universe_knows_its_molecules(run: Path) -> None:
    universe = qmd.load(run)
    assert list(universe.atoms.elements) == ["O", "H", "H"] * 2
    assert list(universe.residues.resnames) == ["HOH", "HOH"]
    assert len(universe.bonds) == 4 and len(universe.atoms.fragments) == 2
    np.testing.assert_allclose(universe.atoms.masses, [15.999, 1.008, 1.008] * 2, atol=1e-3)
    np.testing.assert_allclose(universe.atoms.charges, [-0.834, 0.417, 0.417] * 2)
    assert universe.dimensions is None


def test_each_frame_has_its_energies_and_step(run: Path) -> None:
    universe = qmd.load(str(run))  # text as well as Path
    for frames in (slice(None), slice(None, None, 2), slice(None, None, -1), [4, 1]):
        for ts in universe.trajectory[frames]:
            assert ts.data["potential_energy_eV"] == -1 / (ts.frame + 1)
            assert ts.data["kinetic_energy_eV"] == 0.1 * ts.frame
            assert ts.data["step"] == 100 * ts.frame
            assert ts.time == pytest.approx(0.05 * ts.frame, rel=1e-14)
    assert universe.trajectory[3].data["step"] == 300


def test_a_force_of_1_eV_per_angstrom_reads_as_96_485_kJ_per_mol(run: Path) -> None:
    ts = qmd.load(run).trajectory[2]
    np.testing.assert_allclose(ts.forces, 96.48533, rtol=1e-6)
    np.testing.assert_allclose(ts.velocities, 98.22695, rtol=1e-6)  # angstrom/ps
    np.testing.assert_allclose(ts.positions, DIMER, rtol=2.0**-24)


def test_the_output_folder_itself_can_be_given(run: Path) -> None:
    assert len(qmd.load(run / "output").trajectory) == 6


def test_a_universe_can_be_sent_to_other_processes(run: Path) -> None:
    copy = pickle.loads(pickle.dumps(qmd.load(run)))  # noqa: S301 (our own bytes)
    assert copy.trajectory[5].data["step"] == 500


def test_hydrogen_bonds_are_found_without_selections(run: Path) -> None:
    from MDAnalysis.analysis.hydrogenbonds import HydrogenBondAnalysis

    found = HydrogenBondAnalysis(qmd.load(run)).run().results.hbonds
    # One per frame: frame, donor O, H, acceptor O, distance, angle.
    np.testing.assert_allclose(found, [[i, 0, 1, 3, 2.9, 180] for i in range(6)], atol=1e-3)


def test_lih_is_polar_and_other_molecules_carry_no_charge(tmp_path: Path) -> None:
    lih = make_run(tmp_path / "lih", np.array([3, 1]), np.array([[0, 0, 0], [1.596, 0, 0]]))
    universe = qmd.load(lih)
    assert list(universe.atoms.elements) == ["Li", "H"]
    dipole = universe.atoms.charges @ universe.atoms.positions[:, 0] * 4.80320  # D per e angstrom
    assert dipole == pytest.approx(-5.88, abs=0.01)
    hydrogen = make_run(tmp_path / "h2", np.array([1, 1]), np.array([[0, 0, 0], [0.74, 0, 0]]))
    assert list(qmd.load(hydrogen).atoms.charges) == [0, 0]


def test_a_missing_run_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no trajectory\.nc in"):
        qmd.load(tmp_path)
    (tmp_path / "trajectory.nc").touch()
    with pytest.raises(InputError, match=r"no topology\.pdb"):
        qmd.load(tmp_path)


@pytest.mark.parametrize("name", ["trajectory.nc", "topology.pdb", "run.json"])
def test_an_empty_file_of_a_run_is_named(run: Path, name: str) -> None:
    (run / "output" / "run.json").write_text('{"masses_u": [16, 1, 1, 16, 1, 1]}')
    qmd.load(run)
    (run / "output" / name).write_bytes(b"")
    with pytest.raises(CorruptError, match=rf"{name}\b.* is empty"):
        qmd.load(run)


def test_a_run_without_frames_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frames yet"):
        qmd.load(make_run(tmp_path / "run", n_frames=0))


def test_a_truncated_trajectory_is_not_opened(run: Path) -> None:
    path = run / "output" / "trajectory.nc"
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(CorruptError, match="5 of 6 frames present"):
        qmd.load(run)


def test_files_of_two_runs_are_not_mixed(run: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", NUMBERS[:3], WATER)
    (other / "output" / "topology.pdb").replace(run / "output" / "topology.pdb")
    with pytest.raises(CorruptError, match="3 atoms, but trajectory.nc has 6"):
        qmd.load(run)
