"""Runs of Lennard-Jones in a cell, from the input to the files."""

import json
import os
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from qmd import units
from qmd.analysis.series import read_log
from qmd.errors import MismatchError, NumericalError
from qmd.forces.build import build_potential, parse_potential
from qmd.forces.virial_check import strain_slopes
from qmd.integrators import NeighbourList
from qmd.run import session
from qmd.run.config import load_config
from qmd.system.system import System

ARGON = {
    "kind": "lennard_jones", "epsilon_eV": 0.0103, "sigma_A": 3.4, "cutoff_A": 7.5,
    "truncation": "switch", "skin_A": 0.4,
}  # fmt: skip


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def argon() -> Atoms:
    """Return 64 atoms in a tilted cell."""
    atoms = bulk("Ar", a=5.5).repeat(4)
    atoms.rattle(0.05, seed=1)
    return atoms


def write_input(folder: Path, atoms: Atoms, **settings: Any) -> Path:
    ase.io.write(folder / "start.extxyz", atoms)
    document = {
        "system": {"structure": "start.extxyz", "temperature_K": 120},
        "potential": ARGON,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 4},
        "steps": 400,
        "output": {"trajectory_every": 100, "log_every": 20, "checkpoint_every": 100},
    }
    path = folder / "input.yaml"
    path.write_text(json.dumps(document | settings))
    return path


def test_a_run_of_argon_keeps_its_energy_while_its_list_is_built_anew(tmp_path: Path) -> None:
    paths = session.run(load_config(write_input(tmp_path, argon()))).paths
    log = np.genfromtxt(paths.log, delimiter=",", names=True)
    potential, kinetic = log["potential_energy_eV"], log["kinetic_energy_eV"]
    exchanged = np.ptp(potential)
    # Velocity Verlet at a fiftieth of the fastest period: a shadow energy within (w dt)^2 / 8.
    assert np.ptp(potential + kinetic) < 0.01 * exchanged
    moved = ase.io.read(paths.final).positions - argon().positions
    assert np.linalg.norm(moved, axis=1).max() > 0.4  # farther than the skin


def test_replicas_are_single_runs(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "many")]
    for folder in folders:
        folder.mkdir()
    integrator = {
        "kind": "langevin_baoab",
        "timestep_fs": 4,
        "friction_per_ps": 1,
        "temperature_K": 120,
    }
    one = session.run(load_config(write_input(folders[0], argon(), integrator=integrator)))
    settings = {"integrator": integrator, "replicas": 2}
    many = session.run(load_config(write_input(folders[1], argon(), **settings)))
    alone = ase.io.read(one.paths.final)
    assert np.array_equal(ase.io.read(many.paths.final, index=0).positions, alone.positions)


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_last_states_before_a_failure_have_the_stress(tmp_path: Path, replicas: int) -> None:
    guards = {"max_force_eV_per_A": 0.1}
    settings = {"guards": guards, **({"replicas": replicas} if replicas > 1 else {})}
    with pytest.raises(NumericalError, match="the largest force"):
        session.run(load_config(write_input(tmp_path, argon(), **settings)))
    states = ase.io.read(tmp_path / "output" / "failure.extxyz", index=":")
    assert len(states) > 1
    for atoms in (states[0], states[-1]):
        cell = np.array(atoms.cell)
        system = System(atoms.numbers, atoms.positions, atoms.get_masses(), None, "", cell=cell)
        function = build_potential(parse_potential(ARGON), system, tmp_path).energy_in_cell
        slopes = strain_slopes(function, atoms.positions, cell)
        # As in `virial_check`: third derivatives of a few eV for each atom.
        volume = atoms.get_volume()
        np.testing.assert_allclose(atoms.get_stress(voigt=False) * volume, slopes, atol=1e-4)


def test_volume_density_pressure_and_stress_of_each_replica_are_written(tmp_path: Path) -> None:
    npt = {
        "kind": "cell_rescaling", "timestep_fs": 4, "temperature_K": 120, "pressure_bar": 500,
        "compressibility_per_bar": 1e-4,
    }  # fmt: skip
    settings = {"integrator": npt, "replicas": 2, "steps": 40}
    paths = session.run(load_config(write_input(tmp_path, argon(), **settings))).paths
    last = np.genfromtxt(paths.log, delimiter=",", names=True)[-1]
    found = {"volume_A3": [], "density_g_per_cm3": [], "pressure_bar": []}
    for atoms in ase.io.read(paths.final, index=":"):
        size, mass = atoms.get_volume(), atoms.get_masses().sum()
        found["volume_A3"].append(size)
        found["density_g_per_cm3"].append(mass / size / units.g_per_cm3)
        pressure = (
            2 * atoms.get_kinetic_energy() / (3 * size)
            - np.trace(atoms.get_stress(voigt=False)) / 3
        )
        found["pressure_bar"].append(pressure / units.bar)
        masses, cell = atoms.get_masses(), np.array(atoms.cell)
        system = System(atoms.numbers, atoms.positions, masses, None, "", cell=cell)
        function = build_potential(parse_potential(ARGON), system, tmp_path).energy_in_cell
        slopes = strain_slopes(function, atoms.positions, cell)
        # As in `virial_check`: third derivatives of a few eV for each atom.
        np.testing.assert_allclose(atoms.get_stress(voigt=False) * size, slopes, atol=1e-4)
    assert found["volume_A3"][0] != found["volume_A3"][1]
    for name, values in found.items():
        spread = [np.mean(values), min(values), max(values)]
        logged = [last[f"{what}_{name}"] for what in ("mean", "min", "max")]
        np.testing.assert_allclose(logged, spread, rtol=1e-8)
    means = read_log(paths.log, "mean_")
    assert means.volume is not None and means.pressure is not None


@pytest.mark.parametrize(
    "change, word",
    [
        ({"cutoff_A": None, "truncation": "shift"}, "needs `cutoff_A`"),
        ({"atoms": [0, 70]}, "atom 70 of 64"),
    ],
)
def test_what_a_cell_does_not_allow_is_refused(
    tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    potential = {k: v for k, v in (ARGON | change).items() if v is not None}
    if "cutoff_A" not in potential:
        del potential["truncation"], potential["skin_A"]
    with pytest.raises(MismatchError, match=word):
        session.run(load_config(write_input(tmp_path, argon(), potential=potential)))


def test_a_tail_correction_needs_a_volume(tmp_path: Path) -> None:
    slab = argon()
    slab.center(vacuum=10, axis=2)
    slab.pbc = (True, True, False)
    potential = ARGON | {"tail_correction": True}
    with pytest.raises(MismatchError, match="all directions"):
        session.run(load_config(write_input(tmp_path, slab, potential=potential)))


def test_a_lost_pair_stops_the_run_at_the_next_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([True, False])
    monkeypatch.setattr(NeighbourList, "audit", lambda held: next(answers))
    monkeypatch.setattr("qmd.run.simulation.Simulation._checkpoint_is_due", lambda run: True)
    with pytest.raises(NumericalError, match="neighbour list has lost a pair"):
        session.run(load_config(write_input(tmp_path, argon())))
