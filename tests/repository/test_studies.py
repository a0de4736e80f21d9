"""The studies under runs/: the tables of their pages are those of the committed results."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

RUNS = Path(__file__).parents[2] / "runs"
STUDIES = "train-allegro", "train-water"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch):
    """The script of a study by its folder; what it sets in the environment is taken back."""
    for name in ("OMP_NUM_THREADS", "XLA_FLAGS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))

    def load(folder: str) -> ModuleType:
        specification = importlib.util.spec_from_file_location("study", RUNS / folder / "study.py")
        assert specification is not None and specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("folder", STUDIES)
def test_the_page_has_the_tables_of_the_committed_results(
    study, folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = study(folder)
    committed, page = module.PAGE.read_text(), tmp_path / "page.md"
    page.write_text(committed)
    monkeypatch.setattr(module, "PAGE", page)
    monkeypatch.setattr(sys, "argv", ["study.py", "--page"])
    module.main()
    assert page.read_text() == committed
    assert len(json.loads(module.RESULTS.read_text())) > 0


def test_a_study_without_names_is_of_all_sets(
    study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module, tried = study("train-allegro"), []
    arguments = "--seeds", "2", "--variants", "qdi", "--output", str(tmp_path)
    monkeypatch.setattr(sys, "argv", ["study.py", *arguments])
    monkeypatch.setattr(module, "one_training", lambda name, *rest: tried.append((name, rest[1])))
    for name in ("unpack", "write_page"):
        monkeypatch.setattr(module, name, lambda *arguments: None)
    module.main()
    assert tried == [(name, seed) for seed in range(2) for name in module.SETS]


def test_the_slope_of_a_learning_curve_is_that_of_a_power_law(study) -> None:
    power = study("train-water").power
    frames = np.array([10, 20, 40, 80])
    slope, error = power(frames, 3 * frames**-0.4)
    assert slope == pytest.approx(-0.4, abs=1e-12) and error < 1e-12
    # Errors that are all shifted in turn by a factor: least squares by NumPy, with its covariance.
    y = 3 * frames**-0.4 * np.array([1.1, 0.9, 1.2, 1.0])
    found = np.polyfit(np.log(frames), np.log(y), 1, cov=True)
    assert power(frames, y) == pytest.approx((found[0][0], found[1][0, 0] ** 0.5), rel=1e-9)
