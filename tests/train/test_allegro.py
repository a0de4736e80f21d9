"""Training of Allegro: its first model, frozen circuits, and a package from labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from pydantic import ValidationError

from qmd.config.load import load
from qmd.forces.build import build_package
from qmd.forces.catalogue import load_package
from qmd.potentials import families
from qmd.potentials.allegro.allegro import Allegro, AllegroQdi
from qmd.train.architectures.allegro import AllegroConfig, average_neighbours
from qmd.train.config import TrainConfig
from qmd.train.problem import Frames
from qmd.train.session import prepare, run

SPECIES = ["O", "H", "H"]
WATER = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
SMALL: dict[str, Any] = {
    "kind": "allegro", "cutoff_A": 3.0, "order": 1, "layers": 1, "scalars": 4, "tensors": 2,
    "radial": 4, "two_body": [4], "latent": [], "readout": [4],
}  # fmt: skip
QDI = {"kind": "qdi", "features": 2, "qubits": 2, "hidden": []}


def frames(n: int = 5) -> Frames:
    """Return waters of springs of 5 eV/A^2 between all atoms."""
    rng = np.random.default_rng(1)
    x = WATER + 0.05 * rng.standard_normal((n, 3, 3))
    energies, forces = np.zeros(n), np.zeros((n, 3, 3))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        apart = x[:, i] - x[:, j]
        r = np.linalg.norm(apart, axis=1)
        longer = r - np.linalg.norm(WATER[i] - WATER[j])
        energies += 2.5 * longer**2
        pull = (-5 * longer / r)[:, None] * apart
        forces[:, i] += pull
        forces[:, j] -= pull
    return Frames(x, energies, forces)


def first(**keys: Any) -> Allegro:
    return AllegroConfig(species=SPECIES, **(SMALL | keys)).first_model(Path(), frames(), 1)


def test_the_first_model_has_the_form_and_the_scale_of_the_frames() -> None:
    model = first()
    assert type(model) is Allegro
    model.check()
    assert model.kinds == (1, 0, 0)
    assert model.n_average == 2.0  # each atom sees both others
    assert model.parameters.scales == pytest.approx(np.sqrt(np.mean(frames().forces ** 2)))
    assert model.parameters.offsets.sum() * 1.5 == pytest.approx(np.mean(frames().energies))
    with_circuit = first(head=QDI)
    assert type(with_circuit) is AllegroQdi
    assert with_circuit.parameters.angles.shape == (2, 1, 2, 3)
    perceptron = first(head={"kind": "perceptron", "features": 3, "hidden": [5]})
    assert perceptron.parameters.head.size == 3 * 5 + 5 + 5 + 1
    assert families.n_parameters(perceptron) > families.n_parameters(model)


def test_neighbours_are_counted_in_cells_too() -> None:
    """A cubic lattice of one atom has six neighbours at its edge, and twelve at sqrt(2) of it."""
    one = Frames(np.zeros((2, 1, 3)), np.zeros(2), None, np.tile(2 * np.eye(3), (2, 1, 1)))
    assert average_neighbours(one, 2.1) == 6
    assert average_neighbours(one, 2.9) == 18
    assert average_neighbours(one._replace(cells=None), 2.9) == 1  # not zero, by which is divided


def test_a_frozen_circuit_is_left_out() -> None:
    config = AllegroConfig(species=SPECIES, **SMALL, head=QDI | {"frozen": True})
    model = config.first_model(Path(), frames(), 1)
    mask = config.trainable_mask(model)
    assert mask is not None
    theta, unravel = ravel_pytree(model)
    kept = unravel(theta * (1 - mask)).parameters
    np.testing.assert_array_equal(kept.angles, model.parameters.angles)
    assert mask.sum() == theta.size - model.parameters.angles.size
    assert AllegroConfig(species=SPECIES, **SMALL, head=QDI).trainable_mask(model) is None


def test_a_frozen_circuit_needs_stages_that_know_it() -> None:
    keys: dict[str, Any] = {
        "name": "x", "dataset": "x.npz", "model": SMALL | {"head": QDI | {"frozen": True}}
    }  # fmt: skip
    adam: Any = {"kind": "adam"}
    lbfgs: Any = {"kind": "lbfgs"}
    TrainConfig(**keys, stages=[adam])
    with pytest.raises(ValidationError, match="model.head.frozen, which needs stages"):
        TrainConfig(**keys, stages=[adam, lbfgs])
    with pytest.raises(ValidationError, match="model.kind: allegro, which needs backend: jax"):
        TrainConfig(**keys, stages=[adam], backend="native")


def test_labels_become_a_package_that_runs(tmp_path: Path) -> None:
    labels = frames(15)
    np.savez(
        tmp_path / "labels.npz", Z=[8, 1, 1], R=labels.positions, E=labels.energies,
        F=labels.forces,
    )  # fmt: skip
    head = QDI | {"frozen": True}
    text = {
        "name": "small", "dataset": "labels.npz", "model": SMALL | {"head": head},
        "split": {"train": 8, "validation": 2, "test": 5}, "starts": {"seed": 3},
        "stages": [{"kind": "adam", "steps": 4, "batch": 4, "report_every": 2,
                    "weight_decay": 0.1, "learning_rate": 0.01}],
    }  # fmt: skip
    (tmp_path / "train.yaml").write_text(json.dumps(text))
    job = prepare(load(tmp_path / "train.yaml", TrainConfig))
    package = load_package(str(run(job).package), Path())
    assert package.elements == ("H", "O")
    config = job.config.model
    start = config.first_model(tmp_path, job.data.train, 3).parameters
    found = package.model.parameters
    np.testing.assert_array_equal(found.angles, start.angles)
    assert not np.array_equal(found.readout, start.readout)
    runnable = build_package(package, "native")
    assert runnable.backend == "jax"
    energy, forces = runnable.energy_and_forces(WATER)
    assert np.isfinite(energy) and np.abs(forces.sum(0)).max() < 1e-12
