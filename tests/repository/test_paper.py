"""runs/paper: the inputs are those of the tables, and the page says what the results say."""

import json
import re
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from qmd.config import load as inputs
from qmd.config import strict_yaml
from qmd.config.schema import json_schema
from qmd.potentials import jax_model
from qmd.train.config import AdamConfig, LeastSquaresConfig, TrainConfig
from qmd.train.problem import Frames

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "runs" / "paper"
INPUTS = sorted(PAPER.glob("[a-z]*/train*.yaml"))
NAMES = [str(path.relative_to(PAPER)) for path in INPUTS]
PARAMETERS = {"lih": 67, "h2o": 67, "h2o-sb": 78, "dimer": 122, "lih-vqlm": 94, "h2o-vqlm": 80}
"""As printed in the paper, without scale and offset of the energy."""


@pytest.fixture
def script(monkeypatch):
    """A module of runs/paper by its name, as its own script would import it."""
    monkeypatch.syspath_prepend(PAPER)
    for name in ("run", "report", "rows"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__


@pytest.fixture
def run(script, monkeypatch, tmp_path):
    """run.py, which keeps its files in a temporary folder."""
    module = script("run")
    monkeypatch.setattr(module, "OUTPUT", tmp_path / "output")
    return module


def result(seed):
    """A result of a seed."""
    return {
        "parameters": 69,
        "mse_energy_eV2": seed * 1e-7,
        "mse_forces_eV2_per_A2": seed * 1e-4,
        "rotated_mse_energy_eV2": seed * 1e-2,
        "cpu_seconds": 10.0 * seed,
    }


@pytest.mark.parametrize("path", INPUTS, ids=NAMES)
def test_an_input_fits_the_schema_and_its_recipe(path):
    data = strict_yaml.parse(path.read_text(), path.name).data
    jsonschema.validate(data, json_schema(TrainConfig))
    config = inputs.load(path, TrainConfig).config
    if path.name == "train-paper.yaml":
        [stage] = config.stages
        assert isinstance(stage, AdamConfig) and stage.steps == 3000 and not config.loss.forces
    elif path.parent.name in PARAMETERS:
        assert {type(stage) for stage in config.stages} == {LeastSquaresConfig}
        assert config.loss.forces


@pytest.mark.parametrize("path", INPUTS, ids=NAMES)
def test_a_model_has_as_many_numbers_as_the_paper_says(path):
    if path.parent.name not in PARAMETERS:
        pytest.skip("not a model of the paper")
    config = inputs.load(path, TrainConfig).config
    labels = Frames(np.zeros((2, 1, 3)), np.array([0.0, 1.0]), None)
    model = config.model.first_model(path.parent, labels, 0)
    assert callable(jax_model.energy)  # the module that makes a tree a pytree
    assert ravel_pytree(model)[0].size == PARAMETERS[path.parent.name] + 2


def test_both_recipes_share_model_data_and_split():
    for path in INPUTS:
        if path.name == "train-paper.yaml":
            ours = inputs.load(path.with_name("train.yaml"), TrainConfig).config
            theirs = inputs.load(path, TrainConfig).config
            assert (ours.model, ours.dataset) == (theirs.model, theirs.dataset)
            assert ours.split == theirs.split


def test_rows_of_present_labels_are_ready_and_seeds_share_no_start(run):
    first, second = (run.prepare(run.ROWS["lih"], Path("nowhere"), seed) for seed in (0, 1))
    starts = [range(p.config.starts.seed, p.config.starts.seed + p.config.starts.count)
              for p in (first, second)]  # fmt: skip
    assert not set(starts[0]) & set(starts[1])
    assert run.identity(first) != run.identity(second)
    test, zero = run.unseen(first.data), first.data.zero
    labels = np.load(ROOT / "runs" / "labels-lih" / "lih.npz")
    row = np.argmin(np.abs(labels["R"][:, 1, 2] - test.positions[0, 1, 2]))
    assert test.energies[0] == pytest.approx(labels["E"][row], abs=1e-10)  # (E - zero) + zero
    assert zero == pytest.approx(labels["E"].min(), abs=0.01)  # the split may miss the lowest
    assert not {*first.data.train.positions[:, 1, 2]} & {*test.positions[:, 1, 2]}


def test_every_change_of_every_row_is_a_key_of_its_input(script):
    rows = script("rows").ROWS
    for row in rows.values():
        if (path := PAPER / row.input).exists():
            inputs.load(path, TrainConfig, [f"{k}={v}" for k, v in row.changes.items()])
    assert not inputs.load(
        PAPER / "lih" / "train.yaml", TrainConfig,
        [f"{k}={v}" for k, v in rows["lih-noise-0.05"].changes.items()],
    ).config.loss.forces  # fmt: skip


def test_absent_labels_are_reported_not_invented(run, capsys, tmp_path):
    results = {}
    run.measure(run.ROWS["h2o-dft"], tmp_path, results, seeds=5)
    assert results == {}
    assert "h2o-dft: not measured" in capsys.readouterr().out


def test_committed_results_are_of_the_present_inputs(run):
    results = json.loads((PAPER / "results.json").read_text())
    for name in ("lih", "lih-vqlm"):
        for seed, found in results[name].items():
            prepared = run.prepare(run.ROWS[name], Path("nowhere"), int(seed))
            assert found["identity"] == run.identity(prepared)


def test_turned_frames_have_turned_forces(run):
    data = run.prepare(run.ROWS["lih"], Path("nowhere"), 0).data
    test = run.unseen(data)
    turned = run.rotated(test)

    def along(frames):
        bonds = frames.positions[:, 1] - frames.positions[:, 0]
        return np.einsum("fa,fa->f", bonds, frames.forces[:, 1])

    np.testing.assert_allclose(along(turned), along(test), rtol=1e-12, atol=1e-12)
    assert np.abs(turned.positions - test.positions).max() > 1


def test_a_row_shows_median_and_spread_beside_the_paper(script):
    report, rows = script("report"), script("rows")
    results = {"lih": {str(seed): result(seed) for seed in (1, 2, 9)}}
    text = report.table(rows.LIH, results)
    line = next(line for line in text.splitlines() if "siVQLM, energies and forces" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:] == [
        "69", "3", "2.00e-07 (1.0e-07 to 9.0e-07)", "1.89e-06", "2.00e-04 (1.0e-04 to 9.0e-04)",
        "3.14e-04", "20",
    ]  # fmt: skip
    assert text.count("not measured") == 6  # both errors of the three other rows


def test_the_verdict_on_noise_counts_levels(script):
    report, rows = script("report"), script("rows")
    results = {}
    for std, generic in zip(rows.NOISE_eV, (0.5, 2, 20, 30, 5, 0.1), strict=True):
        results[rows.noise("lih", std).name] = {"0": result(1)}
        results[rows.noise("lih-vqlm", std).name] = {"0": result(generic)}
    text = report.noise_verdict(results)
    assert "smaller at 4 of 6 levels, and at 2 of them by more than a factor of ten" in text
    assert report.noise_verdict({}) == ""


def test_the_committed_page_is_that_of_the_committed_results(script, monkeypatch, tmp_path):
    report = script("report")
    committed = report.PAGE.read_text()
    monkeypatch.setattr(report, "PAGE", tmp_path / "results.md")
    monkeypatch.setattr(report, "IMAGES", tmp_path / "images")
    report.write(json.loads((PAPER / "results.json").read_text()))
    assert report.PAGE.read_text() == committed
    shown = {Path(name).name for name in re.findall(r"\(images/(.*?)\)", committed)}
    assert shown == {path.name for path in tmp_path.glob("images/*")}
    assert all((ROOT / "docs" / "images" / name).is_file() for name in shown)
