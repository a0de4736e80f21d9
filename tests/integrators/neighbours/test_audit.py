"""The audit of neighbour lists: a bug that drops one pair in a million does not get past it."""

import math
from typing import Any

import numpy as np
import pytest

from qmd.integrators import (
    NativeReplicas,
    NeighbourList,
    Status,
    Stream,
    VelocityVerlet,
    evaluate,
    initial_state,
    unlimited,
)
from qmd.integrators.batch import Batch
from qmd.integrators.neighbours import layout as at
from qmd.potentials import TruncatedLennardJones, native_model

MILLION = 1_000_000


class Forgetful(NeighbourList):
    """A list whose builds drop a pair in a million: those whose running number it divides."""

    def drop_pairs(self):
        """What the bug does to the pairs of the last build."""
        entries, starts = self._arrays[at.ENTRIES], self._arrays[at.STARTS]
        n = int(self._head[at.ATOMS])
        for place in range(MILLION // 2, int(starts[n]), MILLION):
            row = int(np.searchsorted(starts[: n + 1], place, side="right")) - 1
            entries[place : starts[n] - 1] = entries[place + 1 : starts[n]].copy()
            starts[row + 1 : n + 1] -= 1


def crystal(cells, lattice=5.3):
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    grid = np.array([
        (i, j, k) for i in range(cells) for j in range(cells) for k in range(cells)
    ])  # fmt: skip
    positions = (grid[:, None] + corners).reshape(-1, 3) * lattice
    return positions, np.eye(3) * cells * lattice


def test_one_pair_in_a_million_is_missed_and_found():
    """500 atoms of fcc argon reach a million pairs with a cut-off beyond their cell."""
    positions, cell = crystal(5)
    positions = positions + np.random.default_rng(2).normal(size=positions.shape) * 0.05
    held = Forgetful(36.0, 0.5)
    held.update(positions, cell)
    assert held.audit() and MILLION < int(held._head[at.PAIRS]) < 3 * MILLION
    held.drop_pairs()
    assert not held.audit() and held.lost


def test_an_audit_counts_a_perfect_crystal_right():
    """Whole shells of pairs lie at the cut-off exactly, in it or beyond it by the last bit."""
    for cutoff in (5.3, 5.3 * math.sqrt(1.5), 2 * 5.3):
        positions, cell = crystal(3)
        held = NeighbourList(cutoff, 0.5)
        held.update(positions, cell)
        assert held.audit()
        held.update(positions + 0.01, cell)
        assert held.audit()


def argon(audit_every=100):
    positions, cell = crystal(3)
    force = native_model(TruncatedLennardJones(len(positions), 0.0104, 3.4, 6.0))
    held: Any = force.lists[0][1]
    held._head[at.AUDIT_EVERY] = audit_every
    velocities = np.random.default_rng(3).normal(size=positions.shape) * 0.03
    return force, initial_state(force, positions, velocities, cell)


@pytest.mark.parametrize("dropped", [False, True])
def test_a_checkpoint_finds_what_was_lost(dropped):
    force, state = argon()
    assert force.audit()
    held = force.lists[0][1]
    if dropped:
        entries = held._arrays[at.ENTRIES]
        entries[5] = entries[6]  # one pair twice, another one not at all: the same number
    state = VelocityVerlet(0.05).advance(
        state, force, np.full(108, 1 / 40), Stream(1), unlimited(), 2
    ).state  # fmt: skip
    assert force.audit() is not dropped
    if dropped:
        with pytest.raises(ValueError, match="lost a pair"):
            evaluate(force, state.positions, state.cell)


def test_a_run_ends_where_an_audit_at_a_build_finds_a_loss():
    """The audit itself is made to fail: what it counts against is another cut-off."""
    force, state = argon(audit_every=2)
    masses, held = np.full(108, 1 / 40), force.lists[0][1]
    going = VelocityVerlet(0.05).advance(state, force, masses, Stream(1), unlimited(), 200)
    assert going.status == Status.OK and held.builds >= 2
    force, state = argon(audit_every=2)
    held = force.lists[0][1]
    held._numbers[at.SKIN] = -2.0  # the bug: it lists less than the cut-off from now on
    held._head[at.VALID] = 0
    ended = VelocityVerlet(0.05).advance(state, force, masses, Stream(1), unlimited(), 200)
    assert ended.status == Status.LOST_PAIR and ended.state.step < 10

    force, state = argon(audit_every=2)
    force.lists[0][1]._numbers[at.SKIN] = -2.0
    force.lists[0][1]._head[at.VALID] = 0
    replicas = NativeReplicas(VelocityVerlet(0.05), force, masses, 1, unlimited(), threads=1)
    moved = replicas.advance(Batch.of([state], [0]), 200)
    replicas.close()
    assert moved.status[0] == Status.LOST_PAIR
