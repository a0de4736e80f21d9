"""`qmd train`: a session from an input to a package, stopped, resumed, refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import qmd
from qmd import atomic
from qmd.cli.app import app
from qmd.config import load as inputs
from qmd.config.schema import json_schema
from qmd.data import datasets
from qmd.errors import AbsentDataError, InputError, MismatchError, StoppedEarly
from qmd.io.files import REMOVAL_POINT
from qmd.potentials import evaluate
from qmd.potentials import load as load_package
from qmd.train import data as train_data
from qmd.train import session as train_session
from qmd.train import trainer
from qmd.train.card import errors_card
from qmd.train.config import TrainConfig
from qmd.train.problem import Frames

ROOT = Path(__file__).parents[2]
LABELS = ROOT / "runs" / "labels-lih" / "lih.npz"
INPUT = f"""\
name: lih-test
dataset: {LABELS}
model: {{kind: sivqlm-lih, layers: 2}}
split: {{train: 40, validation: 20, seed: 3}}
stages:
  - {{kind: least_squares, evaluations: 6, frames: 20}}
  - {{kind: adam, steps: 20, report_every: 5, learning_rate: 0.001}}
starts: {{count: 2, finalists: 1, scored_below_eV: 2.0}}
workers: 1
licence: CC0-1.0
"""


@pytest.fixture
def path(tmp_path) -> Path:
    (tmp_path / "train.yaml").write_text(INPUT)
    return tmp_path / "train.yaml"


def prepare(path: Path, *overrides: str) -> train_session.TrainingJob:
    return train_session.prepare(inputs.load(path, TrainConfig, overrides))


def rows(path: Path) -> np.ndarray:
    return np.loadtxt(path.parent / "output" / "log.csv", delimiter=",", skiprows=1)[:, :6]


class StopAt:
    """Watches a training, and asks it to stop at a tick, as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, tick: trainer.TrainingUpdate) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished training: its input, what it returned, and its ticks."""
    path = tmp_path_factory.mktemp("whole") / "train.yaml"
    path.write_text(INPUT)
    ticks: list[trainer.TrainingUpdate] = []
    return path, train_session.run(prepare(path), on_progress=ticks.append), ticks


def test_a_training_leaves_a_package_that_runs_its_card_its_log_and_its_plots(whole):
    path, finished, ticks = whole
    output = path.parent / "output"
    assert {p.name for p in output.iterdir()} == {
        "lih-test.qmdp", "card.json", "log.csv", "learning-curve.png", "parity.png", "report.html",
        "run.lock", "states",
    }  # fmt: skip
    package = load_package(finished.package)
    card = json.loads((output / "card.json").read_text())
    assert dict(package.training) == card == finished.card
    labels = np.load(LABELS)
    order = np.random.default_rng(3).permutation(134)
    train, test = order[:40], order[60:]
    assert package.reference_energy_eV == labels["E"][train].min()
    lengths = labels["R"][train, 1, 2]
    within = (labels["R"][test, 1, 2] >= lengths.min()) & (labels["R"][test, 1, 2] <= lengths.max())
    np.testing.assert_array_equal(package.test_positions, labels["R"][test[within][:5]])
    np.testing.assert_allclose(package.domain.warn, [[lengths.min(), lengths.max()]], rtol=1e-15)
    # The errors on the card are those of the package as a run would evaluate it.
    kernel = package.native()
    found = [evaluate(kernel, x) for x in labels["R"][test]]
    wrong = np.array([f for _, f in found]) - labels["F"][test]
    errors = card["errors"]["test"]["all"]
    assert errors["frames"] == 74
    assert errors["forces_rmse_meV_per_A"] == pytest.approx(1000 * np.sqrt((wrong**2).mean()))
    by_frame = card["errors_by_test_frame"]
    worst, each = by_frame["worst_frames"][0], np.sqrt((wrong**2).mean(axis=(1, 2)))
    assert worst["frame"] == test[each.argmax()]  # its place in the file
    assert worst["forces_rmse_meV_per_A"] == pytest.approx(1000 * each.max(), rel=1e-3)  # 4 digits
    strays = (labels["R"][test, 1, 2] < lengths.min()) | (labels["R"][test, 1, 2] > lengths.max())
    assert by_frame["outside_domain"] == strays.sum()
    assert card["domain"]["ranges_of"] == "pairs of atoms" and card["domain"]["test_frames"] == 74
    assert card["domain"]["test_frames_beyond_warning"] == strays.sum()
    text = finished.summary()
    assert f"worst test frames, counted from 0: {worst['frame']} (" in text
    assert f"{strays.sum()} of 74 test frames lie outside" in text and "median" in text
    assert "(root mean squares)" in text and str(finished.package) in text
    assert card["split"] == {"train": 40, "validation": 20, "test": 74, "seed": 3}
    assert card["labels_sha256"].keys() == {"dataset"} and not card["interrupted"]
    assert len(card["starts"]) == 2 and card["starts"][0]["start"] == card["chosen_starts"][0]
    # Both starts through the first stage, the better one through the second.
    assert [(t.start, t.stage) for t in ticks if t.done] == [
        (0, 0), (1, 0), (card["chosen_starts"][0], 1)
    ]  # fmt: skip
    scores = {s["start"]: s["validation_score_eV_per_A"][0] for s in card["starts"]}
    assert scores[card["chosen_starts"][0]] == min(scores.values())


def test_the_function_finds_the_training_finished(whole):
    path, finished, _ = whole
    said = []
    again = qmd.train(path, set={"workers": 1}, progress=False, log=said.append)
    assert again.package == finished.package and again.errors == finished.errors
    assert again.report.is_file() and again.log.is_file()
    assert said == [f"Resuming from {path.parent / 'output' / 'states'}."]


@pytest.mark.slow
def test_the_potential_may_be_the_mean_of_the_best_starts(path):
    first, *_ = INPUT.split("  - {kind: adam")
    path.write_text(first + "starts: {count: 2}\nworkers: 1\nlicence: CC0-1.0\n")
    mean = train_session.run(prepare(path, "starts.average=2"))
    package = load_package(mean.package)
    kernel, x = package.native(), package.test_positions[0]
    parts = []
    for seed in (0, 1):
        alone = train_session.run(
            prepare(path, "starts.count=1", f"starts.seed={seed}"), overwrite=True
        )
        parts.append(evaluate(load_package(alone.package).native(), x))
    energy, forces = evaluate(kernel, x)
    assert energy == pytest.approx((parts[0][0] + parts[1][0]) / 2, abs=1e-12)
    np.testing.assert_allclose(forces, (parts[0][1] + parts[1][1]) / 2, rtol=0, atol=1e-12)
    assert sorted(mean.card["chosen_starts"]) == [0, 1]
    assert mean.card["parameters"] == 2 * alone.card["parameters"]
    each = mean.card["errors_of_each_alone"]["test"]
    assert alone.card["errors"]["test"]["all"] in each and len(each) == 2
    with pytest.raises(InputError, match="at most starts.count = 2"):
        prepare(path, "starts.average=3")


@pytest.mark.slow
def test_a_stopped_training_keeps_its_best_and_goes_on_to_the_same_numbers(path, whole):
    n_reports = len(whole[2]) - 3  # each stage that is done ticks once more
    with pytest.raises(StoppedEarly, match="has the best so far"):
        train_session.run(prepare(path), on_progress=StopAt(n_reports))
    package = path.parent / "output" / "lih-test.qmdp"
    assert load_package(package).training["interrupted"]
    assert len(rows(path)) < len(rows(whole[0]))
    said = []
    train_session.run(prepare(path), log=said.append)
    assert "Resuming from" in said[0]
    # Adam goes on to the last bit: columns but the seconds.
    np.testing.assert_array_equal(rows(path), rows(whole[0]))
    assert not load_package(package).training["interrupted"]


@pytest.mark.slow
def test_states_of_another_input_are_refused_unless_overwritten(path, whole):
    shutil.copytree(whole[0].parent / "output", path.parent / "output")
    with pytest.raises(MismatchError, match="input.split.seed: 3 -> 4"):
        train_session.run(prepare(path, "split.seed=4"))
    renamed = train_session.run(prepare(path, "name=other"))
    assert renamed.package.name == "other.qmdp"
    assert renamed.card["starts"] == whole[1].card["starts"]
    short = "split.seed=4", "starts.count=1", "starts.finalists=null"
    again = train_session.run(prepare(path, *short), overwrite=True)
    assert again.card["split"]["seed"] == 4 and len(again.card["starts"]) == 1


@pytest.mark.slow
def test_a_kill_while_a_training_is_cleared_leaves_one_that_can_begin_again(path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed_at(name):
        def fault(point, file):
            if (point, file.name) == (REMOVAL_POINT, name):
                raise Killed

        return fault

    job = prepare(path)
    plan = train_session._plan(job, path.parent / "output")
    plan.states.mkdir(parents=True)
    names = ["start-000-stage-1.npz", "start-001-stage-1.npz"]
    for name in (*names, "input.json"):
        train_session._check_record(job, plan, overwrite=False)
        for state in names:
            (plan.states / state).write_bytes(b"a state")
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "_fault", killed_at(name))
            with pytest.raises(Killed):
                train_session._check_record(job, plan, overwrite=True)
        left = any(plan.states.glob("start-*.npz"))
        assert (plan.states / "input.json").exists() or not left  # states never without record
        train_session._check_record(job, plan, overwrite=False)


def test_workers_change_nothing_and_leave_no_process_behind(path, tmp_path, monkeypatch):
    # Workers compile as this process does, see `quick_compilation`.
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
    train_session.run(prepare(path))
    alone = rows(path)
    train_session.run(prepare(path, "workers=2"), overwrite=True)
    np.testing.assert_array_equal(rows(path), alone)
    path.write_text(INPUT.replace("workers: 1", "executor: {kind: dask, workers: 2}"))
    ticks = []
    train_session.run(prepare(path), overwrite=True, on_progress=ticks.append)
    np.testing.assert_array_equal(rows(path), alone)
    assert {(tick.start, tick.stage) for tick in ticks if tick.done} >= {(0, 0), (1, 0)}


@pytest.mark.slow
def test_ctrl_c_at_a_terminal_stops_all_processes_in_good_order(path):
    command = [sys.executable, "-m", "qmd", "train", str(path), "--set", "workers=2"]
    stages = path.read_text().replace("evaluations: 6", "evaluations: 100000")
    path.write_text(stages.replace("kind: least_squares", "kind: adam").replace(
        "evaluations", "steps"
    ))  # fmt: skip
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT
    )
    states = path.parent / "output" / "states"
    deadline = time.monotonic() + 200
    while len(list(states.glob("start-*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 75, err
    assert "has the best so far" in err and "Traceback" not in err
    assert (path.parent / "output" / "lih-test.qmdp").exists()
    assert _is_empty(process.pid), "a process was left behind"


def _is_empty(group: int, within_s: float = 20) -> bool:
    """Whether the processes of `group` end; Python's own resource tracker takes a moment."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


BAD = [
    (["dataset=missing.npz"], InputError, "does not exist"),
    (["split.train=500"], InputError, "the data has 134 frames"),
    (["split.test=3"], InputError, "5 for test"),
    (["model.kind=sivqlm-h2o"], MismatchError, "the model for O H H"),
    (["model.kind=sivqlm-lih2"], InputError, "expected .sivqlm-lih. or"),
    (["labels.energy_unit=Ha"], InputError, "'Hartree'"),
    (["labels.energy_unit=Hartree"], InputError, "typically|atoms alone|times"),
    (["stages=3"], InputError, "stages"),
    (["starts.finalists=5"], InputError, "at most starts.count = 2"),
    (["loss.forces=false", "loss.energy_weight_per_A=0"], InputError, "nothing to fit"),
    (["name=../evil"], InputError, "name"),
    (["learning=1"], InputError, "unknown key"),
]


@pytest.mark.parametrize(("overrides", "kind", "words"), BAD, ids=lambda v: str(v)[:40])
def test_bad_inputs_are_refused_before_anything_is_written(path, overrides, kind, words):
    with pytest.raises(kind, match=words):
        prepare(path, *overrides)
    assert [p.name for p in path.parent.iterdir()] == ["train.yaml"]


def test_a_stage_that_needs_optax_is_refused_without_it(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    monkeypatch.delitem(sys.modules, "qmd.train.optimisers.first_order", raising=False)
    with pytest.raises(MismatchError, match="kind adam needs optax"):
        prepare(path)
    first, second = INPUT.split("  - {kind: adam")
    path.write_text(first + second.partition("}\n")[2])
    prepare(path)  # least squares do without


def test_the_package_must_have_a_place_before_training_begins(path):
    for target in ("model.zip", "nowhere/model.qmdp"):
        with pytest.raises(InputError, match="expected a .qmdp file in a folder that exists"):
            train_session.run(prepare(path), path.parent / target)
    assert [p.name for p in path.parent.iterdir()] == ["train.yaml"]


def test_the_command_checks_without_training(path, capsys):
    with pytest.raises(SystemExit) as end:
        app(["train", str(path), "--check"])
    assert not end.value.code
    assert "40 train, 20 validation, 74 test frames, 2 starts" in capsys.readouterr().err
    assert [p.name for p in path.parent.iterdir()] == ["train.yaml"]


def test_test_frames_may_come_from_a_file_of_their_own(path, tmp_path):
    data = dict(np.load(LABELS))
    apart = {k: v[::2] if k in "REF" else v for k, v in data.items()}
    np.savez(tmp_path / "apart.npz", **apart)
    prepared = prepare(path, "test_dataset=apart.npz", "split.train=100")
    assert [len(part.energies) for part in prepared.data.parts.values()] == [100, 20, 67]
    np.testing.assert_array_equal(prepared.data.test.positions, apart["R"])


def test_noise_is_added_to_training_and_validation_only(path):
    prepared = prepare(path, "label_noise.energy_std_eV=0.1", "label_noise.seed=2")
    train, validation = train_data.with_noise(prepared.data, prepared.config.label_noise)
    added = np.concatenate(
        [train.energies - prepared.data.train.energies,
         validation.energies - prepared.data.validation.energies]
    )  # fmt: skip
    # 60 draws: the standard deviation is known to 1/sqrt(120) = 9 %.
    assert added.std() == pytest.approx(0.1, rel=4 * 0.09)
    np.testing.assert_array_equal(train.forces, prepared.data.train.forces)


def test_an_interaction_keeps_the_zero_of_its_labels(path):
    assert prepare(path).data.train.energies.min() == 0
    kept = prepare(path, "labels.zero=labels").data
    assert kept.zero == 0 and kept.train.energies.min() < -200


def test_errors_without_force_labels_are_those_of_energies(path):
    frames = Frames(np.zeros((2, 2, 3)), np.array([0.0, 1.0]), None)
    data = prepare(path).data
    data = train_data.Data(frames, frames, frames, 0.0, data.sha256)
    predicted = {part: (np.array([0.003, 1.0]), np.zeros((2, 2, 3))) for part in data.parts}
    card = errors_card(predicted, data, below=0.5)["test"]
    assert card["below_0.5_eV"]["energy_rmse_meV"] == pytest.approx(3)
    assert card["all"]["energy_mae_meV"] == pytest.approx(1.5)
    assert card["all"]["forces_rmse_meV_per_A"] is None


@pytest.mark.parametrize("path", sorted((ROOT / "runs").glob("*/train.yaml")), ids=str)
def test_the_training_inputs_of_the_repository_are_in_order(path):
    try:
        prepare(path)
    except AbsentDataError as error:  # rMD17 is not in the repository; the keys are valid
        pytest.skip(str(error))


def test_the_schema_documents_every_key():
    text = json.dumps(json_schema(TrainConfig))
    assert "energy_weight_per_A" in text and "Optimisers, which run one after the other" in text


@pytest.mark.parametrize(
    ("path", "output", "expected"),
    [
        ("a/train.yaml", None, "a/output"),
        ("a/train-paper.yaml", None, "a/output-paper"),
        ("a/lih.yaml", None, "a/output"),
        ("a/train.yaml", "b/h2o.qmdp", "b/h2o"),
    ],
)
def test_each_training_has_a_folder_of_its_own(path, output, expected):
    found = train_session.training_folder(Path(path), output and Path(output))
    assert found == Path(expected)


def test_a_check_says_which_energies_are_fitted_and_the_card_keeps_it(path: Path) -> None:
    import ase
    import ase.io
    from ase.calculators.singlepoint import SinglePointCalculator

    source = datasets.read(LABELS)
    frames = []
    for x, e, f in zip(source.positions, source.energies, source.forces, strict=True):
        frames.append(ase.Atoms("LiH", x))
        results = {"energy": e + 0.01 * x[1, 2], "free_energy": e, "forces": f}
        frames[-1].calc = SinglePointCalculator(frames[-1], **results)
    ase.io.write(path.with_name("smeared.extxyz"), frames, format="extxyz")
    job = prepare(path, "dataset=smeared.extxyz")
    assert "`free_energy` is taken" in job.summary()
    assert job.data.energy_key == "free_energy"
    finished = train_session.run(job)
    assert finished.card["labels_keys"]["energy"] == "free_energy"
