"""From the words of an input to the trajectory, by NumPy and SciPy's constants alone.

Nothing of qmd is used but the program itself and, for the noise, the published generator with the
documented layout of its counter (`tests/integrators/test_noise.py` checks that against vectors).
"""

import json
import math
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]
from philox import normals
from scipy import constants

from qmd.run import session
from qmd.run.config import load_config

INPUT = """\
system: {structure: pair.xyz, temperature_K: 300}
potential: {kind: harmonic_bond, bonds: [[0, 1]], stiffness_eV_per_A2: 20, length_A: 1.1}
integrator: INTEGRATOR
steps: 50
seed: 20
replica: 3
output: {trajectory_every: 10, log_every: 10}
"""
INTEGRATORS = {
    "velocity_verlet": "{kind: velocity_verlet, timestep_fs: 0.8}",
    "langevin_baoab": "{kind: langevin_baoab, timestep_fs: 0.8, temperature_K: 450, "
    "friction_per_ps: 20}",
}
MASSES = np.array([[15.999], [1.008]])
EV, U = constants.e, constants.atomic_mass
FS = 1e-15 * math.sqrt(EV / U) / 1e-10
"""A femtosecond in units of angstrom sqrt(u/eV)."""
THERMOSTAT, VELOCITIES = 0, 1


def kT(temperature_K: float) -> float:
    return temperature_K * constants.k / EV


def bond(x: np.ndarray, words: dict[str, Any]) -> tuple[float, np.ndarray]:
    apart = x[1] - x[0]
    r = np.linalg.norm(apart)
    stretch = r - words["length_A"]
    pull = words["stiffness_eV_per_A2"] * stretch * apart / r
    return words["stiffness_eV_per_A2"] * stretch**2 / 2, np.array([pull, -pull])


def by_numpy(words: dict[str, Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Positions, velocities and potential energy at the end."""
    stream, start = (words["seed"], words["replica"]), words["system"]["temperature_K"]
    v = np.sqrt(kT(start) / MASSES) * normals(*stream, step=0, purpose=VELOCITIES, shape=x.shape)
    v -= (MASSES * v).sum(axis=0) / MASSES.sum()
    method, h = words["integrator"], words["integrator"]["timestep_fs"] * FS
    damping = math.exp(-method.get("friction_per_ps", 0) * method["timestep_fs"] / 1000)
    kick = np.sqrt((1 - damping**2) * kT(method.get("temperature_K", 0)) / MASSES)
    energy, f = bond(x, words["potential"])
    for step in range(words["steps"]):
        v = v + h / 2 * f / MASSES
        x = x + h / 2 * v
        if method["kind"] == "langevin_baoab":
            v = damping * v + kick * normals(*stream, step, THERMOSTAT, x.shape)
        x = x + h / 2 * v
        energy, f = bond(x, words["potential"])
        v = v + h / 2 * f / MASSES
    return x, v, energy


@pytest.mark.parametrize("kind", INTEGRATORS)
def test_the_trajectory_is_the_one_that_the_words_say(tmp_path: Path, kind: str) -> None:
    positions = np.array([[0.0, 0, 0], [0.7, -0.4, 0.5]])
    lines = [f"{s} {x} {y} {z}" for s, (x, y, z) in zip("OH", positions, strict=True)]
    (tmp_path / "pair.xyz").write_text("\n".join(["2", "", *lines]) + "\n")
    text = INPUT.replace("INTEGRATOR", INTEGRATORS[kind])
    (tmp_path / "input.yaml").write_text(text)
    finished = session.run(load_config(tmp_path / "input.yaml"))
    x, v, energy = by_numpy(yaml.safe_load(text), positions)

    final = ase.io.read(finished.paths.final)
    # SciPy's constants are of another CODATA set: kB differs by 3e-7, and the atoms, which move by
    # less than 2 angstrom and 0.1 angstrom sqrt(eV/u), by half of it. A change of kB, kT, friction,
    # dt or a mass by 1e-4 shows as 1e-5 or more.
    assert np.abs(x - positions).max() > 0.2
    np.testing.assert_allclose(final.positions, x, rtol=0, atol=1e-6)
    np.testing.assert_allclose(final.get_velocities(), v, rtol=0, atol=1e-6)
    last = np.loadtxt(finished.paths.log, delimiter=",", skiprows=1)[-1]
    kinetic = float((MASSES * v**2).sum() / 2)
    assert last[:5] == pytest.approx(
        [50, 0.04, energy, kinetic, energy + kinetic], rel=1e-6, abs=1e-6
    )
    freedom = 6 if kind == "langevin_baoab" else 3
    assert last[5] == pytest.approx(2 * kinetic / (freedom * kT(1)), rel=1e-6)
    record = json.loads(finished.paths.record.read_text())
    assert record["degrees_of_freedom"] == freedom


@pytest.mark.parametrize("kind", INTEGRATORS)
def test_the_bounds_of_this_file_would_notice(kind: str) -> None:
    words = yaml.safe_load(INPUT.replace("INTEGRATOR", INTEGRATORS[kind]))
    positions = np.array([[0.0, 0, 0], [0.7, -0.4, 0.5]])
    right = by_numpy(words, positions)[0]
    for section, key in (
        ("system", "temperature_K"), ("potential", "stiffness_eV_per_A2"),
        ("potential", "length_A"),
        *(("integrator", key) for key in words["integrator"] if key != "kind"),
    ):  # fmt: skip
        changed = words | {section: words[section] | {key: words[section][key] * 1.0005}}
        assert np.abs(by_numpy(changed, positions)[0] - right).max() > 2e-6, key
