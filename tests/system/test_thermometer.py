"""The kinetic temperature counts what exchanges heat: in free space, in a sphere, in a bath."""

import numpy as np
import pytest
from ase.data import atomic_masses, atomic_numbers

from qmd import units
from qmd.integrators import (
    Stream,
    VelocityVerlet,
    initial_state,
    kinetic_energies,
    python_force,
    unlimited,
)
from qmd.io.structure import load_system
from qmd.system.system import System
from qmd.system.thermometer import thermometer
from qmd.system.velocities import thermal_velocities

WATER, LIH, DIMER = (load_system(name, ".") for name in ("h2o", "lih", "h2o-dimer"))
FREE = {"thermostatted": False, "confined": False}
SPHERE = {"thermostatted": False, "confined": True}
BATH = {"thermostatted": True, "confined": False}
FLIGHT = np.array([0.01, -0.02, 0.03])


def argon(n: int) -> System:
    numbers = np.full(n, atomic_numbers["Ar"])
    places = np.random.default_rng(4).uniform(-4, 4, (n, 3))
    return System(numbers, places, atomic_masses[numbers], None, f"Ar{n}")


def warm(system: System, **settings) -> np.ndarray:
    normals = np.random.default_rng(3).standard_normal(system.positions.shape)
    return thermal_velocities(system, 300.0, normals, **settings)


@pytest.mark.parametrize("system", [WATER, LIH, DIMER], ids=lambda system: system.name)
def test_what_the_start_sets_to_zero_and_nothing_changes_does_not_count(system):
    n = 3 * system.n_atoms
    still = {"h2o": 3, "lih": 2, "h2o-dimer": 3}[system.name]
    turning, rigid = warm(system), warm(system, remove_rotation=True)
    assert thermometer(system, turning, **FREE).dof == n - 3
    assert thermometer(system, turning + FLIGHT, **FREE).dof == n - 3
    assert thermometer(system, rigid, **FREE).dof == n - 3 - still
    assert thermometer(system, rigid + FLIGHT, **FREE).dof == n - 3 - still
    assert thermometer(system, np.zeros_like(turning), **FREE).dof == n - 3 - still
    # The wall pushes towards the origin: it changes the momentum, not the angular momentum.
    assert thermometer(system, turning, **SPHERE).dof == n
    assert thermometer(system, rigid, **SPHERE).dof == n - 3
    for velocities in (turning, rigid, turning + FLIGHT):
        assert thermometer(system, velocities, **BATH).dof == n


@pytest.mark.parametrize(("place", "dof"), [(FREE, 0), (SPHERE, 1), (BATH, 3)])
def test_a_single_atom_at_rest(place, dof):
    atom, rest = argon(1), np.zeros((1, 3))
    used = thermometer(atom, rest, **place)
    assert used.dof == dof
    assert used.temperatures(rest[None], np.zeros(1)) == 0.0


def test_a_drift_does_not_change_the_temperature_in_free_space():
    velocities = warm(WATER, exact=True)
    flying = velocities + FLIGHT
    used = thermometer(WATER, flying, **FREE)
    assert used.drift == pytest.approx(np.linalg.norm(FLIGHT), rel=1e-12)
    kinetic = kinetic_energies(np.array([velocities, flying]), WATER.masses)
    assert kinetic[1] > 1.1 * kinetic[0]
    # The two differ by the rounding of a dozen products.
    assert used.temperatures(np.array([velocities, flying]), kinetic) == pytest.approx(
        [300, 300], rel=1e-13
    )
    # In a bath, and in a sphere, the flight is heat as all motion is.
    for place, dof in ((BATH, 9), (SPHERE, 9)):
        other = thermometer(WATER, flying, **place)
        expected = 2 * kinetic[1] / (dof * units.kB)
        assert other.drift == 0 and other.temperatures(flying[None], kinetic[1:]) == expected


def test_eight_digits_of_a_structure_file_are_no_drift():
    velocities = np.round(warm(WATER), 8)
    assert np.any(WATER.masses @ velocities)
    assert thermometer(WATER, velocities, **FREE).drift == 0


def bounded(positions: np.ndarray) -> tuple[float, np.ndarray]:
    """The wall of `confinement` at 5 angstrom, and soft repulsion between the atoms."""
    away = np.linalg.norm(positions, axis=1)
    beyond = np.maximum(away - 5, 0)
    forces = -(3 * beyond**2 / away)[:, None] * positions
    arms = positions[:, None] - positions
    near = np.exp(-(arms**2).sum(axis=2))
    np.fill_diagonal(near, 0)
    return float((beyond**3).sum() + near.sum() / 2), forces + (2 * near[..., None] * arms).sum(1)


@pytest.mark.slow
def test_in_a_sphere_the_centre_of_mass_takes_its_share():
    # Three atoms: with 3N degrees of freedom the three of the centre of mass, and the six about
    # it, come to the same temperature, though the centre starts at rest.
    system, dt = argon(3), 10 * units.fs
    force, method = python_force(bounded), VelocityVerlet(dt)
    shares = []
    for seed in range(4):
        normals = np.random.default_rng(seed).standard_normal((3, 3))
        state = initial_state(force, system.positions, thermal_velocities(system, 30000.0, normals))
        for _ in range(1500):
            state = method.advance(
                state, force, 1 / system.masses, Stream(0), unlimited(), 20
            ).state
            whole = kinetic_energies(state.velocities[None], system.masses)[0]
            momentum = system.masses @ state.velocities
            shares.append(momentum @ momentum / (2 * system.masses.sum()) / whole)
    # Some 400 independent samples of a share that spreads by 0.15.
    assert np.mean(shares) == pytest.approx(3 / 9, abs=0.03)
