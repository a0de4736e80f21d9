"""The native engine of training against JAX, on every kind of model that it serves."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from qmd.io.structure import BUILT_IN
from qmd.potentials import (
    ManyBody,
    OnAtoms,
    ParameterGradient,
    Parameters,
    Quantum,
    Sum,
    jax_model,
    sivqlm,
    vqlm,
    water_pair,
)
from qmd.train import problem as training
from qmd.train.config import TrainConfig
from qmd.train.jax_engine import JaxEngine
from qmd.train.native_engine import NativeEngine
from qmd.train.optimisers import first_order
from qmd.train.stages import engine as engine_of


def random(architecture, *, per_layer: bool = False, seed: int = 1) -> Quantum:
    rng, circuit = np.random.default_rng(seed), architecture.circuit
    n_scales = 1 + circuit.n_layers if per_layer else 1
    parameters = Parameters(
        scales=0.3 * rng.standard_normal((n_scales, architecture.features.n_scales)) + 0.3,
        couplings=0.5 * rng.standard_normal((circuit.n_layers, circuit.n_couplings)),
        weights=rng.standard_normal(len(circuit.observables)),
        offset=np.asarray(0.3),
    )
    return Quantum(architecture, parameters)


WATER = random(sivqlm.water(3))
PAIR = water_pair.interaction(1, n_layers=2, n_radial=4)
MODELS = {
    "lih": random(sivqlm.lih(3)),
    "water": WATER,
    "water-per-layer": random(sivqlm.water(3), per_layer=True),
    "water-sb": random(sivqlm.water(2, symmetry_breaking=True)),
    "dimer": random(sivqlm.water_dimer(2)),
    "dimer-sb-per-layer": random(sivqlm.water_dimer(2, symmetry_breaking=True), per_layer=True),
    "densities": random(water_pair.architecture(2, 4), per_layer=True),
    "switched": PAIR,
    "many-body": ManyBody(WATER, PAIR),
    "sum": Sum((random(water_pair.architecture(1, 3), per_layer=True), OnAtoms(WATER, (3, 5, 4)))),
    "generic": vqlm.water(2, seed=1),
}


def positions(n_atoms: int, n: int = 5) -> np.ndarray:
    """Distorted waters; under the switch of `PAIR` one is in its slope, one beyond."""
    x = np.array(BUILT_IN["h2o-dimer"][1])
    frames = x + 0.1 * np.random.default_rng(2).standard_normal((n, 6, 3))
    frames[-2, 3:] += [4.8, 0, 0]
    frames[-1, 3:] += [9.0, 0, 0]
    return frames[:, :n_atoms]


@pytest.fixture(params=[
    pytest.param(name, marks=pytest.mark.slow if name == "many-body" else ()) for name in MODELS
])  # fmt: skip
def model(request):
    return MODELS[request.param]


def test_derivatives_by_all_parameters_agree_with_jax(model):
    x = positions(model.n_atoms)

    def row(y):
        return ravel_pytree(jax.grad(jax_model.energy)(model, y))[0]

    expected = np.asarray(jax.jit(jax.vmap(row))(x))
    assert np.abs(expected).max() > 0.1
    gradient = ParameterGradient(model)
    # Rounding of some hundred gates and of vectors of some angstrom.
    np.testing.assert_allclose(gradient.rows(x), expected, atol=1e-11)
    factors = np.array([1.0, -2.0, 0.5, 3.0, 4.0])
    np.testing.assert_allclose(gradient.sum(x, factors), factors @ expected, atol=1e-10)


def frames_of(model) -> training.Frames:
    rng, x = np.random.default_rng(3), positions(model.n_atoms)
    return training.Frames(x, rng.standard_normal(len(x)), rng.standard_normal(x.shape))


@pytest.mark.parametrize(
    ("name", "forces"), [("water", True), ("water", False), ("switched", True)]
)
def test_residuals_agree_with_jax_and_have_these_derivatives(name, forces):
    model = MODELS[name]
    loss = training.Loss(energy_weight=2.0, forces=forces, high_energy=1.0)
    frames, theta = frames_of(model), np.asarray(ravel_pytree(model)[0])
    by_jax, native = (
        training.Problem(model, frames, loss, engine, threads=2)
        for engine in (JaxEngine, NativeEngine)
    )
    residuals, rows = native.linearise(theta)
    np.testing.assert_allclose(residuals, by_jax.residuals(theta), atol=1e-10)
    np.testing.assert_allclose(residuals, native.residuals(theta), atol=1e-13)
    direction, h = np.random.default_rng(4).standard_normal(theta.size), 1e-5
    ahead, behind = (native.residuals(theta + s * h * direction) for s in (1, -1))
    expected = (ahead - behind) / (2 * h)
    # Differences in theta, h^2/6 = 2e-11, and along directions, 7e-9, times third derivatives.
    assert np.abs(rows @ direction - expected).max() < 2e-6 * np.abs(expected).max()
    cost, gradient, hessian = native.normal(theta)
    assert cost == pytest.approx(0.5 * residuals @ residuals, rel=1e-12)
    np.testing.assert_allclose(gradient, rows.T @ residuals, atol=1e-9)
    np.testing.assert_allclose(hessian, rows.T @ rows, atol=1e-9)
    value, slope = native.loss_and_slope(theta, native.frames)  # without the ridge
    ridge = training.RIDGE**2 * theta
    assert value == pytest.approx(cost - 0.5 * ridge @ theta, rel=1e-10)
    assert np.abs(slope + ridge - gradient).max() < 2e-6 * np.abs(gradient).max()


def test_adam_walks_the_same_way_on_both_engines():
    frames, theta = frames_of(WATER), np.asarray(ravel_pytree(WATER)[0])
    ends = []
    for engine in (JaxEngine, NativeEngine):
        log: list[training.OptimiserProgress] = []
        first_order.adam(
            training.Problem(WATER, frames, training.Loss(), engine),
            training.OptimiserProgress(0, np.inf, theta), log.append, steps=20, batch=2,
            learning_rate=0.01, final_fraction=0.0, weight_decay=0.0, ema=0.0, report_every=10,
            seed=1,
        )  # fmt: skip
        ends.append(log[-1])
    assert np.abs(ends[0].theta - theta).max() > 0.05
    # Adam divides by the size of a slope: where that is small, its error of 1e-6 counts.
    np.testing.assert_allclose(ends[1].theta, ends[0].theta, atol=1e-3)
    assert ends[1].loss == pytest.approx(ends[0].loss, rel=1e-3)


def test_a_step_too_far_is_worse_than_any():
    frames, theta = frames_of(WATER), np.asarray(ravel_pytree(WATER)[0])
    problem = training.Problem(WATER, frames, training.Loss(), NativeEngine)
    for size in (1e13, np.inf, np.nan):
        assert not problem.cost(theta + size) < np.inf
    far = theta.copy()
    far[1:] *= 1e6  # angles of a million turns are still a model
    assert problem.cost(far) < np.inf


def test_the_engine_is_the_native_one_where_it_serves():
    def chosen(model, *stages: dict, **settings):
        document = {
            "name": "a", "dataset": "b", "model": {"kind": "sivqlm-h2o"}, "stages": list(stages)
        }  # fmt: skip
        return engine_of(TrainConfig.model_validate(document | settings), model)

    squares, quasi_newton = {"kind": "least_squares"}, {"kind": "lbfgs"}
    assert chosen(WATER, squares) is NativeEngine
    assert chosen(WATER, squares, quasi_newton) is JaxEngine
    assert chosen(MODELS["generic"], squares) is JaxEngine
    assert chosen(WATER, squares, backend="jax") is JaxEngine
    with pytest.raises(ValueError, match="needs backend: jax"):
        chosen(WATER, quasi_newton, backend="native")
