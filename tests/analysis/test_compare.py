"""The verdict of `qmd compare`, and what it rests on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from qmd.analysis import compare, replay, series
from qmd.analysis.potential_of_run import potential_of_package, potential_of_run
from qmd.analysis.statics import minimum
from qmd.cli.app import app
from qmd.errors import CorruptError, InputError, MismatchError, NumericalError
from qmd.forces.catalogue import load_package
from qmd.run import session
from qmd.run.config import load_config

pytestmark = [
    pytest.mark.usefixtures("trusting"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"),
]
BAD = {"kind": "ase", "calculator": "bad_model.HarmonicBonds"}


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def run(folder: Path, potential="sivqlm-h2o", **changes) -> Path:
    document = {
        "system": {"structure": "h2o", "temperature_K": 300, "exact_temperature": True},
        "potential": potential,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 1000,
        "output": {"trajectory_every": 1, "log_every": 1, "checkpoint_every": 1000},
    }
    folder.mkdir()
    (folder / "input.yaml").write_text(json.dumps(document | changes))
    session.run(load_config(folder / "input.yaml"))
    return folder


@pytest.fixture(scope="module")
def water(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("compare") / "reference")


def test_a_reference_is_the_same_as_itself(water):
    ours = series.read(water)
    found = compare.compare(ours, ours, points=5)
    assert found.verdict == "same" and not found.replayed and not found.notes
    assert (found.divergence_A == 0).all()
    assert len(found.criteria) >= 10 and {c.unit for c in found.criteria} >= {
        "meV/A",
        "1/cm",
        "deg",
    }
    assert np.sqrt(np.mean(found.along_reference.force_errors**2)) < 1e-4  # single precision


def test_a_bad_model_differs_and_the_reasons_are_named(water, tmp_path, capsys):
    bad, target = run(tmp_path / "bad", BAD, steps=20), tmp_path / "verdict.json"
    with pytest.raises(SystemExit) as end:
        app(["compare", str(bad), str(water), "--json", str(target), "--points", "4"])
    assert not end.value.code
    assert capsys.readouterr().out.splitlines()[-2] == "verdict: differs"
    data = json.loads(target.read_text())
    assert data["verdict"] == "differs" and data["replayed"]
    reasons = {c["name"] for c in data["criteria"] if not c["ok"]}
    assert "forces along the reference, rms" in reasons and "O-H at the minimum" in reasons
    assert all(c.keys() == {"name", "value", "limit", "unit", "ok"} for c in data["criteria"])
    assert (bad / "output" / "comparison.html").is_file()


def test_a_run_from_the_same_start_is_taken_as_it_is_and_another_is_run_again(water, tmp_path):
    reference = series.read(water)
    other = series.read(run(tmp_path / "other", seed=2, steps=20))
    assert replay.same_start(reference, reference) and not replay.same_start(other, reference)
    model, failure = replay.replay(reference, potential_of_run(other))
    assert failure is None
    # The file has single precision: 1e-7 A grows with time, by less than tenfold in half a ps.
    np.testing.assert_allclose(model.positions, reference.positions, atol=2e-5)
    np.testing.assert_allclose(model.times_ps, reference.times_ps)
    np.testing.assert_allclose(model.potential, reference.potential, atol=1e-4)


def test_a_potential_serves_by_name(water, capsys, tmp_path):
    target = tmp_path / "c.html"
    with pytest.raises(SystemExit) as end:
        app(["compare", "sivqlm-h2o", str(water), "--report", str(target), "--points", "2"])
    assert not end.value.code and "verdict: same" in capsys.readouterr().out
    assert target.stat().st_size < 5_000_000


def test_a_model_that_fails_differs(water):
    reference = series.read(water)
    source = potential_of_package(load_package("sivqlm-h2o", Path()))
    bonds = np.linalg.norm(reference.positions[:, 1:] - reference.positions[:, :1], axis=2)
    longest = bonds[:100].max() + 1e-4
    assert bonds.max() > longest
    narrow = source.limits._replace(stop=np.array([[0.5, longest]] * 2 + [[1.0, 3.0]]))
    found = compare.compare(source._replace(limits=narrow), reference, points=3)
    assert found.verdict == "differs" and "The model failed: domain at 0." in found.notes[0]
    assert len(found.model.times_ps) < len(reference.times_ps)


def test_the_minimum_of_a_harmonic_molecule_is_the_closed_form():
    k, r0, masses = 20.0, 1.0, np.array([15.999, 1.008])

    def bond(x):
        d = x[1] - x[0]
        r = np.linalg.norm(d)
        pull = k * (r - r0) * d / r
        return 0.5 * k * (r - r0) ** 2, np.array([pull, -pull])

    found = minimum.minimum(bond, np.array([[0.0, 0, 0], [1.1, 0.1, 0.2]]), masses)
    assert np.linalg.norm(found.positions[1] - found.positions[0]) == pytest.approx(r0, abs=1e-5)
    reduced = masses.prod() / masses.sum() * 1.66053904e-27
    angular = np.sqrt(k * 1.6021766208e-19 / 1e-20 / reduced)
    expected = angular / (2 * np.pi * 2.99792458e10)
    assert found.wavenumbers == pytest.approx([expected], rel=1e-4)  # of the step, 5e-3 A
    with pytest.raises(NumericalError, match="no minimum was found"):
        minimum.minimum(lambda x: (x[1, 0] - x[0, 0], np.array([[1.0, 0, 0], [-1.0, 0, 0]])),
                        np.array([[0.0, 0, 0], [1.0, 0, 0]]), masses)  # fmt: skip


def test_the_minimum_of_a_reference_is_kept_beside_it(water):
    ours = series.read(water)
    kept = water / "output" / "minimum.json"
    kept.unlink(missing_ok=True)
    first = compare.compare(ours, ours, points=2)
    assert first.minima and json.loads(kept.read_text())["potential"] == "sivqlm-h2o"
    data = json.loads(kept.read_text())
    data["wavenumbers_per_cm"][0] += 100  # seen, so it was read
    kept.write_text(json.dumps(data))
    again = compare.compare(ours, ours, points=2)
    kept.unlink()
    assert [c.name for c in again.criteria if not c.ok] == [
        f"normal mode at {data['wavenumbers_per_cm'][0]:.0f} 1/cm"
    ]


def test_systems_that_do_not_belong_together_are_one_clear_line(water, tmp_path):
    lih = run(tmp_path / "lih", "sivqlm-lih", steps=20,
              system={"structure": "lih", "temperature_K": 300})  # fmt: skip
    with pytest.raises(MismatchError, match="has the atoms Li H, but .* has O H H"):
        compare.compare(series.read(lih), series.read(water))
    with pytest.raises(SystemExit) as end:
        app(["compare", "sivqlm-lih", str(water)])
    assert end.value.code == 3


def test_references_that_cannot_serve_are_one_clear_line(water, tmp_path):
    bath = {"kind": "langevin_baoab", "timestep_fs": 0.5, "temperature_K": 300}
    langevin = series.read(run(tmp_path / "langevin", integrator=bath, steps=40))
    with pytest.raises(InputError, match="not a run at constant energy"):
        compare.compare(series.read(water), langevin)
    sphere = {"radius_A": 3.0}
    confined = series.read(run(tmp_path / "sphere", confinement=sphere, steps=40))
    with pytest.raises(InputError, match="was confined to a sphere"):
        compare.compare(series.read(water), confined)
    with pytest.raises(InputError, match=r"no trajectory\.nc"):
        series.read(tmp_path)
    (water / "output" / "minimum.json").write_text("{")
    found = compare.compare(series.read(water), series.read(water), points=2)
    (water / "output" / "minimum.json").unlink()
    assert any("minimum.json cannot be read" in note for note in found.notes)


def test_a_truncated_reference_is_one_clear_line(water, tmp_path):
    import shutil

    folder = Path(shutil.copytree(water / "output", tmp_path / "output"))
    data = (folder / "trajectory.nc").read_bytes()
    (folder / "trajectory.nc").write_bytes(data[: len(data) // 2])
    with pytest.raises(CorruptError, match="of 1001 frames"):
        series.read(folder)


def test_numbers_that_are_not_finite_are_null_in_json(tmp_path):
    from qmd.commands.analyses import _write_json

    _write_json(tmp_path / "x.json", {"a": float("nan"), "b": [1.0, (float("inf"), "x", None)]})
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None,
        "b": [1.0, [None, "x", None]],
    }
