"""`confinement:` of a run: the sphere acts, conserves energy, and belongs to the run's identity."""

from pathlib import Path

import numpy as np
import pytest

from qmd.errors import InputError
from qmd.integrators import kinetic_energy
from qmd.run.config import load_config
from qmd.run.setup import RunSetup, set_up
from qmd.run.start import start_state

INPUT = """
system: {structure: h2o, temperature_K: 300}
potential: sivqlm-h2o
integrator: {kind: velocity_verlet, timestep_fs: 0.25}
steps: 1000
"""
RADIUS, STIFFNESS = 0.85, 20.0
"""The hydrogens begin 0.92 angstrom from the origin: outside."""


def _input(folder: Path, extra: str) -> Path:
    path = folder / "input.yaml"
    path.write_text(INPUT + extra)
    return path


def setup(folder: Path, extra: str = "") -> RunSetup:
    return set_up(load_config(_input(folder, extra)))


def confined(folder: Path) -> RunSetup:
    values = f"{{radius_A: {RADIUS}, stiffness_eV_per_A3: {STIFFNESS}}}"
    return setup(folder, f"confinement: {values}\n")


def test_the_sphere_adds_its_energy(tmp_path):
    free, inside = setup(tmp_path), confined(tmp_path)
    outside = np.maximum(np.linalg.norm(free.system.positions, axis=1) - RADIUS, 0)
    assert (outside > 0).sum() == 2
    added = start_state(inside).energy - start_state(free).energy
    assert added == pytest.approx(STIFFNESS * (outside**3).sum(), rel=1e-9)


def test_energy_is_conserved_in_the_sphere(tmp_path):
    run = confined(tmp_path)
    state = start_state(run)
    masses = run.system.masses
    totals = []
    for _ in range(20):
        state = run.integrator.advance(
            state, run.force, 1 / masses, run.stream, run.limits, 50
        ).state
        totals.append(state.energy + kinetic_energy(state.velocities, masses))
    # (omega dt)^2 / 8 of the kinetic energy of the fastest mode: (0.18)^2 / 8 x 0.1 eV.
    assert np.std(totals) < 4e-4


def test_a_start_far_outside_the_sphere_is_told_so_and_how_far(tmp_path):
    (tmp_path / "far.xyz").write_text("3\n\nO 9 0 0\nH 9.766 0.5985 0\nH 8.234 0.5985 0\n")
    far = "confinement: {radius_A: 4}\n"
    with pytest.raises(InputError, match="3 of 3 atoms start outside .* atom 2 is 9.784 ang") as e:
        start_state(set_up(load_config(_input(tmp_path, far), ["system.structure=far.xyz"])))
    assert "move the molecule to the origin" in e.value.hint


def test_a_run_in_a_sphere_is_another_run(tmp_path):
    assert setup(tmp_path).identity != confined(tmp_path).identity


@pytest.mark.parametrize("text", ["{radius_A: 0}", "{}", "{radius_A: 3, stiffness: 1}", "5"])
def test_bad_spheres_are_refused(tmp_path, text):
    with pytest.raises(InputError):
        setup(tmp_path, f"confinement: {text}\n")


def test_at_constant_energy_all_motion_has_the_temperature(tmp_path):
    run = confined(tmp_path)
    assert (run.dof, run.thermometer.about_centre) == (9, False)
    free = setup(tmp_path)
    assert (free.dof, free.thermometer.about_centre) == (6, True)
