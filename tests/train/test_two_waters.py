"""From an interaction and a monomer to the total energy of two waters."""

from pathlib import Path

import numpy as np
import pytest

from qmd.data.domains import of_atoms
from qmd.errors import MismatchError
from qmd.forces.catalogue import load_package
from qmd.potentials import evaluate, native_model, water_pair
from qmd.train.two_waters import UNBOUNDED_DISTANCE, two_waters

LABELS = Path(__file__).parents[2] / "runs" / "labels-dimer" / "dimer.npz"
SPECIES = ("O", "H", "H") * 2
INTERACTION = water_pair.interaction(1, n_layers=1, n_radial=4)


@pytest.fixture(scope="module")
def positions() -> np.ndarray:
    return np.load(LABELS)["R"][:100]


@pytest.fixture(scope="module")
def whole(positions):
    monomer = load_package("sivqlm-h2o", Path())
    return two_waters(INTERACTION, monomer, positions, of_atoms(positions, SPECIES), 50.0)


def test_inside_the_data_the_energy_is_that_of_the_parts(whole, positions):
    monomer = load_package("sivqlm-h2o", Path())
    for x in positions[:3]:
        parts = [evaluate(monomer.native(), half)[0] for half in np.split(x, 2)]
        parts.append(evaluate(native_model(INTERACTION), x)[0])
        assert evaluate(native_model(whole.model), x)[0] == pytest.approx(sum(parts), abs=1e-11)
    assert whole.reference == 2 * monomer.reference_energy_eV


def test_below_the_shortest_distance_of_the_data_a_wall_pushes(whole, positions):
    oo = np.linalg.norm(positions[:, 0] - positions[:, 3], axis=1)
    x = positions[oo.argmin()].copy()
    x[3:] -= 0.3 * (x[3] - x[0]) / oo.min()
    wall = whole.model.pair.terms[1]
    energy, forces = evaluate(native_model(wall), x)
    assert energy >= 50.0 * 0.3**3 * (1 - 1e-12)  # of O-O alone
    assert (forces[3] - forces[0]) @ (x[3] - x[0]) > 0
    assert evaluate(native_model(wall), positions[0])[0] == 0.0


def test_molecules_may_part_but_not_break(whole, positions):
    pairs, stop = whole.domain.pairs, whole.domain.stop
    between = pairs[:, 0] // 3 != pairs[:, 1] // 3
    assert (stop[between, 1] == UNBOUNDED_DISTANCE).all() and (stop[between, 0] > 0.9).all()
    monomer = load_package("sivqlm-h2o", Path()).domain
    assert sorted(stop[~between].tolist()) == sorted(monomer.stop.tolist() * 2)
    assert (whole.domain.warn[between] == of_atoms(positions, SPECIES).warn[between]).all()


def test_a_monomer_that_is_not_water_is_refused(positions):
    lih = load_package("sivqlm-lih", Path())
    with pytest.raises(MismatchError, match="must be for O, H, H"):
        two_waters(INTERACTION, lih, positions, of_atoms(positions, SPECIES), 50.0)
