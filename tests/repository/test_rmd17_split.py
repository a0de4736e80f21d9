"""The files of the study from an archive laid out as the public one."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import units

SCRIPT = Path(__file__).parents[2] / "runs" / "rmd17" / "split.py"


def test_a_part_has_the_frames_of_its_list_in_eV(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.delitem(sys.modules, "rows", raising=False)  # another script has its own
    spec = importlib.util.spec_from_file_location("split", SCRIPT)
    assert spec and spec.loader
    split = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(split)
    for name in ("npz_data", "splits"):
        (tmp_path / name).mkdir()
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    np.savez(
        tmp_path / "npz_data" / "rmd17_benzene.npz",
        nuclear_charges=[6, 1], coords=x, energies=np.arange(5.0), forces=-x,
    )  # fmt: skip
    (tmp_path / "splits" / "index_test_01.csv").write_text("4\n2\n")
    found = split.frames(tmp_path, "benzene", "test", "01")
    np.testing.assert_array_equal(found["R"], x[[4, 2]])
    # 23.0605 kcal/mol are one eV.
    assert found["E"] == pytest.approx([4 / 23.0605, 2 / 23.0605], rel=1e-5)
    np.testing.assert_allclose(found["F"], -x[[4, 2]] * units.kcal / units.mol)
