"""Lists that grow, hold while atoms and cell move, and never decide the bits of a sum."""

import math

import numpy as np
import pytest
from pair_lists import brute_force, random_box

from qmd.integrators import (
    FORCE_SIGNATURE,
    Force,
    LangevinBAOAB,
    NativeReplicas,
    NeighbourList,
    Status,
    Stream,
    VelocityVerlet,
    cfunc,
    evaluate,
    evaluate_virial,
    initial_state,
    neighbours,
    unlimited,
)
from qmd.integrators.batch import Batch

CUTOFF = 3.0


def _repulsion(positions, cell, forces, virial, program, workspace):
    """``sum (1 - (r / cutoff)^2)^3`` over the pairs of a list."""
    for i in range(positions.shape[0]):
        for k in range(3):
            forces[i, k] = 0.0
    near = neighbours.opened(program[1])
    if not neighbours.update(near, positions, cell):
        return math.nan
    for a in range(virial.shape[0]):
        for b in range(3):
            virial[a, b] = 0.0
    energy, half = 0.0, 0.5 if program[2] != 0 else 1.0
    for i in range(positions.shape[0]):
        for entry in range(near.starts[i], near.starts[i + 1]):
            j, x, y, z = neighbours.vector(near, i, entry)
            inside = 1.0 - (x * x + y * y + z * z) / (CUTOFF * CUTOFF)
            if inside > 0.0:
                energy += half * inside**3
                pull = half * 6.0 * inside**2 / (CUTOFF * CUTOFF)
                d = (x, y, z)
                for a in range(3):
                    forces[i, a] -= pull * d[a]
                    forces[j, a] += pull * d[a]
                    for b in range(virial.shape[0]):
                        virial[a, b] += pull * d[a] * d[b]
    return energy


repulsion = cfunc(FORCE_SIGNATURE)(_repulsion)


def soft(skin=0.4, full=False, audit_every=100):
    held = NeighbourList(CUTOFF, skin, full, audit_every)
    program = np.array([0, held.address, full], np.int64)
    return Force(repulsion, program, np.zeros(0), periodic=True, lists=((1, held),))


def fluid(n=60, edge=9.0, seed=0):
    rng = np.random.default_rng(seed)
    cell = np.diag([edge, edge + 1, edge - 1]) + np.array([[0, 0, 0], [1.0, 0, 0], [0.5, -0.8, 0]])
    return rng.random((n, 3)) @ cell, rng.normal(size=(n, 3)) * 0.3, cell


@pytest.mark.parametrize("full", [False, True])
def test_energies_are_those_of_brute_force(full):
    for seed in range(40):
        positions, cell, _ = random_box(seed)
        pairs = brute_force(positions, cell, CUTOFF)
        expected = 0.0
        for i, j, *shift in pairs:
            d = positions[j] - positions[i] + shift @ cell
            expected += (1 - d @ d / CUTOFF**2) ** 3
        found, forces = evaluate(soft(full=full), positions, cell)
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-12)
        assert np.abs(forces.sum(axis=0)).max() < 1e-11 * (1 + len(pairs))


@pytest.mark.parametrize("full", [False, True])
def test_the_bits_do_not_tell_when_the_list_was_built(full):
    positions, velocities, cell = fluid()
    kept = soft(skin=0.8, full=full)
    state = initial_state(kept, positions, velocities, cell)
    masses, builds = np.ones(len(positions)), []
    for _ in range(60):
        state = VelocityVerlet(0.05).advance(
            state, kept, masses, Stream(1), unlimited(), 1
        ).state  # fmt: skip
        builds.append(kept.lists[0][1].builds)
        fresh = evaluate_virial(soft(skin=0.1, full=full), state.positions, cell)
        again = evaluate_virial(kept, state.positions, cell)
        assert fresh[0] == again[0] == state.energy
        assert np.array_equal(fresh[1], state.forces)
        assert np.array_equal(fresh[2], again[2])
    assert 2 < builds[-1] < 40  # some steps built it, most did not
    left = np.floor(state.positions @ np.linalg.inv(cell))
    assert np.abs(left).max() >= 1  # atoms have left the cell


def test_a_list_covers_its_pairs_while_the_cell_changes():
    positions, _, cell = fluid()
    kept, rng = soft(skin=1.0), np.random.default_rng(3)
    moved, lattice = positions.copy(), cell.copy()
    for _ in range(80):
        strain = np.eye(3) + rng.normal(size=(3, 3)) * 0.004
        moved = moved @ strain + rng.normal(size=moved.shape) * 0.02
        lattice = lattice @ strain
        assert evaluate(kept, moved, lattice)[0] == evaluate(soft(), moved, lattice)[0]
    assert 2 < kept.lists[0][1].builds < 60


def test_steps_are_made_again_when_a_list_has_no_room():
    """A gas that condenses: the list of the start is far too short."""
    rng = np.random.default_rng(5)
    positions = rng.random((300, 3)) * 40
    velocities, cell = -(positions - 20) * 0.3, np.diag([60.0, 60.0, 60.0])
    force, masses = soft(), np.ones(300)
    state = initial_state(force, positions, velocities, cell)
    pairs = force.lists[0][1].n_bytes
    ended = VelocityVerlet(0.05).advance(state, force, masses, Stream(1), unlimited(), 62)
    assert ended.status == Status.OK and force.lists[0][1].n_bytes > pairs
    once, by_step = soft(skin=0.2), state
    for _ in range(62):
        by_step = VelocityVerlet(0.05).advance(
            by_step, once, masses, Stream(1), unlimited(), 1
        ).state  # fmt: skip
    assert np.array_equal(ended.state.positions, by_step.positions)
    assert ended.state.energy == by_step.energy


def test_replicas_have_lists_of_their_own():
    positions, velocities, cell = fluid()
    masses, method = np.ones(len(positions)), LangevinBAOAB(dt=0.05, kT=0.05, friction=0.1)
    states = [initial_state(soft(), positions, (1 + r) * velocities, cell) for r in range(4)]
    replicas = NativeReplicas(method, soft(), masses, 7, unlimited(), threads=2)
    try:
        ended = replicas.advance(Batch.of(states, range(4)), 30)
    finally:
        replicas.close()
    for r, state in enumerate(states):
        alone = method.advance(state, soft(), masses, Stream(7, r), unlimited(), 30).state
        assert np.array_equal(alone.positions, ended.batch.positions[r])


def test_a_wrong_position_is_an_error_and_no_crash():
    for bad in (math.nan, math.inf, 1e300):
        positions, _, cell = fluid()
        positions[7, 1] = bad
        assert math.isnan(evaluate(soft(), positions, cell)[0])


def test_a_list_refuses_what_is_no_distance():
    for cutoff, skin in ((0.0, 1.0), (math.nan, 1.0), (3.0, -0.1), (math.inf, 0.0)):
        with pytest.raises(ValueError, match="cut-off"):
            NeighbourList(cutoff, skin)
