"""Runs of Allegro, for which a package needs no key: molecules, cells, constant energy, resume."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from qmd.errors import MismatchError
from qmd.potentials import Domain, Package, compiled_in_cell, save
from qmd.potentials.allegro.allegro import Allegro
from qmd.run import session
from qmd.run.config import load_config

SPECIES = ("C", "N", "N", "C")
CELL = np.array([[4.6, 0, 0], [0.5, 4.4, 0], [0, 0.3, 4.8]])
POSITIONS = np.array([[0, 0, 0], [1.6, 0.4, 0.3], [0.3, 1.9, 2.4], [2.4, 2.2, 1.6]])


def package(folder: Path) -> None:
    empty: Any = None
    bare = Allegro(
        (1, 0, 0, 1), cutoff=3.0, power=6.0, n_average=9.0, l_max=1, parity=True, n_layers=1,
        n_scalars=6, n_tensors=3, two_body=(6,), latent=(), readout=(6,), n_features=1,
        hidden=(), parameters=empty,
    )  # fmt: skip
    model = bare.with_random_parameters(1, n_kinds=2, n_radial=4, scale=20.0, offset=0.0)
    made = Package(
        name="small", description="", species=SPECIES, model=model, reference_energy_eV=0.0,
        domain=Domain(np.zeros((0, 2), int), np.zeros((0, 2)), np.zeros((0, 2))),
        training={}, citation="", licence="CC0-1.0", elements=("N", "C"),
        test_positions=POSITIONS[None], test_cells=CELL[None],
    )  # fmt: skip
    function = compiled_in_cell(model)
    save(folder / "small.qmdp", made, lambda x, cell: function(x, cell)[:2])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    package(tmp_path)
    return tmp_path


def run(folder: Path, atoms: Atoms, steps: int, output: str) -> Path:
    write(folder / "start.extxyz", atoms)
    document = {
        "system": {"structure": "start.extxyz", "temperature_K": 100},
        "potential": "small.qmdp",
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.25},
        "seed": 3, "steps": steps,
        "output": {"trajectory_every": 4, "log_every": 4, "checkpoint_every": 4},
    }  # fmt: skip
    (folder / "input.yaml").write_text(json.dumps(document))
    session.run(load_config(folder / "input.yaml"), folder / output)
    return folder / output


def test_a_cell_keeps_its_energy_and_a_resumed_run_has_the_same_bits(folder: Path) -> None:
    atoms = Atoms("".join(SPECIES), POSITIONS, cell=CELL, pbc=True)
    whole = run(folder, atoms, 16, "whole")
    run(folder, atoms, 8, "parts")
    parts = run(folder, atoms, 16, "parts")
    assert (whole / "trajectory.nc").read_bytes() == (parts / "trajectory.nc").read_bytes()
    assert (whole / "log.csv").read_bytes() == (parts / "log.csv").read_bytes()
    drift = columns(whole)["total_energy_eV"]
    # Half the square of a step of 0.25 fs times the fastest motion, 0.1/fs at most, of the energy
    # that is exchanged, 0.05 eV.
    assert np.ptp(drift) < 0.05 * (0.25 * 0.1) ** 2
    assert np.ptp(columns(whole)["kinetic_energy_eV"]) > 1e-4


def test_the_same_package_serves_a_molecule_and_refuses_other_elements(folder: Path) -> None:
    alone = run(folder, Atoms("CNN", POSITIONS[:3]), 4, "alone")
    assert np.isfinite(columns(alone)["total_energy_eV"]).all()
    with pytest.raises(MismatchError, match=r"small\.qmdp is for C,N,N,C"):
        run(folder, Atoms("ONN", POSITIONS[:3]), 4, "other")


def columns(output: Path) -> np.ndarray:
    return np.genfromtxt(output / "log.csv", delimiter=",", names=True)
