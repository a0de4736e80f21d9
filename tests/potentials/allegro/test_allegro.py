"""Laws of Allegro: symmetries, slopes, cut-off, size, cells, storage."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from qmd.potentials import ModelPotential, compiled, compiled_in_cell, families
from qmd.potentials.allegro import tensors
from qmd.potentials.allegro.allegro import Allegro
from qmd.potentials.package.json_form import model_from_json, model_to_json
from qmd.potentials.tree.walk import named_parameters

KINDS = (0, 1, 1, 0, 1)
FORM: dict[str, Any] = {
    "cutoff": 3.6, "power": 6.0, "n_average": 4.0, "l_max": 2, "parity": True, "n_layers": 2,
    "n_scalars": 8, "n_tensors": 4, "two_body": (8,), "latent": (8,), "readout": (8,),
    "n_features": 1, "hidden": (),
}  # fmt: skip
CELL = np.array([[4.1, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.5, 0.6, 4.3]])  # smaller than two cut-offs
INVARIANCE = 1e-10
"""Asked; sums of some thousand terms of up to 10 eV are rounded to 1e-13."""
STENCIL = np.array([-1, 9, -45, 45, -9, 1]) / 60
"""Of a slope, from the values at -3, -2, -1, 1, 2, 3 steps; its error is of the sixth order."""
STEP = 5e-3
SLOPE = 3e-8
"""h^6/140 = 1e-16 times a seventh derivative: 1e7 to 1e8 eV/A^7, for waves whose eighth harmonic
has a wave number of 7/A."""


def network(**other: Any) -> Allegro:
    empty: Any = None
    bare = Allegro(KINDS, **(FORM | other), parameters=empty)
    return bare.with_random_parameters(3, n_kinds=2, n_radial=8, scale=0.3, offset=0.4)


def atoms() -> np.ndarray:
    shape = np.array([[0, 0, 0], [0.9, 0.3, 0], [-0.3, 0.9, 0.2], [1.2, -0.8, 1.7], [1.5, 0.3, 2]])
    return np.asarray(shape + 0.1 * np.random.default_rng(2).standard_normal((5, 3)))


@cache
def alone(kinds: tuple[int, ...] = KINDS) -> Any:
    return compiled(ModelPotential(network().on(kinds)))


@cache
def in_cell() -> Any:
    return compiled_in_cell(network())


def energy(x: np.ndarray) -> float:
    return float(alone()(x)[0])


def test_rotated_mirrored_moved_and_exchanged_atoms_are_equivalent() -> None:
    x, rng = atoms(), np.random.default_rng(4)
    value, forces = alone()(x)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    for matrix in (turn, -turn):
        found, turned = alone()(x @ matrix + rng.uniform(-20, 20, 3))
        assert float(found) == pytest.approx(float(value), abs=INVARIANCE)
        np.testing.assert_allclose(turned, forces @ matrix, rtol=0, atol=INVARIANCE)
    order = [3, 4, 1, 0, 2]
    assert [KINDS[i] for i in order] == list(KINDS)
    found, exchanged = alone()(x[order])
    assert float(found) == pytest.approx(float(value), abs=INVARIANCE)
    np.testing.assert_allclose(exchanged, np.asarray(forces)[order], rtol=0, atol=INVARIANCE)
    assert np.abs(forces).max() > 0.1  # or nothing was tested


def test_forces_are_minus_the_slope_of_the_energy() -> None:
    x, direction = atoms(), np.random.default_rng(5).standard_normal((5, 3))
    direction /= np.linalg.norm(direction)
    values = [energy(x + step * STEP * direction) for step in (-3, -2, -1, 1, 2, 3)]
    slope = STENCIL @ np.array(values) / STEP
    assert -slope == pytest.approx(float(np.sum(alone()(x)[1] * direction)), abs=SLOPE)


def test_the_energy_ends_smoothly_at_the_cut_off() -> None:
    kinds, cutoff = (0, 1), FORM["cutoff"]
    zero, steps = 2 * 0.4, np.array([0.02, 0.01, 0.005])
    pair = alone(kinds)
    left = [float(pair(np.array([[0, 0, 0], [cutoff - h, 0, 0]]))[0]) - zero for h in steps]
    ratios = np.array(left[:-1]) / left[1:]
    # (1 - x)^3 of the envelope times the first power of each wave, sin(n pi x): the fourth power.
    # The next term is smaller by about (p - 1) 3/4 h / cutoff, that is 2e-2.
    np.testing.assert_allclose(ratios, 16, rtol=0.05)
    value, forces = pair(np.array([[0, 0, 0], [cutoff + 1e-9, 0, 0]]))
    assert float(value) == zero
    assert not np.asarray(forces).any()


def test_energies_of_distant_molecules_add_up() -> None:
    x, far = atoms(), np.array([40.0, 3.0, -2.0])
    both = np.concatenate([x, 1.05 * x + far])
    found = float(alone(KINDS + KINDS)(both)[0])
    assert found == pytest.approx(energy(x) + energy(1.05 * x), abs=INVARIANCE)


def test_a_molecule_in_a_large_cell_is_one_without_cell() -> None:
    found, forces, _ = in_cell()(atoms(), 30 * np.eye(3))
    value, expected = alone()(atoms())
    assert found == pytest.approx(float(value), abs=INVARIANCE)
    np.testing.assert_allclose(forces, expected, rtol=0, atol=INVARIANCE)


def test_forces_and_virial_in_a_cell_are_minus_the_slopes() -> None:
    x, rng = atoms(), np.random.default_rng(6)
    direction, strain = rng.standard_normal((5, 3)), rng.standard_normal((3, 3))
    direction, strain = direction / np.linalg.norm(direction), strain / np.linalg.norm(strain)
    values = []
    for step in (-3, -2, -1, 1, 2, 3):
        by = np.eye(3) + 0.2 * step * STEP * strain  # atoms lie up to 5 A apart
        values.append(in_cell()((x + step * STEP * direction) @ by, CELL @ by)[0])
    slope = STENCIL @ np.array(values) / STEP
    _, forces, virial = in_cell()(x, CELL)
    expected = np.sum(forces * direction) + 0.2 * np.sum(virial * strain)
    assert -slope == pytest.approx(expected, abs=SLOPE)
    # Rotating atoms and cell changes nothing.
    np.testing.assert_allclose(virial, virial.T, rtol=0, atol=INVARIANCE)


def test_eight_cells_have_eight_times_the_energy() -> None:
    x, model = atoms(), network()
    shifts = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    large = np.concatenate([x + shift @ CELL for shift in shifts])
    value, forces, virial = in_cell()(x, CELL)
    found, repeated, of_all = compiled_in_cell(model.on(KINDS * 8))(large, 2 * CELL)
    assert found == pytest.approx(8 * value, abs=8 * INVARIANCE)
    np.testing.assert_allclose(repeated, np.tile(forces, (8, 1)), rtol=0, atol=INVARIANCE)
    np.testing.assert_allclose(of_all, 8 * virial, rtol=0, atol=8 * INVARIANCE)


def test_images_of_atoms_and_empty_places_do_not_count() -> None:
    x = atoms()
    moved = x + np.random.default_rng(7).integers(-2, 3, x.shape) @ CELL
    value, forces, _ = in_cell()(x, CELL)
    found, same, _ = in_cell()(moved, CELL)
    assert found == pytest.approx(value, abs=INVARIANCE)
    np.testing.assert_allclose(same, forces, rtol=0, atol=INVARIANCE)


def test_layers_keep_what_can_become_a_scalar() -> None:
    """Counted by hand: with one layer each order couples with itself, and with nothing else."""
    (only,) = tensors.layers(2, True, 1)
    assert only.paths == ((0, 0, 0), (1, 1, 0), (2, 2, 0))
    first, last = tensors.layers(1, True, 2)
    # A tensor whose parity is not that of the harmonics cannot become a scalar in the last layer.
    assert first.after == last.before == ((0, 1), (1, -1))
    assert first.paths == ((0, 0, 0), (1, 1, 0), (0, 1, 1), (1, 0, 1))
    # With a further layer it can: the cross product of two vectors is one such.
    assert tensors.layers(1, True, 3)[0].after == ((0, 1), (1, 1), (1, -1))
    assert tensors.layers(1, False, 3)[0].after == ((0, 1), (1, -1))


def test_numbers_come_back_to_the_last_bit() -> None:
    model = network()
    arrays = named_parameters(model)
    back = model_from_json(json.loads(json.dumps(model_to_json(model))), arrays)
    assert replace(back, parameters=None) == replace(model, parameters=None)
    for name, array in named_parameters(back).items():
        assert np.array_equal(array, arrays[name])


def test_its_family_counts_and_describes() -> None:
    model = network()
    family = families.family_of(model)
    assert families.n_parameters(model) == sum(a.size for a in named_parameters(model).values())
    assert "2 layers" in family.describe(model)
    assert family.keeps_exchanges(model, ("O", "H", "H", "O", "H"))
    assert not family.keeps_exchanges(model, ("O", "H", "H", "H", "O"))
    assert max(end for _, _, end in family.ends(model)) == 3.6
    # A pair writes 8 + 8 + 8, 12 + 8 + 20, 20 + 8 + 8, 24 + 8 + 1 scalars and 4 (9 + 9 + 1) parts
    # of tensors, an atom matrices of 4 (9 9 + 9 1).
    assert family.work(model).written == 25 * (24 + 40 + 36 + 33 + 76) + 5 * 4 * 90


@pytest.mark.parametrize(
    ("form", "match"),
    [
        ({"cutoff": 0.0}, "cut-off must be positive"),
        ({"power": 1.5}, "power of its envelope"),
        ({"n_average": 0.0}, "average number of neighbours"),
        ({"l_max": 5}, "Tensors must be of order 0 to 4"),
        ({"n_layers": 0}, "layers 1 to 8"),
        ({"n_scalars": 7}, "number of scalars even"),
        ({"latent": (0,)}, "All widths must be 1 to 1024"),
        ({"readout": (4,) * 9}, "at most 8 hidden layers"),
    ],
)
def test_nonsense_is_refused(form: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        network(**form)


def test_wrong_parameters_are_refused() -> None:
    model = network()
    with pytest.raises(ValueError, match="Parameter 'readout' must be float64 of shape"):
        replace(model, parameters=model.parameters._replace(readout=np.zeros(3))).check()
    with pytest.raises(ValueError, match="must have 1 to 20 elements, those of its atoms"):
        model.on((0, 2)).check()
    with pytest.raises(ValueError, match="for atoms of its elements"):
        model.on(())
