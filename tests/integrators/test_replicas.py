"""Replicas of a system in one batch: each is, to the last bit, the run that it is alone."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from beds import Bed

from qmd.integrators import (
    FORCE_SIGNATURE,
    VELOCITIES,
    AbstractIntegrator,
    AbstractReplicas,
    Advanced,
    Batch,
    BatchedReplicas,
    Force,
    LangevinBAOAB,
    Limits,
    NativeReplicas,
    NoisyLangevinBAOAB,
    State,
    Status,
    Stream,
    VelocityVerlet,
    cfunc,
    evaluate,
    gaussian,
    initial_state,
    kinetic_energies,
    kinetic_energy,
    python_force,
    unlimited,
)

DT = 0.0491  # 0.5 fs
SEED = 11
METHODS = {
    "nve": VelocityVerlet(dt=DT),
    "langevin": LangevinBAOAB(dt=DT, kT=0.026, friction=0.1),
}
both_methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def starts(water: Bed, replicas: list[int]) -> list[State]:
    """Water at about 300 K, each replica with the velocities of its own stream."""
    states = []
    for replica in replicas:
        normals = np.empty_like(water.positions)
        gaussian(normals, Stream(SEED, replica), 0, VELOCITIES)
        velocities = 0.16 * normals / np.sqrt(water.masses)[:, None]
        states.append(initial_state(water.force, water.positions, velocities))
    return states


def batch_of(states: list[State], replicas: list[int]) -> Batch:
    return Batch.of(states, replicas)


def alone(
    water: Bed, method: AbstractIntegrator, state: State, replica: int, limits: Limits, n: int
) -> Advanced:
    return method.advance(state, water.force, 1 / water.masses, Stream(SEED, replica), limits, n)


def native(
    water: Bed, method: AbstractIntegrator, threads: int, limits: Limits | None = None
) -> AbstractReplicas:
    limits = limits or unlimited()
    return NativeReplicas(method, water.force, 1 / water.masses, SEED, limits, threads)


def batched(
    water: Bed, method: AbstractIntegrator, threads: int, limits: Limits | None = None
) -> AbstractReplicas:
    """With a function that evaluates the compiled force one by one: no other rounding."""

    def function(positions: np.ndarray, replicas: np.ndarray) -> tuple[Any, Any]:
        found = [evaluate(water.force, x) for x in positions]
        return np.array([e for e, _ in found]), np.stack([f for _, f in found])

    limits = limits or unlimited()
    return BatchedReplicas(method, function, 1 / water.masses, SEED, limits, threads)


Make = Callable[..., AbstractReplicas]
both_ways = pytest.mark.parametrize("make", [native, batched])


@both_ways
@both_methods
@pytest.mark.parametrize("threads", [1, 2, 9])
def test_each_replica_is_the_run_that_it_is_alone(
    water: Bed, make: Make, method: AbstractIntegrator, threads: int
) -> None:
    replicas = [0, 3, 4, 2**32 - 1, 7]  # fewer than nine threads
    states = starts(water, replicas)
    loop = make(water, method, threads)
    middle = loop.advance(batch_of(states, replicas), 13)
    found = loop.advance(middle.batch, 50)
    loop.close()
    assert found.batch.step == 63 and (found.status == Status.OK).all()
    for row, replica in enumerate(replicas):
        expected = alone(water, method, states[row], replica, unlimited(), 63).state
        for ours, theirs in zip(found.batch.state(row), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    # The streams differ, so that five equal replicas would be a mistake.
    assert len(np.unique(found.batch.energies)) == len(replicas)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_share_the_scratch_of_a_method(harmonic: Force, threads: int) -> None:
    # The covariance is a force with a workspace of its own, which it writes to in each call.
    method = NoisyLangevinBAOAB(DT, 0.026, 0.1, Force(_scaling(), np.zeros(1, int), np.zeros(2)))
    replicas = list(range(40))
    normals = np.random.default_rng(5).normal(size=(40, 2, 3))
    states = [initial_state(harmonic, x, x) for x in 0.1 * normals]
    loop = NativeReplicas(method, harmonic, np.ones(2), SEED, unlimited(), threads)
    found = loop.advance(Batch.of(states, replicas), 500)
    loop.close()
    assert (found.status == Status.OK).all()
    args = harmonic, np.ones(2)
    for row, replica in enumerate(replicas):
        stream = Stream(SEED, replica)
        expected = method.advance(states[row], *args, stream, unlimited(), 500).state
        np.testing.assert_equal(found.batch.state(row), expected)


def test_each_thread_has_a_workspace_of_its_own() -> None:
    # What the test above proves by chance, of threads that happen to run at a time.
    covariance = Force(_scaling(), np.zeros(1, int), np.zeros(2))
    method = NoisyLangevinBAOAB(DT, 0.026, 0.1, covariance)
    others = [method.for_thread() for _ in range(2)]
    workspaces = [each.covariance.workspace for each in (method, *others)]
    for i, one in enumerate(workspaces):
        assert not any(np.shares_memory(one, other) for other in workspaces[:i])
        np.testing.assert_array_equal(one, covariance.workspace)
    assert all((each.dt, each.kT, each.friction) == (DT, 0.026, 0.1) for each in others)


def _scaling() -> Any:
    """A covariance that grows with the positions, computed by way of its workspace."""

    @cfunc(FORCE_SIGNATURE)
    def function(positions, cell, covariance, virial_out, program, workspace):
        covariance[:] = 0.0
        for i in range(positions.shape[0]):
            for k in range(3):
                workspace[0] = positions[i, k]
                workspace[1] = workspace[0] * workspace[0]
                covariance[3 * i + k, 3 * i + k] = 1e-4 + 1e-4 * workspace[1]
        return 0.0

    return function


@both_ways
@both_methods
def test_a_replica_that_breaks_a_limit_ends_there_and_the_others_go_on(
    water: Bed, make: Make, method: AbstractIntegrator
) -> None:
    replicas = [5, 6, 7]
    states = starts(water, replicas)
    thrown = states[1].velocities.copy()
    thrown[1] *= 9.0  # a hydrogen with 81 times its energy
    states[1] = states[1]._replace(velocities=thrown)
    limits = unlimited()._replace(max_force=12.0)
    found = make(water, method, 2, limits).advance(batch_of(states, replicas), 40)
    assert found.status.tolist() == [Status.OK, Status.FORCE, Status.OK]
    for row, replica in enumerate(replicas):
        expected = alone(water, method, states[row], replica, limits, 40)
        assert (found.status[row], found.steps[row]) == (expected.status, expected.state.step)
        np.testing.assert_array_equal(found.batch.positions[row], expected.state.positions)
        assert found.batch.energies[row] == expected.state.energy
    assert 0 < found.steps[1] < 40


@both_ways
def test_steps_outside_the_warning_range_are_counted_for_each_replica(
    water: Bed, make: Make
) -> None:
    replicas = [0, 1]
    states, pair = starts(water, replicas), np.array([[0, 1]])
    limits = Limits(np.inf, np.inf, pair, np.array([[0.0, 0.95]]), np.array([[0.0, np.inf]]))
    found = make(water, METHODS["nve"], 1, limits).advance(batch_of(states, replicas), 60)
    expected = [
        alone(water, METHODS["nve"], s, r, limits, 60).warned
        for s, r in zip(states, replicas, strict=True)
    ]
    assert found.warned.tolist() == expected
    assert 0 < min(expected) and expected[0] != expected[1]


def test_the_batch_handed_in_is_not_changed(water: Bed) -> None:
    replicas = [1, 2]
    batch = batch_of(starts(water, replicas), replicas)
    before = [np.copy(array) for array in batch]
    for make in (native, batched):
        make(water, METHODS["langevin"], 2).advance(batch, 5)
    for array, copy in zip(batch, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_kinetic_energies_are_those_of_single_states(water: Bed) -> None:
    velocities = np.stack([state.velocities for state in starts(water, [0, 1, 2])])
    expected = [kinetic_energy(v, water.masses) for v in velocities]
    assert kinetic_energies(velocities, water.masses).tolist() == expected


def test_kinetic_energies_are_summed_in_double_precision(water: Bed) -> None:
    velocities = np.stack([state.velocities for state in starts(water, [0, 1, 2])])
    terms = (water.masses[:, None] * velocities**2 / 2).reshape(3, -1)
    # Nine terms, of which each has three roundings and each sum one more: 12 of 2^-53, at most.
    for found, exact in zip(kinetic_energies(velocities, water.masses), terms, strict=True):
        assert found == pytest.approx(math.fsum(exact), rel=12 * 2.0**-53, abs=0)


def test_what_a_python_force_raises_in_a_thread_is_raised(water: Bed) -> None:
    def function(positions: np.ndarray) -> tuple[float, np.ndarray]:
        raise ArithmeticError("as asked")

    batch = batch_of(starts(water, [0, 1, 2, 3]), [0, 1, 2, 3])
    failing = NativeReplicas(
        METHODS["nve"], python_force(function), 1 / water.masses, SEED, unlimited(), 2
    )
    with pytest.raises(ArithmeticError, match="as asked"):
        failing.advance(batch, 3)
    failing.close()


def test_a_method_with_two_forces_a_step_is_refused_by_batched_forces(water: Bed) -> None:
    class Twice(VelocityVerlet):
        def advance_each(self, *arguments: Any) -> None:
            super().advance_each(*[*arguments[:-1], 2 * arguments[-1]])

    loop = batched(water, Twice(DT), 1)
    with pytest.raises(RuntimeError, match="asked for 4 forces in a step of 2 replicas"):
        loop.advance(batch_of(starts(water, [0, 1]), [0, 1]), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energies": np.zeros(3)}, "n energies and replicas"),
        ({"velocities": np.zeros((2, 2, 3))}, "vectors of one shape"),
        ({"replicas": np.array([0, 2**32])}, "2\\*\\*32 - 1"),
        ({"step": -1}, "`step` must not be negative"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(water: Bed, change: Any, message: str) -> None:
    batch = batch_of(starts(water, [0, 1]), [0, 1])._replace(**change)
    with pytest.raises(ValueError, match=message):
        native(water, METHODS["nve"], 1).advance(batch, 1)


def test_impossible_arguments_are_refused(water: Bed) -> None:
    batch = batch_of(starts(water, [0, 1]), [0, 1])
    with pytest.raises(ValueError, match="`threads` must be at least 1"):
        native(water, METHODS["nve"], 0)
    with pytest.raises(ValueError, match="`n_steps` must not be negative"):
        native(water, METHODS["nve"], 1).advance(batch, -1)
    wrong = NativeReplicas(METHODS["nve"], water.force, np.ones(4), SEED, unlimited(), 1)
    with pytest.raises(ValueError, match="`inv_masses` must have shape"):
        wrong.advance(batch, 1)
