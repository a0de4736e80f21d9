"""Velocity Verlet: the structure it keeps exactly, its order, and other people's programs."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.md.verlet import VelocityVerlet as AseVelocityVerlet

from qmd import units
from qmd.integrators import (
    FORCE_SIGNATURE,
    VELOCITIES,
    Force,
    State,
    Status,
    Stream,
    VelocityVerlet,
    cfunc,
    evaluate,
    gaussian,
    initial_state,
    kinetic_energy,
    unlimited,
)

NO_NOISE = Stream(seed=0)


def thermal(masses: np.ndarray, kT: float, seed: int) -> np.ndarray:
    """Maxwell-Boltzmann velocities without a drift of the centre of mass."""
    velocities = np.empty((len(masses), 3))
    gaussian(velocities, Stream(seed), 0, VELOCITIES)
    velocities *= np.sqrt(kT / masses)[:, None]
    return velocities - masses @ velocities / masses.sum()


def hot_water(water, seed: int = 2) -> State:
    """Water at its minimum with velocities of 600 K, about half of which turn into potential.

    Seed 1 starts close to the unstable axis of rotation: errors then grow exponentially.
    """
    velocities = thermal(water.masses, 600 * units.kB, seed)
    return initial_state(water.force, water.positions, velocities)


def total_energy(state: State, masses: np.ndarray) -> float:
    return state.energy + kinetic_energy(state.velocities, masses)


def energies(start: State, bed, dt: float, every: int, n: int) -> np.ndarray:
    """Total energy after each of `n` blocks of `every` steps."""
    verlet, out, state = VelocityVerlet(dt), np.empty(n), start
    for i in range(n):
        state = verlet.advance(state, bed.force, 1 / bed.masses, NO_NOISE, unlimited(), every).state
        out[i] = total_energy(state, bed.masses)
    return out


# --- one step ---------------------------------------------------------------------------------


def step_of_phase_space(y: np.ndarray, force: Force, masses: np.ndarray, dt: float) -> np.ndarray:
    """One step as a map of y = (positions, momenta), flattened."""
    x, p = y.reshape(2, -1, 3)
    start = initial_state(force, x, p / masses[:, None])
    end = VelocityVerlet(dt).advance(start, force, 1 / masses, NO_NOISE, unlimited(), 1).state
    return np.concatenate([end.positions.ravel(), (end.velocities * masses[:, None]).ravel()])


def assert_symplectic(jacobian: np.ndarray, tolerance: float) -> None:
    half = len(jacobian) // 2
    omega = np.kron([[0, 1], [-1, 0]], np.eye(half))
    assert np.abs(jacobian.T @ omega @ jacobian - omega).max() <= tolerance
    assert abs(np.linalg.det(jacobian) - 1) <= tolerance


@pytest.mark.parametrize("dt", [0.1, 0.5, 1.2])
def test_a_step_in_a_harmonic_well_is_symplectic(harmonic, dt):
    masses = np.array([1.0, 1.7])
    columns = [step_of_phase_space(e, harmonic, masses, dt) for e in np.eye(12)]
    assert_symplectic(np.array(columns).T, 1e-12)  # linear: no difference quotient, rounding only


def test_a_step_of_water_is_symplectic(water):
    y = np.concatenate([(water.positions * 1.03).ravel(), np.linspace(-2, 2, 9)])
    h, dt = 1e-4, 0.5 * units.fs
    # Fourth order: truncation 1e-16 times a fifth derivative, rounding 1e-16 / h.
    columns = []
    for e in np.eye(18) * h:
        f = [step_of_phase_space(y + s * e, water.force, water.masses, dt) for s in (-2, -1, 1, 2)]
        columns.append((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h))
    assert_symplectic(np.array(columns).T, 1e-7)


# --- trajectories -----------------------------------------------------------------------------


@pytest.mark.parametrize(("n_steps", "tolerance"), [(2_000, 1e-11), (20_000, 1e-9)])
def test_a_trajectory_runs_back_to_its_start(water, n_steps, tolerance):
    # 1 and 10 ps. Exact but for rounding, which grows; measured 6e-14 and 1e-12 angstrom.
    verlet, start = VelocityVerlet(0.5 * units.fs), hot_water(water)
    args = water.force, 1 / water.masses, NO_NOISE, unlimited(), n_steps
    there = verlet.advance(start, *args).state
    back = verlet.advance(there._replace(velocities=-there.velocities), *args).state
    assert np.abs(there.positions - start.positions).max() > 0.1
    assert np.abs(back.positions - start.positions).max() <= tolerance


@pytest.mark.parametrize("seed", [2, 3])
def test_energy_fluctuations_fall_as_the_square_of_the_time_step(water, seed):
    # Bounds from measurements over seeds: 4.095 to 4.108 and 4.021 to 4.025.
    rms = []
    for dt in (0.5, 0.25, 0.125):
        samples = energies(hot_water(water, seed), water, dt * units.fs, round(2 / dt), 5_000)
        rms.append(np.std(samples))
    assert rms[0] / rms[1] == pytest.approx(4.1, abs=0.15)
    assert rms[1] / rms[2] == pytest.approx(4.02, abs=0.08)


def test_energy_does_not_drift_in_100_ps(water):
    every, n = 20, 10_000  # 200 000 steps of 0.5 fs
    samples = energies(hot_water(water), water, 0.5 * units.fs, every, n)
    slope_per_ps = np.polyfit(np.arange(n) * every * 0.5e-3, samples, 1)[0]
    slope = slope_per_ps * 1000 / (300 * units.kB) / 6  # kT/ns per internal degree of freedom
    assert abs(slope) <= 1e-4  # measured 4e-6
    assert np.std(samples) / 3 <= 0.2e-3  # eV/atom; measured 0.13e-3


@pytest.fixture(scope="module")
def cluster() -> Force:
    """Central forces: a Morse bond (2 eV, 1.2/angstrom, 1.5 angstrom) for each pair of atoms."""

    @cfunc(FORCE_SIGNATURE)
    def function(positions, cell, forces_out, virial_out, program, workspace):
        energy = 0.0
        forces_out[:] = 0.0
        d = np.empty(3)
        for i in range(positions.shape[0]):
            for j in range(i):
                for c in range(3):
                    d[c] = positions[i, c] - positions[j, c]
                r = math.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
                decay = math.exp(-1.2 * (r - 1.5))
                energy += 2.0 * (1 - decay) ** 2
                for c in range(3):
                    pull = 4.8 * (1 - decay) * decay * d[c] / r
                    forces_out[i, c] -= pull
                    forces_out[j, c] += pull
        return energy

    return Force(function, np.zeros(1, dtype=np.int64), np.zeros(0))


def test_momentum_and_angular_momentum_are_conserved_for_100_ps(cluster):
    masses = np.array([1.0, 12.0, 16.0, 19.0])
    positions = 0.55 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    spin = 0.05 * np.cross([1.0, 2.0, 3.0], positions)
    start = initial_state(cluster, positions, thermal(masses, 0.05, seed=4) + spin)
    verlet = VelocityVerlet(0.5 * units.fs)
    end = verlet.advance(start, cluster, 1 / masses, NO_NOISE, unlimited(), 200_000)
    assert end.status == Status.OK

    p0, p1 = (masses[:, None] * s.velocities for s in (start, end.state))
    l0, l1 = (np.cross(s.positions, p).sum(0) for s, p in ((start, p0), (end.state, p1)))
    # Rounding only; measured 1.5e-14 and 6e-14.
    assert np.linalg.norm((p1 - p0).sum(0)) <= 1e-12 * np.linalg.norm(p0, axis=1).sum()
    assert np.linalg.norm(l1 - l0) <= 1e-11 * np.linalg.norm(l0)


# --- other programs ---------------------------------------------------------------------------


class Bridge(Calculator):
    """An ASE calculator around a qmd force."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, force: Force) -> None:
        super().__init__()
        self.force = force

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        energy, forces = evaluate(self.force, atoms.positions)
        self.results = {"energy": energy, "forces": forces}


def test_ase_and_plain_numpy_give_the_same_trajectory(water):
    start, dt, n_steps = hot_water(water), 0.5 * units.fs, 1_000
    ours = (
        VelocityVerlet(dt)
        .advance(start, water.force, 1 / water.masses, NO_NOISE, unlimited(), n_steps)
        .state
    )

    atoms = Atoms("OH2", positions=start.positions, masses=water.masses)
    atoms.set_velocities(start.velocities)
    atoms.calc = Bridge(water.force)
    AseVelocityVerlet(atoms, timestep=dt).run(n_steps)

    x, v, f = start.positions.copy(), start.velocities.copy(), start.forces
    for _ in range(n_steps):
        v += dt / 2 * f / water.masses[:, None]
        x += dt * v
        f = evaluate(water.force, x)[1]
        v += dt / 2 * f / water.masses[:, None]

    # Rounding in another order, grown over 1000 steps.
    np.testing.assert_allclose(ours.positions, atoms.positions, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.positions, x, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.velocities, v, rtol=0, atol=1e-10)


# --- the interface ----------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_chunking_does_not_change_a_bit(water, block):
    verlet = VelocityVerlet(0.5 * units.fs)
    args = water.force, 1 / water.masses, NO_NOISE, unlimited()
    whole = verlet.advance(hot_water(water), *args, 2_000)
    state = hot_water(water)
    while state.step < 2_000:
        state = verlet.advance(state, *args, min(block, 2_000 - state.step)).state
    np.testing.assert_equal(state, whole.state)


def test_a_run_goes_on_from_the_stored_forces(harmonic):
    # Restart would not be exact if they were computed again: here they are wrong on purpose.
    start = State(np.zeros((1, 3)), np.zeros((1, 3)), np.full((1, 3), 3.0), 0.0, 0)
    end = VelocityVerlet(0.5).advance(start, harmonic, np.ones(1), NO_NOISE, unlimited(), 1)
    np.testing.assert_array_equal(end.state.positions, np.full((1, 3), 0.5 * 0.25 * 3.0))


def test_the_state_of_the_caller_is_not_changed(water):
    start = hot_water(water)
    arrays = [a.copy() for a in start[:3]]
    for array in start[:3]:
        array.flags.writeable = False
    end = VelocityVerlet(0.05).advance(
        start, water.force, 1 / water.masses, NO_NOISE, unlimited(), 5
    )
    np.testing.assert_equal(list(start[:3]), arrays)
    assert not any(np.shares_memory(a, b) for a, b in zip(start[:3], end.state[:3], strict=True))


def test_no_steps_change_nothing(water):
    start = hot_water(water)
    args = water.force, 1 / water.masses, NO_NOISE, unlimited()
    end = VelocityVerlet(0.05).advance(start, *args, 0)
    np.testing.assert_equal(end.state, start)
    assert (end.status, end.warned) == (Status.OK, 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"velocities": np.zeros((2, 3))}, r"must share one shape \(n_atoms, 3\)"),
        ({"forces": np.zeros((3, 2))}, r"must share one shape \(n_atoms, 3\)"),
        ({"positions": np.zeros(9)}, r"must share one shape \(n_atoms, 3\)"),
        ({"step": -1}, "`step` must not be negative"),
        ({"cell": np.zeros(3)}, r"`cell` must have shape \(3, 3\)"),
        ({"bath": np.zeros(1)}, r"`bath` must have shape \(0,\) for this method, but has \(1,\)"),
    ],
)
def test_a_state_that_makes_no_sense_is_refused(water, changed, message):
    state = hot_water(water)._replace(**changed)
    with pytest.raises(ValueError, match=message):
        VelocityVerlet(0.05).advance(state, water.force, np.ones(3), NO_NOISE, unlimited(), 1)


def test_masses_and_numbers_of_steps_are_checked(water):
    verlet, state = VelocityVerlet(0.05), hot_water(water)
    with pytest.raises(ValueError, match=r"`inv_masses` must have shape \(3,\)"):
        verlet.advance(state, water.force, np.ones((3, 1)), NO_NOISE, unlimited(), 1)
    with pytest.raises(ValueError, match="`n_steps` must not be negative"):
        verlet.advance(state, water.force, np.ones(3), NO_NOISE, unlimited(), -1)


@pytest.mark.parametrize("dt", [0.0, -0.1, math.nan, math.inf])
def test_a_time_step_must_be_positive_and_finite(dt):
    with pytest.raises(ValueError, match="`dt` must be positive and finite"):
        VelocityVerlet(dt)


def test_a_new_process_takes_the_compiled_loops_from_the_cache(water, harmonic):
    # Compiling takes seconds, loading 20 ms: a cache miss would be felt in every `qmd run`.
    hot_water(water)
    code = (
        "import numpy as np\n"
        "from qmd.integrators import *\n"
        "from qmd.integrators.methods import base\n"
        "force = python_force(lambda x: (0.0, -x))\n"
        "start = initial_state(force, np.eye(2, 3), np.zeros((2, 3)))\n"
        "for method in VelocityVerlet(0.1), LangevinBAOAB(0.1, 0.1, 0.1):\n"
        "    method.advance(start, force, np.ones(2), Stream(1), unlimited(), 1)\n"
        "print(len(base._advance_each.stats.cache_misses))\n"
    )
    root = Path(__file__).parents[3]
    env = os.environ | {"PYTHONPATH": str(root)}
    for _ in range(2):  # the first may have to fill the cache
        output = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
        ).stdout
    assert output.strip() == "0"
