"""What `qmd analyze` computes, against closed forms; and one clear line for what cannot be read."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from made_series import made
from run_files import DIMER
from scipy.signal import lfilter

from qmd import units
from qmd.analysis import (
    advisor,
    analyze,
    conservation,
    diffusion,
    internal,
    series,
    spectrum,
    statistics,
)
from qmd.analysis.condensed import hydrogen_bonds as bonds_of
from qmd.analysis.series import Log
from qmd.analysis.temperature import temperature
from qmd.cli.app import app
from qmd.errors import CorruptError, InputError
from qmd.run import session
from qmd.run.config import load_config

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",  # MDAnalysis and its dependencies warn of their own modules
    "ignore::PendingDeprecationWarning",
)


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def water_run(folder: Path, **changes) -> Path:
    document = {
        "system": {"structure": "h2o", "temperature_K": 300},
        "potential": "sivqlm-h2o",
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 4000,
        "output": {"trajectory_every": 2, "log_every": 2, "checkpoint_every": 4000},
    }
    folder.mkdir()
    (folder / "input.yaml").write_text(json.dumps(document | changes))
    session.run(load_config(folder / "input.yaml"))
    return folder


@pytest.fixture(scope="module")
def water(tmp_path_factory) -> Path:
    return water_run(tmp_path_factory.mktemp("analysis") / "water")


def test_statistical_inefficiency_of_an_autoregressive_series():
    # x' = a x + noise has g = (1 + a)/(1 - a) = 19; its error is sqrt(2 g_cut / n), some per cent.
    rng, a = np.random.default_rng(0), 0.9
    noise = rng.standard_normal(200_000)
    x = np.empty_like(noise)
    x[0] = 0
    for k in range(1, len(x)):
        x[k] = a * x[k - 1] + noise[k]
    assert statistics.statistical_inefficiency(x) == pytest.approx(19, rel=0.1)
    found = statistics.mean(x)
    assert abs(found.value) < 5 * found.error
    assert found.error == pytest.approx(x.std() * np.sqrt(19 / len(x)), rel=0.1)
    lengths, errors = statistics.block_errors(x)
    plateau = errors[(lengths > 300) & (lengths < 2000)]  # 300 to 700 blocks: 3 % each
    assert plateau.mean() == pytest.approx(found.error, rel=0.15)


def test_autocorrelation_is_the_sum_over_all_starts():
    x = np.random.default_rng(1).standard_normal((50, 3))
    direct = [np.mean([x[s] * x[s + t] for s in range(50 - t)], axis=0) for t in range(50)]
    np.testing.assert_allclose(statistics.autocorrelation(x), direct, atol=1e-12)


def test_a_constant_series_is_one_sample_each():
    assert statistics.statistical_inefficiency(np.full(100, 300.0)) == 1.0


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(2.2361, 0.0312, "2.236 +- 0.031"), (301.27, 4.56, "301.3 +- 4.6"),
     (1234.0, 456.0, "1234 +- 456"), (3.0, 0.0, "3 +- 0"), (3.0, float("nan"), "3 +- nan")],
)  # fmt: skip
def test_a_mean_has_two_digits_of_its_error(value, error, text):
    assert statistics.with_error(value, error) == text


def test_the_begin_of_a_relaxation_is_cut_off():
    t = np.arange(4000)
    x = 100 * np.exp(-t / 100) + np.random.default_rng(2).standard_normal(4000)
    found = statistics.mean(x)
    assert found.begin >= 400 and abs(found.value) < 1


def test_drift_of_a_straight_line_with_noise():
    t = np.linspace(0, 10, 5001)
    rng = np.random.default_rng(3)
    slope, noise = 2e-5, 1e-3  # eV/ps, eV
    kinetic = 0.05 + 0.01 * np.sin(40 * t)
    potential = slope * t + noise * rng.standard_normal(len(t)) - kinetic
    log = Log(t, potential, kinetic, t * 0 + 200, 0.0)
    found = conservation.conservation(
        made(np.zeros((2, 2, 3)), np.zeros((2, 2, 3)), t[:2], log=log)
    )
    # The slope of n points over a length L has the error noise sqrt(12/n) / L.
    error = 1000 / 2 * noise * np.sqrt(12 / 5001) / 10
    assert found.drift_meV_per_atom_ps == pytest.approx(1000 / 2 * slope, abs=5 * error)
    assert 0.2 * error < found.drift_error_meV_per_atom_ps < 4 * error  # from four quarters
    per_dof = found.drift_meV_per_atom_ps * 2 / (units.kB * 200 * 3)
    assert found.drift_kT_per_ns_dof == pytest.approx(per_dof)
    assert found.drift_ratio == pytest.approx(
        abs(found.drift_meV_per_atom_ps) * 2 / 1000 * 10 / kinetic.std()
    )
    assert found.fluctuation_meV_per_atom == pytest.approx(500 * noise, rel=0.05)


def test_lines_of_a_spectrum_are_where_the_oscillators_are():
    t = np.arange(4000) * 5e-4  # ps
    lines = 1600.3, 3700.7
    v = np.zeros((4000, 2, 3))
    for axis, line in enumerate(lines):
        v[:, 1, axis] = np.cos(2 * np.pi * line * spectrum.SPEED_OF_LIGHT_CM_PER_PS * t)
    found = spectrum.spectrum(made(np.zeros_like(v), v, t))
    # A parabola through three points of a padded Hann line is right to 1 % of its width, 33 1/cm.
    np.testing.assert_allclose(found.peaks, lines, atol=0.33)
    assert found.resolution_per_cm == pytest.approx(33.4, abs=0.1)
    area = found.density.sum() * (found.wavenumbers[1] - found.wavenumbers[0])
    assert area == pytest.approx(1)
    half = np.sqrt(found.density)
    near = np.abs(found.wavenumbers - lines[0]) < 60
    above = found.wavenumbers[near & (half >= half[near].max() / 2)]
    assert np.ptp(above) == pytest.approx(found.resolution_per_cm, rel=0.1)
    correlation = spectrum.velocity_autocorrelation(made(np.zeros_like(v), v, t))
    k = 2 * np.pi * spectrum.SPEED_OF_LIGHT_CM_PER_PS
    expected = sum(np.cos(k * line * t[:2000]) for line in lines) / 2
    np.testing.assert_allclose(correlation[:2000], expected, atol=0.02)  # ends of the sums


def test_each_mode_has_its_share_of_the_kinetic_energy_in_a_spectrum():
    # Atoms of mass 1 and 16 with twice and once the kinetic energy, each with a line of its own.
    t, masses, lines = np.arange(8000) * 5e-4, np.array([1.0, 16.0]), (1600.0, 3700.0)
    v = np.zeros((8000, 2, 3))
    for atom, (line, energy) in enumerate(zip(lines, (2.0, 1.0), strict=True)):
        phase = 2 * np.pi * line * spectrum.SPEED_OF_LIGHT_CM_PER_PS * t
        v[:, atom, 0] = np.sqrt(2 * energy / masses[atom]) * np.cos(phase)
    run = made(np.zeros_like(v), v, t, masses=masses)
    found = spectrum.spectrum(run)
    low = found.density[found.wavenumbers < 2650].sum() / found.density.sum()
    # The tails of a Hann window, 60 widths away, hold less than 1e-5.
    assert low == pytest.approx(2 / 3, abs=1e-4)
    k = 2 * np.pi * spectrum.SPEED_OF_LIGHT_CM_PER_PS
    expected = (2 * np.cos(k * lines[0] * t[:4000]) + np.cos(k * lines[1] * t[:4000])) / 3
    # Each of the sums misses up to half a period, 10 fs, of 2 ps or more.
    np.testing.assert_allclose(
        spectrum.velocity_autocorrelation(run)[:4000], expected, rtol=0, atol=0.01
    )


def noisy_run(v):
    """Return a run of two atoms, of which the second has the velocities v along x, 3 fs apart."""
    v = np.stack([np.zeros_like(v), v], axis=1)[..., None] * np.array([1.0, 0, 0])
    return made(np.zeros_like(v), v, np.arange(len(v)) * 3e-3)


def test_errors_of_a_density_of_states_are_those_of_white_noise():
    v = np.random.default_rng(4).standard_normal(1333 * 9)  # 17 segments
    found = spectrum.spectrum(noisy_run(v))
    # White noise has a flat density; without the ends, where windows of real data overlap.
    inner = slice(100, -100)
    flat = 1 / (found.wavenumbers[-1] - found.wavenumbers[0])
    scatter = np.mean((found.density[inner] - flat) ** 2)
    # About 400 independent points, of which each has the square of a Gaussian in it: the ratio of
    # the variances has a standard error of sqrt(2 / 400) = 7 %.
    assert np.mean(found.errors[inner] ** 2) == pytest.approx(scatter, rel=0.25)


def test_errors_of_lines_are_their_scatter_over_runs():
    rng = np.random.default_rng(5)
    omega = 2 * np.pi * spectrum.SPEED_OF_LIGHT_CM_PER_PS * 1600 * 3e-3
    step = np.exp(1j * omega - 3e-3 / 0.5)  # a line that loses its phase in 0.5 ps, 21 1/cm wide
    places, errors = [], []
    for _ in range(30):
        kicks = rng.standard_normal((5400, 2)) @ np.array([1, 1j])
        v = lfilter([1.0], [1.0, -step], kicks).real
        found = spectrum.spectrum(noisy_run(v))
        highest = int(np.argmax(found.heights))
        places.append(found.peaks[highest])
        errors.append(found.peak_errors[highest])
    # A standard deviation over 30 runs has an error of 13 %, the mean square of jackknife errors of
    # seven segments one of twice that, and the maximum of a noisy line is no smooth function of it.
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) / np.std(places) < 2


def test_a_short_run_has_a_spectrum_without_errors():
    v = np.random.default_rng(6).standard_normal(1333 * 2)  # 3 segments
    found = spectrum.spectrum(noisy_run(v))
    assert found.errors is None and found.peak_errors is None


@pytest.mark.parametrize(
    ("times", "why"),
    [
        (np.arange(5) * 5e-4, "5 frames; a spectrum needs 16"),
        (np.arange(50) ** 2 * 5e-4, "not evenly spaced"),
        (np.arange(50) * 0.05, "50 fs apart; a spectrum needs 3.7 fs"),
    ],
)
def test_a_spectrum_that_would_mislead_is_not_made(times, why):
    v = np.ones((len(times), 2, 3))
    with pytest.raises(InputError, match=why):
        spectrum.spectrum(made(v, v, times))


@pytest.mark.parametrize("kind", ["langevin_baoab", "velocity_verlet"])
def test_the_correction_for_the_time_step_is_that_of_a_harmonic_well(kind):
    # One atom of each mass in a well of its own frequency w, on a sphere of radius sqrt(3 kT/k): in
    # every frame the sum over the three axes is the mean of the canonical ensemble.
    masses, w, dt_fs, kT = np.array([1.008, 15.999]), np.array([0.7, 0.3]), 0.8, 300 * 8.617333e-5
    directions = np.random.default_rng(4).standard_normal((50, 2, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    stiffness = (masses * w**2)[:, None]
    positions = np.sqrt(3 * kT / stiffness) * directions
    bath = {"temperature_K": 300.0, "friction_per_ps": 1.0} if kind == "langevin_baoab" else {}
    run = made(
        positions, positions, np.arange(50) / 100, masses=masses, forces=-stiffness * positions,
        integrator={"kind": kind, "timestep_fs": dt_fs} | bath,
    )  # fmt: skip
    run.record["degrees_of_freedom"] = 6
    found = temperature(run)
    dt = dt_fs * 0.09822695  # fs in angstrom sqrt(u/eV): 1e-5 sqrt(e/u), by CODATA
    expected = 300 * np.mean((w * dt) ** 2) / 4  # one (w dt)^2/4 of each mode, three of each atom
    assert found.too_cold == pytest.approx(expected, rel=1e-6)  # digits of the constants here
    assert (found.predicted is None) == (not bath)
    if bath:
        assert found.predicted == pytest.approx(300 - expected, rel=1e-9)


def test_the_temperature_of_langevin_dynamics_is_the_predicted_one(tmp_path):
    bath = {"kind": "langevin_baoab", "timestep_fs": 1.0, "temperature_K": 300}
    output = {"trajectory_every": 200, "log_every": 20, "checkpoint_every": 400_000}
    folder = water_run(
        tmp_path / "langevin", integrator=bath | {"friction_per_ps": 5}, steps=400_000,
        output=output,
    )  # fmt: skip
    found = temperature(series.read(folder))
    assert found.predicted is not None and 5 < found.too_cold < 20
    # The law is of harmonic wells: leave a tenth of the correction, besides the error.
    assert abs(found.mean - found.predicted) < 5 * found.error + 0.1 * found.too_cold
    assert found.error < 4


def test_bonds_and_angles_are_those_of_ase(water):
    from ase import Atoms

    run = series.read(water)
    bond, angle = internal.coordinates(run)
    assert (bond.name, bond.unit, angle.name, angle.unit) == ("O-H", "A", "H-O-H", "deg")
    for frame in (0, -1):
        atoms = Atoms("OHH", run.positions[frame])
        np.testing.assert_allclose(bond.values[frame], atoms.get_distances(0, [1, 2]), atol=1e-5)
        assert angle.values[frame, 0] == pytest.approx(atoms.get_angle(1, 0, 2), abs=1e-3)


def test_units_of_a_series_are_those_of_the_program(water):
    run = series.read(water)
    kinetic = 0.5 * np.sum(run.masses[:, None] * run.velocities**2, axis=(1, 2))
    np.testing.assert_allclose(kinetic, run.kinetic, rtol=1e-5)  # single precision
    from qmd.potentials import evaluate, find, load

    _, forces = evaluate(load(find("sivqlm-h2o")).native(), run.positions[7].copy())
    np.testing.assert_allclose(run.forces[7], forces, atol=1e-4)  # positions to 1e-7 A


def waters(positions, n_frames: int = 6):
    """A run in which molecules of water rest."""
    n = len(positions)
    still = np.repeat(positions[None], n_frames, axis=0)
    bonds = tuple((o, o + k) for o in range(0, n, 3) for k in (1, 2))
    return made(
        still, np.zeros_like(still), np.arange(n_frames) * 0.05, species=("O", "H", "H") * (n // 3),
        masses=np.tile([15.999, 1.008, 1.008], n // 3), bonds=bonds,
    )  # fmt: skip


def test_hydrogen_bonds_of_a_dimer_are_counted():
    near = bonds_of.hydrogen_bonds(waters(DIMER))
    assert near is not None and near.mean == 1 and near.share_bonded == 1 and near.switches == 0
    assert near.lifetime_ps is None
    apart = DIMER.copy()
    apart[3:] += [2.0, 0, 0]
    far = bonds_of.hydrogen_bonds(waters(apart))
    assert far is not None and far.mean == 0
    assert bonds_of.hydrogen_bonds(waters(DIMER[:3])) is None


@pytest.mark.parametrize(
    ("apart", "degrees", "n"), [(3.49, 180, 1), (3.51, 180, 0), (2.9, 151, 1), (2.9, 149, 0)]
)
def test_a_hydrogen_bond_has_3_5_angstrom_and_150_degrees(apart, degrees, n):
    # The donor turns about its O by what the law of sines gives: the angle at H, of the sides
    # 0.96 angstrom and the distance of both O, opposite to the latter.
    at_acceptor = np.arcsin(0.96 * np.sin(np.radians(degrees)) / apart)
    turn = np.pi - np.radians(degrees) - at_acceptor
    cosine, sine = np.cos(turn), np.sin(turn)
    donor = DIMER[:3] @ np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    found = bonds_of.hydrogen_bonds(
        waters(np.concatenate([donor, DIMER[3:] + [apart - 2.9, 0, 0]]), n_frames=2)
    )
    assert found is not None and found.mean == n


def test_hydrogen_bonds_come_and_go():
    run = waters(DIMER, n_frames=10)
    run.positions[[0, 4, 5, 6], 3:] += [2.0, 0, 0]  # 1 to 3 is one whole stay; 7 to 9 has no end
    found = bonds_of.hydrogen_bonds(run)
    assert found is not None and found.counts.tolist() == [0, 1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert (found.mean, found.switches) == (0.6, 3)
    assert found.lifetime_ps == pytest.approx(0.15)


def test_a_free_molecule_in_a_bath_diffuses_as_einstein_says():
    # Exact updates of the Ornstein-Uhlenbeck process of velocity and position.
    rng, n, dt, friction, kT, mass = np.random.default_rng(4), 200_000, 0.05, 2.0, 0.02, 2.016
    decay = np.exp(-friction * dt)
    noise = rng.standard_normal((n, 3)) * np.sqrt(kT / mass * (1 - decay**2)) / units.ps**-1
    v = np.zeros((n, 3))
    for k in range(1, n):
        v[k] = decay * v[k - 1] + noise[k]
    x = np.cumsum(v, axis=0) * dt
    bath = {"kind": "langevin_baoab", "temperature_K": kT / units.kB, "friction_per_ps": friction}
    run = made(np.repeat(x[:, None], 2, axis=1), np.zeros((n, 2, 3)), np.arange(n) * dt,
               integrator=bath)  # fmt: skip
    found = diffusion.diffusion(run)
    assert found is not None
    # The slope between 1 and 4 / friction lacks what is left of the ballistic start, 15 % or less.
    assert found.einstein == pytest.approx(kT / mass / friction * units.ps**2)
    assert 0.75 < found.coefficient / found.einstein < 1.05
    assert diffusion.diffusion(made(x[:9, None], x[:9, None], np.arange(9) * dt)) is None
    for nearly_none in (0.0, 1e-320):  # of a damaged record: the bath forgets after the last frame
        run.record["integrator"]["damping_per_ps"] = nearly_none
        assert diffusion.diffusion(run) is None


def test_the_fluctuation_is_of_the_integrator_on_a_smooth_surface(water):
    found = advisor.advise(series.read(water))
    assert found is not None and found.timesteps_fs == (0.5, 0.25, 0.125)
    coarse, middle, _ = found.fluctuations
    assert coarse / middle == pytest.approx(4.1, abs=0.15)  # as in test_shipped_water
    assert found.of_integrator == pytest.approx(coarse, rel=0.05)
    assert found.of_surface < 0.05 * coarse
    assert found.largest_good_fs is not None and 0.4 < found.largest_good_fs < 1


def test_the_command_leaves_a_report_and_numbers(water, tmp_path, capsys):
    target = tmp_path / "numbers.json"
    with pytest.raises(SystemExit) as end:
        app(["analyze", str(water), "--json", str(target), "--no-timestep"])
    assert not end.value.code
    out = capsys.readouterr().out
    assert "meV/atom/ps" in out and "lines (1/cm)" in out
    data = json.loads(target.read_text())
    assert data["length_ps"] == 2 and data["potential"] == "sivqlm-h2o"
    bend, *_, stretch = [x for x in data["vdos_peaks_per_cm"] if x > 1000]
    assert 1500 < bend < 1700 and 3600 < stretch < 3900
    assert (water / "output" / "report.html").stat().st_size < 5_000_000


@pytest.mark.parametrize("name", ["log.csv", "run.json", "topology.pdb", "trajectory.nc"])
def test_a_missing_file_is_one_clear_line(water, tmp_path, name):
    folder = copied(water, tmp_path)
    (folder / name).unlink()
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        analyze.analyze(folder)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("trajectory.nc", lambda b: b[:-100], "of 2001 frames"),
        ("log.csv", lambda b: b[:40], "log.csv"),
        ("log.csv", lambda b: b.replace(b"300", b"hot", 1), "log.csv"),
        ("run.json", lambda b: b[:50], "run.json"),
        ("run.json", lambda b: b"{}", "run.json"),
    ],
)
def test_a_damaged_file_is_one_clear_line(water, tmp_path, name, damage, message):
    folder = copied(water, tmp_path)
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(CorruptError, match=message):
        analyze.analyze(folder)


def test_a_run_that_has_just_begun_says_so(tmp_path):
    folder = water_run(tmp_path / "short", steps=10)
    with pytest.raises(InputError, match="6 frames and 6 rows of log; an analysis needs 8"):
        analyze.analyze(folder)


def copied(run: Path, folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(run / "output", folder / "output"))
