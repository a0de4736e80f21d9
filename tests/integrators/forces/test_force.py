"""Forces: native and Python ones give the same trajectory, and no exception is ever lost."""

import ctypes
import gc
import signal
import traceback
import weakref

import numba
import numpy as np
import pytest

from qmd.integrators import (
    FORCE_SIGNATURE,
    Force,
    LangevinBAOAB,
    Status,
    Stream,
    VelocityVerlet,
    evaluate,
    initial_state,
    python_force,
    raise_pending,
    unlimited,
)
from qmd.integrators.forces.force import call, pointer
from qmd.integrators.forces.python_force import _functions


def run(force: Force, n_steps: int = 10):
    start = initial_state(python_force(lambda x: (0.0, -x)), np.eye(2, 3), np.zeros((2, 3)))
    return VelocityVerlet(dt=0.1).advance(start, force, np.ones(2), Stream(0), unlimited(), n_steps)


def test_evaluate_gives_the_closed_form(harmonic):
    positions = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]])
    energy, forces = evaluate(harmonic, positions)  # U = k/2 x^2, k = 2
    assert energy == pytest.approx(np.sum(positions**2), rel=1e-15)
    np.testing.assert_array_equal(forces, -2.0 * positions)


def test_evaluate_takes_any_array_and_leaves_it_alone(harmonic):
    positions = np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3))
    positions.flags.writeable = False
    np.testing.assert_array_equal(evaluate(harmonic, positions)[1], -2 * positions)


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1, 2, 3)])
def test_positions_of_a_wrong_shape_are_refused(harmonic, shape):
    with pytest.raises(ValueError, match="must have shape"):
        evaluate(harmonic, np.zeros(shape))


def test_the_water_bed_is_the_gradient_of_its_energy(water):
    # Everything else that uses this bed rests on it. Central differences at h = 1e-5 angstrom
    # are good to 1e-8 eV/angstrom for forces of this size.
    x = water.positions + np.random.default_rng(1).normal(0, 0.05, (3, 3))
    forces = evaluate(water.force, x)[1]
    for i in range(9):
        h = np.zeros(9)
        h[i] = 1e-5
        up, down = (evaluate(water.force, x + s * h.reshape(3, 3))[0] for s in (1, -1))
        assert forces.flat[i] == pytest.approx((down - up) / 2e-5, abs=1e-7)


@pytest.mark.parametrize(
    "integrator", [VelocityVerlet(dt=0.05), LangevinBAOAB(dt=0.05, kT=0.03, friction=0.2)]
)
def test_a_python_force_gives_the_trajectory_of_the_native_one_to_the_last_bit(water, integrator):
    wrapped = python_force(lambda x: evaluate(water.force, x))
    start = initial_state(water.force, water.positions * 1.02, np.zeros((3, 3)))
    ends = [
        integrator.advance(start, f, 1 / water.masses, Stream(5), unlimited(), 200)
        for f in (water.force, wrapped)
    ]
    np.testing.assert_equal(ends[1], ends[0])
    assert ends[0].status == Status.OK


def test_a_jax_function_serves_as_a_force(harmonic):
    import jax
    import jax.numpy as jnp

    jitted = jax.jit(jax.value_and_grad(lambda x: jnp.sum(x**2)))

    def energy_and_forces(x):
        energy, gradient = jitted(x)
        return energy, -gradient

    energy, forces = evaluate(python_force(energy_and_forces), np.eye(2, 3))
    assert energy == 2.0
    np.testing.assert_array_equal(forces, evaluate(harmonic, np.eye(2, 3))[1])


def test_single_precision_and_integer_results_are_taken():
    force = python_force(lambda x: (np.int32(3), np.ones(x.shape, dtype=np.float32)))
    energy, forces = evaluate(force, np.zeros((2, 3)))
    assert energy == 3.0
    np.testing.assert_array_equal(forces, np.ones((2, 3)))


class Broken(Exception):
    pass


def test_an_exception_ends_the_loop_and_comes_back_with_its_traceback():
    calls = []

    def function(x):
        calls.append(x)
        if len(calls) == 4:
            raise Broken("in the fourth call")
        return 0.0, -x

    force = python_force(function)
    end = run(force)
    assert (end.status, end.state.step, len(calls)) == (Status.NOT_FINITE, 4, 4)
    assert np.isnan(end.state.energy) and np.isnan(end.state.forces).all()
    with pytest.raises(Broken, match="in the fourth call") as caught:
        raise_pending(force)
    assert "raise Broken" in "".join(traceback.format_tb(caught.tb))
    raise_pending(force)  # once raised, it is gone


def test_evaluate_raises_by_itself():
    with pytest.raises(ZeroDivisionError):
        evaluate(python_force(lambda x: (1 / 0, x)), np.zeros((1, 3)))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exception_that_is_no_error_is_not_lost_either(kind):
    def function(x):
        if kind is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        raise SystemExit(3)

    force = python_force(function)
    assert run(force).state.step == 1
    with pytest.raises(kind):
        raise_pending(force)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_just_before_the_callback_starts_is_not_lost():
    # The C function raises the signal in native code: Python sees it on entering the callback,
    # before any `try` there, and can only print it.
    raise_in_c = ctypes.CDLL(None)["raise"]
    raise_in_c.argtypes, raise_in_c.restype = [ctypes.c_int], ctypes.c_int
    inner, sigint = python_force(lambda x: (0.0, -x)), int(signal.SIGINT)
    address = pointer(inner).address

    @numba.cfunc(FORCE_SIGNATURE)
    def interrupted(positions, cell, forces_out, virial_out, program, workspace):
        raise_in_c(sigint)
        return call(address, positions, cell, forces_out, virial_out, program, workspace)

    end = run(inner._replace(function=interrupted))
    assert (end.status, end.state.step) == (Status.NOT_FINITE, 1)
    with pytest.raises(KeyboardInterrupt):
        raise_pending(inner)
    assert run(inner).status == Status.OK
    raise_pending(inner)


@pytest.mark.parametrize(
    "bad",
    [
        (0.0, np.zeros((3, 3))),
        (0.0, np.zeros(6)),
        (0.0, np.zeros((2, 3), dtype=complex)),
        (0.0, None),
        (np.zeros(1), np.zeros((2, 3))),
        (1j, np.zeros((2, 3))),
        ("low", np.zeros((2, 3))),
    ],
)
def test_a_result_of_a_wrong_shape_or_kind_is_refused(bad):
    force = python_force(lambda x: bad)
    assert run(force).status == Status.NOT_FINITE
    with pytest.raises(ValueError, match="must return real `(energy|forces)` of shape"):
        raise_pending(force)


def test_a_function_that_returns_nan_stops_the_run_but_raises_nothing():
    force = python_force(lambda x: (np.nan, -x))
    end = run(force)
    assert (end.status, end.state.step) == (Status.NOT_FINITE, 1)
    raise_pending(force)


def test_a_function_cannot_reach_the_state():
    kept = []

    def function(x):
        kept.append(x)
        x += 1.0

    force = python_force(function)
    run(force)
    with pytest.raises(ValueError, match="read-only"):
        raise_pending(force)

    kept.clear()
    run(python_force(lambda x: (kept.append(x), (0.0, -x))[1]), 3)
    assert len({x.tobytes() for x in kept}) == 3  # copies, not three views of one moving array


def test_two_python_forces_do_not_mix():
    one, two = (python_force(lambda x, e=e: (e, 0 * x)) for e in (1.0, 2.0))
    assert [evaluate(f, np.zeros((1, 3)))[0] for f in (two, one, two)] == [2.0, 1.0, 2.0]


def test_the_function_is_released_with_its_force():
    class Model:
        def __call__(self, x):
            return 0.0, -x

    model = Model()
    alive, force = weakref.ref(model), python_force(model)
    handle = int(force.program[0])
    run(force)
    copy = force._replace(workspace=force.workspace.copy())
    del model, force
    gc.collect()
    assert alive() is not None
    del copy
    gc.collect()
    assert alive() is None and handle not in _functions


def test_raise_pending_ignores_native_forces(harmonic):
    raise_pending(harmonic)
    raise_pending(harmonic._replace(program=np.zeros(2, dtype=np.int64)))


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "bad",
    [
        {"function": lambda *args: 0.0},
        {"function": numba.njit(lambda *args: 0.0)},
        {"function": numba.cfunc("float64(float64)")(lambda x: x)},
        {"program": np.zeros(2, dtype=np.int32)},
        {"program": np.zeros((2, 2), dtype=np.int64)},
        {"workspace": np.zeros(4)[::2]},
        {"workspace": read_only(np.zeros(2))},
    ],
    ids=["function", "njit", "signature", "int32", "matrix", "strided", "read-only"],
)
def test_a_force_that_would_crash_native_code_is_refused(harmonic, bad):
    with pytest.raises(TypeError, match="of a force must be a"):
        evaluate(harmonic._replace(**bad), np.zeros((1, 3)))
