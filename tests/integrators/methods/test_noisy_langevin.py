"""BAOAB on noisy forces: on a harmonic oscillator a step is linear, so its ensemble is known."""

import math

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from qmd import units
from qmd.integrators import (
    FORCE_SIGNATURE,
    SHOTS,
    Force,
    LangevinBAOAB,
    NoisyLangevinBAOAB,
    State,
    Status,
    Stream,
    cfunc,
    gaussian,
    initial_state,
    njit,
    unlimited,
    with_noise,
)
from qmd.integrators.methods import noisy_langevin

bath_root = njit()(noisy_langevin.bath_root)  # as the loop runs them
lower_root = njit()(noisy_langevin.lower_root)
MASS, KT = 1.7, 0.025
STIFFNESS = 2.0  # of the `harmonic` fixture
OMEGA = math.sqrt(STIFFNESS / MASS)


@cfunc(FORCE_SIGNATURE)
def _constant(positions, cell, covariance, virial_out, program, workspace):
    n = covariance.shape[0]
    for i in range(n):
        for j in range(n):
            covariance[i, j] = workspace[i * n + j]
    return 0.0


@cfunc(FORCE_SIGNATURE)
def _growing(positions, cell, covariance, virial_out, program, workspace):
    covariance[:, :] = 0.0
    for i in range(positions.shape[0]):
        for k in range(3):
            covariance[3 * i + k, 3 * i + k] = workspace[0] * positions[i, k] ** 2
    return 0.0


def constant(covariance: np.ndarray) -> Force:
    return Force(_constant, np.zeros(1, np.int64), np.array(covariance, float).ravel())


def method(covariance: Force, **changes: object) -> NoisyLangevinBAOAB:
    parameters = {"dt": 0.3, "kT": KT, "friction": 0.4, "covariance": covariance}
    return NoisyLangevinBAOAB(**(parameters | changes))


def strength(share: float, dt: float, friction: float) -> float:
    """C of a component of mass `MASS` with ``((1 + c)/2)^2 dt^2 C/m = share (1 - c^2) kT``."""
    c = math.exp(-friction * dt)
    return share * 4 * (1 - c) / (1 + c) * KT * MASS / dt**2


@pytest.mark.parametrize("wh", [0.1, 0.35, 1.0])
@pytest.mark.parametrize("damping", [0.01, 1.0, 5.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_the_stationary_variance_of_the_positions_is_the_one_in_the_docstring(wh, damping, share):
    # A step on (x, v, eta), in units of sqrt(kT/k) and sqrt(kT/m): B A O A B, written out with the
    # B of the integrator; eta of the end of a step is that of the next one's first half kick.
    dt, friction = wh / OMEGA, damping * OMEGA
    c2 = strength(share, dt, friction)
    root = np.zeros((3, 3))
    assert bath_root(root, c2 * np.eye(3), np.full(1, 1 / MASS), dt, KT, friction)
    kick = np.array([[1, 0, 0], [-wh / 2, 1, 1], [0, 0, 1]], float)  # eta: velocity of a half kick
    drift = np.array([[1, wh / 2, 0], [0, 1, 0], [0, 0, 1]], float)
    ou = np.diag([1, math.exp(-friction * dt), 1])
    renew = np.diag([1.0, 1.0, 0.0])
    after = kick @ renew @ drift
    a = after @ ou @ drift @ kick
    eta = dt / 2 * math.sqrt(c2 / MASS / KT)
    b = np.stack([after @ [0, root[0, 0] / math.sqrt(KT), 0], kick @ [0, 0, eta]], axis=1)
    covariance = solve_discrete_lyapunov(a, b @ b.T)
    t = wh**2 / 4
    # Rounding of the solver; without the factor ((1 + c)/2)^2 it would be 0.1 off at damping 1.
    assert covariance[0, 0] == pytest.approx(1 + share * t / (1 - t), abs=1e-9)


def test_a_step_is_that_of_the_docstring(harmonic):
    # The stationary law above is of the written-out step; here the loop is held to it.
    rng = np.random.default_rng(1)
    half = rng.normal(size=(6, 6))
    c = 1e-3 * half @ half.T
    noisy, stream = method(constant(c)), Stream(5, 2)
    masses = np.array([1.7, 0.6])
    start = with_noise(
        initial_state(harmonic, rng.normal(size=(2, 3)), rng.normal(size=(2, 3))),
        noisy.covariance, stream,
    )  # fmt: skip
    end = noisy.advance(start, harmonic, 1 / masses, stream, unlimited(), 1).state
    m, decay = np.repeat(masses, 3), math.exp(-noisy.friction * noisy.dt)
    b = (1 - decay**2) * KT * np.eye(6) - ((1 + decay) / 2 * noisy.dt) ** 2 * c / np.sqrt(
        np.outer(m, m)
    )
    bath, shots = np.empty((2, 3)), np.empty((2, 3))
    gaussian(bath, stream, 0)
    gaussian(shots, stream, 1, SHOTS)
    x, v, f = (a.ravel() for a in start[:3])
    v = v + noisy.dt / 2 * f / m
    x = x + noisy.dt / 2 * v
    v = decay * v + np.linalg.cholesky(b) @ bath.ravel() / np.sqrt(m)
    x = x + noisy.dt / 2 * v
    f = -STIFFNESS * x + np.linalg.cholesky(c) @ shots.ravel()
    v = v + noisy.dt / 2 * f / m
    # Rounding, of numbers of order one.
    for found, expected in zip(end[:3], (x, v, f), strict=True):
        np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=1e-13)
    assert end.energy == pytest.approx(STIFFNESS / 2 * (x @ x), rel=1e-13)  # exact


def test_the_first_forces_hold_the_noise_of_step_0():
    n, c = 400, np.array([[2.0, 1.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 3.0]])  # rank 2
    start = State(np.zeros((1, 3)), np.zeros((1, 3)), np.ones((1, 3)), 0.0, 0)
    drawn = np.array(
        [with_noise(start, constant(c), Stream(seed)).forces[0] - 1 for seed in range(n)]
    )
    # The empirical covariance has standard errors of sqrt((C_ii C_jj + C_ij^2)/n); 5 of them.
    error = np.sqrt((np.outer(np.diag(c), np.diag(c)) + c**2) / n)
    assert (np.abs(drawn.T @ drawn / n - c) <= 5 * error).all()
    np.testing.assert_allclose(drawn[:, 0], 2 * drawn[:, 1], rtol=0, atol=1e-6)  # as C says


def test_a_root_squares_to_its_matrix_and_none_is_found_of_an_indefinite_one():
    rng = np.random.default_rng(0)
    half = rng.normal(size=(9, 6))  # as of water: six of nine directions
    matrix, root = half @ half.T, half @ half.T
    assert lower_root(root, matrix.max())
    np.testing.assert_allclose(np.tril(root) @ np.tril(root).T, matrix, rtol=0, atol=1e-5)
    assert not lower_root(matrix - 0.1 * np.eye(9), matrix.max())


def test_without_noise_it_is_baoab(water):
    start = initial_state(water.force, water.positions * 1.02, np.zeros((3, 3)))
    args = start, water.force, 1 / water.masses, Stream(1), unlimited(), 100
    p = {"dt": 0.5 * units.fs, "kT": 300 * units.kB, "friction": 1 / units.ps}
    noisy = NoisyLangevinBAOAB(**p, covariance=constant(np.zeros((9, 9)))).advance(*args).state
    plain = LangevinBAOAB(**p).advance(*args).state
    # The square root of a product against a product of square roots, over 100 steps.
    np.testing.assert_allclose(noisy.positions, plain.positions, rtol=0, atol=1e-12)


@pytest.mark.parametrize("compensate", [True, False])
def test_the_temperature_is_right_with_compensation_and_too_high_by_the_noise_without(
    harmonic, compensate
):
    # The noise has 0.8 of the bath's power. Of 12 oscillators with omega 1.4 and friction 0.5, x^2
    # at intervals of 5 correlates by exp(-2.5) or less: 4000 samples of each are worth 40 000,
    # and their mean is known to sqrt(2/40000) = 0.7 %.
    dt, friction, share = 0.1, 0.5, 0.8
    c = strength(share, dt, friction) / MASS * np.eye(12)
    noisy = method(constant(c), dt=dt, friction=friction, compensate=compensate)
    state, squares = initial_state(harmonic, np.zeros((4, 3)), np.zeros((4, 3))), []
    for _ in range(4_010):
        state = noisy.advance(state, harmonic, np.ones(4), Stream(3), unlimited(), 50).state
        squares.append(np.mean(state.positions**2))
    t = STIFFNESS * dt**2 / 4
    expected = 1 + share * t / (1 - t) if compensate else 1 + share / (1 - t)
    assert np.mean(squares[10:]) * STIFFNESS / KT == pytest.approx(expected, rel=5 * 0.007)


@pytest.mark.parametrize("blocks", [[1] * 100, [7] * 14 + [2]], ids=["1", "7"])
def test_chunking_does_not_change_a_bit(harmonic, blocks):
    growing = Force(_growing, np.zeros(1, np.int64), np.array([0.1]))
    noisy, stream = method(growing), Stream(7, 3)
    start = initial_state(harmonic, 0.1 * np.eye(3), np.zeros((3, 3)))
    args = harmonic, np.ones(3), stream, unlimited()
    whole = noisy.advance(start, *args, 100)
    state = start
    for n in blocks:
        state = noisy.advance(state, *args, n).state
    assert whole.status == Status.OK
    np.testing.assert_equal(state, whole.state)


def test_a_run_stops_where_the_noise_exceeds_the_bath(harmonic):
    # One atom falls back from 1 angstrom: the noise grows as x^2, and is too much beyond 0.5.
    dt, friction = 0.05, 0.4
    limit = strength(1.0, dt, friction) / MASS  # of a mass of 1
    growing = Force(_growing, np.zeros(1, np.int64), np.array([limit / 0.25]))
    noisy = method(growing, dt=dt, friction=friction)
    for x, share in ((0.1, 0.04), (0.5, 1.0), (1.0, 4.0)):
        assert noisy.share([[x, 0, 0]], [1.0]) == pytest.approx(share)
    start = initial_state(harmonic, np.zeros((1, 3)), np.array([[2.0, 0.0, 0.0]]))
    stopped = noisy.advance(start, harmonic, [1.0], Stream(1), unlimited(), 1_000)
    assert stopped.status == Status.NOISE
    assert abs(stopped.state.positions[0, 0]) > 0.5
    before = noisy.advance(
        start, harmonic, [1.0], Stream(1), unlimited(), stopped.state.step - 1
    )  # fmt: skip
    assert before.status == Status.OK and abs(before.state.positions[0, 0]) <= 0.5
    # From where it stopped no step is made; without compensation nothing stops it.
    again = noisy.advance(stopped.state, harmonic, [1.0], Stream(1), unlimited(), 5)
    assert again.status == Status.NOISE and again.state.step == stopped.state.step
    free = method(growing, dt=dt, friction=friction, compensate=False)
    assert free.advance(start, harmonic, [1.0], Stream(1), unlimited(), 100).status == Status.OK


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["dt", "kT", "friction"])
def test_parameters_that_make_no_sense_are_refused(name, bad):
    with pytest.raises(ValueError, match=f"`{name}` must be positive and finite, but {name}="):
        method(constant(np.eye(3)), **{name: bad})
