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
from philox import normal_and_squares, normals
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
    "langevin_ramp": "{kind: langevin_baoab, timestep_fs: 0.8, temperature_K: {from_K: 450, "
    "to_K: 800, steps: 30}, friction_per_ps: 20}",
    "langevin_driftless": "{kind: langevin_baoab, timestep_fs: 0.8, temperature_K: 450, "
    "friction_per_ps: 20, remove_drift_every: 4}",
    "velocity_rescaling": "{kind: velocity_rescaling, timestep_fs: 0.8, temperature_K: 450, "
    "relaxation_time_fs: 20}",
    "nose_hoover_chain": "{kind: nose_hoover_chain, timestep_fs: 0.8, temperature_K: {from_K: 450, "
    "to_K: 800, steps: 30}, relaxation_time_fs: 20, chain_length: 2}",
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
    energy, f = bond(x, words["potential"])
    bath = Bath(method)
    for step in range(words["steps"]):
        v = bath.at_the_ends(v, step)
        v = v + h / 2 * f / MASSES
        x = x + h / 2 * v
        v = bath.in_the_middle(v, step, stream)
        x = x + h / 2 * v
        energy, f = bond(x, words["potential"])
        v = v + h / 2 * f / MASSES
        v = bath.at_the_ends(v, step)
        if (step + 1) % method.get("remove_drift_every", 10**9) == 0:
            v = v - (MASSES * v).sum(axis=0) / MASSES.sum()
    return x, v, energy


class Bath:
    """What each kind of integrator does to the velocities."""

    def __init__(self, words: dict[str, Any]) -> None:
        self.words, self.h, self.u = words, words["timestep_fs"] * FS, np.zeros(2)

    def kT(self, step: int) -> float:
        given = self.words["temperature_K"]
        if not isinstance(given, dict):
            return kT(given)
        part = min(1, step / given["steps"])
        return kT(given["from_K"] + part * (given["to_K"] - given["from_K"]))

    def in_the_middle(self, v: np.ndarray, step: int, stream: tuple[int, int]) -> np.ndarray:
        if self.words["kind"] == "langevin_baoab":
            c = math.exp(-self.words["friction_per_ps"] * self.words["timestep_fs"] / 1000)
            spread = np.sqrt((1 - c**2) * self.kT(step) / MASSES)
            return c * v + spread * normals(*stream, step, THERMOSTAT, v.shape)
        if self.words["kind"] == "velocity_rescaling":
            c = math.exp(-self.words["timestep_fs"] / self.words["relaxation_time_fs"])
            r, squares = normal_and_squares(*stream, step, THERMOSTAT, n=3 - 1)
            mean = 3 * self.kT(step) / 2 / (3 * (MASSES * v**2).sum() / 2)
            square = c + mean * (1 - c) * (r**2 + squares) + 2 * r * math.sqrt(c * (1 - c) * mean)
            return math.sqrt(square) * v
        return v

    def at_the_ends(self, v: np.ndarray, step: int) -> np.ndarray:
        """Half a step of a chain of two, three degrees of freedom."""
        if self.words["kind"] != "nose_hoover_chain":
            return v
        now, given, u = self.kT(step), self.words["temperature_K"], self.u
        mean = kT((given["from_K"] + given["to_K"]) / 2)
        q = np.array([3, 1]) * mean * (self.words["relaxation_time_fs"] * FS) ** 2
        outer = 1 / (2 - 2 ** (1 / 3))
        for weight in (outer, 1 - 2 * outer, outer):
            h = weight * self.h / 2
            u[1] += h / 2 * (q[0] * u[0] ** 2 - now) / q[1]
            u[0] *= math.exp(-u[1] * h / 4)
            u[0] += h / 2 * ((MASSES * v**2).sum() - 3 * now) / q[0]
            u[0] *= math.exp(-u[1] * h / 4)
            v = v * math.exp(-u[0] * h)
            u[0] *= math.exp(-u[1] * h / 4)
            u[0] += h / 2 * ((MASSES * v**2).sum() - 3 * now) / q[0]
            u[0] *= math.exp(-u[1] * h / 4)
            u[1] += h / 2 * (q[0] * u[0] ** 2 - now) / q[1]
        return v


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
    freedom = 6 if kind in ("langevin_baoab", "langevin_ramp") else 3
    drift = (MASSES * v).sum(axis=0) / MASSES.sum() if kind == "langevin_driftless" else 0
    about = float((MASSES * (v - drift) ** 2).sum() / 2)
    assert last[5] == pytest.approx(2 * about / (freedom * kT(1)), rel=1e-6)
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
        *(
            ("integrator", key) for key, value in words["integrator"].items()
            if isinstance(value, float | int) and key not in ("remove_drift_every", "chain_length")
        ),
    ):  # fmt: skip
        changed = words | {section: words[section] | {key: words[section][key] * 1.0005}}
        assert np.abs(by_numpy(changed, positions)[0] - right).max() > 2e-6, key
