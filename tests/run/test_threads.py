"""Threads that share the work of one trajectory: the same bytes, resumed with other numbers too."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qmd.errors import InputError
from qmd.forces.origin import UNBOUNDED_DOMAIN
from qmd.potentials import Package, save
from qmd.potentials.models import atom_centred
from qmd.potentials.tree.potential import compiled
from qmd.run import session
from qmd.run.config import load_config
from qmd.run.setup import set_up

WATER = ("O", "H", "H")
X = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def write_input(folder: Path, **changes: Any) -> Path:
    """Write a potential of elements, eight waters in a cell, and an input."""
    folder.mkdir(exist_ok=True)
    model = atom_centred.revised(
        WATER, 1, elements=("H", "O"), n_qubits=2, n_layers=1, n_radial=4, cutoff=3.0
    )
    package = Package(
        name="trial", description="", species=WATER, model=model, reference_energy_eV=0.0,
        domain=UNBOUNDED_DOMAIN, training={}, citation="", licence="", test_positions=X[None],
        elements=("H", "O"),
    )  # fmt: skip
    save(folder / "trial.qmdp", package, compiled(package.potential()))
    document = {
        "system": {
            "structure": {"molecule": "h2o", "count": 8, "density_g_per_cm3": 0.9},
            "temperature_K": 100,
        },
        "potential": "trial.qmdp",
        "integrator": {
            "kind": "velocity_rescaling", "timestep_fs": 0.5, "temperature_K": 100,
            "relaxation_time_fs": 100,
        },
        "steps": 12,
        "output": {"trajectory_every": 3, "log_every": 3, "checkpoint_every": 6},
    }  # fmt: skip
    path = folder / "input.yaml"
    path.write_text(json.dumps(document | changes))
    return path


def run(folder: Path, *overrides: str) -> session.RunSession:
    return session.run(load_config(write_input(folder), overrides))


def test_threads_do_not_change_a_byte_of_a_trajectory(tmp_path: Path) -> None:
    alone = run(tmp_path / "alone")
    shared = run(tmp_path / "shared", "threads=2")
    run(tmp_path / "resumed", "threads=3", "steps=6")
    resumed = run(tmp_path / "resumed", "threads=2")
    assert [found.progress.threads for found in (alone, shared, resumed)] == [1, 2, 2]
    assert resumed.progress.first_step == 6
    for found in (shared, resumed):
        for name in ("trajectory", "log", "final", "topology"):
            ours, theirs = getattr(found.paths, name), getattr(alone.paths, name)
            assert ours.read_bytes() == theirs.read_bytes()
    assert json.loads(shared.paths.record.read_text())["last_session"]["threads"] == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"potential": "spc-fw"},
        {"system": {"structure": "h2o", "temperature_K": 300}},
    ],
)
def test_threads_that_would_have_no_work_are_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = write_input(tmp_path, **changes)
    set_up(load_config(path))
    with pytest.raises(InputError, match="`threads` has no effect without `replicas`, or a net"):
        set_up(load_config(path, ["threads=2"]))
