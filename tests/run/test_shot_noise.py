"""`noise: {shots: ...}` in the input of a run: refusals, exact restart, what is written."""

from pathlib import Path

import numpy as np
import pytest

from qmd.config.load import LoadedConfig
from qmd.errors import InputError, NumericalError
from qmd.integrators import NoisyLangevinBAOAB, evaluate
from qmd.io.run_folder import RunPaths
from qmd.run import session
from qmd.run.config import load_config
from qmd.run.setup import set_up
from qmd.run.start import start_state

INPUT = """\
system: {structure: h2o, temperature_K: 300}
potential: sivqlm-h2o
integrator: {kind: langevin_baoab, timestep_fs: 0.5, temperature_K: 300, friction_per_ps: 10}
noise: {shots: 20000}
steps: 40
output: {trajectory_every: 5, log_every: 5, checkpoint_every: 10}
"""


def loaded(folder: Path, *overrides: str, text: str = INPUT) -> LoadedConfig:
    path = folder / "input.yaml"
    path.write_text(text)
    return load_config(path, overrides)


def outputs(folder: Path) -> dict[str, bytes]:
    paths = RunPaths(folder / "output")
    return {p.name: p.read_bytes() for p in (paths.trajectory, paths.log, paths.final)}


def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for folder in (whole, halves):
        folder.mkdir()
    session.run(loaded(whole))
    for steps in (20, 40):
        session.run(loaded(halves, f"steps={steps}"))
    assert outputs(whole) == outputs(halves)


def test_shots_are_drawn_from_the_seed_and_the_energy_is_exact(tmp_path):
    setup, other = (set_up(loaded(tmp_path, f"seed={seed}")) for seed in (1, 2))
    start, x = start_state(setup), setup.system.positions
    energy, forces = evaluate(setup.force, x)
    noise = start.forces - forces
    assert start.energy == energy
    np.testing.assert_array_equal(noise, start_state(setup).forces - forces)
    assert not np.array_equal(noise, start_state(other).forces - forces)
    # 0.88 eV/angstrom for 1000 shots and a hydrogen: 0.2 for 20 000. Of nine numbers with that
    # standard deviation the root mean square is within a factor of 3, but for one in 1e5.
    assert 0.07 < np.sqrt(np.mean(noise**2)) < 0.7


def test_a_bath_that_is_too_weak_is_refused_with_numbers_that_do(tmp_path):
    with pytest.raises(InputError, match="1000 shots has .* times the power of a bath") as refused:
        start_state(set_up(loaded(tmp_path, "noise.shots=1000")))
    hint = refused.value.hint or ""
    words = hint.replace(":", "").replace(",", "").split()
    shots = int(words[words.index("`noise.shots`") + 2])
    friction = int(words[words.index("`friction_per_ps`") + 2])
    for override in (f"noise.shots={shots}", f"integrator.friction_per_ps={friction}"):
        overrides = ["noise.shots=1000"] if "shots" not in override else []
        setup = set_up(loaded(tmp_path, *overrides, override))
        start_state(setup)
        assert isinstance(setup.integrator, NoisyLangevinBAOAB)
        share = setup.integrator.share(setup.system.positions, 1 / setup.system.masses)
        assert 0.72 < share <= 0.8  # 1/1.25, with numbers rounded up to two digits


def test_without_compensation_nothing_is_too_weak(tmp_path):
    start_state(set_up(loaded(tmp_path, "noise.shots=1000", "noise.compensate=false")))


def test_a_run_stops_where_the_noise_grows_beyond_the_bath(tmp_path):
    # At the start 0.998 of the power of the bath; while water moves, it changes by a percent.
    setup = set_up(loaded(tmp_path))
    assert isinstance(setup.integrator, NoisyLangevinBAOAB)
    share = setup.integrator.share(setup.system.positions, 1 / setup.system.masses)
    shots = int(20_000 * share / 0.998)
    with pytest.raises(NumericalError, match=f"the noise of {shots} shots has 1") as stopped:
        session.run(loaded(tmp_path, f"noise.shots={shots}", "steps=2000"))
    assert "set `noise.shots` to" in (stopped.value.hint or "")


NVE = INPUT.replace("langevin_baoab", "velocity_verlet").replace(
    ", temperature_K: 300, friction_per_ps: 10", ""
)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (INPUT, ("potential.backend=jax",), "noise needs `potential.backend: native`"),
        (INPUT.replace("sivqlm-h2o", "{kind: fci}"), (), "potential of kind fci has none"),
        (INPUT, ("noise.shots=0",), "noise.shots: expected a whole number >= 1"),
        (INPUT, ("noise.shot=5",), "unknown key 'shot' in noise. Did you mean 'shots'"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, text, overrides, message):
    with pytest.raises(InputError) as refused:
        loaded(tmp_path, *overrides, text=text)
    assert message in refused.value.message


def test_a_method_without_a_bath_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="noise needs a bath that takes out the energy"):
        session.run(loaded(tmp_path, text=NVE))
    assert not (tmp_path / "output").exists()
