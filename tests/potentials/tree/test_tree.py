"""Trees of potentials: native against JAX, symmetries, ends of switches and walls, storage."""

import dataclasses
from itertools import combinations, permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from circuits import model as circuit_model

from qmd.potentials import (
    BaselineParameters,
    Committee,
    HarmonicBonds,
    InvariantPolynomial,
    ManyBody,
    Model,
    ModelPotential,
    OnAtoms,
    Quantum,
    Scaled,
    ShortRangeWall,
    SphericalWall,
    Sum,
    Switched,
    WaterBaseline,
    atom_centred,
    compiled,
    evaluate,
    jax_model,
    native_model,
    polynomial,
    reference,
    spc_fw,
    vqlm,
    water_pair,
)
from qmd.potentials.classical.water import WATER_PAIRS, water_baseline
from qmd.potentials.constants import COULOMB
from qmd.potentials.package.json_form import model_from_json, model_to_json
from qmd.potentials.tree.walk import flatten, named_parameters


def geometry(n_atoms: int, seed: int = 0) -> np.ndarray:
    """Water molecules about 3 angstrom apart, distorted; more atoms than one are all there."""
    rng = np.random.default_rng(seed)
    one = np.array([[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]])
    far = np.array([[0, 0, 0], [2.9, 0.3, 0.4], [1.2, 2.8, -0.5]])
    many = np.concatenate([one @ _rotation(rng).T + shift for shift in far])
    return (many + 0.05 * rng.standard_normal(many.shape))[: max(n_atoms, 3)][:n_atoms]


def _rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return q * np.linalg.det(q)


WATER = Quantum(*circuit_model("water"))
PAIR = water_pair.interaction(1, n_layers=1, n_radial=4)
WALL = ShortRangeWall(WATER_PAIRS, (2.6,) + (1.9,) * 8, 40.0)


def polynomial_of_water() -> InvariantPolynomial:
    """Weights of order 1 at distances about those of the geometries."""
    zero = polynomial.molecule(("O", "H", "H"), 4, geometry(3)[None])
    weights = np.random.default_rng(3).standard_normal(zero.parameters.weights.shape)
    return dataclasses.replace(zero, parameters=zero.parameters._replace(weights=weights))


TREES: dict[str, Model] = {
    "quantum": WATER,
    "vqlm": vqlm.water(3, seed=2),
    "polynomial": polynomial_of_water(),
    "baseline": water_baseline(),
    "wall": WALL,
    "densities": PAIR.terms[0].model,
    "pair": PAIR,
    "sphere": SphericalWall(6, 2.0, 5.0),
    "flexible waters": spc_fw.SPC_FW.model(2),
    "committee": Committee((WALL, Scaled(Switched(WALL, (0, 3), 2.0, 9.0), -0.7))),
    "on atoms": OnAtoms(WATER, (4, 0, 2)),
    "molecules": Sum((polynomial_of_water(), OnAtoms(polynomial_of_water(), (4, 0, 2)))),
    "dimer": ManyBody(WATER, Sum((PAIR, WALL))),
    "centred": atom_centred.revised(("O", "H", "H"), 1, n_qubits=2, n_layers=1, n_radial=4),
    "centred on names": atom_centred.initial(("O", "H", "H"), 1, geometry(3), n_qubits=2),
    "trimer": ManyBody(vqlm.water(3, seed=2), Sum((PAIR, WALL)), 3),
}


def by_jax(model: Model, x: np.ndarray) -> tuple[float, np.ndarray]:
    energy, forces = compiled(ModelPotential(model))(x)
    return float(energy), np.asarray(forces)


# "dimer" holds "quantum", "pair" and "densities", "centred" what the other network does; each takes
# JAX many seconds to compile.
ALIKE = {"quantum", "pair", "densities", "trimer", "centred on names"}


@pytest.mark.parametrize("name", sorted(TREES.keys() - ALIKE))
def test_native_equals_jax(name):
    model = TREES[name]
    kernel = native_model(model)
    for seed in (0, 1):
        x = geometry(model.n_atoms, seed)
        energy, forces = evaluate(kernel, x)
        expected, expected_forces = by_jax(model, x)
        # Energies of some eV and forces of some 10 eV/angstrom: 100 roundings.
        assert energy == pytest.approx(expected, abs=1e-12)
        np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", TREES)
def test_trees_come_back_from_their_stored_form(name):
    model = TREES[name]
    arrays = {key: np.asarray(value) for key, value in named_parameters(model).items()}
    again = model_from_json(model_to_json(model), arrays)
    assert model_to_json(again) == model_to_json(model)
    x = geometry(model.n_atoms)
    assert evaluate(native_model(again), x)[0] == evaluate(native_model(model), x)[0]


def test_pytree_leaves_are_the_stored_arrays():
    model = TREES["dimer"]
    stored = named_parameters(model)
    leaves = jax.tree.leaves(model)
    assert sum(np.size(leaf) for leaf in leaves) == sum(map(np.size, stored.values()))
    assert all(np.asarray(leaf).dtype == np.float64 for leaf in leaves)


def test_pennylane_agrees_on_vector_densities():
    model, x = TREES["densities"], geometry(6)
    parameters = model.parameters
    angles = reference.spherical(model.architecture.features, parameters.scales, x)
    node = reference.qnode(model.architecture.circuit, diff_method=None)
    values = np.array(node(parameters.couplings, np.asarray(angles)))
    energy = parameters.weights @ values + parameters.offset
    assert evaluate(native_model(model), x)[0] == pytest.approx(energy, abs=1e-12)


def _symmetric(kernel, x: np.ndarray, turned: np.ndarray) -> None:
    # Rounding of about 1e3 operations on energies of order 1 eV.
    assert evaluate(kernel, turned)[0] == pytest.approx(evaluate(kernel, x)[0], abs=1e-12)


def test_the_pair_has_every_symmetry():
    kernel, x, rng = native_model(PAIR), geometry(6), np.random.default_rng(5)
    _symmetric(kernel, x, x @ _rotation(rng).T)
    _symmetric(kernel, x, -x)
    _symmetric(kernel, x, x + [3.0, -1.0, 2.0])
    for order in ([0, 2, 1, 3, 4, 5], [0, 1, 2, 3, 5, 4], [3, 4, 5, 0, 1, 2]):
        _symmetric(kernel, x, x[order])
    assert evaluate(kernel, x)[0] != pytest.approx(evaluate(kernel, x[[1, 0, 2, 3, 4, 5]])[0])


def test_many_bodies_are_the_sum_of_their_parts():
    model, x = TREES["trimer"], geometry(9)
    one, two, all_three = map(native_model, (model.monomer, model.pair, model))
    molecules = np.split(x, 3)
    ones = sum(evaluate(one, molecule)[0] for molecule in molecules)
    twos = sum(evaluate(two, np.concatenate(pair))[0] for pair in combinations(molecules, 2))
    assert evaluate(all_three, x)[0] == pytest.approx(ones + twos, abs=1e-12)
    for order in permutations(range(3)):
        atoms = np.concatenate([np.arange(3 * m, 3 * m + 3) for m in order])
        _symmetric(all_three, x, x[atoms])


def _apart(r: float) -> np.ndarray:
    x = geometry(6)
    x[3:] += (r / np.linalg.norm(x[3] - x[0]) - 1) * (x[3] - x[0])
    return x


def test_the_interaction_ends_smoothly_at_the_outer_distance():
    kernel, outer = native_model(PAIR), max(term.outer for term in PAIR.terms)
    energy, forces = evaluate(kernel, _apart(outer))
    assert energy == 0.0 and not forces.any()
    energy, forces = evaluate(kernel, _apart(outer + 0.5))
    assert energy == 0.0 and not forces.any()
    # S = 10 u^3 + ..., u = distance to the end / width: the curvature of S E is 60 u E / width^2.
    steps = np.array([1e-2, 2e-2])
    curvature = [_curvature(kernel, outer - h, 1e-3) for h in steps]
    assert curvature[1] / curvature[0] == pytest.approx(2.0, rel=0.05)


def _curvature(kernel, r: float, h: float) -> float:
    energies = [evaluate(kernel, _apart(r + k * h))[0] for k in (-1, 0, 1)]
    return (energies[0] - 2 * energies[1] + energies[2]) / h**2


def test_a_switch_has_its_closed_form():
    # Atoms 0 and 1 have a bond of 0.7 angstrom, of 0.5 at rest; 0 and 2 have the switch.
    bond, factor = HarmonicBonds(3, ((0, 1),), 3.0, 0.5), -0.7
    model = Scaled(Switched(bond, (0, 2), 1.5, 2.5), factor)
    kernel, program = native_model(model), compiled(ModelPotential(model))
    energy, pull = 3.0 / 2 * 0.2**2, 3.0 * 0.2
    for r in (1.0, 1.5, 1.7, 2.0, 2.4, 2.5, 3.0):
        x = np.array([[0, 0, 0], [0, 0.7, 0], [r, 0, 0.0]])
        t = min(max(r - 1.5, 0.0), 1.0)
        value, slope = 1 - 10 * t**3 + 15 * t**4 - 6 * t**5, -30 * t**2 * (1 - t) ** 2
        along = np.array([energy * slope, 0, 0])
        across = np.array([0, value * pull, 0])
        expected = factor * np.array([along + across, -across, -along])
        for found, forces in (evaluate(kernel, x), program(x)):
            assert float(found) == pytest.approx(factor * value * energy, abs=1e-15)  # of 0.04 eV
            np.testing.assert_allclose(np.asarray(forces), expected, rtol=0, atol=1e-14)


def test_the_wall_has_its_closed_form():
    wall = ShortRangeWall(((0, 1),), (1.5,), 10.0)
    kernel = native_model(wall)
    energy, forces = evaluate(kernel, np.array([[0, 0, 0], [1.2, 0, 0.0]]))
    assert energy == pytest.approx(10 * 0.3**3, rel=1e-14)
    np.testing.assert_allclose(forces[:, 0], [-30 * 0.3**2, 30 * 0.3**2], rtol=1e-13)
    energy, forces = evaluate(kernel, np.array([[0, 0, 0], [1.5, 0, 0.0]]))
    assert energy == 0 and not forces.any()


def test_the_sphere_has_its_closed_form():
    kernel = native_model(SphericalWall(2, 1.0, 10.0))
    energy, forces = evaluate(kernel, np.array([[0, 0, 1.2], [0.3, 0.4, 0.5]]))
    assert energy == pytest.approx(10 * 0.2**3, rel=1e-14)
    np.testing.assert_allclose(forces, [[0, 0, -30 * 0.2**2], [0, 0, 0]], rtol=1e-13)


def test_the_baseline_has_its_closed_form():
    q, s, t, g = 0.5, 0.3, -0.1, 0.4
    repulsion, decay, dispersion = np.array([2.0, 1.0, 0.5]), np.full(3, 3.0), np.array([7.0, 2, 1])
    scalars = [np.asarray(v) for v in (q, s, t, g)]
    parameters = BaselineParameters(*[*scalars, repulsion, decay, dispersion])
    # Bonds of 1.07 and 0.87 angstrom at a right angle; the second molecule 4 angstrom along z.
    one = np.array([[0, 0, 0], [1.07, 0, 0], [0, 0.87, 0.0]])
    x = np.concatenate([one, one + [0, 0, 4.0]])
    charges = np.array([q + 0.1 * s - 0.1 * t, q - 0.1 * s + 0.1 * t, -2 * q])
    sites = np.array([one[1], one[2], g * (one[1] + one[2]) / 2])
    r = np.linalg.norm(sites[:, None] - sites[None] - [0, 0, 4.0], axis=-1)  # r >> damping
    expected = COULOMB * (charges[:, None] * charges / r).sum()
    for (i, j), kind in zip(WATER_PAIRS, (0, 1, 1, 1, 2, 2, 1, 2, 2), strict=True):
        d = np.linalg.norm(x[i] - x[j])
        expected += np.exp(repulsion[kind] - 3 * d) - dispersion[kind] / (d**6 + 20)
    model = WaterBaseline(parameters)
    assert evaluate(native_model(model), x)[0] == pytest.approx(expected, rel=1e-13)
    assert by_jax(model, x)[0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("apart", [0.25, 0.5, 0.8, 1.2])
def test_damped_charges_have_the_force_of_their_energy(apart):
    # Charges on four hydrogens and two sites on the oxygens: only hydrogens of both molecules at
    # `apart` feel the damping 1 - exp(-(r/0.5)^3), whose slope is taken from the closed form.
    zero = np.zeros(3)
    charge, none = np.asarray(0.5), np.asarray(0.0)
    repulsion = np.full(3, -800.0)
    model = WaterBaseline(BaselineParameters(charge, none, none, none, repulsion, zero, zero))
    x = np.array([[-30.0, 0, 0], [0, 0, 0], [-30, 40, 0], [30, 0, 1], [apart, 0, 0], [30, 40, 1.0]])

    def slope(r: float) -> float:
        """Of f(r)/r for one pair of charges."""
        screened = np.exp(-((r / 0.5) ** 3))
        return 3 * (r / 0.5) ** 3 / r**2 * screened - (1 - screened) / r**2

    charges = np.array([-1.0, 0.5, 0.5, -1.0, 0.5, 0.5])
    expected = np.zeros((6, 3))
    for i in range(3):
        for j in range(3, 6):
            arm = x[j] - x[i]
            r = np.linalg.norm(arm)
            force = COULOMB * charges[i] * charges[j] * slope(r) * arm / r
            expected[i] += force
            expected[j] -= force
    _, forces = evaluate(native_model(model), x)
    np.testing.assert_allclose(forces, expected, rtol=0, atol=1e-11)  # roundings of 15 eV/angstrom


def test_forces_are_the_slope_of_the_energy():
    model = TREES["dimer"]
    x, h = geometry(6), 1e-5
    _, forces = evaluate(native_model(model), x)
    rng = np.random.default_rng(3)
    direction = rng.standard_normal(x.shape)
    up, down = (evaluate(native_model(model), x + s * h * direction)[0] for s in (1, -1))
    # h^2/6 times a third derivative of at most 1e3, and rounding 1e-14 / h.
    assert -(up - down) / (2 * h) == pytest.approx((forces * direction).sum(), abs=1e-7)


def test_a_wrong_number_of_atoms_gives_nan():
    kernel = native_model(TREES["dimer"])
    with pytest.raises(ValueError, match="must have shape"):
        evaluate(kernel, geometry(3))


def test_leaves_of_equal_molecules_share_their_arrays():
    two, three = (native_model(dataclasses.replace(TREES["trimer"], n_molecules=n)) for n in (2, 3))
    # For one molecule more: positions and forces, and switches of two leaves of two more pairs.
    assert three.workspace.size - two.workspace.size == 6 * 3 + 2 * 2 * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OnAtoms(WATER, (0, 1)), "needs 3 different atoms"),
        (lambda: OnAtoms(WATER, (0, 1, 1)), "needs 3 different atoms"),
        (lambda: Switched(WATER, (0, 3), 1.0, 2.0), "between two of the atoms"),
        (lambda: Switched(WATER, (0, 1), 2.0, 2.0), "inner < outer"),
        (lambda: Sum(()), "at least one term"),
        (lambda: Scaled(WATER, np.inf), "must be finite"),
        (lambda: Committee((WATER,)), "two members or more"),
        (lambda: Committee((WATER, PAIR)), r"2 for \[3, 6\] atoms"),
        (lambda: ManyBody(WATER, WATER), "twice the 3 atoms"),
        (lambda: ManyBody(WATER, PAIR, 1), "2 to 64 molecules"),
        (lambda: ShortRangeWall((), (), 1.0), "at least one pair"),
        (lambda: ShortRangeWall(((0, 1),), (-1.0,), 1.0), "positive and finite"),
        (lambda: SphericalWall(3, 0.0, 1.0), "positive and finite"),
        (lambda: flatten(Switched(PAIR, (0, 3), 1.0, 2.0)), "under two switches"),
    ],
)
def test_impossible_trees_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_switch_far_from_the_atoms_is_refused_without_counting_them():
    many = SphericalWall(10**15, 1.0, 1.0)  # a set of its atoms would not fit into memory
    with pytest.raises(ValueError, match="between two of the atoms"):
        Switched(many, (0, 10**15), 1.0, 2.0)


def test_too_large_a_sum_is_refused(monkeypatch):
    size = native_model(WATER).workspace.nbytes
    monkeypatch.setattr("qmd.potentials.contract.MAX_BYTES", 2.5 * size)
    parts = [dataclasses.replace(WATER) for _ in range(3)]
    assert native_model(Sum(tuple(parts[:2]))).workspace.nbytes > size
    with pytest.raises(ValueError, match="native kernel would need"):
        native_model(Sum(tuple(parts)))


def test_too_many_entries_are_refused():
    features = water_pair.architecture(1, 4).features
    with pytest.raises(ValueError, match="1 to 10000 entries"):
        dataclasses.replace(features, entries=features.entries * 400)


def test_jax_energies_are_differentiable_where_a_switch_is_off():
    slope = jax.jit(jax.grad(lambda x: jax_model.energy(PAIR, x)))(jnp.asarray(_apart(9.5)))
    assert not np.asarray(slope).any()
