"""Merged analysis of an ensemble: means over members, their standard errors, groups."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qmd
from qmd.analysis import ensemble
from qmd.analysis.ensemble import Quantity, member_folders, merge
from qmd.errors import CorruptError, InputError

BATH = {"kind": "langevin_baoab", "timestep_fs": 0.5, "temperature_K": 300, "friction_per_ps": 50}
INPUT: dict[str, Any] = {
    "system": {"structure": "h2o", "temperature_K": 300},
    "potential": "sivqlm-h2o",
    "integrator": BATH,
    "steps": 64,
    "output": {"trajectory_every": 1, "log_every": 1},
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds at two temperatures."""
    folder = tmp_path_factory.mktemp("ensemble")
    (folder / "input.yaml").write_text(json.dumps(INPUT))
    temperatures = [200, 300]
    vary = [
        {"integrator.temperature_K": temperatures, "system.temperature_K": temperatures},
        {"seed": [1, 2, 3]},
    ]
    config = {"input": str(folder / "input.yaml"), "vary": vary, "executor": {"kind": "serial"}}
    ended = qmd.ensemble(config, output=folder / "seeds", progress=False)
    ended.check()
    return ended.directory


def test_the_error_of_a_mean_is_that_of_independent_members() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    found = merge([{"x": Quantity(value, "A")} for value in values])["x"]
    assert found.mean == pytest.approx(values.mean()) and found.members == 400
    assert found.error == pytest.approx(np.sqrt(((values - values.mean()) ** 2).sum() / 399 / 400))
    # The mean of 400 is within five of its errors, which is known to 1/sqrt(800).
    assert abs(found.mean - 5) < 5 * found.error
    assert found.error == pytest.approx(2 / 20, rel=5 / np.sqrt(800))


def test_one_member_has_no_error_over_members() -> None:
    found = merge([{"x": Quantity(3.0, "K", 4.0)}])["x"]
    assert (found.mean, found.error, found.std, found.predicted) == (3.0, None, None, 4.0)


def test_quantities_that_a_member_lacks_are_left_out() -> None:
    one, other = {"x": Quantity(1, "K"), "y": Quantity(1, "A")}, {"x": Quantity(2, "K")}
    assert list(merge([one, other])) == ["x"]


def test_members_are_grouped_by_what_is_not_a_seed(seeds: Path) -> None:
    found = qmd.analyze(seeds, progress=False, json_file=seeds.parent / "numbers.json")
    assert found.details is None and found.report == seeds / "report.html"
    assert found.report.is_file()
    groups = found.ensemble.groups
    assert [len(group.members) for group in groups] == [3, 3]
    assert [group.settings["integrator.temperature_K"] for group in groups] == [200, 300]
    for group in groups:
        alone = [
            qmd.analyze(seeds / member.name, timestep=False, report=False).data
            for member in group.members
        ]
        means = np.array([data["temperature"]["mean_K"] for data in alone])
        merged = group.merged["temperature"]
        assert merged.mean == pytest.approx(means.mean())
        assert merged.error == pytest.approx(means.std(ddof=1) / np.sqrt(3))
        lengths = [member.analysis.coordinates[0].values for member in group.members]
        assert group.merged["O-H"].mean == pytest.approx(np.mean(lengths))
    numbers = json.loads((seeds.parent / "numbers.json").read_text())
    assert len(numbers["groups"]) == 2 and len(numbers["members"]) == 6
    assert numbers["groups"][0]["quantities"]["temperature"]["unit"] == "K"
    text = found.summary()
    assert text.count("3 members") == 2 and "temperature" in text and "+-" in text


def test_what_cannot_be_analysed_is_left_out_and_named(seeds: Path) -> None:
    names = member_folders(seeds)
    found = ensemble.analyze_ensemble(seeds, [*names[:2], "nothing"])
    assert [name for name, _ in found.skipped] == ["nothing"]
    assert len(found.members) == 2
    with pytest.raises(InputError, match="no member"):
        ensemble.analyze_ensemble(seeds, ["nothing"])


def test_a_folder_of_runs_is_an_ensemble_and_a_run_is_none(seeds: Path, tmp_path: Path) -> None:
    names = member_folders(seeds)
    assert len(names) == 6
    assert member_folders(seeds / names[0]) is None
    assert member_folders(tmp_path) is None and member_folders(tmp_path / "nowhere") is None
    for name in names[:2]:
        (tmp_path / name).symlink_to(seeds / name)
    assert member_folders(tmp_path) == sorted(names[:2])
    (tmp_path / "runs.csv").write_text("no,such,columns\n1,2,3\n")
    with pytest.raises(CorruptError, match="folder"):
        member_folders(tmp_path)


def test_atoms_without_bonds_are_run_and_analysed(tmp_path: Path) -> None:
    (tmp_path / "argon.xyz").write_text("3\n\nAr 0 0 0\nAr 3.8 0 0\nAr 1.9 3.3 0\n")
    pair = {"kind": "lennard_jones", "epsilon_eV": 0.0104, "sigma_A": 3.4}
    settings = INPUT | {
        "system": {"structure": str(tmp_path / "argon.xyz"), "temperature_K": 10},
        "potential": pair,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 2},
    }
    run = qmd.run(settings, output=tmp_path / "argon", progress=False)
    found = qmd.analyze(run, report=tmp_path / "argon.html")
    assert list(found.data["coordinates"]) == ["Ar...Ar"] and found.report.is_file()
    assert found.data["hydrogen_bonds"] is None
