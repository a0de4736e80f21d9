"""The density of Lennard-Jones at constant pressure is the published one."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from scipy import constants

from qmd import units
from qmd.run import session
from qmd.run.config import load_config

pytestmark = pytest.mark.physics

EPSILON, SIGMA = 0.0103, 3.4
PRESSURE, TEMPERATURE, DENSITY, ENERGY = 0.55355, 0.85, 0.820, -5.7947
"""State of the liquid, in units of epsilon and sigma; the energy is that of an atom.

NIST Standard Reference Simulation Website, "Lennard-Jones fluid: Monte Carlo, NVT" (SRD 173): 500
atoms, cut off at 3 sigma with the usual corrections for what lies beyond.
"""
STEPS, EVERY, BLOCKS = 80_000, 20, 15
FIRST = 1_000
"""Rows of the log, 100 ps, that are left out: 40 ps of cooling, and 60 of the liquid."""


def test_density_and_energy_of_a_liquid_are_those_of_nist(tmp_path: Path) -> None:
    # 500 atoms. Pressure and energy of a shifted potential with tail corrections are those of the
    # unshifted one. The crystal is metastable at this state: the run begins hot, and melts.
    edge = SIGMA * (4 / 0.6) ** (1 / 3)
    ase.io.write(tmp_path / "fcc.extxyz", bulk("Ar", a=edge, cubic=True).repeat(5))
    per_bar = 1e5 * 1e-30 / constants.e
    kelvin = TEMPERATURE * EPSILON / units.kB
    document = {
        "system": {"structure": "fcc.extxyz", "temperature_K": 1.8 * kelvin},
        "potential": {
            "kind": "lennard_jones", "epsilon_eV": EPSILON, "sigma_A": SIGMA,
            "cutoff_A": 3 * SIGMA, "truncation": "shift", "tail_correction": True,
        },
        "integrator": {
            "kind": "cell_rescaling", "timestep_fs": 5,
            "temperature_K": {"from_K": 1.8 * kelvin, "to_K": kelvin, "steps": 8_000},
            "relaxation_time_fs": 200, "pressure_bar": PRESSURE * EPSILON / SIGMA**3 / per_bar,
            "pressure_relaxation_time_fs": 1000, "compressibility_per_bar": 2e-4,
        },
        "guards": {"max_displacement_A_per_step": 0.5},  # of atoms that follow a cell that shrinks
        "steps": STEPS,
        "seed": 1,
        "output": {"trajectory_every": STEPS, "log_every": EVERY, "checkpoint_every": STEPS // 8},
    }  # fmt: skip
    (tmp_path / "input.yaml").write_text(json.dumps(document))
    paths = session.run(load_config(tmp_path / "input.yaml"), tmp_path / "output").paths
    log = np.genfromtxt(paths.log, delimiter=",", names=True)[FIRST + 1 :]
    found = {
        "density": (500 * SIGMA**3 / log["volume_A3"], DENSITY),
        "energy": (log["potential_energy_eV"] / (500 * EPSILON), ENERGY),
    }
    for name, (series, published) in found.items():
        # Blocks of 20 ps, many times the memory of the volume, 1 ps.
        blocks = series.reshape(BLOCKS, -1).mean(axis=1)
        mean, error = blocks.mean(), blocks.std(ddof=1) / np.sqrt(BLOCKS)
        print(f"{name}: {mean:.5f} +- {error:.5f}, published {published}")
        # As sharp as an error of 0.015 in the pressure, 2 % of its kinetic part.
        assert error < (1e-3 if name == "density" else 8e-3)
        assert abs(mean - published) < 3 * error
