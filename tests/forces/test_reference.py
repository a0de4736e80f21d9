"""Dynamics on reference methods: any ASE calculator, Kohn-Sham, full CI."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from qmd.errors import InputError, MismatchError, NumericalError
from qmd.integrators import kinetic_energy
from qmd.io import trajectory
from qmd.run import session, simulation
from qmd.run.config import load_config
from qmd.run.setup import set_up
from qmd.run.start import start_state

EMT = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
DFT = {"kind": "dft", "functional": "lda", "basis": "sto-3g", "dispersion": None, "grid_level": 1}
FCI = {"kind": "fci"}


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def write(folder: Path, potential, structure: str = "h2o", **settings) -> Path:
    document = {
        "system": {"structure": structure, "temperature_K": 300},
        "potential": potential,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 6,
        "output": {"trajectory_every": 1, "log_every": 1, "checkpoint_every": 1},
    }
    path = folder / "input.yaml"
    path.write_text(json.dumps(document | settings))
    return path


def run(folder: Path, potential, *changes: str, **settings) -> session.RunSession:
    loaded = load_config(write(folder, potential, **settings), changes)
    return session.run(loaded)


def totals(finished: session.RunSession) -> np.ndarray:
    return np.loadtxt(finished.paths.log, delimiter=",", skiprows=1)[:, 4]


def test_an_ase_calculator_gives_energies_and_forces_of_every_frame(tmp_path):
    from ase import Atoms
    from ase.calculators.emt import EMT as Calculator

    finished = run(tmp_path, EMT)
    frames = trajectory.read_scalars(finished.paths.trajectory)
    assert len(frames["potential_energy"]) == 7
    state = start_state(finished.setup)
    system = finished.setup.system
    atoms = Atoms(system.numbers, system.positions, calculator=Calculator())
    assert state.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
    np.testing.assert_allclose(state.forces, atoms.get_forces(), atol=1e-12)
    record = json.loads(finished.paths.record.read_text())
    assert record["potential"]["name"] == "EMT" and "ase" in record["versions"]


def test_a_run_that_is_continued_has_the_bits_of_one_that_is_not(tmp_path):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = run(tmp_path / "whole", EMT)
    run(tmp_path / "parts", EMT, "steps=3")
    parts = run(tmp_path / "parts", EMT)
    assert parts.progress.first_step == 3
    for path in (whole.paths.trajectory, whole.paths.log):
        assert path.read_bytes() == (parts.paths.directory / path.name).read_bytes()


@pytest.mark.parametrize(("potential", "structure"), [(DFT, "h2o"), (FCI, "lih")])
def test_quantum_chemistry_conserves_energy_and_goes_on(tmp_path, potential, structure):
    pytest.importorskip("pyscf", reason="needs the extra reference")
    system = {"structure": structure, "temperature_K": 300}
    settings = {"system": system, "steps": 4}
    run(tmp_path, potential, "steps=2", **settings)
    finished = run(tmp_path, potential, **settings)
    assert finished.progress.first_step == 2
    energies = totals(finished)
    kinetic = np.loadtxt(finished.paths.log, delimiter=",", skiprows=1)[:, 3]
    # Verlet's error is (omega dt)^2/8 of a mode's energy, 2 % for the stiff bonds of a poor method,
    # and about twice that of the part of it that has become kinetic in 2 fs.
    assert np.ptp(energies) < 0.05 * np.ptp(kinetic) + 1e-5
    assert json.loads(finished.paths.record.read_text())["versions"]["pyscf"]


def test_a_sphere_confines_reference_dynamics_too(tmp_path):
    free = set_up(load_config(write(tmp_path, EMT)))
    sphere = {"radius_A": 0.85, "stiffness_eV_per_A3": 20.0}
    confined = set_up(load_config(write(tmp_path, EMT, confinement=sphere)))
    outside = np.maximum(np.linalg.norm(free.system.positions, axis=1) - 0.85, 0)
    added = start_state(confined).energy - start_state(free).energy
    assert added == pytest.approx(20.0 * (outside**3).sum(), rel=1e-9)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"calculator": "no.such.Calculator"}, MismatchError, "cannot be imported"),
        ({"calculator": "ase.calculators.emt.Emt"}, MismatchError, "cannot be imported"),
        ({"calculator": "os.system"}, MismatchError, "is not an ASE calculator"),
        ({"calculator": "collections.OrderedDict"}, MismatchError, "is not an ASE calculator"),
        ({"calculator": "EMT"}, InputError, "expected text of the form"),
        ({"arguments": {"a": [[1]]}}, InputError, "potential.arguments"),
    ],
)
def test_what_is_no_calculator_is_refused(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        set_up(load_config(write(tmp_path, EMT | changes)))


@pytest.mark.usefixtures("trusting")
def test_a_calculator_that_cannot_be_made_is_one_clear_line(tmp_path):
    potential = {"kind": "ase", "calculator": "ase.calculators.harmonic.HarmonicCalculator"}
    with pytest.raises(MismatchError, match="does not take potential.arguments: "):
        set_up(load_config(write(tmp_path, potential)))


@pytest.mark.usefixtures("trusting")
def test_a_calculator_that_fails_while_it_is_made_is_not_told_of_wrong_arguments(
    tmp_path, monkeypatch
):
    from ase.calculators.emt import EMT as Calculator

    def broken(self, **arguments):
        np.linalg.cholesky(-np.eye(2))

    monkeypatch.setattr(Calculator, "__init__", broken)
    with pytest.raises(MismatchError, match="EMT cannot be set up: LinAlgError: ") as error:
        set_up(load_config(write(tmp_path, EMT)))
    assert "check its installation" in error.value.hint


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # PySCF's files
@pytest.mark.parametrize(
    "changes", [{"functional": "none-such"}, {"basis": "none-such"}, {"dispersion": "none-such"}]
)
def test_methods_that_do_not_exist_are_one_clear_line(tmp_path, changes):
    pytest.importorskip("pyscf", reason="needs the extra reference")
    setup = set_up(load_config(write(tmp_path, DFT | changes)))
    with pytest.raises(NumericalError, match="(?i)none.such.* failed: |failed: .*none.such"):
        start_state(setup)


def test_open_shells_that_nobody_stated_are_refused(tmp_path):
    structure = tmp_path / "oh.xyz"
    structure.write_text("2\n\nO 0 0 0\nH 0 0 0.97\n")
    system = {"structure": "oh.xyz", "temperature_K": 300}
    with pytest.raises(MismatchError, match="odd number of electrons"):
        set_up(load_config(write(tmp_path, DFT, system=system)))


def test_a_method_that_fails_keeps_the_steps_before(tmp_path, monkeypatch):
    from ase.calculators.emt import EMT as Calculator

    calls, calculate = 0, Calculator.calculate

    def failing(self, *args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == 8:
            raise RuntimeError("no convergence\nin 50 cycles")
        calculate(self, *args, **kwargs)

    monkeypatch.setattr(simulation, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(Calculator, "calculate", failing)
    with pytest.raises(NumericalError, match="(?m)failed: RuntimeError: no convergence$"):
        run(tmp_path, EMT)
    monkeypatch.undo()
    finished = run(tmp_path, EMT)
    assert finished.progress.first_step >= 1
    assert len(trajectory.read_scalars(finished.paths.trajectory)["time"]) == 7
    last = finished.progress.snapshot
    masses = finished.setup.system.masses
    assert last.kinetic_energies[0] == kinetic_energy(last.batch.velocities[0], masses)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_gfn2_xtb_conserves_energy_and_is_what_its_calculator_says(tmp_path):
    pytest.importorskip("tblite", reason="needs the extra reference")
    settings = {"method": "GFN2-xTB", "verbosity": 0}
    xtb = {"kind": "ase", "calculator": "tblite.ase.TBLite", "arguments": settings}
    finished = run(tmp_path, xtb, "steps=40")
    energies = totals(finished)
    log = np.loadtxt(finished.paths.log, delimiter=",", skiprows=1)
    # Verlet's error is (omega dt)^2/8, 1.5 % of what goes to and fro in the stretches.
    assert np.ptp(energies) < 0.03 * np.ptp(log[:, 3])
    assert json.loads(finished.paths.record.read_text())["versions"]["tblite"]
    # O-H of GFN2-xTB at its minimum, 0.959 A (C. Bannwarth et al., J. Chem. Theory Comput. 15, 1652
    # (2019), has bonds to hydrogen within 0.01 A of high-level references, 0.957 A).
    from qmd.analysis.statics import minimum
    from qmd.forces.reference import reference_method

    setup = finished.setup
    _, method, _ = reference_method(setup.config.potential, setup.system)
    found = minimum.minimum(method, setup.system.positions, setup.system.masses)
    bonds = np.linalg.norm(found.positions[1:] - found.positions[0], axis=1)
    assert bonds == pytest.approx([0.957, 0.957], abs=0.01)
    assert len(found.wavenumbers) == 3 and found.wavenumbers[0] > 1400


def test_densities_are_extrapolated_along_a_path_only():
    from qmd.forces.reference import _next_density

    points = [np.full((2, 3), 0.01 * k) for k in range(4)]
    parabola = [np.full((4, 4), 1.0 + 0.2 * k + 0.03 * k * k) for k in range(4)]
    before = list(zip(points[:3], parabola[:3], strict=True))
    np.testing.assert_allclose(_next_density(before, points[3]), parabola[3], atol=1e-12)
    assert _next_density(before[1:], points[3]) is parabola[2]
    assert _next_density(before, points[3] + 0.2) is parabola[2]  # farther than a step
    assert _next_density(before, points[3] + 1.0) is None
    assert _next_density([], points[0]) is None
