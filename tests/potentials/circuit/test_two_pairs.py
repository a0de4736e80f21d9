"""The kernel of circuits on two pairs with shared vectors, and geometries side by side."""

from typing import Any

import numpy as np
import pytest
from circuits import model, random_parameters

from qmd.integrators import (
    VECTOR_WIDTH,
    Batch,
    Force,
    LangevinBAOAB,
    Limits,
    NativeReplicas,
    Status,
    Stream,
    VelocityVerlet,
    evaluate,
    evaluate_all,
    initial_state,
    unlimited,
)
from qmd.integrators.methods import beside
from qmd.potentials import native_kernel, sivqlm
from qmd.potentials.circuit import kernel, native

ARCHITECTURES = {
    "water": sivqlm.water(3, 1), "water, two blocks": sivqlm.water(11, 2), "lih": sivqlm.lih(4),
}  # fmt: skip
MASSES = np.array([15.999, 1.008, 1.008])
SEED = 11
METHODS = {
    "nve": VelocityVerlet(dt=0.0491), "langevin": LangevinBAOAB(dt=0.0491, kT=0.026, friction=0.1),
}  # fmt: skip


def geometries(n_atoms: int, n: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(n, n_atoms, 3))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_agrees_with_the_kernel_of_any_circuit(name: str) -> None:
    # Rounding is some 1e-14 of the largest energy, as for the interpreters.
    architecture = ARCHITECTURES[name]
    parameters = random_parameters(architecture, 2)
    force = native_kernel(architecture, parameters)
    program, workspace, _ = native.packed(architecture, parameters)
    general = Force(kernel.energy_and_forces(), program, workspace)
    assert force.function is not general.function
    x = geometries(architecture.features.n_atoms, 20)
    for ours, theirs in zip(evaluate_all(force, x), evaluate_all(general, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


def test_circuits_with_vectors_of_their_own_in_each_layer_have_the_general_kernel() -> None:
    water = sivqlm.water(2)
    force = native_kernel(water, random_parameters(water, 0, per_layer=True))
    assert force.function is kernel.energy_and_forces() and force.beside is None


@pytest.fixture(scope="module")
def water() -> Force:
    return native_kernel(*model("water"))


def together(force: Force, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies and forces of `VECTOR_WIDTH` geometries by one call."""
    flat = np.ascontiguousarray(x.reshape(VECTOR_WIDTH, -1).T)
    forces, energies = np.zeros_like(flat), np.zeros(VECTOR_WIDTH)
    beside.call_once(force, flat, forces, energies)
    return energies, forces.T.reshape(x.shape)


def test_circuits_that_join_odd_and_even_numbers_of_singlets_are_not_side_by_side() -> None:
    lih = native_kernel(ARCHITECTURES["lih"], random_parameters(ARCHITECTURES["lih"], 3))
    assert lih.beside is None
    with pytest.raises(ValueError, match="no function for geometries side by side"):
        together(lih, geometries(2, VECTOR_WIDTH))


@pytest.mark.parametrize("name", ["water", "water, two blocks"])
def test_side_by_side_each_geometry_has_the_bits_that_it_has_alone(name: str) -> None:
    architecture = ARCHITECTURES[name]
    force = native_kernel(architecture, random_parameters(architecture, 3))
    x = geometries(architecture.features.n_atoms, VECTOR_WIDTH)
    x[1] *= 1e-9  # vectors of nearly no length have series of their own
    for ours, theirs in zip(together(force, x), evaluate_all(force, x), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def start(force: Force, n: int) -> Batch:
    """Water near its trained shape, each replica with velocities of its own."""
    x = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    velocities = 0.16 * geometries(3, n) / np.sqrt(MASSES)[:, None]
    return Batch.of([initial_state(force, x, v) for v in velocities], list(range(3, n + 3)))


def alone(method: Any, batch: Batch, row: int, force: Force, limits: Limits, n: int) -> Any:
    stream = Stream(SEED, int(batch.replicas[row]))
    return method.advance(batch.state(row), force, 1 / MASSES, stream, limits, n)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("n", [1, VECTOR_WIDTH, 2 * VECTOR_WIDTH + 1, 3 * VECTOR_WIDTH - 1])
@pytest.mark.parametrize("threads", [1, 2])
def test_replicas_side_by_side_are_the_runs_that_they_are_alone(
    water: Force, method: Any, n: int, threads: int
) -> None:
    """Full groups, some left over, and groups that are filled up."""
    batch = start(water, n)
    loop = NativeReplicas(method, water, 1 / MASSES, SEED, unlimited(), threads)
    found = loop.advance(loop.advance(batch, 7).batch, 30)
    loop.close()
    assert found.batch.step == 37 and (found.status == Status.OK).all()
    for row in range(n):
        expected = alone(method, batch, row, water, unlimited(), 37).state
        for ours, theirs in zip(found.batch.state(row), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def largest_on_the_way(method: Any, batch: Batch, row: int, force: Force, n: int) -> list[float]:
    """Largest force, displacement in a step, and distance of the first two atoms, of a replica."""
    state, stream, found = batch.state(row), Stream(SEED, int(batch.replicas[row])), []
    for _ in range(n):
        before = state.positions
        state = method.advance(state, force, 1 / MASSES, stream, unlimited(), 1).state
        vectors = state.forces, state.positions - before, state.positions[:1] - state.positions[1]
        found.append([float(np.linalg.norm(v, axis=1).max()) for v in vectors])
    return list(np.max(found, axis=0))


@pytest.mark.parametrize("bound", ["force", "displacement", "distance"])
def test_a_replica_that_breaks_a_limit_ends_where_it_ends_alone(water: Force, bound: str) -> None:
    n, steps, method = 2 * VECTOR_WIDTH, 40, METHODS["nve"]
    batch = start(water, n)
    largest = np.array([largest_on_the_way(method, batch, row, water, steps) for row in range(n)])
    force, displacement, distance = np.median(largest, axis=0)  # half of the replicas go beyond
    limits = unlimited()._replace(
        pairs=np.array([[0, 1]]), warn=np.array([[0.0, np.quantile(largest[:, 2], 0.25)]]),
        stop=np.array([[0.0, np.inf]]),
    )  # fmt: skip
    if bound == "force":
        limits = limits._replace(max_force=float(force))
    elif bound == "displacement":
        limits = limits._replace(max_displacement=float(displacement))
    else:
        limits = limits._replace(stop=np.array([[0.0, distance]]))
    loop = NativeReplicas(method, water, 1 / MASSES, SEED, limits, 1)
    found = loop.advance(batch, steps)
    status = set(found.status)
    assert Status.OK in status and len(status) > 1  # some end, and others do not
    assert found.warned.any()
    for row in range(n):
        expected = alone(method, batch, row, water, limits, steps)
        assert (found.status[row], found.warned[row]) == (expected.status, expected.warned)
        assert found.steps[row] == expected.state.step
        ours = found.batch._replace(step=int(found.steps[row])).state(row)
        for mine, theirs in zip(ours, expected.state, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_one_call_is_one_evaluation(water: Force) -> None:
    x = geometries(3, VECTOR_WIDTH)
    energies, forces = together(water, x)
    assert (energies[0], forces[0].tolist()) == (
        evaluate(water, x[0])[0], evaluate(water, x[0])[1].tolist()
    )  # fmt: skip
