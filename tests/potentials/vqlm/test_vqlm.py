"""The generic circuit: its definition, symmetries, and agreement of its three interpreters."""

import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numba
import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys  # type: ignore[attr-defined]
from scipy.spatial.transform import Rotation

from qmd.integrators import compute, evaluate, pointer
from qmd.potentials import vqlm, vqlm_reference
from qmd.potentials.package import json_form
from qmd.potentials.vqlm import jax_energy as vqlm_jax
from qmd.potentials.vqlm import native as vqlm_native
from qmd.potentials.vqlm.vqlm import Vqlm, VqlmParameters

Evaluation = tuple[float, np.ndarray]


def randomised(model: Vqlm, seed: int = 5) -> Vqlm:
    """The same circuit at parameters of order 1."""
    rng = np.random.default_rng(seed)
    arrays = (np.asarray(rng.normal(0, 0.8, np.shape(p))) for p in model.parameters)
    return dataclasses.replace(model, parameters=VqlmParameters(*arrays))


def peroxide() -> Vqlm:
    """Four qubits: two bonds, and two angles around them, atom order O O H H."""
    return Vqlm(
        coordinates=((0, 2), (2, 0, 1), (0, 1, 3), (1, 3)),
        ranges=((0.5, 2.0), (0.5, np.pi), (0.0, 3.0), (0.6, 2.1)),
        n_layers=3,
        parameters=vqlm.random_parameters(4, 3, 0),
    )


MODELS = {"LiH": vqlm.lih(), "water": vqlm.water(), "peroxide": peroxide()}
NAMES = list(MODELS)


def positions(model: Vqlm, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.8, (model.n_atoms, 3))


def native(model: Vqlm, x: np.ndarray) -> Evaluation:
    return evaluate(vqlm_native.native_kernel(model), x)


@functools.cache
def compiled(coordinates, ranges, n_layers):
    def energy(x, parameters):
        return vqlm_jax.energy(Vqlm(coordinates, ranges, n_layers, parameters), x)

    return jax.jit(jax.value_and_grad(energy))


def by_jax(model: Vqlm, x: np.ndarray) -> Evaluation:
    function = compiled(model.coordinates, model.ranges, model.n_layers)
    energy, gradient = function(jnp.asarray(x), jax.tree.map(jnp.asarray, model.parameters))
    return float(energy), -np.asarray(gradient)


def bent(r1: float, r2: float, angle: float) -> np.ndarray:
    return np.array([[0, 0, 0], [r1, 0, 0], [r2 * np.cos(angle), r2 * np.sin(angle), 0]])


def stretched(r: float) -> np.ndarray:
    return np.array([[0, 0, 0], [0, 0, r]])


# The circuit.


@pytest.mark.parametrize(("model", "n"), [(vqlm.lih(13), 94), (vqlm.water(11), 80)])
def test_the_circuit_has_the_published_number_of_parameters(model, n):
    model.check()
    *circuit, slope, offset = model.parameters
    assert sum(np.size(p) for p in circuit) == n
    assert np.shape(slope) == np.shape(offset) == ()


def test_one_layer_without_coupling_is_three_rotations_of_one_spin():
    # Z -> cos b cos(theta) cos a - sin b sin a under RX(a), RY(theta), RX(b).
    model = randomised(vqlm.lih(1))
    p = model.parameters._replace(couplings=np.zeros(1))
    r, (low, high) = 1.7, model.ranges[0]
    a, b = p.scales[:, 0] * np.pi * (r - low) / (high - low)
    turned = np.cos(b) * np.cos(p.rotations[0, 0]) * np.cos(a) - np.sin(b) * np.sin(a)
    energy, _ = native(dataclasses.replace(model, parameters=p), stretched(r))
    assert energy == pytest.approx(p.slope * turned + p.offset, abs=1e-13)


# 1e-12 and 1e-10: some 1e3 operations at 1e-16 on energies and forces of order 1 and 10.
AGREEMENT = {"energy": 1e-12, "forces": 1e-10}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_the_native_kernel_agrees_with_jax(name, seed):
    model = randomised(MODELS[name], seed)
    x = positions(model, seed)
    (energy, forces), (expected, expected_forces) = native(model, x), by_jax(model, x)
    assert energy == pytest.approx(expected, abs=AGREEMENT["energy"])
    np.testing.assert_allclose(forces, expected_forces, atol=AGREEMENT["forces"], rtol=0)


@pytest.mark.parametrize("make", [vqlm.lih, vqlm.water])
def test_pennylane_agrees_with_the_native_kernel(make):
    model = randomised(make(2))
    x = positions(model, 4)
    (energy, forces), expected = native(model, x), vqlm_reference.energy_and_forces(model, x)
    assert energy == pytest.approx(expected[0], abs=AGREEMENT["energy"])
    np.testing.assert_allclose(forces, expected[1], atol=AGREEMENT["forces"], rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_forces_are_minus_the_slope_of_the_energy(name):
    # Error of the difference: h^2/6 E''' = 1e-8/6 times 1e3 at most, and 1e-15/h.
    model, h = randomised(MODELS[name]), 1e-4
    x = positions(model, 7)
    forces = native(model, x)[1]
    for index in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[index] = h
        slope = (native(model, x + shift)[0] - native(model, x - shift)[0]) / (2 * h)
        assert forces[index] == pytest.approx(-slope, abs=2e-6)


def test_a_batch_gives_what_each_frame_gives():
    model = randomised(vqlm.water())
    x = np.array([positions(model, seed) for seed in range(4)])

    expected = [native(model, frame)[0] for frame in x]
    energies = jax.jit(jax.vmap(lambda y: vqlm_jax.energy(model, y)))(jnp.asarray(x))
    np.testing.assert_allclose(energies, expected, atol=1e-12)


# The coordinates.


def test_coordinates_are_mapped_from_their_ranges_to_a_half_turn():
    model = vqlm.water(range_A=(0.7, 1.7), range_rad=(1.0, 3.0))
    angles = vqlm_jax.encoding_angles(model, jnp.asarray(bent(0.95, 1.2, 1.5)))
    np.testing.assert_allclose(angles, np.pi * np.array([0.25, 0.5, 0.25]), atol=1e-14)


@pytest.mark.parametrize("evaluated", [native, by_jax])
def test_the_energy_is_even_about_both_ends_of_the_range_and_periodic(evaluated):
    model = randomised(vqlm.lih(range_A=(1.0, 3.0)))
    for low, high in ((0.7, 1.3), (2.6, 3.4), (1.6, 5.6)):
        (e0, f0), (e1, f1) = (evaluated(model, stretched(r)) for r in (low, high))
        assert e0 == pytest.approx(e1, abs=1e-12)
        sign = 1 if high - low == pytest.approx(4.0) else -1
        np.testing.assert_allclose(f0, sign * f1, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_rotations_reflections_and_shifts_change_nothing(name):
    model = randomised(MODELS[name])
    x, turn = positions(model, 3), -Rotation.random(rng=0).as_matrix()
    (energy, forces), (other, turned) = native(model, x), native(model, x @ turn.T + [1, -2, 3])
    assert other == pytest.approx(energy, abs=1e-12)
    np.testing.assert_allclose(turned, forces @ turn.T, atol=1e-11)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.cross(x, forces).sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("evaluated", [native, by_jax])
@pytest.mark.parametrize("end", [0.0, np.pi])
def test_an_angle_next_to_straight_has_the_force_of_its_neighbours(evaluated, end):
    model = vqlm.water(seed=2, range_rad=(0.0, np.pi))
    limit, near = (evaluated(model, bent(0.9, 1.1, abs(end - d))) for d in (1e-3, 1e-9))
    assert near[0] == pytest.approx(limit[0], abs=1e-2)
    np.testing.assert_allclose(near[1], limit[1], atol=1e-2)  # slopes change by E'' 1e-3
    bending = abs(near[1][1:, 1]) * [0.9, 1.1]  # |dE/dtheta|, the same on both sides
    assert bending[0] == pytest.approx(bending[1], rel=1e-6) and bending[0] > 1e-3


@pytest.mark.parametrize("evaluated", [native, by_jax])
def test_a_straight_molecule_is_not_bent_to_any_side(evaluated):
    energy, forces = evaluated(vqlm.water(), np.array([[0.0, 0, 0], [0.9, 0, 0], [-1.1, 0, 0]]))
    assert np.isfinite(energy) and abs(forces[:, 0]).min() > 0
    np.testing.assert_array_equal(forces[:, 1:], 0)


# The native kernel.


@pytest.fixture(scope="module")
def repeat() -> Callable[..., float]:
    @numba.njit
    def loop(force, x, cell, forces, n):
        energy = 0.0
        for _ in range(n):
            energy = compute(force, x, cell, forces)
        return energy

    return loop


@pytest.mark.parametrize("name", NAMES)
def test_calls_allocate_nothing(name, repeat):
    kernel, x = vqlm_native.native_kernel(MODELS[name]), positions(MODELS[name], 0)
    arguments = (pointer(kernel), x, np.zeros((3, 3)), np.empty_like(x))
    repeat(*arguments, 1)
    counts = []
    was_enabled = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        for n in (1, 1000):
            before = rtsys.get_allocation_stats()
            repeat(*arguments, n)
            after = rtsys.get_allocation_stats()
            counts.append((after.alloc - before.alloc, after.mi_alloc - before.mi_alloc))
    finally:
        if not was_enabled:
            _nrt_python.memsys_disable_stats()
    assert counts[0] == counts[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_result_does_not_depend_on_what_the_scratch_held(name):
    kernel, x = vqlm_native.native_kernel(MODELS[name]), positions(MODELS[name], 0)
    spoilt = kernel.workspace.copy()
    spoilt[kernel.program[vqlm_native.ANGLES] :] = np.nan
    energy, forces = evaluate(kernel, x)
    again, same = evaluate(kernel._replace(workspace=spoilt), x)
    assert again == energy
    np.testing.assert_array_equal(same, forces)


@pytest.mark.parametrize("n_atoms", [1, 2, 4])
def test_another_number_of_atoms_gives_nan(n_atoms):
    force = pointer(vqlm_native.native_kernel(vqlm.water()))
    forces = np.zeros((n_atoms, 3))
    energy = compute(force, np.ones((n_atoms, 3)), np.zeros((3, 3)), forces)
    assert np.isnan(energy) and np.isnan(forces).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_positions_that_are_not_finite_give_an_energy_that_is_not(value):
    x = positions(vqlm.water(), 0)
    x[1, 2] = value
    assert np.isnan(native(vqlm.water(), x)[0])


def test_a_run_needs_neither_jax_nor_pennylane():
    code = "import sys, qmd.potentials.vqlm.native; print({'jax', 'pennylane'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# What is refused, and JSON.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coordinates": ((0, 1),) * 2, "ranges": ((0.5, 2.0),) * 2}, "3 to 8 qubits"),
        ({"n_layers": 0}, "1 to 200 layers"),
        ({"ranges": ((0.5, 2.0),) * 2}, "needs a range, but there are 3 and 2"),
        ({"coordinates": ((0, 1), (0, 2), (1, 1))}, r"different atoms, but is \(1, 1\)"),
        ({"coordinates": ((0, 1), (0, 2), (1,))}, r"2 or 3 different atoms, but is \(1,\)"),
        ({"coordinates": ((0, 1), (0, 2), (1, -1))}, "different atoms"),
        ({"ranges": ((2.0, 0.5),) * 3}, r"must rise from 0 or more, but is \(2.0, 0.5\)"),
        ({"ranges": ((0.5, np.inf),) * 3}, "must rise"),
        ({"ranges": ((0.5, 3.2),) * 3}, r"\(1, 0, 2\) must rise from 0 or more to pi or less"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(vqlm.water(), **change)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scales", np.zeros((11, 3))),
        ("rotations", np.zeros((11, 3), np.float32)),
        ("couplings", np.full(11, np.nan)),
        ("slope", np.zeros(1)),
    ],
)
def test_parameters_that_do_not_fit_are_refused(field, value):
    parameters = vqlm.water().parameters._replace(**{field: value})
    with pytest.raises(ValueError, match=f"Parameter '{field}' must be"):
        vqlm_native.native_kernel(dataclasses.replace(vqlm.water(), parameters=parameters))


@pytest.mark.parametrize("name", NAMES)
def test_json_gives_the_same_model_back(name):
    model = MODELS[name]
    data = json.loads(json.dumps(json_form.model_to_json(model)))
    assert json_form.model_from_json(data, model.parameters._asdict()) == model


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "vqlm2"),
        ("n_layers", 11.0),
        ("coordinates", [[0, 1], [0, 2], [1, True, 2]]),
        ("coordinates", [[0, 1], [0, 2], [1, 0, 2, 3]]),
        ("coordinates", [[0, 1], [0, 2], []]),
        ("ranges", [[0.7, "1.6"], [0.7, 1.6], [1.0, 3.0]]),
        ("ranges", [[0.7, 1.6, 2.0], [0.7, 1.6], [1.0, 3.0]]),
    ],
)
def test_json_of_another_type_is_refused(key, value):
    data = json_form.model_to_json(vqlm.water()) | {key: value}
    with pytest.raises((ValueError, TypeError)):
        json_form.model_from_json(data, vqlm.water().parameters._asdict())
