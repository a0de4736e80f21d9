"""`qmd tune`: points, failures, a stop and a resume; inputs that are refused in one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import qmd
from qmd.commands.tunings import plan_tune
from qmd.errors import InputError, MismatchError, NumericalError, QmdError, StoppedEarly
from qmd.jobs.executor import TaskContext
from qmd.tune.evaluate import Evaluate
from qmd.tune.session import RESULT, STATE

LABELS = Path(__file__).parents[2] / "runs" / "labels-lih" / "lih.npz"
TRAIN = """\
name: small
dataset: lih.npz
model: {kind: sivqlm-lih, layers: 2}
split: {method: even, train: 20, validation: 10, seed: 1}
stages:
  - {kind: least_squares, evaluations: 2}
workers: 1
"""
TUNE = {
    "input": "train.yaml",
    "parameters": {
        "model.layers": {"integer": [1, 9]},
        "stages.0.pull": {"log": [1e-4, 1.0]},
        "loss.forces": {"choice": [True, False]},
    },
    "objectives": ["forces_rmse_meV_per_A", "parameters"],
    "constraints": {"energy_rmse_meV": 60},
    "evaluations": 12,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(LABELS, tmp_path / "lih.npz")
    (tmp_path / "train.yaml").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def worth(layers, pull, forces):
    """Quantities in closed form; deep circuits without forces diverge."""
    if layers > 6 and not forces:
        raise NumericalError("start 0, stage 1: the loss became nan")
    error = 100 / layers + 50 * abs(pull - 0.01) + (0 if forces else 30)
    return {
        "forces_rmse_meV_per_A": error,
        "energy_rmse_meV": error / 2 + 20,
        "parameters": 3.0 * layers,
        "inference_us": 1.0 + layers,
        "test_energy_rmse_meV": error,
    }


@pytest.fixture
def formula(monkeypatch):
    """Replace the training by `worth`; count the points, and stop at one of them."""
    seen = []

    def train(self, number, values, context):
        if number == seen_stop.get("at"):
            raise StoppedEarly("Stopped by SIGTERM.")
        seen.append(number)
        return worth(*values)

    seen_stop: dict[str, int] = {}
    monkeypatch.setattr(Evaluate, "_train", train)
    return seen, seen_stop


def tune(changes=None, **options):
    return qmd.tune(TUNE | (changes or {}), progress=False, log=lambda text: None, **options)


@pytest.mark.parametrize("method", ["samo_cobra", "nsga2", "tpe"])
def test_a_search_that_was_stopped_goes_on_with_the_same_points(folder, formula, method):
    if method != "samo_cobra":
        pytest.importorskip("optuna")
    seen, stop = formula
    changes = {"method": {"kind": method}}
    whole = tune(changes, output="whole")
    seen.clear()
    for at in (2, 7):
        stop["at"] = at
        with pytest.raises(StoppedEarly, match=f"{at - 1} of 12 points"):
            tune(changes, output="parts")
    stop.clear()
    parts = tune(changes, output="parts")
    assert seen == list(range(1, 13))  # nothing is trained twice
    assert json.dumps(parts.card) == json.dumps(whole.card)
    assert (folder / "parts" / STATE).read_bytes() == (folder / "whole" / STATE).read_bytes()


def test_points_failures_and_front_are_in_the_result(folder, formula):
    found = tune()
    card = json.loads((found.directory / RESULT).read_text())
    assert card == found.card and len(card["points"]) == 12
    for point in card["points"]:
        layers, pull, forces = point["parameters"].values()
        assert 1 <= layers <= 9 and 1e-4 <= pull <= 1 and forces in (True, False)
        if point["status"] == "failed":
            assert layers > 6 and not forces
            assert point["reason"].endswith("the loss became nan") and not point["quantities"]
        else:
            expected = worth(layers, pull, forces)
            assert point["quantities"] == expected
            assert point["feasible"] == (expected["energy_rmse_meV"] <= 60)
    front = [p["quantities"] for p in card["front"]]
    errors = [q["forces_rmse_meV_per_A"] for q in front]
    assert errors == sorted(errors) and front
    sizes = [q["parameters"] for q in front]
    assert sizes == sorted(sizes, reverse=True)
    assert card["hypervolume"] == sorted(card["hypervolume"]) and card["hypervolume"][-1] > 0
    assert len(card["hypervolume"]) == 12
    html = found.report.read_text()
    assert "Pareto front" in html and "Hypervolume" in html
    assert 'src="http' not in html and 'href="http' not in html
    assert found.summary().splitlines()[0].split()[0] == "point"


def test_failed_trainings_alone_are_a_result(folder, formula):
    changes: dict[str, Any] = {
        "parameters": {"model.layers": {"integer": [7, 9]},
                       "stages.0.pull": {"real": [0.0, 1.0]},
                       "loss.forces": {"choice": [False, 0]}}}  # fmt: skip
    with pytest.raises(InputError, match=r"parameters.loss.forces: loss.forces: expected true"):
        tune(changes)
    changes["parameters"]["loss.forces"] = {"choice": [False, True]}
    changes["evaluations"] = 1
    found = tune(changes | {"seed": 3})
    assert len(found.card["points"]) == 1


def test_more_evaluations_extend_a_search_and_another_seed_is_refused(folder, formula):
    seen, _ = formula
    tune({"evaluations": 6})
    tune({"evaluations": 9})
    assert seen == list(range(1, 10))
    with pytest.raises(MismatchError, match="tune.seed: 0 -> 1"):
        tune({"seed": 1})
    (folder / "train.yaml").write_text(TRAIN.replace("evaluations: 2", "evaluations: 3"))
    with pytest.raises(MismatchError, match="training.stages"):
        tune()


def test_a_damaged_state_is_said_in_one_line(folder, formula):
    pytest.importorskip("optuna")
    tpe = {"method": {"kind": "tpe"}}
    found = tune(tpe | {"evaluations": 4})
    state = found.directory / STATE
    data = json.loads(state.read_text())
    data["points"][1][0][0] += 1
    state.write_text(json.dumps(data))
    with pytest.raises(MismatchError, match="point-0002 has other values"):
        tune(tpe | {"evaluations": 5})
    state.write_text("{}")
    with pytest.raises(QmdError, match="is damaged"):
        tune(tpe | {"evaluations": 5})


def test_batches_on_processes_are_those_of_one_process(folder):
    changes = {
        "parameters": {"model.layers": {"integer": [1, 2]}},
        "objectives": ["forces_rmse_meV_per_A", "parameters"],
        "constraints": {},
        "evaluations": 2,
        "batch": 2,
    }
    serial = tune(changes, output="serial")
    many = tune(changes | {"executor": {"kind": "processes", "workers": 2}}, output="many")
    for a, b in zip(serial.card["points"], many.card["points"], strict=True):
        a["quantities"].pop("inference_us"), b["quantities"].pop("inference_us")
        # XLA adds in another order in a worker of one core: a rounding or two, 1e-16 each.
        assert a.pop("quantities") == pytest.approx(b.pop("quantities"), rel=1e-12)
        assert a == b and a["status"] == "finished"
    first = json.loads((serial.directory / RESULT).read_text())["points"][0]
    assert (serial.directory / first["folder"] / "small.qmdp").exists()
    assert first["quantities"]["parameters"] > 0
    assert "test_forces_rmse_meV_per_A" in first["quantities"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objectives": ["errors"]}, "objectives.0: expected one of 'forces_rmse_meV_per_A'"),
        ({"objectives": ["parameters", "parameters"]}, "names an objective twice"),
        ({"reference": {"parameters": 9}}, "reference that must name the objectives"),
        ({"parameters": {"model.layers": {"integer": [3, 3]}}}, "must be below the second"),
        ({"parameters": {"model.layers": {"log": [0, 3]}}}, "must be positive"),
        ({"parameters": {"model.layers": {}}}, "must have exactly one of real, log"),
        ({"parameters": {"model.layers": {"real": [1, 2], "log": [1, 2]}}}, "exactly one of"),
        ({"parameters": {"model.layers": {"real": [1.0, 2.5]}}}, "parameters.model.layers: model"),
        ({"parameters": {"model.layers": {"integer": [1, 1000]}}}, "parameters.model.layers: mod"),
        ({"parameters": {"model.layres": {"integer": [1, 2]}}}, "unknown key 'layres' in model"),
        ({"parameters": {"stages.1.pull": {"real": [0, 1]}}}, "is a list of 1, without item 1"),
        ({"parameters": {"split.seed": {"integer": [0, 9]}}}, "a search must not change split"),
        ({"parameters": {"model.layers": {"integer": [1, 9], "step": 9}}}, "one value only"),
        ({"parameters": {"model.layers": {"log": [1.0, 9.0], "step": 2}}}, "which needs integer"),
        ({"parameters": {"model.layers": {"choice": [1, 1]}}}, "the same value twice"),
        ({"constraints": {"parameters": 0}}, "constraints.parameters: expected a number > 0"),
        ({"input": "none.yaml"}, "input 'none.yaml' does not exist"),
        ({"method": {"kind": "random"}}, "method.kind"),
    ],
)
def test_a_wrong_input_is_refused_in_one_line(folder, changes, message):
    with pytest.raises(QmdError) as caught:
        plan_tune(TUNE | changes, log=lambda text: None)
    assert message in caught.value.message and "\n" not in caught.value.message


def test_the_budget_is_forty_for_each_coordinate_and_never_more_than_there_are_points(folder):
    whole = {key: value for key, value in TUNE.items() if key != "evaluations"}
    assert plan_tune(whole).evaluations == 120
    small = whole | {"parameters": {"model.layers": {"integer": [2, 12], "step": 5}}}
    plan = plan_tune(small)
    assert plan.evaluations == 3 and "of 3 points" in plan.summary()


def test_a_training_of_many_starts_does_not_share_the_cores_of_a_worker(folder):
    (folder / "train.yaml").write_text(TRAIN + "starts: {count: 3}\n")
    many = {"executor": {"kind": "processes", "workers": 1, "threads": 2}}
    with pytest.raises(InputError, match="executor.threads is 2"):
        plan_tune(TUNE | many)
    assert plan_tune(TUNE).evaluations == 12


def test_a_full_disk_is_no_property_of_a_point(folder, monkeypatch):
    from qmd.errors import OutOfMemoryError, OutputError

    def train(self, number, values, context):
        raise OutOfMemoryError("no room") if number == 1 else OutputError("disk full")

    monkeypatch.setattr(Evaluate, "_train", train)
    task = Evaluate(folder / "train.yaml", ("model.layers",), folder, None)
    context = TaskContext(lambda message: None, lambda: False)
    assert task((1, (2,)), context)[1].status == "failed"
    with pytest.raises(OutputError, match="disk full"):
        task((2, (2,)), context)
