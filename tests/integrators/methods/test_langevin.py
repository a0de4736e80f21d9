"""BAOAB: on a harmonic oscillator a step is a linear map, so its ensemble is known exactly."""

import math

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from qmd import units
from qmd.integrators import (
    LangevinBAOAB,
    State,
    Stream,
    VelocityVerlet,
    gaussian,
    initial_state,
    njit,
    unlimited,
)
from qmd.integrators.forces.force import pointer
from qmd.integrators.methods import langevin

baoab_step = njit()(langevin.baoab_step)  # as the loop runs it
MASS, KT = 1.7, 0.025
STIFFNESS = 2.0  # of the `harmonic` fixture
OMEGA = math.sqrt(STIFFNESS / MASS)


def one_step(harmonic, q: float, p: float, noise: float, dt: float, friction: float) -> np.ndarray:
    """A step of the oscillator, q in sqrt(kT/k) and p in sqrt(m kT): of order one in both."""
    q_unit, v_unit = math.sqrt(KT / STIFFNESS), math.sqrt(KT / MASS)
    x, v = np.full((1, 3), q * q_unit), np.full((1, 3), p * v_unit)
    inv_masses, r = np.full(1, 1 / MASS), np.full((1, 3), noise)
    f = -STIFFNESS * x
    baoab_step(State(x, v, f, 0.0, 0), r, inv_masses, dt, KT, friction, pointer(harmonic))
    np.testing.assert_array_equal(f, -STIFFNESS * x)
    return np.array([x[0, 0] / q_unit, v[0, 0] / v_unit])


@pytest.mark.parametrize("wh", [0.1, 0.35, 1.0, 1.9])
@pytest.mark.parametrize("damping", [0.01, 1.0])
def test_the_stationary_covariance_is_the_exact_one_of_baoab(harmonic, wh, damping):
    dt, friction = wh / OMEGA, damping * OMEGA
    a = np.array([one_step(harmonic, q, p, 0.0, dt, friction) for q, p in np.eye(2)]).T
    b = one_step(harmonic, 0.0, 0.0, 1.0, dt, friction)[:, None]
    covariance = solve_discrete_lyapunov(a, b @ b.T)
    # Errors of the solver are 5e-14 to 2e-13. For comparison at wh = 0.35: a noise amplitude 1 %
    # off gives 2e-2, an Euler O step 2e-3 or more, the splitting OBABO 3.2e-2 in q.
    assert abs(covariance[0, 0] - 1) <= 1e-10
    assert abs(covariance[1, 1] - (1 - wh**2 / 4)) <= 1e-10
    assert abs(covariance[0, 1]) <= 1e-10
    assert abs(np.linalg.det(a) - math.exp(-friction * dt)) <= 1e-12


def test_the_loop_makes_the_steps_that_the_exact_test_judges(harmonic):
    dt, friction = 0.3 / OMEGA, 0.5 * OMEGA
    start = initial_state(harmonic, np.full((1, 3), 0.1), np.full((1, 3), -0.2))
    method = LangevinBAOAB(dt=dt, kT=KT, friction=friction)
    end = method.advance(start, harmonic, [1 / MASS], Stream(4), unlimited(), 1).state
    x, v, f = (a.copy() for a in start[:3])
    noise = np.empty((1, 3))
    gaussian(noise, Stream(4), 0)
    own = State(x, v, f, 0.0, 0)
    baoab_step(own, noise, np.array([1 / MASS]), dt, KT, friction, pointer(harmonic))
    np.testing.assert_equal(list(end[:3]), [x, v, f])


def test_without_friction_baoab_is_velocity_verlet(water):
    start = initial_state(water.force, water.positions * 1.02, np.zeros((3, 3)))
    args = start, water.force, 1 / water.masses, Stream(1), unlimited(), 100
    dt = 0.5 * units.fs
    verlet = VelocityVerlet(dt).advance(*args).state
    langevin = LangevinBAOAB(dt=dt, kT=300 * units.kB, friction=0.0).advance(*args).state
    # Two half drifts round differently from a whole one.
    np.testing.assert_allclose(langevin.positions, verlet.positions, rtol=0, atol=1e-13)


def damped_oscillator(t: float, x0: float, v0: float, friction: float) -> float:
    frequency = math.sqrt(OMEGA**2 - friction**2 / 4)
    amplitude = (v0 + friction * x0 / 2) / frequency
    phase = frequency * t
    return math.exp(-friction * t / 2) * (x0 * math.cos(phase) + amplitude * math.sin(phase))


def test_at_zero_temperature_it_follows_the_damped_oscillator_to_second_order(harmonic):
    x0, v0, friction, time = 0.3, -0.2, 0.4 * OMEGA, 7.0 / OMEGA
    start = initial_state(harmonic, np.full((1, 3), x0), np.full((1, 3), v0))
    errors = []
    for n_steps in (100, 200, 400):
        method = LangevinBAOAB(dt=time / n_steps, kT=0.0, friction=friction)
        end = method.advance(start, harmonic, [1 / MASS], Stream(1), unlimited(), n_steps)
        errors.append(abs(end.state.positions[0, 0] - damped_oscillator(time, x0, v0, friction)))
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.2)


def water_run(water, stream: Stream, blocks: list[int], start: State | None = None) -> State:
    method = LangevinBAOAB(dt=0.5 * units.fs, kT=300 * units.kB, friction=1 / units.ps)
    state = start or initial_state(water.force, water.positions, np.zeros((3, 3)))
    for n_steps in blocks:
        state = method.advance(
            state, water.force, 1 / water.masses, stream, unlimited(), n_steps
        ).state
    return state


@pytest.mark.parametrize(
    "blocks", [[1] * 2_000, [7] * 285 + [5], [1_000] * 2], ids=["1", "7", "1000"]
)
def test_chunking_does_not_change_a_bit(water, blocks):
    stream = Stream(seed=7, replica=3)
    np.testing.assert_equal(water_run(water, stream, blocks), water_run(water, stream, [2_000]))


def test_a_restart_at_a_step_sees_the_noise_of_that_step(water):
    # The step counter is part of the state: the same state at another step goes another way.
    half = water_run(water, Stream(7), [1_000])
    moved = water_run(water, Stream(7), [1_000], half._replace(step=0))
    assert not np.array_equal(moved.positions, water_run(water, Stream(7), [1_000], half).positions)


def test_replicas_and_seeds_are_different_trajectories_that_can_be_repeated(water):
    streams = [Stream(1), Stream(1, 1), Stream(2), Stream(1)]
    ends = [water_run(water, s, [50]).positions.tobytes() for s in streams]
    assert ends[0] == ends[3] and len(set(ends)) == 3


def test_a_baoab_run_samples_the_boltzmann_distribution(harmonic):
    # In a harmonic well <x^2> = kT/k exactly, at any stable time step.
    n, dt = 4_000, 0.3
    method = LangevinBAOAB(dt=dt, kT=KT, friction=1.0)
    start = initial_state(harmonic, np.zeros((n, 3)), np.zeros((n, 3)))
    end = method.advance(start, harmonic, np.ones(n), Stream(0), unlimited(), int(40 / dt)).state
    # 12 000 independent samples of x^2: the mean is known to sqrt(2/12000) = 1.3 %.
    assert np.mean(end.positions**2) == pytest.approx(KT / STIFFNESS, rel=5 * 0.013)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["dt", "kT", "friction"])
def test_parameters_that_make_no_sense_are_refused(name, bad):
    with pytest.raises(ValueError, match=f"`{name}` must be .* but {name}="):
        LangevinBAOAB(**({"dt": 0.1, "kT": 0.02, "friction": 0.1} | {name: bad}))


def test_a_stream_is_checked(harmonic):
    start = initial_state(harmonic, np.zeros((1, 3)), np.zeros((1, 3)))
    method = LangevinBAOAB(dt=0.1, kT=KT, friction=0.1)
    with pytest.raises(ValueError, match="`seed` must lie in"):
        method.advance(start, harmonic, [1.0], Stream(-1), unlimited(), 1)
