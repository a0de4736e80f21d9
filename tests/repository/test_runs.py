"""Every input under runs/ runs, validates against the schema, and gives what it promises."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import qmd
from qmd import units
from qmd.config import strict_yaml
from qmd.config.schema import json_schema
from qmd.run import session
from qmd.run.config import RunConfig, load_config
from qmd.train.config import TrainConfig

RUNS = Path(__file__).parents[2] / "runs"
INPUTS = sorted(RUNS.glob("*/input.yaml"))


def yaml(path: Path) -> dict:
    return strict_yaml.parse(path.read_text(), path.name).data


def observed(folder: Path) -> dict[str, float]:
    universe, log = qmd.load(folder), np.loadtxt(folder / "log.csv", delimiter=",", skiprows=1)
    x = np.array([ts.positions.astype(float) for ts in universe.trajectory])
    record = json.loads((folder / "run.json").read_text())
    kT = units.kB * (record["input"]["system"].get("temperature_K") or log[:, 5].mean())
    slope_eV_per_ns = np.polyfit(log[:, 1], log[:, 4], 1)[0] * 1000
    waters = tuple(universe.atoms.elements) == ("O", "H", "H") * (x.shape[1] // 3)
    return geometry(x.reshape(-1, 3, 3) if waters and x.shape[1] > 6 else x) | {
        "frames": len(x),
        "mean_temperature_K": log[:, 5].mean(),
        "energy_rms_meV": 1000 * log[:, 4].std(),
        "drift_kT_per_ns_per_dof": slope_eV_per_ns / kT / record["degrees_of_freedom"],
    }


def geometry(x: np.ndarray) -> dict[str, float]:
    """Means over the frames: the bond of a diatomic, or bonds and angle of water; O-O of two.

    Of larger molecules the bond of the first two carbons.
    """
    if x.shape[1] > 6:
        return {"mean_CC_A": np.linalg.norm(x[:, 1] - x[:, 0], axis=1).mean()}
    if x.shape[1] == 6:
        oo = np.linalg.norm(x[:, 3] - x[:, 0], axis=1)
        distances = {"mean_OO_A": oo.mean(), "min_OO_A": oo.min(), "max_OO_A": oo.max()}
        return distances | geometry(x.reshape(-1, 3, 3))
    lengths = np.linalg.norm(x[:, 1:] - x[:, :1], axis=2)
    if x.shape[1] == 2:
        return {"mean_bond_A": lengths.mean()}
    a, b = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]
    cosine = (a * b).sum(axis=1) / lengths[:, 0] / lengths[:, 1]
    return {"mean_OH_A": lengths.mean(), "mean_HOH_deg": np.degrees(np.arccos(cosine)).mean()}


LIQUIDS = {"water-64-nve", "water-64-nvt", "water-64-npt"}
LONG = dict.fromkeys(LIQUIDS | {"dimer-langevin", "dimer-nve"}, pytest.mark.slow)
"""A minute each; the gate runs these inputs in any case."""
STEPS_OF_A_LIQUID = 4000
"""The first 2 ps; docs/liquid.md has the whole runs."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=LONG.get(p.parent.name, ()), id=p.parent.name) for p in INPUTS],
)
def test_a_run_gives_what_it_promises(path, tmp_path):
    short = [f"steps={STEPS_OF_A_LIQUID}"] if path.parent.name in LIQUIDS else []
    session.run(load_config(path, short), tmp_path)
    values = observed(tmp_path)
    expected = yaml(path.with_name("expected.yaml"))
    assert expected.keys() <= values.keys()
    for name, (low, high) in expected.items():
        assert low <= values[name] <= high, f"{name} = {values[name]:.6g}"


@pytest.mark.parametrize("path", INPUTS, ids=lambda p: p.parent.name)
def test_an_input_fits_the_schema(path):
    jsonschema.validate(yaml(path), json_schema(RunConfig))


TRAININGS = sorted(p for p in RUNS.rglob("*.yaml") if p.name.startswith(("train", "variants")))


@pytest.mark.parametrize("path", TRAININGS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_an_input_of_a_training_fits_its_schema(path):
    jsonschema.validate(yaml(path), json_schema(TrainConfig))
    assert len(TRAININGS) >= 10


def test_every_run_has_a_readme_and_expectations():
    assert len(INPUTS) >= 2
    for path in INPUTS:
        assert path.with_name("README.md").is_file() and path.with_name("expected.yaml").is_file()
