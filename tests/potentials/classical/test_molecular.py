"""Force fields of molecules: closed forms, forces, normal modes, water of the literature."""

import math
from collections.abc import Callable

import jax
import numpy as np
import pytest
from ase import units as ase_units

from qmd.integrators import evaluate_virial
from qmd.potentials import (
    HarmonicAngles,
    HarmonicBonds,
    LennardJones,
    Model,
    ModelPotential,
    MorseBonds,
    PointCharges,
    evaluate,
    native_model,
    spc_fw,
)
from qmd.potentials.constants import COULOMB, KCAL_PER_MOL
from qmd.potentials.package.json_form import model_from_json, model_to_json

MORSE = MorseBonds(4, ((0, 1), (2, 1)), 4.6, 2.3, 0.95)
TERMS: dict[str, Model] = {
    "morse": MORSE,
    "bonds": HarmonicBonds(4, ((0, 1), (3, 1)), 45.9, 1.012),
    "angles": HarmonicAngles(4, ((0, 1, 2), (2, 1, 3)), 3.3, 1.9),
    "lennard-jones": LennardJones(4, (0, 2, 3), 0.0067, 1.1),
    "charges": PointCharges((-0.8, 0.4, 0.5, -0.1), (0, 0, 1, 2)),
}


def scattered(seed: int) -> np.ndarray:
    """Four atoms about 1 angstrom apart."""
    corners = np.array([[0, 0, 0], [1.0, 0, 0], [1.2, 0.9, 0.1], [0.9, -0.3, 1.0]])
    return corners + 0.1 * np.random.default_rng(seed).standard_normal((4, 3))


def test_native_equals_jax() -> None:
    models = TERMS.values()
    program = jax.jit(lambda x: [ModelPotential(m).energy_and_forces(x) for m in models])
    for seed in range(3):
        x = scattered(seed)
        for model, (expected, expected_forces) in zip(models, program(x), strict=True):
            energy, forces = evaluate(native_model(model), x)
            # Ten roundings of energies and forces of up to 50 eV and eV/angstrom.
            assert energy == pytest.approx(float(expected), abs=1e-12)
            np.testing.assert_allclose(forces, np.asarray(expected_forces), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", TERMS)
def test_forces_are_minus_the_slope_of_the_energy(name: str) -> None:
    kernel, x, h = native_model(TERMS[name]), scattered(5), 1e-3
    _, forces = evaluate(kernel, x)
    direction = np.random.default_rng(6).standard_normal(x.shape)
    energies = [evaluate(kernel, x + k * h * direction)[0] for k in (-3, -2, -1, 1, 2, 3)]
    slope = np.array(energies) @ [-1, 9, -45, 45, -9, 1] / (60 * h)
    # h^6/140 = 7e-21 times a seventh derivative: 1e12 of (diameter/r)^12 at 1 angstrom, 0.0067 eV.
    assert -slope == pytest.approx((forces * direction).sum(), abs=1e-8)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(np.cross(x, forces).sum(axis=0), 0, atol=1e-12)


CELL = np.array([[4.0, 0, 0], [1.1, 4.5, 0.2], [-0.6, 0.3, 5.0]])
BONDED = ("morse", "bonds", "angles")
CELLS = {"isolated": np.zeros((3, 3)), "slab": CELL * [[1], [1], [0]], "full": CELL}


@pytest.mark.parametrize("name", BONDED)
@pytest.mark.parametrize("cell", ["slab", "full"])
def test_a_cell_takes_the_nearest_image(name: str, cell: str) -> None:
    # Bonds of 0.9 to 1.5 angstrom; half of the smallest height is 1.9.
    kernel, x, lattice = native_model(TERMS[name]), scattered(2), CELLS[cell]
    moved = x + np.random.default_rng(4).integers(-3, 4, (4, 3)) @ lattice
    (energy, forces), (again, same) = evaluate(kernel, x), evaluate(kernel, moved, lattice)
    # Positions of up to 15 angstrom are rounded at 1e-15, forces are up to 50 eV/angstrom^2 of it.
    assert again == pytest.approx(energy, abs=1e-12)
    np.testing.assert_allclose(same, forces, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", BONDED)
@pytest.mark.parametrize("cell", CELLS)
def test_the_virial_of_bonds_is_minus_the_slope_by_a_strain(name: str, cell: str) -> None:
    kernel, x, lattice, h = native_model(TERMS[name]), scattered(3), CELLS[cell], 1e-3
    x = x + np.random.default_rng(4).integers(-3, 4, (4, 3)) @ lattice
    _, _, virial = evaluate_virial(kernel, x, lattice)
    for i in range(3):
        for j in range(3):
            strains = [
                np.eye(3) + k * h * np.eye(3)[[i]].T * np.eye(3)[[j]] for k in (-3, -2, -1, 1, 2, 3)
            ]
            energies = [evaluate(kernel, x @ s, lattice @ s)[0] for s in strains]
            # h^6/140 = 7e-21 times a seventh derivative, 1e7 eV of an angle; rounding 1e-14/h.
            slope = np.array(energies) @ [-1, 9, -45, 45, -9, 1] / (60 * h)
            assert -slope == pytest.approx(virial[i, j], abs=1e-9)


@pytest.mark.parametrize("degrees", [5, 20, 29, 31, 90, 149, 151, 175])
def test_the_torque_of_an_angle_has_its_closed_form(degrees: float) -> None:
    # Arms of 1 and 1.4 angstrom in a plane: dE/dangle = k (angle - angle0), a force across each
    # arm of that over its length.
    angle, k, at_rest = math.radians(degrees), 3.3, 1.9
    arm = np.array([1.4 * math.cos(angle), 1.4 * math.sin(angle), 0])
    x = np.array([[1.0, 0, 0], [0, 0, 0], arm])
    model = HarmonicAngles(3, ((0, 1, 2),), k, at_rest)
    across = np.array([[0, 1.0, 0], [math.sin(angle), -math.cos(angle), 0]])
    expected = k * (angle - at_rest) * across / np.array([[1.0], [1.4]])
    for energy, forces in (
        evaluate(native_model(model), x), ModelPotential(model).energy_and_forces(x)
    ):  # fmt: skip
        assert float(energy) == pytest.approx(k * (angle - at_rest) ** 2 / 2, rel=1e-12)
        # Rounding of the sine, 2^-53 / 0.09 at 5 degrees, times forces of 6 eV/angstrom.
        np.testing.assert_allclose(np.asarray(forces)[[0, 2]], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", TERMS)
def test_numbers_come_back_to_the_last_bit(name: str) -> None:
    import json

    again = model_from_json(json.loads(json.dumps(model_to_json(TERMS[name]))), {})
    assert again == TERMS[name]


def closed_forms() -> dict[str, tuple[Model, np.ndarray, float]]:
    """Two atoms at a distance, three at an angle, and the energy (eV) that they must have."""
    two, three = np.array([[0, 0, 0], [0, 0, 1.3]]), np.array([[2.0, 0, 0], [0, 0, 0], [0, 3, 0.0]])
    pair = ((0, 1),)
    return {
        "morse": (MorseBonds(2, pair, 4.6, 2.3, 0.9), two, 4.6 * (1 - math.exp(-2.3 * 0.4)) ** 2),
        "bond": (HarmonicBonds(2, pair, 40.0, 1.0), two, 20.0 * 0.09),
        "angle": (HarmonicAngles(3, ((0, 1, 2),), 3.0, 2.0), three, 1.5 * (math.pi / 2 - 2) ** 2),
        "lennard-jones": (LennardJones(2, (0, 1), 0.01, 1.3 / 2 ** (1 / 6)), two, -0.01),
        "charges": (PointCharges((0.5, -0.4), (0, 1)), two, -0.2 / 1.3 * COULOMB),
    }


@pytest.mark.parametrize("name", closed_forms())
def test_terms_have_their_closed_form(name: str) -> None:
    model, x, expected = closed_forms()[name]
    assert evaluate(native_model(model), x)[0] == pytest.approx(expected, rel=1e-13)


def test_the_minimum_of_lennard_jones_has_no_force() -> None:
    model, x, _ = closed_forms()["lennard-jones"]
    _, forces = evaluate(native_model(model), x)
    assert np.abs(forces).max() < 1e-14


def hessian(evaluate_forces: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """By central differences of forces, with two step lengths extrapolated: error h^4."""
    n, total = x.size, np.zeros((x.size, x.size))
    for h, weight in ((1e-3, 4 / 3), (2e-3, -1 / 3)):
        steps = h * np.eye(n).reshape(n, *x.shape)
        rows = [(evaluate_forces(x - s) - evaluate_forces(x + s)).ravel() / (2 * h) for s in steps]
        total = total + weight * np.array(rows)
    return total


def wavenumbers(model: Model, x: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Harmonic ones, 1/cm, ascending."""
    kernel = native_model(model)
    weights = np.repeat(masses, 3) ** -0.5
    matrix = hessian(lambda y: evaluate(kernel, y)[1].copy(), x) * np.outer(weights, weights)
    squares = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    return np.sqrt(np.maximum(squares, 0)) * per_cm()


def per_cm() -> float:
    """Wave number of the angular frequency 1 of ASE's units, 1/cm."""
    return ase_units._hbar * ase_units.s / ase_units._e / ase_units.invcm


def test_morse_vibrates_with_its_force_constant() -> None:
    depth, steepness, masses = 4.6, 2.3, np.array([15.999, 1.008])
    model = MorseBonds(2, ((0, 1),), depth, steepness, 0.97)
    found = wavenumbers(model, np.array([[0, 0, 0], [0, 0, 0.97]]), masses)
    reduced = masses.prod() / masses.sum()
    expected = steepness * math.sqrt(2 * depth / reduced) * per_cm()
    assert found[-1] == pytest.approx(expected, rel=1e-6)  # h^4 of the differences
    assert found[:-1].max() < 1.0


@pytest.mark.parametrize("name", spc_fw.BY_NAME)
def test_one_flexible_water_has_the_modes_of_wilson(name: str) -> None:
    """G and F matrices of a bent XY2 [1]: harmonic in bonds and angle, no cross terms.

    References
    ----------
    .. [1] E. B. Wilson, J. C. Decius, P. C. Cross, Molecular Vibrations (1955), chapter 4.
    """
    water, (oxygen, hydrogen) = spc_fw.BY_NAME[name], (15.999, 1.008)
    r, theta = water.bond_length, math.radians(water.angle_deg)
    k, bend = (s * KCAL_PER_MOL for s in (water.bond_stiffness, water.angle_stiffness))
    cosine, sine = math.cos(theta), math.sin(theta)
    asymmetric = k * (1 / hydrogen + (1 - cosine) / oxygen)
    g = np.array(
        [
            [1 / hydrogen + (1 + cosine) / oxygen, -math.sqrt(2) * sine / (oxygen * r)],
            [
                -math.sqrt(2) * sine / (oxygen * r),
                2 * (1 / hydrogen + (1 - cosine) / oxygen) / r**2,
            ],
        ]
    )
    symmetric = np.linalg.eigvals(g @ np.diag([k, bend])).real
    expected = np.sqrt(np.sort([*symmetric, asymmetric])) * per_cm()
    x = r * np.array([[0, 0, 0], [math.sin(theta / 2), math.cos(theta / 2), 0]] * 2)[:3]
    x[2] = x[1] * [-1, 1, 1]
    found = wavenumbers(water.model(1), x, np.array([oxygen, hydrogen, hydrogen]))
    np.testing.assert_allclose(found[-3:], expected, rtol=1e-6)
    assert found[:-3].max() < 1.0


def test_flexible_waters_have_the_published_numbers() -> None:
    # Paesani et al., J. Chem. Phys. 125, 184507 (2006), Table I.
    spc, q_spc = spc_fw.SPC_FW, spc_fw.Q_SPC_FW
    assert (spc.bond_length, spc.angle_deg, spc.charge) == (1.012, 113.24, 0.41)
    assert (q_spc.bond_length, q_spc.angle_deg, q_spc.charge) == (1.000, 112.0, 0.42)


def test_two_waters_interact_by_charges_and_oxygens_alone() -> None:
    x = np.array([[0, 0, 0], [0.8, 0.6, 0], [-0.8, 0.6, 0.0]])
    x = np.concatenate([x, x + [0.3, 0.2, 2.9]])
    one, two = native_model(spc_fw.SPC_FW.model(1)), native_model(spc_fw.SPC_FW.model(2))
    between = evaluate(two, x)[0] - evaluate(one, x[:3])[0] - evaluate(one, x[3:])[0]
    r = np.linalg.norm(x[:3, None] - x[None, 3:], axis=-1)
    q = np.array([-0.82, 0.41, 0.41])
    sixth = (3.165492 / r[0, 0]) ** 6
    expected = COULOMB * (q[:, None] * q / r).sum()
    expected += 4 * 0.1554253 * KCAL_PER_MOL * (sixth**2 - sixth)
    assert between == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("order", [[3, 4, 5, 0, 1, 2, 6, 7, 8], [0, 2, 1, 3, 4, 5, 6, 7, 8]])
def test_like_atoms_and_molecules_may_change_places(order: list[int]) -> None:
    x = np.random.default_rng(3).uniform(-4, 4, (9, 3))
    kernel = native_model(spc_fw.SPC_FW.model(3))
    (energy, forces), (again, moved) = evaluate(kernel, x), evaluate(kernel, x[order])
    # The order of some 40 terms of up to 1e3 eV.
    assert again == pytest.approx(energy, rel=1e-13)
    np.testing.assert_allclose(moved, forces[order], rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MorseBonds(2, ((0, 2),), 1.0, 1.0, 1.0), "2 different atoms of 0 to 1"),
        (lambda: MorseBonds(2, ((0, 1),), 1.0, -1.0, 1.0), "must be positive"),
        (lambda: HarmonicBonds(2, (), 1.0, 1.0), "at least one"),
        (lambda: HarmonicAngles(3, ((0, 1, 1),), 1.0, 1.0), "3 different atoms"),
        (lambda: HarmonicAngles(3, ((0, 1, 2),), 1.0, 3.2), "below pi"),
        (lambda: LennardJones(2, (0,), 1.0, 1.0), "2 to 1000 atoms, but got 1"),
        (lambda: LennardJones(2000, tuple(range(2000)), 1.0, 1.0), "but got 2000"),
        (lambda: LennardJones(2, (0, 0), 1.0, 1.0), "2 different atoms"),
        (lambda: PointCharges((1.0, 1.0), (0, 0)), "two molecules or more"),
        (lambda: PointCharges((1.0, math.nan), (0, 1)), "must be finite"),
        (lambda: PointCharges((1.0,) * 2000, tuple(range(2000))), "there are 2000"),
        (lambda: spc_fw.SPC_FW.model(0), "1 to 333"),
        (lambda: spc_fw.n_molecules(("H", "O", "H")), "O H H of each molecule"),
        (lambda: spc_fw.n_molecules(()), "O H H of each molecule"),
    ],
)
def test_impossible_terms_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
