"""SAMO-COBRA against NSGA-II after 40 evaluations for each coordinate; half an hour of one core."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "tune.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BNH", "SRN", "OSY"])
def test_the_median_hypervolume_is_at_least_that_of_nsga2(name, tmp_path):
    pytest.importorskip("optuna")
    out = tmp_path / "tune.json"
    command = [sys.executable, str(SCRIPT), "--problems", name, "--json", str(out)]
    subprocess.run(command, check=True)
    median = json.loads(out.read_text())["median"][name]
    rivals = [value for method, value in median.items() if method.startswith("nsga2")]
    assert len(rivals) == 3 and median["samo_cobra"] >= max(rivals)
