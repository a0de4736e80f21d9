"""Errors of the shipped dimer on frames that it was not fitted to."""

from pathlib import Path

import numpy as np

from qmd.potentials import evaluate_all, find, load, native_model

LABELS = Path(__file__).parents[3] / "runs" / "labels-dimer"


def test_the_interaction_of_two_waters_is_within_its_bar_on_unseen_frames():
    package = load(find("sivqlm-h2o-dimer"))
    card = package.training
    assert card["split"] == {"train": 2390, "validation": 100, "test": 200, "seed": 1}
    data = np.load(LABELS / "dimer.npz")
    unseen = np.random.default_rng(1).permutation(2000)[1800:]
    energies, forces = evaluate_all(native_model(package.model.pair), data["R"][unseen])
    energy = 1e3 * np.sqrt(np.mean((energies - data["E2"][unseen]) ** 2))
    force = 1e3 * np.sqrt(np.mean((forces - data["F2"][unseen]) ** 2))
    # meV and meV/angstrom: the bar, and what the card says.
    assert energy <= 1.5 and force <= 10
    errors = card["errors"]["test"]["all"]
    np.testing.assert_allclose(
        [energy, force], [errors["energy_rmse_meV"], errors["forces_rmse_meV_per_A"]], rtol=1e-6
    )
