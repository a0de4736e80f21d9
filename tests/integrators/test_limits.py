"""Guards: each one stops on its own fault, on NaN above all, at the step where it happens."""

import math

import numpy as np
import pytest

from qmd import units
from qmd.integrators import (
    FORCE_SIGNATURE,
    Batch,
    Force,
    LangevinBAOAB,
    Limits,
    NativeReplicas,
    State,
    Status,
    Stream,
    VelocityVerlet,
    cfunc,
    initial_state,
    neighbours,
    njit,
    stray,
    unlimited,
)
from qmd.integrators.limits import check as guard

check = njit()(guard)  # as the loops run it
NAN, INF = math.nan, math.inf
INTEGRATORS = [VelocityVerlet(dt=0.01), LangevinBAOAB(dt=0.01, kT=0.025, friction=0.1)]


def limits(**changed) -> Limits:
    defaults = dict(
        max_force=50.0,
        max_displacement=0.1,
        pairs=np.array([[0, 1]]),
        warn=np.array([[0.8, 1.2]]),
        stop=np.array([[0.5, 2.0]]),
    )
    return Limits(**(defaults | changed))


def judge(bounds: Limits, **changed) -> tuple[Status, bool]:
    """`check` of two atoms 1 angstrom apart, with `changed` put into a sound state."""
    positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    sound = dict(positions=positions, previous=positions.copy(), forces=np.ones((2, 3)), energy=1.0)
    for name, value in changed.items():
        if name == "energy":
            sound["energy"] = value
        else:
            sound[name][1, 0] = value
    return check(**sound, limits=bounds)


def test_a_sound_state_passes():
    assert judge(limits()) == (Status.OK, False)


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        *[("energy", bad, Status.NOT_FINITE) for bad in (NAN, INF, -INF)],
        *[("forces", bad, Status.NOT_FINITE) for bad in (NAN, INF, -INF)],
        *[("positions", bad, Status.NOT_FINITE) for bad in (NAN, INF, -INF)],
        ("forces", 1e300, Status.FORCE),
        ("forces", -51.0, Status.FORCE),
        ("positions", 1e300, Status.DISPLACEMENT),
        ("previous", 0.8, Status.DISPLACEMENT),
        ("previous", NAN, Status.DISPLACEMENT),
    ],
)
def test_each_fault_has_its_status(field, value, status):
    assert judge(limits(), **{field: value})[0] == status


@pytest.mark.parametrize(
    ("distance", "status", "warned"),
    [
        (0.4, Status.DOMAIN, True),
        (0.7, Status.OK, True),
        (0.8, Status.OK, False),
        (1.2, Status.OK, False),
        (1.3, Status.OK, True),
        (2.1, Status.DOMAIN, True),
        (NAN, Status.NOT_FINITE, True),
    ],
)
def test_pair_distances_warn_first_and_then_stop(distance, status, warned):
    assert judge(limits(), positions=distance, previous=distance) == (status, warned)


@pytest.mark.parametrize(
    ("bound", "status"),
    [
        ({"max_force": NAN}, Status.FORCE),
        ({"max_displacement": NAN}, Status.DISPLACEMENT),
        ({"stop": np.array([[NAN, 2.0]])}, Status.DOMAIN),
        ({"stop": np.array([[0.5, NAN]])}, Status.DOMAIN),
    ],
)
def test_a_limit_that_is_nan_stops_instead_of_letting_all_pass(bound, status):
    assert judge(limits(**bound))[0] == status


def test_unlimited_stops_on_nothing_but_nan_and_infinity():
    assert judge(unlimited(), forces=1e300, positions=1e300, energy=-1e300)[0] == Status.OK
    assert judge(unlimited(), forces=NAN)[0] == Status.NOT_FINITE
    assert judge(unlimited(), energy=INF)[0] == Status.NOT_FINITE


@pytest.fixture(scope="module")
def failing() -> Force:
    """A free particle; at call workspace[1] the number workspace[2] replaces one result."""

    @cfunc(FORCE_SIGNATURE)
    def function(positions, cell, forces_out, virial_out, program, workspace):
        workspace[0] += 1
        for i in range(positions.shape[0]):
            for c in range(3):
                forces_out[i, c] = 0.0
        if workspace[0] != workspace[1]:
            return 0.0
        if program[1] == 0:
            return workspace[2]
        forces_out[1, 2] = workspace[2]
        return 0.0

    return Force(function, np.zeros(2, dtype=np.int64), np.zeros(3))


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize(
    ("place", "value", "status"),
    [
        (0, NAN, Status.NOT_FINITE),
        (0, INF, Status.NOT_FINITE),
        (1, NAN, Status.NOT_FINITE),
        (1, INF, Status.NOT_FINITE),
        (1, 1e300, Status.FORCE),
    ],
)
def test_a_run_ends_at_the_first_bad_step(failing, integrator, place, value, status):
    force = Force(failing.function, np.array([2, place]), np.array([0.0, 13.0, value]))
    start = State(np.eye(2, 3), np.zeros((2, 3)), np.zeros((2, 3)), 0.0, 100)
    bounds = limits(warn=np.array([[0.0, 9.0]]), stop=np.array([[0.0, 9.0]]))
    end = integrator.advance(start, force, np.ones(2), Stream(1), bounds, 50)
    assert (end.status, end.state.step, end.warned) == (status, 113, 0)
    bad = end.state.energy if place == 0 else end.state.forces[1, 2]
    assert bad == value or (math.isnan(bad) and math.isnan(value))


def test_steps_outside_the_warn_level_are_counted_until_the_stop_level(harmonic):
    # Free flight at 1/8 per step, exact in binary: the distance after step n is 1 + n/8.
    free = harmonic._replace(workspace=np.zeros(1))
    positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    start = initial_state(free, positions, np.array([[0.0, 0.0, 0.0], [0.125, 0.0, 0.0]]))
    bounds = limits(max_displacement=0.125, warn=np.array([[0.5, 1.5]]))
    end = VelocityVerlet(dt=1.0).advance(start, free, np.ones(2), Stream(0), bounds, 100)
    assert (end.status, end.state.step) == (Status.DOMAIN, 9)  # 2.125 > 2
    assert end.warned == 5  # steps 5 to 9


def test_a_time_step_beyond_the_stability_limit_is_stopped(water):
    # Stretches of water are unstable beyond 2/omega = 2.83 fs.
    start = initial_state(water.force, water.positions * 1.01, np.zeros((3, 3)))
    bounds = limits(pairs=np.empty((0, 2), dtype=np.int64), warn=np.empty((0, 2)))
    bounds = bounds._replace(stop=np.empty((0, 2)))
    end = VelocityVerlet(dt=3 * units.fs).advance(
        start, water.force, 1 / water.masses, Stream(0), bounds, 100
    )
    assert end.status != Status.OK


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"pairs": np.array([[0, 2]])}, "below n_atoms"),
        ({"pairs": np.array([[-1, 0]])}, "below n_atoms"),
        ({"warn": np.empty((0, 2))}, "shape"),
        ({"stop": np.array([[1.0, 2.0, 3.0]])}, "shape"),
        ({"pairs": np.array([[0, 1, 1]])}, "shape"),
    ],
)
def test_limits_that_do_not_fit_the_system_are_refused(harmonic, bad, message):
    start = initial_state(harmonic, np.eye(2, 3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=message):
        VelocityVerlet(dt=0.1).advance(start, harmonic, np.ones(2), Stream(0), limits(**bad), 1)


NO_PAIRS = np.zeros((0, 2), np.int64), np.zeros((0, 2)), np.zeros((0, 2))


@pytest.fixture(scope="module")
def free() -> Force:
    """Free particles, in a cell or not."""

    @cfunc(FORCE_SIGNATURE)
    def function(positions, cell, forces_out, virial_out, program, workspace):
        for i in range(positions.shape[0]):
            for c in range(3):
                forces_out[i, c] = 0.0
        return 0.0

    return Force(function, np.zeros(1, np.int64), np.zeros(1), periodic=True)


def in_cell(warn: float, stop: float) -> Limits:
    """One kind of two atoms, whose images have these least distances."""
    return Limits(INF, INF, *NO_PAIRS, np.zeros(2, np.int64), np.array([[[warn, stop]]]))


def test_atoms_that_meet_across_a_face_warn_first_and_then_stop(free):
    # Free flight at 1/8 per step, exact in binary: 1.5 - n/8 across the face after step n.
    positions, cell = np.array([[0.5, 0.5, 0.5], [9.0, 0.5, 0.5]]), np.eye(3) * 10
    velocities = np.array([[0.0, 0.0, 0.0], [0.125, 0.0, 0.0]])
    start, force = initial_state(free, positions, velocities, cell), neighbours.watched(free, 1.2)
    bounds = in_cell(1.2, 0.8)
    for parts in ([100], [1] * 10):
        state, warned = start, 0
        for steps in parts:
            end = VelocityVerlet(1.0).advance(state, force, np.ones(2), Stream(0), bounds, steps)
            state, warned = end.state, warned + end.warned
            if end.status != Status.OK:
                break
        assert (end.status, state.step, warned) == (Status.DOMAIN, 6, 4)  # 0.75 < 0.8
    found = stray(bounds, state.positions, cell)
    assert found is not None and (found.i, found.j, found.distance) == (0, 1, 0.75)
    isolated = VelocityVerlet(1.0).advance(
        start._replace(cell=np.zeros((3, 3))), force, np.ones(2), Stream(0), bounds, 100
    )
    assert (isolated.status, isolated.warned) == (Status.OK, 0)


def test_an_atom_that_meets_its_own_image_is_stopped(free):
    positions, cell = np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 3.0]]), np.diag([1.0, 6.0, 6.0])
    start = initial_state(free, positions, np.zeros((2, 3)), cell)
    force = neighbours.watched(free, 1.1)
    end = VelocityVerlet(1.0).advance(start, force, np.ones(2), Stream(0), in_cell(1.1, 1.05), 5)
    assert (end.status, end.state.step) == (Status.DOMAIN, 1)
    found = stray(in_cell(1.1, 1.05), positions, cell)
    assert found is not None and found.i == found.j


@pytest.mark.parametrize("periodic", [(1, 1, 1), (1, 0, 1)])
def test_distances_in_oblique_cells_are_those_of_all_images(free, periodic):
    rng = np.random.default_rng(3)
    cell = np.array([[5.0, 0, 0], [1.5, 4.5, 0], [-1.0, 1.2, 6.0]]) * np.array(periodic)[:, None]
    turns = np.stack(np.meshgrid(*[np.arange(-7 * p, 7 * p + 1) for p in periodic]), -1)
    shifts = turns.reshape(-1, 3) @ cell
    least = np.array([[[0.9, 0.6], [0.7, 0.5]], [[0.7, 0.5], [1.2, 0.8]]])
    kinds, pairs = np.array([0, 1, 0, 1, 1]), np.array([[0, 3], [1, 4]])
    warn, stop = np.array([[1.0, 3.0]] * 2), np.array([[0.8, 3.4]] * 2)
    force, ends = neighbours.watched(free, 1.2), set()
    for _ in range(150):
        x = rng.uniform(-8, 8, (5, 3))
        d = np.linalg.norm(x[None, :, None] - x[:, None, None] + shifts, axis=-1)  # [i, j, image]
        of_pairs = d[tuple(pairs.T)].min(axis=1)  # before an atom's distance to itself goes
        d[np.arange(5), np.arange(5), (turns.reshape(-1, 3) == 0).all(axis=1)] = INF
        low = least[kinds[:, None], kinds]
        beyond = [
            (d.min(axis=2) < low[..., k]).any()
            or ((of_pairs < b[:, 0]) | (of_pairs > b[:, 1])).any()
            for k, b in enumerate((warn, stop))
        ]
        limits_ = Limits(INF, INF, pairs, warn, stop, kinds, least)
        start = initial_state(free, x, np.zeros((5, 3)), cell)
        end = VelocityVerlet(1.0).advance(start, force, np.ones(5), Stream(0), limits_, 1)
        assert end.warned == beyond[0]
        assert end.status == (Status.DOMAIN if beyond[1] else Status.OK)
        assert (stray(limits_, x, cell) is not None) == beyond[1]
        ends.add((bool(beyond[0]), bool(beyond[1])))
    assert ends == {(False, False), (True, False), (True, True)}


def test_replicas_in_a_cell_are_each_watched_as_if_alone(free):
    cell, n = np.eye(3) * 10, 5
    x = np.array([[[0.5, 0.5, 0.5], [9.0 - k / 2, 0.5, 0.5]] for k in range(n)])
    v = np.array([[0.0, 0.0, 0.0], [0.125, 0.0, 0.0]])
    batch = Batch.of([initial_state(free, one, v, cell) for one in x], range(n))
    force = neighbours.watched(free, 1.2)
    for threads in (1, 2):
        replicas = NativeReplicas(
            VelocityVerlet(1.0), force, np.ones(2), 0, in_cell(1.2, 0.8), threads
        )
        end = replicas.advance(batch, 12)
        replicas.close()
        assert end.status.tolist() == [Status.DOMAIN, Status.DOMAIN] + [Status.OK] * 3
        assert end.steps.tolist() == [6, 10, 12, 12, 12]
        assert end.warned.tolist() == [4, 4, 2, 0, 0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"kinds": np.zeros(3, np.int64)}, "n_atoms"),
        ({"kinds": np.array([0, 1])}, "n_kinds"),
        ({"least": np.zeros((1, 2, 2))}, "n_kinds"),
        ({}, "watched"),
    ],
)
def test_limits_of_a_cell_that_do_not_fit_are_refused(free, bad, message):
    start = initial_state(free, np.eye(2, 3), np.zeros((2, 3)), np.eye(3) * 9)
    force = neighbours.watched(free, 1.2) if bad else free
    wrong = in_cell(1.2, 0.8)._replace(**bad)
    with pytest.raises(ValueError, match=message):
        VelocityVerlet(1.0).advance(start, force, np.ones(2), Stream(0), wrong, 1)
