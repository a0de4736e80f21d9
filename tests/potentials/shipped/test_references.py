"""The reference trajectories of the repository, and the shipped models beside them."""

from pathlib import Path

import numpy as np
import pytest

from qmd.analysis import series
from qmd.analysis.compare import compare
from qmd.analysis.conservation import conservation
from qmd.analysis.potential_of_run import potential_of_package
from qmd.forces.catalogue import load_package

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)
FOLDER = Path(__file__).parents[3] / "runs" / "reference"
STEPS = {"h2o": 4000, "h2o-dimer": 2000, "lih": 4000}


@pytest.mark.parametrize("name", sorted(p.parent.name for p in FOLDER.glob("*/trajectory.nc")))
def test_a_reference_conserves_energy_and_has_no_net_force(name):
    run = series.read(FOLDER / name)
    assert len(run.times_ps) == len(run.log.times_ps) > STEPS.get(name, 0)
    assert abs(conservation(run).drift_meV_per_atom_ps) <= 0.05
    # Without the response of its grid a DFT force has 1e-3 eV/A too much or too little.
    assert np.abs(run.forces.sum(axis=1)).max() <= 1e-4
    assert conservation(run).drift_ratio < 0.01


def test_water_moves_as_by_dft():
    reference = series.read(FOLDER / "h2o")
    found = compare(potential_of_package(load_package("sivqlm-h2o", Path())), reference, points=0)
    assert found.verdict == "same", [c for c in found.criteria if not c.ok]
    names = " ".join(c.name for c in found.criteria)
    assert "O-H at the minimum" in names and "shift of the line" in names and not found.notes
