"""Domains of trained packages that are taken anew from the frames of their training."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from qmd.cli.app import app
from qmd.config.load import load as load_input
from qmd.errors import MismatchError
from qmd.potentials import bounded_anew, find, load
from qmd.train.config import TrainConfig
from qmd.train.data import load as load_data
from qmd.train.rebound import bound_anew

RUNS = Path(__file__).parents[2] / "runs"
INPUT = RUNS / "train-lih" / "train.yaml"


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("name", ["sivqlm-lih", "qnn-ethanol"])
def test_the_same_domain_and_card_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    package = load(find(name))
    sha256 = bounded_anew(find(name), tmp_path / "a.qmdp", package.domain, package.training)
    assert sha256 == package.sha256
    assert (tmp_path / "a.qmdp").read_bytes() == find(name).read_bytes()


def test_ranges_and_card_are_new_and_all_else_keeps_its_bytes(tmp_path: Path, capfd) -> None:
    target = tmp_path / "new.qmdp"
    with pytest.raises(SystemExit) as end:
        app(["potential", "bound", "sivqlm-lih", str(INPUT), "--output", str(target)])
    out = capfd.readouterr().out
    assert end.value.code == 0
    old, new = load(find("sivqlm-lih")), load(target)
    assert new.sha256 in out
    before, after = members(find("sivqlm-lih")), members(target)
    model, changed = (json.loads(each.pop("model.json")) for each in (before, after))
    assert before == after
    assert {key for key in model if model[key] != changed[key]} == {"domain", "training"}
    config = load_input(INPUT, TrainConfig).config
    frames = load_data(config, INPUT.parent, old.species)
    lengths = np.linalg.norm(np.diff(frames.train.positions, axis=1), axis=2)
    np.testing.assert_allclose(new.domain.warn, [[lengths.min(), lengths.max()]], rtol=1e-15)
    card = new.training["domain"]
    assert dict(old.training) | {"domain": card} == dict(new.training)
    tested = np.linalg.norm(np.diff(frames.test.positions, axis=1), axis=2)
    strays = ((tested < lengths.min()) | (tested > lengths.max())).sum()
    assert card["test_frames_beyond_warning"] == strays and card["test_frames"] == len(tested)
    assert card["hydrogen_noticed_last"]["atom"] == 1


def test_a_package_of_a_liquid_has_least_distances(tmp_path: Path) -> None:
    text = RUNS / "train-water" / "train-both.yaml"
    if (
        not load_input(text, TrainConfig)
        .path.parent.joinpath(load_input(text, TrainConfig).config.dataset)
        .exists()
    ):
        pytest.skip("needs the frames of DeePMD-kit's example of water")
    new = bound_anew("qnn-water", load_input(text, TrainConfig), tmp_path / "new.qmdp")
    # The shipped package is what the command writes.
    assert new.sha256 == load(find("qnn-water")).sha256
    for least in new.training["domain"]["least_A"].values():
        assert least["warns_below"] - least["stops_below"] == pytest.approx(0.15, abs=1.1e-3)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("qnn-organic", (), "qnn-organic serves several molecules"),
        ("sivqlm-h2o-dimer", (), "joined from two trainings"),
        ("sivqlm-lih", ("split.seed=9",), "trained on other frames than those of train.yaml"),
        ("sivqlm-lih", ("split.train=80",), "trained on other frames"),
        ("qnn-ethanol", (), "trained on other frames"),
    ],
)
def test_other_packages_and_frames_are_refused(
    tmp_path: Path, name: str, changes: tuple[str, ...], message: str
) -> None:
    target = tmp_path / "new.qmdp"
    with pytest.raises(MismatchError, match=message):
        bound_anew(name, load_input(INPUT, TrainConfig, changes), target)
    assert not target.exists()
