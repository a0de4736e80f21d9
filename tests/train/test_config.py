"""What the input of a training may ask for, and where a stage that waits for better ends."""

from typing import Any

import numpy as np
import pytest
from network_fits import NETWORK, frames_of
from pydantic import ValidationError

from qmd.audit import evaluation
from qmd.config import load as inputs
from qmd.potentials import load
from qmd.train import session as train_session
from qmd.train import states
from qmd.train import trainer as train_start
from qmd.train.config import TrainConfig

SPECIES = ["O", "H", "H"]
REVISED = {"kind": "qnn-revised", "species": SPECIES}
GAUSS_NEWTON, ADAM = {"kind": "gauss_newton"}, {"kind": "adam"}


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        (REVISED | {"control": "frozen"}, {"stages": [ADAM]}, "stages of kind gauss_newton"),
        (REVISED | {"cutoff_A": 0.4}, {}, "greater than 0.5"),
        ({"kind": "qnn-initial", "species": SPECIES}, {}, "an atom has 2 neighbours"),
        ({"kind": "density-dimer", "switch_from_A": 10}, {}, "larger than model.switch_from_A"),
        ({"kind": "perceptron", "species": SPECIES}, {"backend": "native"}, "needs backend: jax"),
        (REVISED, {"stages": [GAUSS_NEWTON | {"damping": 1e-30}]}, "greater than or equal"),
    ],
)
def test_what_would_fail_later_is_refused_at_once(model, settings, words):
    document: dict[str, Any] = {"name": "a", "dataset": "b", "stages": [GAUSS_NEWTON]}
    with pytest.raises(ValidationError, match=words):
        TrainConfig.model_validate(document | {"model": model} | settings)


INPUT = """\
name: water
dataset: water.npz
model: {kind: qnn-revised, species: [O, H, H], qubits: 2, layers: 1, radial: 4, cutoff_A: 3}
split: {train: 20, validation: 5}
stages:
  - {kind: gauss_newton, steps: 60, batch: 4, learning_rate: 1, patience: 3, report_every: 1}
workers: 1
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("water")
    x, e, f, *_ = frames_of(NETWORK, 40, 3)
    # Names of the original files, which are found without being told.
    np.savez(folder / "water.npz", coords=x, energies=e, forces=f, nuclear_charges=[8, 1, 1])
    (folder / "train.yaml").write_text(INPUT + "labels: {energy_unit: eV}\n")
    return train_session.prepare(inputs.load(folder / "train.yaml", TrainConfig))


def state_after(prepared, folder, stopping) -> states.StageState:
    (folder / "states").mkdir(parents=True)
    plan = train_session._plan(prepared, folder)
    while True:
        trainer = train_start.Trainer(plan, stopping, lambda update: None)
        try:
            trainer.run(0, range(1))
        except train_start.TrainingStopped:
            continue
        state = states.load(plan, 0, 0)
        assert state is not None
        return state


def test_a_stage_that_is_stopped_at_every_report_ends_where_it_would_have(prepared, tmp_path):
    whole = state_after(prepared, tmp_path / "whole", lambda: False)
    assert whole.since_best == 3 and 3 < whole.progress.iteration < 60
    stopped = state_after(prepared, tmp_path / "stopped", lambda: True)
    assert stopped.progress.iteration == whole.progress.iteration
    np.testing.assert_array_equal(stopped.best, whole.best)


def test_a_package_is_evaluated_on_the_file_it_was_trained_on(prepared, tmp_path):
    train_session.run(prepared, tmp_path / "water.qmdp")
    package = load(tmp_path / "water.qmdp")
    labels = evaluation.load_labels(
        package, prepared.loaded.path.parent / "water.npz", energy_unit="eV"
    )
    assert evaluation.evaluate(package, labels).n == 40
