"""Nose-Hoover chains: the equations by another solver, the conserved energy, the way back."""

import numpy as np
import pytest
from beds import Bed
from scipy.integrate import solve_ivp

from qmd import units
from qmd.integrators import (
    Batch,
    NoseHooverChain,
    Ramp,
    State,
    Stream,
    evaluate,
    initial_state,
    kinetic_energies,
    unlimited,
)

KT, TAU = 300 * units.kB, 20 * units.fs
DRIFT = np.array([0.003, -0.002, 0.001])


def chain(dt_fs: float, length: int = 3, kT: float | Ramp = KT) -> NoseHooverChain:
    return NoseHooverChain(dt_fs * units.fs, kT, TAU, length)


def start(method: NoseHooverChain, water: Bed) -> State:
    """Stretched water that drifts, and turns: the fraction of 300 K that is missing is large."""
    x = 1.04 * water.positions
    v = np.cross(x, [0.02, 0.01, 0.03])
    v += DRIFT - water.masses @ v / water.masses.sum()
    return method.start(initial_state(water.force, x, v), Stream(0))


def advanced(method: NoseHooverChain, water: Bed, state: State, n_steps: int) -> State:
    return method.advance(
        state, water.force, 1 / water.masses, Stream(0), unlimited(), n_steps
    ).state


def conserved(method: NoseHooverChain, water: Bed, state: State) -> float:
    batch = Batch.of_one(state, 0)
    return float(
        method.conserved_energies(batch, kinetic_energies(batch.velocities, water.masses))[0]
    )


def by_scipy(water: Bed, begin: State, length: int, time: float) -> np.ndarray:
    """Positions after `time`, by a Runge-Kutta method on the equations of the docstring."""
    m, dof, kT = water.masses[:, None], 6, KT
    q = np.array([dof, *[1.0] * (length - 1)]) * kT * TAU**2

    def slope(_: float, y: np.ndarray) -> np.ndarray:
        x, v, u = y[:9].reshape(3, 3), y[9:18].reshape(3, 3), y[18:]
        centre = (m * v).sum(axis=0) / m.sum()
        push = np.empty(length)
        push[0] = ((m * (v - centre) ** 2).sum() - dof * kT) / q[0]
        push[1:] = (q[:-1] * u[:-1] ** 2 - kT) / q[1:]
        push[:-1] -= u[1:] * u[:-1]
        dv = evaluate(water.force, x)[1] / m - u[0] * (v - centre)
        return np.concatenate([v.ravel(), dv.ravel(), push])

    y = np.concatenate([begin.positions.ravel(), begin.velocities.ravel(), np.zeros(length)])
    found = solve_ivp(slope, (0, time), y, method="DOP853", rtol=1e-11, atol=1e-12)
    return found.y[:9, -1].reshape(3, 3)


@pytest.mark.parametrize("length", [1, 3])
def test_it_solves_the_equations_to_second_order(water: Bed, length: int) -> None:
    errors = []
    for dt_fs, n in ((0.2, 100), (0.1, 200), (0.05, 400)):
        method = chain(dt_fs, length)
        begin = start(method, water)
        wanted = by_scipy(water, begin, length, 20 * units.fs)
        errors.append(np.abs(advanced(method, water, begin, n).positions - wanted).max())
    # 4 up to the next order, of relative size (w dt)^2 = 0.02 at most; the solver has 1e-9.
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.05)
    assert 1e-6 < errors[2] < 1e-3


@pytest.mark.parametrize("kT", [KT, Ramp(KT, 3 * KT, 1_000)])
def test_the_conserved_energy_is_kept_to_second_order(water: Bed, kT: float | Ramp) -> None:
    errors = []
    for dt_fs, n in ((0.1, 1_000), (0.05, 2_000)):
        target = kT._replace(steps=n) if isinstance(kT, Ramp) else kT
        method = chain(dt_fs, kT=target)
        begin = start(method, water)
        end = advanced(method, water, begin, n)
        errors.append(conserved(method, water, end) - conserved(method, water, begin))
        assert abs(end.energy - begin.energy) > 0.02  # the bath has been at work
    assert abs(errors[1]) < 2e-4
    # Second order; a ramp in n steps is that of n/2 up to the first order, of its work.
    assert abs(errors[0]) > 1.8 * abs(errors[1])
    if not isinstance(kT, Ramp):
        assert errors[0] / errors[1] == pytest.approx(4, abs=0.2)


def test_it_runs_back_to_its_start(water: Bed) -> None:
    method = chain(0.25)
    begin = start(method, water)
    there = advanced(method, water, begin, 400)
    turned = there._replace(
        velocities=-there.velocities, bath=there.bath * [1, 1, 1, 1, -1, -1, -1]
    )
    back = advanced(method, water, turned, 400)
    # Rounding only, which grows for 0.1 ps.
    np.testing.assert_allclose(back.positions, begin.positions, rtol=0, atol=1e-9)


def test_the_drift_is_left_alone(water: Bed) -> None:
    method = chain(0.25)
    end = advanced(method, water, start(method, water), 400)
    centre = water.masses @ end.velocities / water.masses.sum()
    np.testing.assert_allclose(centre, DRIFT, rtol=0, atol=1e-13)


def test_chunks_do_not_change_a_bit(water: Bed) -> None:
    method = chain(0.25)
    whole, state = advanced(method, water, start(method, water), 100), start(method, water)
    while state.step < 100:
        state = advanced(method, water, state, min(7, 100 - state.step))
    np.testing.assert_equal(state, whole)


@pytest.mark.parametrize("changed", [{"dt": 0.0}, {"relaxation": -1.0}, {"kT": 0.0}, {"length": 0}])
def test_parameters_that_make_no_sense_are_refused(changed: dict[str, float]) -> None:
    (name,) = changed
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        NoseHooverChain(**({"dt": 0.1, "kT": KT, "relaxation": 1.0} | changed))
