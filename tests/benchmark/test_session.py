"""`qmd benchmark`: what it measures, that it goes on, and that all potentials start alike."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killer import killing

from qmd.analysis import series
from qmd.benchmark import report as benchmark_report
from qmd.benchmark import session as benchmark_session
from qmd.benchmark import tables
from qmd.benchmark.config import BenchmarkConfig
from qmd.benchmark.results import BenchmarkResults
from qmd.cli.app import app
from qmd.config import load as inputs
from qmd.errors import InputError, MismatchError
from qmd.report import page

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)
MORSE = {"kind": "morse", "bonds": [[0, 1], [0, 2]], "depth_eV": 5.0, "steepness_per_A": 2.2,
         "length_A": 0.97}  # fmt: skip
BEND = {"kind": "harmonic_angle", "angles": [[1, 0, 2]], "stiffness_eV_per_rad2": 3.0,
        "angle_deg": 104.5}  # fmt: skip
WEAK = {"kind": "harmonic_bond", "bonds": [[0, 1], [0, 2]], "stiffness_eV_per_A2": 0.02,
        "length_A": 0.97}  # fmt: skip


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def document(**changes: object) -> dict[str, Any]:
    return {
        "title": "Two waters, alike in dignity",
        "potentials": {
            "siVQLM": "sivqlm-h2o", "springs": {"kind": "sum", "terms": [MORSE, BEND]},
            "weak": WEAK,
        },
        "measures": [
            {"kind": "errors", "dataset": str(ROOT / "runs/labels-h2o/test.npz"), "below_eV": 0.6},
            {"kind": "errors", "name": "unseen", "frames": 40,
             "test_frames_of": str(ROOT / "runs/train-h2o/train.yaml")},
            {"kind": "path", "reference": str(ROOT / "runs/reference/h2o"), "every": 200},
            {"kind": "nve", "structure": "h2o", "temperature_K": 300, "timesteps_fs": [0.5, 1.0],
             "length_ps": 0.5, "seeds": 2, "potentials": ["siVQLM", "springs"]},
            {"kind": "stability", "structure": "h2o", "temperatures_K": [300], "length_ps": 0.5,
             "seeds": 2},
            {"kind": "symmetry", "structure": "h2o", "geometries": 3},
            {"kind": "resources", "structure": "h2o"},
            {"kind": "speed", "structure": "h2o", "rounds": 2, "starts": 1,
             "potentials": ["siVQLM", "springs"]},
        ],
    } | changes  # fmt: skip


def measured(folder: Path, **changes: object) -> benchmark_session.BenchmarkResult:
    path = folder / "bench.yaml"
    path.write_text(json.dumps(document(**changes)))
    return benchmark_session.run(benchmark_session.prepare(inputs.load(path, BenchmarkConfig)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> benchmark_session.BenchmarkResult:
    return measured(tmp_path_factory.mktemp("benchmark"))


def result(finished, measure: str, label: str, **variation: float) -> dict[str, float]:
    (found,) = (
        cell["result"] for cell in finished.results["cells"]
        if (cell["measure"], cell["potential"]) == (measure, label)
        and variation.items() <= cell["variation"].items()
    )  # fmt: skip
    return found


def test_results_follow_their_schema(finished):
    text = (finished.directory / "results.json").read_text()
    assert BenchmarkResults.model_validate_json(text).cells
    assert json.loads(text) == json.loads(json.dumps(finished.results))


def test_errors_are_those_of_evaluate(finished):
    # The card of the package says what its unseen frames gave.
    from qmd.forces.catalogue import load_package

    card = load_package("sivqlm-h2o", Path()).training["errors"]["test"]["below_0.6_eV"]
    found = result(finished, "errors", "siVQLM")
    # Other frames of the same kind: squares of errors over some 200 frames, of heavy tails.
    assert found["energy_rmse_meV"] == pytest.approx(card["energy_rmse_meV"], rel=0.5)
    assert found["forces_rmse_meV_per_A"] == pytest.approx(card["forces_rmse_meV_per_A"], rel=0.5)


def test_the_worse_potential_is_worse(finished):
    for kind in ("errors", "path"):
        key = "forces_rmse_meV_per_A"
        better, worse = (result(finished, kind, label)[key] for label in ("siVQLM", "springs"))
        assert 5 * better < worse


def test_all_potentials_begin_alike(finished):
    starts = [
        series.read(finished.directory / "nve" / label / "timestep_fs-0.5_seed-2")
        for label in ("siVQLM", "springs")
    ]
    np.testing.assert_array_equal(starts[0].velocities[0], starts[1].velocities[0])
    np.testing.assert_array_equal(starts[0].positions[0], starts[1].positions[0])


def test_a_bond_that_breaks_is_a_failure(finished):
    # Springs of 0.02 eV/A^2 let an H at 300 K (kT = 0.026 eV) go by sqrt(kT/k) = 1.1 angstrom.
    for seed in (1, 2):
        found = result(finished, "stability", "weak", seed=seed)
        assert found["failed"] == "a bond broke" and 0 < found["time_ps"] < 0.5
        assert result(finished, "stability", "siVQLM", seed=seed) == {
            "time_ps": 0.5, "failed": None,
        }  # fmt: skip


def test_invariant_potentials_have_no_symmetry_error(finished):
    for label in ("siVQLM", "springs"):
        # Rounding of energies of some eV and of forces of some eV/angstrom, in meV.
        assert all(value < 1e-8 for value in result(finished, "symmetry", label).values())


def test_resources_and_parameters(finished):
    assert result(finished, "resources", "siVQLM")["qubits"] == 4
    assert result(finished, "resources", "siVQLM")["parameters"] == 69
    assert result(finished, "resources", "springs") == {"parameters": 5}


def test_speeds_are_of_this_machine(finished):
    native = result(finished, "speed", "siVQLM")
    assert 0.1 < native["us_per_force"] < 1e3 and native["start_s"] > 0.1
    assert 1e3 < native["steps_per_s"] < 1e7


def test_the_page_and_the_report(finished, tmp_path):
    text = tables.markdown(finished.results)
    assert text.count("| siVQLM |") == 8 and "2 of 2" in text and "nan" not in text
    page.write(tmp_path / "report.html", benchmark_report.page(finished.results))
    html = (tmp_path / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 1 and len(html) < page.MAX_BYTES


def test_only_what_is_new_is_measured(tmp_path):
    few = [m for m in document()["measures"] if m["kind"] in ("path", "symmetry")]
    first = measured(tmp_path, measures=few)
    files = {p: p.stat().st_mtime_ns for p in first.directory.rglob("cell.json")}
    assert len(files) == 6
    again = measured(tmp_path, measures=few)
    assert {p: p.stat().st_mtime_ns for p in files} == files and again.results == first.results
    few[1]["geometries"] = 4
    other = measured(tmp_path, measures=few)
    changed = {p for p, at in files.items() if p.stat().st_mtime_ns != at}
    assert {p.relative_to(first.directory).parts[0] for p in changed} == {"symmetry"}
    assert len(changed) == 3 and other.results != first.results


def test_a_run_of_another_input_is_begun_again(tmp_path):
    nve = {"kind": "nve", "structure": "h2o", "temperature_K": 300, "timesteps_fs": [0.5],
           "length_ps": 0.2, "seeds": 1}  # fmt: skip
    few = {"potentials": {"siVQLM": "sivqlm-h2o"}, "measures": [nve]}
    first = measured(tmp_path, **few)
    nve["temperature_K"] = 500
    again = measured(tmp_path, **few)
    assert again.results["cells"] != first.results["cells"]
    run = series.read(again.directory / "nve/siVQLM/timestep_fs-0.5_seed-1")
    assert run.record["input"]["system"]["temperature_K"] == 500


def test_a_potential_that_fails_at_the_start_is_a_result(tmp_path):
    stiff = MORSE | {"depth_eV": 50.0, "steepness_per_A": 5.0, "length_A": 2.0}
    few = [m for m in document()["measures"] if m["kind"] in ("nve", "stability")]
    few = [{k: v for k, v in m.items() if k != "potentials"} for m in few]
    found = measured(tmp_path, potentials={"stiff": stiff}, measures=few)
    assert all("At the start" in cell["result"]["failed"] for cell in found.results["cells"])
    assert "0 of 2 (0 ps)" in tables.markdown(found.results)


def test_the_fit_in_the_benchmark_of_water_is_the_one_that_was_made():
    fitted = (ROOT / "runs/train-h2o-peers/morse-bend.yaml").read_text()
    potentials = inputs.load(ROOT / "benchmarks/water.yaml", BenchmarkConfig).config.potentials
    terms = potentials["Morse and bend"].model_dump(exclude_unset=True)["terms"]
    assert [
        json.loads(line[4:]) for line in fitted.splitlines() if line.startswith("  - ")
    ] == terms


def test_the_front_has_those_that_none_beats():
    points = {"a": (1.0, 9.0), "b": (2.0, 9.5), "c": (3.0, 2.0), "d": (4.0, 2.0), "e": (5.0, 1.0)}
    assert benchmark_report.pareto(points) == ["a", "c", "e"]


@pytest.mark.parametrize(("change", "message"), [
    ({"measures": [{"kind": "symmetry", "structure": "h2o", "potentials": ["nobody"]}]}, "nobody"),
    ({"measures": [{"kind": "errors"}]}, "one of dataset and test_frames_of"),
    ({"measures": [{"kind": "symmetry", "structure": "h2o"}] * 2}, "two measures are called"),
])  # fmt: skip
def test_an_input_that_cannot_be_is_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        measured(tmp_path, **change)


def test_a_potential_of_other_atoms_is_refused_in_one_line(tmp_path):
    measures = [{"kind": "path", "reference": str(ROOT / "runs/reference/h2o")}]
    with pytest.raises(MismatchError, match="LiH, path: "):
        measured(tmp_path, potentials={"LiH": "sivqlm-lih"}, measures=measures)


def test_the_command(tmp_path, capsys):
    few = [m for m in document()["measures"] if m["kind"] == "symmetry"]
    (tmp_path / "bench.yaml").write_text(json.dumps(document(measures=few)))
    table = tmp_path / "table.md"
    arguments = ["benchmark", str(tmp_path / "bench.yaml"), "--markdown", str(table)]
    assert app(arguments, standalone_mode=False) in (None, 0)
    assert "| springs |" in capsys.readouterr().out
    assert table.read_text().startswith("# Two waters")
    assert (tmp_path / "bench" / "output" / "report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_a_worker_that_is_killed_changes_no_result(tmp_path, kind):
    nve = {"kind": "nve", "structure": "h2o", "temperature_K": 300, "timesteps_fs": [0.5],
           "length_ps": 400, "seeds": 2}  # fmt: skip
    few = {"potentials": {"siVQLM": "sivqlm-h2o"}, "measures": [nve]}
    for folder in ("whole", "other"):
        (tmp_path / folder).mkdir()
    undisturbed = measured(tmp_path / "whole", **few)
    victim = tmp_path / "other/bench/output/nve/siVQLM/timestep_fs-0.5_seed-2/output"
    with killing(victim) as killed:
        found = measured(tmp_path / "other", **few, executor={"kind": kind, "workers": 2})
    assert killed and found.results["cells"] == undisturbed.results["cells"]
