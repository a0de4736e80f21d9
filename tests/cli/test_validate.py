"""`qmd validate` and `qmd init`: inputs of every kind, their templates, and what a file is."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import WATER, Answer, assert_one_line
from pydantic import ValidationError

from qmd.cli.inputs.kinds import INPUTS, kind_of, schema_class, template
from qmd.cli.inputs.validate import verdict
from qmd.config import strict_yaml
from qmd.config.base import Config
from qmd.config.schema import json_schema
from qmd.errors import AbsentDataError, InputError
from qmd.io.files import find_data

ROOT = Path(__file__).parents[2]
NOT_OF_A_REFERENCE = {
    *("name", "backend", "sha256", "noise", "shots", "compensate"),
    *("replicas", "threads", "trajectories", "on_failure", "on_leaving_domain"),
    *("bonds", "angles", "atoms", "depth_eV", "steepness_per_A", "length_A", "angle_deg"),
    *("stiffness_eV_per_A2", "stiffness_eV_per_rad2", "epsilon_eV", "sigma_A", "charges_e"),
    *("molecules", "terms", "weights", "members", "cutoff_A", "skin_A", "truncation"),
    *("switch_from_A", "tail_correction", "accuracy"),
}
"""Keys of a run on another potential, or of many replicas."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the template of each kind, and what they name."""
    for kind in INPUTS:
        (tmp_path / f"{kind}.yaml").write_text(template(kind))
    (tmp_path / "input.yaml").write_text(template("run"))
    (tmp_path / "structures.xyz").write_text(WATER)
    shutil.copy(ROOT / "runs" / "labels-lih" / "lih.npz", tmp_path / "labels.npz")
    return tmp_path


@pytest.mark.parametrize("kind", [kind for kind in INPUTS if kind != "benchmark"])
def test_every_template_is_valid_and_known_by_its_keys(folder: Path, kind: str) -> None:
    path = folder / f"{kind}.yaml"
    assert kind_of(path) == kind
    assert re.match(rf"{path}: valid (keys of a )?{kind} input", verdict(path))


@pytest.mark.slow  # compiles the potentials that it names
def test_the_template_of_a_benchmark_is_valid(folder: Path) -> None:
    path = folder / "benchmark.yaml"
    assert verdict(path) == f"{path}: valid benchmark input. 3 potentials in 5 measures."


@pytest.mark.parametrize("kind", INPUTS)
def test_every_key_of_the_schema_is_in_the_template(kind: str) -> None:
    schema = json_schema(schema_class(kind))
    sections = [schema, *schema["$defs"].values()]
    keys = {key for section in sections for key in section.get("properties", {})}
    if kind == "reference":
        keys -= NOT_OF_A_REFERENCE
    assert len(keys) >= 10
    missing = {key for key in keys if not re.search(rf"\b{key}:", template(kind))}
    assert missing == set()


def alternatives(text: str) -> Iterator[dict[str, Any]]:
    """Yield each ``{kind: ...}`` of a template, those in comments included."""
    lines = [re.sub(r"^# ?", "", line) for line in text.splitlines()]
    text = "\n".join(re.sub(r" +#.*", "", line) for line in lines)
    for match in re.finditer(r"\{kind: ", text):
        depth, end = 0, match.start()
        while depth or end == match.start():
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        flow = " ".join(text[match.start() : end].split())
        yield strict_yaml.parse(f"it: {flow}\n", "template").data["it"]


def sections(base: type[Config]) -> Iterator[type[Config]]:
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


@pytest.mark.parametrize("kind", INPUTS)
def test_the_alternatives_in_comments_are_valid(kind: str) -> None:
    schema_class(kind)
    tried = 0
    for given in alternatives(template(kind)):
        refused = []
        for section in sections(Config):
            field = section.model_fields.get("kind")
            if field is not None and given["kind"] in repr(field.annotation):
                try:
                    section.model_validate(given)
                    break
                except ValidationError as error:
                    refused.append(str(error))
        else:
            pytest.fail(f"{given}: {refused}")
        tried += 1
    assert tried >= 3


def test_several_inputs_are_checked_and_the_first_error_decides(
    qmd: Callable[..., Answer],
    folder: Path,
) -> None:
    (folder / "wrong.yaml").write_text(template("run").replace("steps: ", "step: "))
    (folder / "damaged.yaml").write_text("potential: [")
    answer = qmd("validate", "run.yaml", "wrong.yaml", "damaged.yaml", "label.yaml")
    assert answer.code == 2
    assert [line.split(":")[0] for line in answer.out.splitlines()] == ["run.yaml", "label.yaml"]
    errors = [line for line in answer.err.splitlines() if line.startswith("qmd: ")]
    assert [line.split(":")[1].strip() for line in errors] == ["wrong.yaml", "damaged.yaml"]


def test_a_box_is_described_in_one_line(qmd: Callable[..., Answer], folder: Path) -> None:
    box = """\
system: {structure: water-64, temperature_K: 300}
potential: spc-fw
integrator: {kind: velocity_verlet, timestep_fs: 0.5}
steps: 10
"""
    (folder / "box.yaml").write_text(box)
    answer = qmd("validate", "box.yaml")
    assert answer.code == 0
    assert "64 h2o (O, H, H, ... 192 atoms) on spc-fw" in answer.out and len(answer.out) < 300


def test_a_file_of_no_kind_is_refused_unless_its_kind_is_given(
    qmd: Callable[..., Answer],
    folder: Path,
) -> None:
    (folder / "odd.yaml").write_text("executor: {kind: serial}\n")
    assert_one_line(qmd("validate", "odd.yaml"), 2, "kind of input", "--kind: run, ")
    answer = qmd("validate", "--kind", "ensemble", "odd.yaml")
    assert_one_line(answer, 2, "input is missing")
    assert_one_line(qmd("validate", "--kind", "runs", "run.yaml"), 2, "--kind runs: expected one")
    answer = qmd("validate", "--kind", "reference", "run.yaml")
    assert_one_line(answer, 2, "sivqlm-h2o is no reference method")


def test_a_kind_that_does_not_exist_has_no_template(qmd: Callable[..., Answer]) -> None:
    assert_one_line(qmd("init", "tran"), 2, "no kind of input tran", "train")


def test_data_kept_elsewhere_is_told_from_a_misspelt_name(folder: Path) -> None:
    elsewhere = "../nowhere/labels.npz"
    with pytest.raises(AbsentDataError):
        find_data(elsewhere, folder, "dataset")
    with pytest.raises(InputError, match="dataset 'lables.npz' does not exist") as misspelt:
        find_data("lables.npz", folder, "dataset")
    assert misspelt.type is InputError
    found = verdict(folder / "train.yaml", None, [f"dataset={elsewhere}"])
    assert "valid keys of a train input. Not checked further: dataset '../nowhere" in found
    with pytest.raises(InputError, match="does not exist"):
        verdict(folder / "train.yaml", None, ["dataset=lables.npz"])


def test_an_ensemble_is_checked_down_to_the_potential_of_each_run(folder: Path) -> None:
    text = template("ensemble").replace(
        "- seed: {first: 1, last: 4}", "- potential: [sivqlm-h2o, x]"
    )
    (folder / "ensemble.yaml").write_text(text)
    with pytest.raises(Exception, match="There is no potential 'x'"):
        verdict(folder / "ensemble.yaml")
