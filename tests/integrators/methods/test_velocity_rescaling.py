"""Stochastic velocity rescaling: its law of the kinetic energy, its conserved energy, its noise."""

import math

import numpy as np
import pytest
from beds import Bed
from philox import normal_and_squares, normals
from scipy import stats

from qmd import units
from qmd.integrators import (
    VELOCITIES,
    Batch,
    Force,
    NativeReplicas,
    State,
    Stream,
    VelocityRescaling,
    gaussian,
    initial_state,
    kinetic_energies,
    kinetic_energy,
    unlimited,
)

KT = 0.03


def free(harmonic: Force) -> Force:
    return harmonic._replace(workspace=np.zeros(1))


def moving(force: Force, n_atoms: int, seed: int = 1) -> State:
    velocities = np.empty((n_atoms, 3))
    gaussian(velocities, Stream(seed), 0, VELOCITIES)
    return initial_state(force, np.zeros((n_atoms, 3)), 0.3 * velocities)


def start_of(method: VelocityRescaling, state: State) -> State:
    return method.start(state, Stream(0))


@pytest.mark.parametrize("dof", [1, 2, 5])
def test_a_step_scales_by_the_factor_of_the_paper(harmonic: Force, dof: int) -> None:
    mass, decay, stream = 1.7, math.exp(-0.2), Stream(seed=2**40 + 9, replica=3)
    start = initial_state(free(harmonic), np.zeros((1, 3)), np.array([[0.1, -0.2, 0.15]]))
    method = VelocityRescaling(0.2, KT, 1.0, dof, about_centre=False)
    begin = start_of(method, start)._replace(step=11)
    end = method.advance(begin, free(harmonic), [1 / mass], stream, unlimited(), 1).state
    r, squares = normal_and_squares(stream.seed, 3, step=11, purpose=0, n=dof - 1)
    kinetic = mass * (start.velocities**2).sum() / 2
    # Eq. A7 of the paper, with the mean dof kT/2 of K in it.
    wanted = kinetic + (1 - decay) * (KT / 2 * (squares + r**2) - kinetic)
    wanted += 2 * r * math.sqrt(kinetic * KT / 2 * (1 - decay) * decay)
    found = mass * (end.velocities**2).sum() / 2
    assert found == pytest.approx(wanted, rel=1e-13)
    assert end.bath[0] == pytest.approx(kinetic - wanted, rel=1e-12)
    factor = end.velocities[0, 0] / start.velocities[0, 0]
    np.testing.assert_allclose(end.velocities, factor * start.velocities, rtol=1e-13)


def test_one_degree_of_freedom_is_an_ornstein_uhlenbeck_process(harmonic: Force) -> None:
    # There the factor with its sign is that of Langevin's O step, of the same normal numbers.
    mass, dt, steps = 1.7, 0.2, 50
    v = np.array([[0.1, 0.0, 0.0]])
    method = VelocityRescaling(dt, KT, 0.7, dof=1, about_centre=False)
    state = start_of(method, initial_state(free(harmonic), np.zeros((1, 3)), v))
    decay, now = math.exp(-dt / 0.7), 0.1
    turns = 0
    for step in range(steps):
        r = normals(4, 0, step, purpose=0, shape=(1,))[0]
        new = (
            math.sqrt(decay) * now + math.copysign(1, now) * math.sqrt((1 - decay) * KT / mass) * r
        )
        turns, now = turns + (new * now < 0), new
        state = method.advance(
            state, free(harmonic), [1 / mass], Stream(4), unlimited(), 1
        ).state  # fmt: skip
        assert state.velocities[0, 0] == pytest.approx(now, rel=1e-9)  # after an even turn, too
    assert turns > 3


@pytest.mark.parametrize(("n_atoms", "dof"), [(1, 3), (4, 9)])
def test_the_kinetic_energy_becomes_that_of_the_canonical_ensemble(
    harmonic: Force, n_atoms: int, dof: int
) -> None:
    # Nothing but the thermostat changes K: after ten relaxation times it has forgotten its start.
    method = VelocityRescaling(0.1, KT, 1.0, dof, about_centre=n_atoms > 1)
    state = start_of(method, moving(free(harmonic), n_atoms))
    batch, masses = Batch.of([state] * 2_000, range(2_000)), np.linspace(1, 3, n_atoms)
    loop = NativeReplicas(method, free(harmonic), 1 / masses, 7, unlimited(), 1)
    v = loop.advance(batch, 100).batch.velocities
    if n_atoms > 1:
        centre = np.einsum("a,rax->rx", masses, v) / masses.sum()
        before = masses @ state.velocities / masses.sum()
        # The drift stays as it was, up to rounding.
        np.testing.assert_allclose(centre, np.broadcast_to(before, centre.shape), atol=1e-13)
        v = v - before
    kinetic = kinetic_energies(v, masses)
    assert stats.kstest(kinetic, stats.gamma(dof / 2, scale=KT).cdf).pvalue > 1e-3
    for wrong in (dof - 1, dof + 1):
        assert stats.kstest(kinetic, stats.gamma(wrong / 2, scale=KT).cdf).pvalue < 1e-9


def test_the_conserved_energy_is_kept_to_second_order(water: Bed) -> None:
    errors = []
    for dt_fs in (0.5, 0.25):
        method = VelocityRescaling(dt_fs * units.fs, 300 * units.kB, 10 * units.fs)
        begin = initial_state(water.force, 1.02 * water.positions, np.zeros((3, 3)))
        batch = Batch.of([start_of(method, begin)] * 400, range(400))
        loop = NativeReplicas(method, water.force, 1 / water.masses, 3, unlimited(), 1)
        end = loop.advance(batch, round(100 / dt_fs)).batch
        kinetic = kinetic_energies(end.velocities, water.masses)
        change = method.conserved_energies(end, kinetic) - begin.energy
        exchanged = end.energies + kinetic - begin.energy
        assert np.std(exchanged) > 0.05
        errors.append(np.sqrt(np.mean(change**2)))
    # 400 independent errors a time step: the ratio of their roots is known to 5 %.
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] < 1e-3


def test_chunks_do_not_change_a_bit(water: Bed) -> None:
    method = VelocityRescaling(0.5 * units.fs, 300 * units.kB, 50 * units.fs)
    start = start_of(method, initial_state(water.force, 1.02 * water.positions, np.eye(3) / 100))
    args = water.force, 1 / water.masses, Stream(5), unlimited()
    whole, state = method.advance(start, *args, 200).state, start
    while state.step < 200:
        state = method.advance(state, *args, min(7, 200 - state.step)).state
    np.testing.assert_equal(state, whole)


def test_what_does_not_move_stays_at_rest_and_takes_no_heat(harmonic: Force) -> None:
    method = VelocityRescaling(0.1, KT, 1.0)
    start = start_of(method, initial_state(free(harmonic), np.eye(3), np.zeros((3, 3))))
    end = method.advance(start, free(harmonic), np.ones(3), Stream(1), unlimited(), 10).state
    np.testing.assert_equal(end._replace(step=0), start)
    assert kinetic_energy(end.velocities, np.ones(3)) == 0


@pytest.mark.parametrize("name", ["dt", "relaxation"])
def test_parameters_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be positive and finite"):
        VelocityRescaling(**({"dt": 0.1, "kT": KT, "relaxation": 1.0} | {name: 0.0}))


def test_a_thermostat_without_motion_is_refused(harmonic: Force) -> None:
    method = VelocityRescaling(0.1, KT, 1.0)
    start = start_of(method, initial_state(harmonic, np.zeros((1, 3)), np.zeros((1, 3))))
    with pytest.raises(ValueError, match="needs motion to act on, but dof=0"):
        method.advance(start, harmonic, [1.0], Stream(1), unlimited(), 1)
