"""A start that was killed can start again, also if it is killed while it clears what was left."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import Case, Lab, everything

from qmd.io.files import REMOVAL_POINT

FORMS = {
    "one": (),
    "together": ("replicas=2",),
    "separate": ("replicas=2", "output.trajectories=separate"),
    "dropping": ("replicas=2", "guards.on_failure=drop"),
}
TIMES = {"run.json", "run.lock", "checkpoint.prev"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def results(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in everything(folder).items() if name not in TIMES}


def run(case: Case, settings: tuple[str, ...], *arguments: str | Path, fault: str = "") -> int:
    changes = [word for setting in settings for word in ("--set", setting)]
    return case.run(*changes, *arguments, fault=fault or None).code


@pytest.mark.parametrize("form", FORMS)
def test_two_kills_before_the_first_checkpoint(tmp_path: Path, lab: Lab, form: str) -> None:
    case, settings = Case(tmp_path, lab, "langevin"), FORMS[form]
    assert run(case, settings, "--output", tmp_path / "whole") == 0
    assert run(case, settings, fault="after_tmp:checkpoint") == 137
    left = set(everything(case.output)) - {"run.lock", "checkpoint.tmp"}
    assert {"run.json", "topology.pdb", "log.csv"} < left
    for name in sorted(left):
        assert run(case, settings, fault=f"{REMOVAL_POINT}:{name}") == 137
        assert run(case, settings, fault="after_tmp:checkpoint") == 137
    assert run(case, settings) == 0
    assert results(case.output) == results(tmp_path / "whole")


@pytest.mark.parametrize("form", ["one", "separate"])
def test_a_kill_while_an_earlier_run_is_cleared(tmp_path: Path, lab: Lab, form: str) -> None:
    case, settings = Case(tmp_path, lab, "langevin"), FORMS[form]
    assert run(case, settings, "--output", tmp_path / "whole") == 0
    assert run(case, (*settings, "seed=9")) == 0
    names = sorted(set(everything(case.output)) - {"run.lock", "checkpoint.prev"})
    assert {"checkpoint", "final.extxyz", "run.json"} < set(names)
    for name in names:
        code = run(case, settings, "--overwrite", fault=f"{REMOVAL_POINT}:{name}")
        assert code == 137
        assert run(case, settings) == 0  # without --overwrite: the old run is gone
        assert results(case.output) == results(tmp_path / "whole")
        assert run(case, (*settings, "seed=9"), "--overwrite") == 0


def test_a_record_that_was_cut_off_claims_nothing(tmp_path: Path, lab: Lab) -> None:
    case = Case(tmp_path, lab, "nve")
    assert run(case, (), fault="after_tmp:checkpoint") == 137
    (case.output / "run.json").write_text('{"begun": fal')
    before = everything(case.output)
    assert run(case, ()) == 5
    assert everything(case.output) == before


def test_an_ensemble_that_was_killed_twice(tmp_path: Path, lab: Lab) -> None:
    Case(tmp_path, lab, "langevin")  # writes input.yaml
    many = tmp_path / "many.yaml"
    vary = [{"replicas": [1, 2]}]
    many.write_text(json.dumps(
        {"input": "input.yaml", "vary": vary, "executor": {"kind": "serial"}}
    ))  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert lab.qmd("ensemble", many, "--output", whole).code == 0
    for fault in ("after_tmp:checkpoint", f"{REMOVAL_POINT}:topology.pdb", "after_tmp:replicas.csv",
                  f"{REMOVAL_POINT}:log.csv", f"{REMOVAL_POINT}:run.json"):  # fmt: skip
        assert lab.qmd("ensemble", many, "--output", killed, fault=fault).code == 137
    assert lab.qmd("ensemble", many, "--output", killed).code == 0
    for folder in sorted(path for path in whole.iterdir() if path.is_dir()):
        assert results(killed / folder.name) == results(folder)


def test_a_labelling_that_was_killed_twice(tmp_path: Path, lab: Lab) -> None:
    frames = "".join(
        f"3\nProperties=species:S:1:pos:R:3\nO 0 0 0\nH 0.9{k} 0 0\nH -0.24 0.93 0\n"
        for k in range(4)
    )
    (tmp_path / "frames.xyz").write_text(frames)
    (tmp_path / "label.yaml").write_text(json.dumps({
        "structures": "frames.xyz",
        "method": {"kind": "ase", "calculator": "ase.calculators.emt.EMT"},
        "save_every": 1,
    }))  # fmt: skip

    def label(output: str, fault: str | None = None) -> int:
        arguments = (tmp_path / "label.yaml", "--output", tmp_path / output)
        return lab.qmd("label", *arguments, fault=fault).code

    assert label("whole.npz") == 0
    assert label("killed.npz", "after_tmp:killed.json") == 137
    assert not (tmp_path / "killed.npz").exists()  # no label without its card
    assert label("killed.npz", "after_replace:killed.json") == 137
    assert json.loads((tmp_path / "killed.json").read_text())["frames"] == 0
    assert label("killed.npz") == 0
    assert (tmp_path / "killed.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
