"""Ewald sums: lattices of the literature, direct sums, NIST's water, derivatives, errors."""

import math
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import erfc

from qmd.integrators import evaluate, evaluate_virial
from qmd.potentials import EwaldCharges, ewald_charges, native_model
from qmd.potentials.constants import COULOMB
from qmd.potentials.package.json_form import model_from_json, model_to_json

CELL = np.array([[6.0, 0, 0], [1.5, 7, 0.3], [-1, 0.4, 5.5]])
MOLECULES = (0, 0, 0, 1, 1, 2, 3, 4, 5, 6)
NIST = Path(__file__).parents[4] / "shared/data/nist/spce_sample_config_periodic1.xyz"


def ions(accuracy: float, cutoff: float = 8.0) -> tuple[EwaldCharges, np.ndarray]:
    """Ten charges of -0.9 to 1.3 e in and about `CELL`, the first three in one molecule."""
    random = np.random.default_rng(7)
    charges = random.uniform(-1, 1, 10)
    x = random.permutation(np.array(list(product(range(3), range(2), range(2))))[:10])
    x = (x / [3, 2, 2]) @ CELL + random.uniform(-0.4, 0.4, (10, 3))
    x[1], x[2] = x[0] + [0.9, 0.3, 0.1], x[0] + [-0.2, 0.8, 0.5]
    model = ewald_charges(tuple(charges - charges.mean()), MOLECULES, cutoff, accuracy)
    return model, x + random.integers(-2, 3, (10, 3)) @ CELL


def direct(model: EwaldCharges, x: np.ndarray, cell: np.ndarray) -> float:
    """Energy (eV) by the formulas, with all images and waves in a box about those that count."""
    q, n = np.array(model.charges), len(x)
    x = (x @ np.linalg.inv(cell) % 1) @ cell
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reach = [range(-k, k + 1) for k in (model.cutoff / heights).astype(int) + 1]
    images = np.array(list(product(*reach))) @ cell
    d = x[None, :, None] - x[:, None, None] + images
    r = np.linalg.norm(d, axis=-1)
    near = (r > 0) & (r < model.cutoff)
    shortest = np.where(r > 0, r, math.inf).min(axis=-1)
    pair = np.where(near, erfc(model.splitting * r) / np.where(near, r, 1), 0).sum(axis=-1)
    energy = (q[:, None] * q * pair).sum() / 2
    for i, j in combinations(range(n), 2):
        if model.molecules[i] == model.molecules[j]:
            energy -= q[i] * q[j] / shortest[i, j]
    lengths = np.linalg.norm(cell, axis=1)
    last = (model.wave * lengths / (2 * math.pi)).astype(int) + 1
    integers = np.array([n for n in product(*(range(-k, k + 1) for k in last)) if any(n)])
    k = 2 * math.pi * integers @ np.linalg.inv(cell).T
    k = k[np.linalg.norm(k, axis=1) < model.wave]
    square = (k**2).sum(axis=1)
    s = np.abs(np.exp(1j * k @ x.T) @ q) ** 2
    weights = np.exp(-square / (4 * model.splitting**2)) / square
    energy += 2 * math.pi / abs(np.linalg.det(cell)) * weights @ s
    energy -= model.splitting / math.sqrt(math.pi) * q @ q
    return COULOMB * float(energy)


LATTICES = {
    # Neighbours 1 apart; the constants: D. Borwein, J. M. Borwein, K. F. Taylor, J. Math. Phys.
    # 26, 2999 (1985) for rock salt; Y. Sakamoto, J. Chem. Phys. 28, 164 (1958) for the others.
    "rock salt": (np.ones((3, 3)) - np.eye(3), [1.0, 0, 0], 1.747564594633182),
    "caesium chloride": (
        2 / math.sqrt(3) * np.eye(3), np.full(3, 1 / math.sqrt(3)), 1.762674773070991
    ),
    "zinc blende": (
        2 / math.sqrt(3) * (np.ones((3, 3)) - np.eye(3)), np.full(3, 1 / math.sqrt(3)),
        1.638055053388789,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LATTICES)
def test_lattices_have_the_constants_of_madelung(name: str) -> None:
    cell, second, constant = LATTICES[name]
    x = 2.5 * np.array([[0.0, 0, 0], second])
    force = native_model(ewald_charges((1, -1), (0, 1), 9.0, 1e-15))
    energy, forces, virial = evaluate_virial(force, x, 2.5 * cell)
    # Some 1e3 terms, each rounded; both sums leave out 1e-15 of 1.6 eV for each pair or wave.
    assert -energy * 2.5 / COULOMB == pytest.approx(constant, abs=1e-12)
    assert_allclose(forces, 0, atol=1e-12)
    # The energy is that of 1/r: the trace of the virial is the energy. The crystals are cubic.
    assert_allclose(virial, energy / 3 * np.eye(3), atol=1e-11)


@pytest.mark.parametrize("cutoff", [3.0, 8.0])
def test_the_energy_is_that_of_the_formulas(cutoff: float) -> None:
    model, x = ions(1e-4, cutoff)
    energy, _ = evaluate(native_model(model), x, CELL)
    # Some 1e3 terms below 10 eV, rounded at 1e-16 each.
    assert energy == pytest.approx(direct(model, x, CELL), abs=1e-11)
    other = replace(model, molecules=tuple(range(10)))
    energy, _ = evaluate(native_model(other), x, CELL)
    assert energy == pytest.approx(direct(other, x, CELL), abs=1e-11)


def test_nothing_depends_on_the_splitting_nor_on_the_images() -> None:
    model, x = ions(1e-14)
    results = [evaluate_virial(native_model(model), x, CELL)]
    for cutoff in (3.0, 5.0, 12.0):
        results.append(evaluate_virial(native_model(ions(1e-14, cutoff)[0]), x, CELL))
    turned = CELL[[1, 2, 0]] + [CELL[0], 0 * CELL[0], 0 * CELL[0]]
    moved = x + np.random.default_rng(1).integers(-3, 4, (10, 3)) @ CELL
    results += [evaluate_virial(native_model(model), moved, other) for other in (CELL, turned)]
    for energy, forces, virial in results[1:]:
        # 1e-14 of the sum over 33 pairs within the cut-off, 3 eV each; virials: times its length.
        assert energy == pytest.approx(results[0][0], abs=1e-11)
        assert_allclose(forces, results[0][1], rtol=0, atol=1e-10)
        assert_allclose(virial, results[0][2], rtol=0, atol=1e-9)


def test_a_molecule_beyond_the_cutoff_does_not_act_on_itself() -> None:
    # Charges 4 apart in one molecule, in a large cell, whichever sum has them.
    x, cell = np.array([[0.0, 0, 0], [0, 0, 4]]), 30 * np.eye(3)
    short, long = (evaluate_virial(native_model(ewald_charges((1, -1), (0, 0), cutoff, 1e-14)),
                                   x, cell) for cutoff in (3.0, 9.0))  # fmt: skip
    assert short[0] == pytest.approx(long[0], abs=1e-11)
    assert_allclose(short[1], long[1], rtol=0, atol=1e-11)
    assert_allclose(short[2], long[2], rtol=0, atol=1e-10)
    # What is left is a dipole of 4 e angstrom among its images, -2 pi p^2 / (3 V); the next moments
    # that a cube feels give (4/30)^2 = 0.018 of it, times a number of the order of one.
    dipole = -2 * math.pi * COULOMB * 16 / (3 * 27000)
    assert short[0] == pytest.approx(dipole, rel=0.05)


def slopes(model: EwaldCharges, x: np.ndarray, direction: np.ndarray, strain: np.ndarray) -> float:
    """Derivative of the energy by differences of the sixth order."""
    force, h, total = native_model(model), 1e-3, 0.0
    for k, weight in zip((-3, -2, -1, 1, 2, 3), (-1, 9, -45, 45, -9, 1), strict=True):
        by = np.eye(3) + k * h * strain
        total += weight * evaluate(force, (x + k * h * direction) @ by, CELL @ by)[0]
    return total / (60 * h)


def test_forces_and_virial_are_derivatives_of_the_energy() -> None:
    model, x = ions(1e-14)
    _, forces, virial = evaluate_virial(native_model(model), x, CELL)
    assert_allclose(forces, evaluate(native_model(model), x, CELL)[1], rtol=0, atol=0)
    scale, still = np.abs(virial).max(), np.zeros((3, 3))
    for i, j in product(range(3), repeat=2):
        strain = np.zeros((3, 3))
        strain[i, j] = 1
        assert -slopes(model, x, 0 * x, strain) == pytest.approx(virial[i, j], abs=1e-7 * scale)
    direction = np.random.default_rng(2).standard_normal(x.shape)
    expected = (forces * direction).sum()
    # Rounding: 1e-14 / h; the seventh derivative of 1/r at 0.9 angstrom, 1e5 eV, times h^6 / 140.
    assert -slopes(model, x, direction, still) == pytest.approx(expected, abs=1e-9)
    # Newton's third law holds for the waves, too.
    assert_allclose(forces.sum(axis=0), 0, atol=1e-12)


def test_a_long_molecule_has_the_forces_of_its_energy_also_in_coarse_sums() -> None:
    # Two charges of one molecule 2.7 apart, and 3.0 from their images, beyond a cut-off of 2: what
    # the waves give them is taken away as they give it, with an accuracy of 1e-2 not all of q/r.
    model = ewald_charges((1, -1), (0, 0), 2.0, 1e-2)
    x, direction = np.array([[0, 0, 0], [0, 0, 2.7]]), np.array([[0, 0, 0], [0.3, -0.2, 1]])
    expected = (evaluate(native_model(model), x, CELL)[1] * direction).sum()
    assert -slopes(model, x, direction, np.zeros((3, 3))) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("accuracy", [1e-3, 1e-5])
def test_errors_are_as_small_as_kolafa_and_perram_say(accuracy: float) -> None:
    # Their equations 18 and 32 for charges without order, for the sum over pairs and over waves:
    # a mean square over 20 sets of 30 charges, within a factor of 2 at most.
    random, cell, errors, n = np.random.default_rng(3), 12 * np.eye(3), [], 30
    charges = (1.0, -1.0) * (n // 2)
    model = ewald_charges(charges, range(n), 6.0, accuracy)
    rough, exact = native_model(model), native_model(ewald_charges(charges, range(n), 6.0, 1e-14))
    for _ in range(20):
        x = random.uniform(0, 12, (n, 3))
        errors.append(evaluate(rough, x, cell)[1] - evaluate(exact, x, cell)[1])
    measured = math.sqrt(np.mean(np.sum(np.square(errors), axis=-1)))
    u, s = model.splitting, model.splitting * 6.0
    pairs = 2 * n / math.sqrt(n * 6.0 * 12**3) * math.exp(-s * s)
    m = model.wave * 12 / (2 * math.pi)
    waves = 2 * n * u / 12 * math.sqrt(1 / (math.pi * m * n)) * math.exp(-s * s)
    assert (
        COULOMB * math.hypot(pairs, waves) / 2 < measured < 2 * COULOMB * math.hypot(pairs, waves)
    )


@pytest.mark.skipif(not NIST.is_file(), reason="the reference configurations of NIST are not here")
def test_water_of_nist_term_by_term() -> None:
    # https://www.nist.gov/mml/csd/chemical-informatics-group/spce-water-reference-calculations-
    # 10a-cutoff, configuration 1, energies over Boltzmann's constant in K.
    rows = [line.split() for line in NIST.read_text().splitlines()[2:302]]
    x, cell = np.array([row[1:4] for row in rows], float), 20 * np.eye(3)
    charges = [{"O": -0.8476, "H": 0.4238}[row[4]] for row in rows]
    model = EwaldCharges(
        tuple(charges), tuple(i // 3 for i in range(300)), 10.0, 5.6 / 20,
        math.sqrt(26.5) * 2 * math.pi / 20,
    )  # fmt: skip

    def energy(model: EwaldCharges) -> float:
        return evaluate(native_model(model), x, cell)[0] / 8.617333262e-5

    # Without pairs, and without molecules, a part of the terms is left.
    no_pairs = energy(replace(model, cutoff=0.1))
    waves_and_self = energy(replace(model, cutoff=0.1, molecules=tuple(range(300))))
    own = energy(replace(model, cutoff=0.1, molecules=tuple(range(300)), wave=0.1))
    assert f"{energy(model) - no_pairs:.5E}" == "-5.58889E+05"
    assert f"{waves_and_self - own:.5E}" == "6.27009E+03"
    assert f"{own:.5E}" == "-2.84469E+06"
    assert f"{no_pairs - waves_and_self:.5E}" == "2.80999E+06"


def test_numbers_come_back_to_the_last_bit() -> None:
    import json

    model, _ = ions(1e-6)
    assert model_from_json(json.loads(json.dumps(model_to_json(model))), {}) == model


@pytest.mark.parametrize("cell", [np.zeros((3, 3)), CELL * [[1], [1], [0]]])
def test_there_is_no_energy_without_a_full_cell(cell: np.ndarray) -> None:
    model, x = ions(1e-6)
    energy, forces = evaluate(native_model(model), x, cell)
    assert math.isnan(energy)
    assert np.isnan(forces).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"charges": (1.0,) * 10}, "must add up to 0, but their sum is 10 e"),
        ({"charges": (1.0, -1.0)}, "2 charges and 10 atoms"),
        ({"charges": (math.nan,) * 10}, "must be finite"),
        ({"cutoff": 0.0}, "must be positive"),
        ({"wave": 101.0}, "may be 100/angstrom, but it is 101"),
        ({"skin": -1.0}, "`skin` must not be negative"),
    ],
)
def test_impossible_sums_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ions(1e-6)[0], **change)


@pytest.mark.parametrize("accuracy", [0.0, 0.1, 1e-16])
def test_an_accuracy_out_of_reach_is_refused(accuracy: float) -> None:
    with pytest.raises(ValueError, match="must lie between 1e-15 and 0.01"):
        ewald_charges((1, -1), (0, 1), 9.0, accuracy)
