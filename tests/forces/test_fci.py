"""Full CI labels: known energies, size consistency, forces; and the labels of LiH in runs/."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline

pytest.importorskip("pyscf")

from qmd.forces.fci import FCI  # noqa: E402
from qmd.units import pyscf_hartree  # noqa: E402

ROOT = Path(__file__).parents[2]
LIH, LABELS = np.array([3, 1]), ROOT / "runs/labels-lih"


def along_z(r: float) -> np.ndarray:
    return np.array([[0, 0, 0], [0, 0, r]])


def test_lih_has_the_known_energy():
    energy, _ = FCI().energy_and_forces(LIH, along_z(1.6))
    assert energy / pyscf_hartree == pytest.approx(-7.882324, abs=5e-7)  # as printed


def test_two_hydrogen_atoms_far_apart_have_twice_the_energy_of_one_and_no_force():
    energy, forces = FCI().energy_and_forces(np.array([1, 1]), along_z(20.0))
    assert energy / pyscf_hartree == pytest.approx(2 * -0.46658185, abs=1e-8)  # one atom in STO-3G
    np.testing.assert_allclose(forces, 0, atol=1e-6)


def test_forces_are_minus_the_slope_of_the_energy():
    # Bent and off every axis. Differences: error h^2/6 E''' < 1e-6 x 300 / 6 = 5e-5 eV/A.
    hydrogens, h = np.array([1, 1, 1, 1]), 1e-3
    x = np.array([[0, 0, 0], [0.8, 0.1, 0], [0.2, 0.9, 0.3], [1.1, 0.7, 0.9]])
    rng = np.random.default_rng(0)
    direction = rng.standard_normal(x.shape)
    direction /= np.linalg.norm(direction)
    _, forces = FCI().energy_and_forces(hydrogens, x)
    ends = [FCI().energy_and_forces(hydrogens, x + s * direction)[0] for s in (h, -h)]
    assert np.sum(forces * direction) == pytest.approx(-(ends[0] - ends[1]) / (2 * h), abs=5e-5)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-9)


def test_the_labels_of_lih_are_what_their_card_says():
    data, card = np.load(LABELS / "lih.npz"), json.loads((LABELS / "card.json").read_text())
    assert data["Z"].tolist() == LIH.tolist()
    r = data["R"][:, 1, 2]
    np.testing.assert_array_equal(data["R"], [along_z(x) for x in np.linspace(0.9, 4.5, 134)])
    assert (card["energy_min_eV"], card["frames"]) == (data["E"].min(), 134)
    assert card["largest_force_minus_difference_eV_per_A"] < 5e-6
    # The curve through energies and forces: with spacing h = 0.027 A its error at an inner point,
    # rebuilt from the two beside it, is (2 h)^4 E''''/384 < 3e-5 eV for E'''' < 1200 eV/A^4.
    rebuilt = CubicHermiteSpline(r[::2], data["E"][::2], -data["F"][::2, 1, 2])(r[1:-1:2])
    np.testing.assert_allclose(rebuilt, data["E"][1:-1:2], atol=3e-5)


def test_a_label_made_today_is_the_one_stored():
    data = np.load(LABELS / "lih.npz")
    energy, forces = FCI().energy_and_forces(LIH, data["R"][50])
    assert energy == pytest.approx(data["E"][50], abs=1e-9)
    np.testing.assert_allclose(forces, data["F"][50], atol=1e-6)
