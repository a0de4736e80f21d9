"""Labels of a crystal by plane waves, where GPAW is installed."""

import importlib.util
import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from qmd.config.load import load
from qmd.config.trust import trusting
from qmd.label import session
from qmd.label.config import LabelConfig

ARGUMENTS = {
    "mode": {"name": "pw", "ecut": 200}, "xc": "PBE", "kpts": {"size": [2, 1, 1]},
    "occupations": {"name": "fermi-dirac", "width": 0.2}, "convergence": {"density": 1e-8},
    "txt": None,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gpaw") is None, reason="needs the extra gpaw")
def test_labels_of_lithium_are_free_energies_forces_and_stress_of_gpaw(tmp_path: Path) -> None:
    from gpaw.calculator import GPAW

    lithium = bulk("Li", a=3.44, cubic=True)
    lithium.rattle(0.05, seed=1)
    lithium.info.clear()
    ase.io.write(tmp_path / "frames.extxyz", lithium)
    method = {"kind": "ase", "calculator": "gpaw.calculator.GPAW", "arguments": ARGUMENTS}
    path = tmp_path / "label.yaml"
    path.write_text(json.dumps({"structures": "frames.extxyz", "method": method}))
    with trusting():  # the stress agrees with differences of the energy, or it is refused
        labels = dict(np.load(session.run(load(path, LabelConfig))))
    lithium.calc = GPAW(**ARGUMENTS)
    free = lithium.get_potential_energy(force_consistent=True)
    assert abs(free - lithium.get_potential_energy()) > 1e-5  # smeared: they are two energies
    # Densities that have converged to 1e-8, from the same start.
    assert labels["E"][0] == pytest.approx(free, abs=1e-6)
    np.testing.assert_allclose(labels["F"][0], lithium.get_forces(), atol=1e-4)
    np.testing.assert_allclose(labels["stress"][0], lithium.get_stress(voigt=False), atol=1e-6)
