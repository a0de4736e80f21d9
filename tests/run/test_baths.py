"""Runs with thermostats and a barostat: from words to files, restarts, fixed atoms, refusals."""

import json
import math
from pathlib import Path
from typing import Any

import ase.io
import netCDF4
import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]
from ase.build import bulk
from ase.calculators.emt import EMT
from philox import normal_and_squares, normals
from scipy import constants

from qmd.errors import InputError
from qmd.run import session
from qmd.run.config import load_config
from qmd.run.setup import set_up

EV, U = constants.e, constants.atomic_mass
FS = 1e-15 * math.sqrt(EV / U) / 1e-10
BAR = 1e5 * 1e-30 / EV
KB = constants.k / EV

NPT = """\
system: {structure: copper.extxyz, temperature_K: 400}
potential: {kind: ase, calculator: ase.calculators.emt.EMT}
integrator: {kind: cell_rescaling, timestep_fs: 2, temperature_K: 400, relaxation_time_fs: 30,
  pressure_bar: 20000, pressure_relaxation_time_fs: 60, compressibility_per_bar: 7.0e-7,
  scaling: isotropic}
steps: 12
seed: 20
replica: 3
output: {trajectory_every: 4, log_every: 4, checkpoint_every: 5}
"""
PAIR = """\
system: {structure: pair.xyz, temperature_K: 300}
potential: {kind: harmonic_bond, bonds: [[0, 1]], stiffness_eV_per_A2: 20, length_A: 1.1}
integrator: {kind: velocity_rescaling, timestep_fs: 0.8, temperature_K: 300}
steps: 40
output: {trajectory_every: 10, log_every: 10}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.05, seed=2)
    ase.io.write(tmp_path / "copper.extxyz", copper)
    slab = bulk("Cu", cubic=True)
    slab.pbc = True, True, False
    ase.io.write(tmp_path / "slab.extxyz", slab)
    (tmp_path / "pair.xyz").write_text("2\n\nO 0 0 0\nH 0.7 -0.4 0.5\n")
    return tmp_path


def run(folder: Path, text: str, name: str = "output", **sections: Any) -> Any:
    words = yaml.safe_load(text)
    for key, value in sections.items():
        words[key] = {**words[key], **value} if isinstance(value, dict) else value
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(words))
    return session.run(load_config(path), folder / name)


def read_log(finished: Any) -> np.ndarray:
    return np.genfromtxt(finished.paths.log, delimiter=",", names=True)


def virial_and_forces(
    x: np.ndarray, cell: np.ndarray, copper: ase.Atoms
) -> tuple[float, np.ndarray, np.ndarray]:
    copper.cell[:], copper.positions = cell, x
    volume = abs(np.linalg.det(cell))
    return (
        copper.get_potential_energy(), copper.get_forces(),
        -volume * copper.get_stress(voigt=False),
    )  # fmt: skip


def by_numpy(words: dict[str, Any], copper: ase.Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, velocities and cell at the end of a run with the isotropic barostat."""
    b, stream, m = words["integrator"], (words["seed"], words["replica"]), copper.get_masses()
    copper.calc = EMT()
    x, cell, m = copper.positions.copy(), np.array(copper.cell), m[:, None]
    n, kT, h = len(m), b["temperature_K"] * KB, b["timestep_fs"] * FS
    v = np.sqrt(kT / m) * normals(*stream, step=0, purpose=1, shape=x.shape)
    v -= (m * v).sum(axis=0) / m.sum()
    beta_over_tau = b["compressibility_per_bar"] / BAR / (b["pressure_relaxation_time_fs"] * FS)
    _, f, w = virial_and_forces(x, cell, copper)
    for step in range(words["steps"]):
        v = v + h / 2 * f / m
        x = x + h / 2 * v
        v = rescaled(v, m, kT, h / 2 / (b["relaxation_time_fs"] * FS), *stream, step, 0)
        volume = np.linalg.det(cell)
        inner = ((m * v**2).sum() + 3 * kT + np.trace(w)) / (3 * volume)
        drive = inner - b["pressure_bar"] * BAR + kT / (2 * volume)
        noise = normals(*stream, step, purpose=3, shape=(1,))[0]
        root = math.sqrt(volume) * (1 + beta_over_tau / 2 * drive * h)
        root += math.sqrt(kT * beta_over_tau / 2 * h) * noise
        scale = (root**2 / volume) ** (1 / 3)
        x, v, cell = x * scale, v / scale, cell * scale
        v = rescaled(v, m, kT, h / 2 / (b["relaxation_time_fs"] * FS), *stream, step, 4)
        x = x + h / 2 * v
        _, f, w = virial_and_forces(x, cell, copper)
        v = v + h / 2 * f / m
    assert n == 4
    return x, v, cell


def rescaled(
    v: np.ndarray, m: np.ndarray, kT: float, ratio: float, seed: int, replica: int, step: int,
    purpose: int,
) -> np.ndarray:  # fmt: skip
    """Velocities after the thermostat, 3 N - 3 degrees of freedom; the paper's equation."""
    dof, c = 3 * len(m) - 3, math.exp(-ratio)
    r, squares = normal_and_squares(seed, replica, step, purpose, dof - 1)
    mean = kT / (m * v**2).sum()
    square = c + mean * (1 - c) * (r**2 + squares) + 2 * r * math.sqrt(c * (1 - c) * mean)
    return math.sqrt(square) * v


def test_a_run_at_constant_pressure_is_the_one_that_the_words_say(folder: Path) -> None:
    finished = run(folder, NPT)
    start: Any = ase.io.read(folder / "copper.extxyz")
    x, v, cell = by_numpy(yaml.safe_load(NPT), start.copy())
    final: Any = ase.io.read(finished.paths.final)
    # Constants of another CODATA set, see test_from_words.py; atoms are up to 4 angstrom away.
    np.testing.assert_allclose(final.positions, x, rtol=0, atol=1e-5)
    np.testing.assert_allclose(final.get_velocities(), v, rtol=0, atol=1e-6)
    np.testing.assert_allclose(final.cell, cell, rtol=0, atol=1e-5)
    assert abs(final.cell.volume / start.cell.volume - 1) > 5e-3
    log = read_log(finished)
    assert log["volume_A3"][-1] == pytest.approx(final.cell.volume, rel=1e-9)
    # The change of the conserved energy is small beside what went through the bath.
    given = np.ptp(log["total_energy_eV"])
    assert np.ptp(log["conserved_eV"]) < 0.05 * given
    record = json.loads(finished.paths.record.read_text())
    assert record["degrees_of_freedom"] == 9


@pytest.mark.parametrize("scaling", ["isotropic", "anisotropic"])
def test_a_run_at_constant_pressure_resumes_to_the_same_bytes(folder: Path, scaling: str) -> None:
    integrator = {"scaling": scaling}
    whole = run(folder, NPT, "whole", integrator=integrator)
    for steps in (3, 8, 12):
        parts = run(folder, NPT, "parts", integrator=integrator, steps=steps)
    for name in ("trajectory", "log", "final"):
        assert getattr(whole.paths, name).read_bytes() == getattr(parts.paths, name).read_bytes()
    with netCDF4.Dataset(whole.paths.trajectory) as data:
        lengths, angles = (np.asarray(data[f"cell_{name}"][:]) for name in ("lengths", "angles"))
    assert np.ptp(lengths[:, 0]) > 1e-3
    assert (np.ptp(angles) > 1e-2) == (scaling == "anisotropic")


@pytest.mark.parametrize("kind", ["velocity_rescaling", "nose_hoover_chain"])
def test_a_thermostat_resumes_to_the_same_bytes(folder: Path, kind: str) -> None:
    ramp = {"from_K": 300, "to_K": 600, "steps": 25}
    given = {"kind": kind, "temperature_K": ramp}
    whole = run(folder, PAIR, "whole", integrator=given)
    for steps in (13, 26, 40):
        parts = run(folder, PAIR, "parts", integrator=given, steps=steps)
    for name in ("trajectory", "log", "final"):
        assert getattr(whole.paths, name).read_bytes() == getattr(parts.paths, name).read_bytes()
    assert list(read_log(whole).dtype.names or ())[-1] == "conserved_eV"


def test_a_fixed_atom_stays_and_does_not_count(folder: Path) -> None:
    finished = run(folder, PAIR, system={"fixed": [0], "exact_temperature": True})
    with netCDF4.Dataset(finished.paths.trajectory) as data:
        positions, velocities = (np.asarray(data[k][:]) for k in ("coordinates", "velocities"))
    assert not positions[:, 0].any() and not velocities[:, 0].any()
    assert np.ptp(positions[:, 1], axis=0).max() > 0.05
    record = json.loads(finished.paths.record.read_text())
    assert (record["degrees_of_freedom"], record["temperature_about_centre"]) == (3, False)
    # Exactly the temperature of three degrees of freedom; the hydrogen alone moves.
    assert read_log(finished)["temperature_K"][0] == pytest.approx(300, abs=1e-6)


def test_replicas_log_the_conserved_energy(folder: Path) -> None:
    finished = run(folder, PAIR, replicas=3)
    log = read_log(finished)
    columns = [f"{what}_conserved_eV" for what in ("mean", "min", "max")]
    assert list(log.dtype.names or ())[-3:] == columns
    low, mean, high = (log[name] for name in ("min_conserved_eV", *columns[:1], columns[2]))
    assert (low < mean).all() and (mean < high).all()
    # Verlet at 0.8 fs: (w dt)^2/8 of the energy in the bond.
    assert np.ptp(mean) < 0.02


@pytest.mark.parametrize(
    ("text", "sections", "message"),
    [
        (NPT, {"system": {"structure": "slab.extxyz"}}, "slab.extxyz has one that is not"),
        (NPT, {"system": {"structure": "h2o"}, "potential": "sivqlm-h2o"}, "h2o has no cell"),
        (NPT, {"system": {"fixed": [1]}}, "moves all atoms, but `system.fixed` holds them"),
        (PAIR, {"system": {"fixed": [2]}}, "names atom 2, but pair.xyz has the atoms 0 to 1"),
        (PAIR, {"system": {"fixed": [0, 1]}}, "names all atoms: nothing is left to move"),
        (
            PAIR,
            {"system": {"fixed": [0]}, "integrator": {"remove_drift_every": 5}},
            "needs atoms that are free, but `system.fixed` holds them",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    folder: Path, text: str, sections: dict[str, Any], message: str
) -> None:
    words = yaml.safe_load(text)
    for key, value in sections.items():
        words[key] = {**words[key], **value} if isinstance(value, dict) else value
    (folder / "input.yaml").write_text(json.dumps(words))
    with pytest.raises(InputError, match=message) as error:
        set_up(load_config(folder / "input.yaml"))
    assert "\n" not in error.value.message


def test_a_single_atom_has_nothing_to_thermostat(folder: Path) -> None:
    (folder / "atom.xyz").write_text("1\n\nAr 0 0 0\n")
    words = yaml.safe_load(PAIR)
    words["system"]["structure"] = "atom.xyz"
    words["potential"] = {
        "kind": "lennard_jones",
        "epsilon_eV": 0.01,
        "sigma_A": 3.4,
        "cutoff_A": 8,
    }
    (folder / "input.yaml").write_text(json.dumps(words))
    with pytest.raises(InputError):
        set_up(load_config(folder / "input.yaml"))
