"""Truncated Lennard-Jones: NIST's numbers, JAX against native, stress against differences."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.integrate import quad

from qmd.integrators import Force, evaluate, evaluate_virial, neighbour_pairs
from qmd.potentials import LennardJones, OnAtoms, Scaled, Sum, TruncatedLennardJones
from qmd.potentials.classical.truncated import TRUNCATIONS
from qmd.potentials.tree.native import native_model
from qmd.potentials.tree.potential import compiled_in_cell

NIST = Path(os.environ.get("QMD_NIST", Path(__file__).parents[4] / "shared/data/nist"))
jax.config.update("jax_enable_x64", True)


def leaf(n_atoms, truncation="shift", cutoff=5.0, **changed):
    values = {"depth": 0.0104, "diameter": 3.4, "cutoff": cutoff, "inner": 0.8 * cutoff}
    return TruncatedLennardJones(n_atoms, truncation=truncation, **(values | changed))


def liquid(seed=0, n=40, periodic=(1, 1, 1)):
    """Atoms on a shaken lattice in a tilted cell that is smaller than twice the cut-off."""
    rng = np.random.default_rng(seed)
    cell = np.diag([9.5, 11.0, 8.5]) + rng.uniform(-1.2, 1.2, (3, 3))
    grid = np.array([(i, j, k) for i in range(3) for j in range(3) for k in range(3)]) / 3
    fractions = grid[rng.permutation(27)[: min(n, 27)]] + rng.uniform(-0.03, 0.03, (min(n, 27), 3))
    fractions += rng.integers(-3, 4, fractions.shape) * np.array(periodic)
    return fractions @ cell, cell * np.array(periodic)[:, None]


@pytest.mark.parametrize(
    "truncation, cutoff, energy, virial, tail",
    [
        ("cut", 3.0, "-1.6790E+01", "-4.6249E+01", "-5.4517E-01"),
        ("cut", 4.0, "-1.7060E+01", "-4.7869E+01", "-2.3008E-01"),
        ("force_shift", 3.0, "-1.5001E+01", "-4.3096E+01", None),
    ],
)
def test_nist_reference_configuration(truncation, cutoff, energy, virial, tail):
    file = NIST / "lj_sample_config_periodic4.xyz"
    if not file.exists():
        pytest.skip(f"NIST's configurations are not in {NIST}")
    lines = file.read_text().splitlines()
    positions = np.array([line.split()[1:4] for line in lines[2:32]], float)
    cell = np.diag([float(edge) for edge in lines[1].split()[1:4]])
    model = TruncatedLennardJones(30, 1.0, 1.0, cutoff, truncation)
    found, _, strained = evaluate_virial(native_model(model), positions, cell)
    assert f"{found:.4E}" == energy
    # NIST's virial is the sum of r.f with the sign of dE/dlog r: minus our trace
    assert f"{-abs(np.trace(strained)):.4E}" == virial
    if tail is not None:
        with_tail = TruncatedLennardJones(30, 1.0, 1.0, cutoff, truncation, tail=True)
        corrected, _ = evaluate(native_model(with_tail), positions, cell)
        assert f"{corrected - found:.4E}" == tail


@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_the_tail_is_the_integral_of_what_is_left_out(truncation):
    model, c = leaf(2, truncation, tail=True), 5.0
    inner = 0.8 * c

    def plain(r):
        return 4 * 0.0104 * ((3.4 / r) ** 12 - (3.4 / r) ** 6)

    def left_out(r):  # of the energy of a pair below the cut-off
        t = max(0.0, r - inner) / (c - inner)
        h = 1e-4
        slope = (plain(c + h) - plain(c - h)) / (2 * h)
        return {
            "cut": 0.0,
            "shift": plain(c),
            "force_shift": plain(c) + (r - c) * slope,
            "switch": t**3 * (10 - 15 * t + 6 * t**2) * plain(max(r, inner)),
        }[truncation]

    below = sum(quad(lambda r: r**2 * left_out(r), *part)[0] for part in ((0, inner), (inner, c)))
    beyond = quad(lambda r: r**2 * plain(r), c, np.inf)[0]
    energy = 2 * np.pi * (below + beyond)
    jump = 2 * np.pi / 3 * c**3 * plain(c) if truncation == "cut" else 0.0
    # The slope by differences: its third derivative times h^2/6, 1e-9 of it.
    assert model.tail_coefficients == pytest.approx((energy, energy + jump), rel=1e-7)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("tail", [False, True])
def test_native_is_jax(truncation, tail):
    positions, cell = liquid()
    model = leaf(len(positions), truncation, tail=tail)
    energy, forces, virial = evaluate_virial(native_model(model), positions, cell)
    by_jax, slopes, strained = compiled_in_cell(model)(positions, cell)
    # sums of some thousand terms below 1 eV/angstrom: 1e-13 of rounding each
    assert energy == pytest.approx(by_jax, abs=1e-11)
    np.testing.assert_allclose(forces, slopes, atol=1e-11)
    if not (tail and truncation == "cut"):  # its jump is no part of a derivative
        np.testing.assert_allclose(virial, strained, atol=1e-10)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("periodic", [(1, 1, 1), (1, 0, 1), (0, 0, 1), (0, 0, 0)])
def test_virial_is_the_derivative_by_strain(truncation, periodic):
    positions, cell = liquid(periodic=periodic)
    force = native_model(leaf(len(positions), truncation, tail=all(periodic), skin=0.3))
    if truncation == "cut" and all(periodic):
        force = native_model(leaf(len(positions), truncation))
    _, _, virial = evaluate_virial(force, positions, cell)
    numeric = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            numeric[a, b] = -slope(force, positions, cell, a, b)
    assert np.abs(virial - numeric).max() < 1e-7 * np.abs(virial).max()


def slope(force: Force, positions, cell, a, b, h=1e-3):
    """Derivative by one element of a strain, with an error of order h^6."""
    total = 0.0
    for times, weight in ((1, 45.0), (2, -9.0), (3, 1.0)):
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * times * h
            total += sign * weight * evaluate(force, positions @ strain, cell @ strain)[0]
    return total / (60 * h)


def test_forces_are_slopes_whatever_image_an_atom_is_in():
    positions, cell = liquid()
    force = native_model(leaf(len(positions), "force_shift"))
    energy, forces = evaluate(force, positions, cell)
    moved = positions + np.random.default_rng(1).integers(-2, 3, positions.shape) @ cell
    again, moved_forces = evaluate(force, moved, cell)
    assert again == pytest.approx(energy, abs=1e-12)
    np.testing.assert_allclose(moved_forces, forces, atol=1e-11)
    assert np.abs(forces.sum(axis=0)).max() < 1e-12


def test_a_cell_smaller_than_the_cut_off_is_its_supercell():
    cell = np.array([[3.4, 0.2, 0.0], [0.0, 3.6, 0.3], [0.5, 0.0, 3.8]])
    positions = np.array([[0.1, 0.2, 0.3]])
    force = native_model(leaf(1, "force_shift", cutoff=8.0))
    energy, forces, virial = evaluate_virial(force, positions, cell)
    images = np.array([(i, j, k) for i in range(3) for j in range(3) for k in range(3)]) @ cell
    large = native_model(leaf(27, "force_shift", cutoff=8.0))
    whole, _, strained = evaluate_virial(large, positions + images, 3 * cell)
    assert 27 * energy == pytest.approx(whole, rel=1e-13)
    np.testing.assert_allclose(27 * virial, strained, rtol=1e-12)
    assert np.abs(forces).max() < 1e-14


def test_without_a_cell_and_with_a_long_cut_off_it_is_the_plain_one():
    positions, _ = liquid()
    n = len(positions)
    plain = native_model(LennardJones(n, tuple(range(n)), 0.0104, 3.4))
    far = native_model(leaf(n, "cut", cutoff=1000.0))
    energy, forces = evaluate(plain, positions)
    again, same = evaluate(far, positions)
    assert again == pytest.approx(energy, rel=1e-13)
    np.testing.assert_allclose(same, forces, atol=1e-12)


def test_sums_of_terms_in_cells():
    positions, cell = liquid()
    n = len(positions)
    some = tuple(range(0, n, 2))
    one, two = leaf(n, "shift", tail=True), leaf(len(some), "switch", cutoff=6.5, depth=0.02)
    model = Sum((one, Scaled(OnAtoms(two, some), 0.5)))
    energy, forces, virial = evaluate_virial(native_model(model), positions, cell)
    e1, f1, v1 = evaluate_virial(native_model(one), positions, cell)
    e2, f2, v2 = evaluate_virial(native_model(two), positions[list(some)], cell)
    assert energy == pytest.approx(e1 + 0.5 * e2, abs=1e-13)
    f1[list(some)] += 0.5 * f2
    np.testing.assert_allclose(forces, f1, atol=1e-13)
    np.testing.assert_allclose(virial, v1 + 0.5 * v2, atol=1e-12)
    by_jax, _, strained = compiled_in_cell(model)(positions, cell)
    assert energy == pytest.approx(by_jax, abs=1e-11)
    np.testing.assert_allclose(virial, strained, atol=1e-10)


@pytest.mark.parametrize(
    "changed, word",
    [
        ({"truncation": "smooth"}, "truncation"),
        ({"cutoff": 0.0}, "positive"),
        ({"skin": -1.0}, "skin"),
        ({"truncation": "switch", "inner": 6.0}, "switch"),
    ],
)
def test_what_is_not_possible_is_refused(changed, word):
    with pytest.raises(ValueError, match=word):
        leaf(5, **changed)


def test_a_cut_off_that_spans_too_many_images_is_refused():
    with pytest.raises(ValueError, match="images of the cell"):
        neighbour_pairs(np.zeros((1, 3)), np.eye(3), 40.0)
