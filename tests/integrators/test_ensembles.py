"""Ensembles: thousands of independent replicas against exact averages, at five standard errors.

Deterministic (fixed seeds). A replica is a molecule, or an atom, of one large system: the noise of
an atom depends on its index alone. Frames of one replica lie so far apart that they count as
independent too.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from qmd import units
from qmd.integrators import (
    VELOCITIES,
    LangevinBAOAB,
    State,
    Status,
    Stream,
    evaluate,
    gaussian,
    initial_state,
    unlimited,
)

pytestmark = pytest.mark.physics

KT = 300 * units.kB
N = 20_000


def thermal(masses: np.ndarray) -> np.ndarray:
    velocities = np.empty((len(masses), 3))
    gaussian(velocities, Stream(11), 0, VELOCITIES)
    return velocities * np.sqrt(KT / masses)[:, None]


def z_score(samples: np.ndarray, expected: float) -> float:
    """Distance of the mean of independent samples from `expected`, in standard errors."""
    return float((np.mean(samples) - expected) / (np.std(samples) / math.sqrt(len(samples))))


# --- water ------------------------------------------------------------------------------------


class Exact(NamedTuple):
    """Averages over the Boltzmann distribution of the water bed, by quadrature."""

    r: float
    r_variance: float
    angle: float
    angle_variance: float
    energy: float
    curvature: np.ndarray  # of each atom, <laplacian U / m>, summed over its axes


@pytest.fixture(scope="module")
def exact(water) -> Exact:
    # p ~ r1^2 r2^2 sin(theta) exp(-U/kT). 32 Gauss points a side over 8 standard deviations are
    # converged to 1e-5. By parts, <d2U/dx2> = <(dU/dx)^2> / kT: forces are enough.
    depth, alpha, r0, k, theta0 = water.force.workspace
    t, w = np.polynomial.legendre.leggauss(32)
    r1, r2, theta = np.meshgrid(
        r0 + 0.05 + 0.25 * t, r0 + 0.05 + 0.25 * t, theta0 + 1.05 * t, indexing="ij"
    )
    morse = sum(depth * (1 - np.exp(-alpha * (r - r0))) ** 2 for r in (r1, r2))
    energy = morse + 0.5 * k * (theta - theta0) ** 2
    p = np.einsum("i,j,k->ijk", w, w, w) * (r1 * r2) ** 2 * np.sin(theta) * np.exp(-energy / KT)
    p /= p.sum()

    zero = np.zeros_like(r1)
    h1 = np.stack([r1, zero, zero], axis=-1)
    h2 = np.stack([r2 * np.cos(theta), r2 * np.sin(theta), zero], axis=-1)
    geometries = np.stack([np.zeros_like(h1), h1, h2], axis=-2).reshape(-1, 3)
    squares = np.sum(evaluate(water.force, geometries)[1] ** 2, axis=1).reshape(-1, 3)

    r, angle = np.sum(p * r1), np.sum(p * theta)
    return Exact(
        r=r,
        r_variance=np.sum(p * (r1 - r) ** 2),
        angle=angle,
        angle_variance=np.sum(p * (theta - angle) ** 2),
        energy=np.sum(p * energy),
        curvature=p.ravel() @ squares / KT / water.masses,
    )


def water_frames(water, dt_fs: float, n_frames: int) -> Iterator[State]:
    """States of N molecules, 100 fs apart, the first after 200 fs."""
    dt = dt_fs * units.fs
    # 1/(10 fs): 100 fs are ten correlation times. Static averages do not depend on the friction.
    method = LangevinBAOAB(dt=dt, kT=KT, friction=0.1 / units.fs)
    masses = np.tile(water.masses, N)
    state = initial_state(water.force, np.tile(water.positions, (N, 1)), thermal(masses))
    for frame in range(-1, n_frames):
        end = method.advance(
            state, water.force, 1 / masses, Stream(11), unlimited(), round(100 / dt_fs)
        )
        assert end.status == Status.OK
        state = end.state
        if frame >= 0:
            yield state


@pytest.mark.parametrize("dt_fs", [0.25, 0.5, 1.0])
def test_the_kinetic_temperature_has_the_bias_of_its_time_step(water, exact, dt_fs):
    # Velocities at the end of a BAOAB step have kT (1 - (w dt)^2/4) per harmonic mode; for any
    # potential, to second order, kT (1 - dt^2/4 <laplacian U / m>). So 300 K read as 299.4,
    # 297.6 and 290.4 K here, and a thermometer that shows 300 K has found a bug.
    bias = (dt_fs * units.fs) ** 2 / 4 * exact.curvature
    of_atoms, of_centres = [], []
    for state in water_frames(water, dt_fs, n_frames=5):
        v = state.velocities.reshape(N, 3, 3)
        of_atoms.append(np.sum(v**2, axis=2) * water.masses / 2)
        of_centres.append(np.sum((water.masses @ v) ** 2, axis=1) / water.masses.sum() / 2)
    kinetic, moving = np.concatenate(of_atoms), np.concatenate(of_centres)

    # 9e5 degrees of freedom: the temperature is known to 0.15 %.
    expected = KT / 2 * (9 - bias.sum())
    assert abs(z_score(kinetic.sum(1), expected)) < 5
    assert abs(np.mean(kinetic.sum(1)) / expected - 1) < 0.01
    # Equipartition: each atom has its own bias, the centre of mass none.
    for atom in range(3):
        assert abs(z_score(kinetic[:, atom], KT / 2 * (3 - bias[atom]))) < 5
    assert abs(z_score(moving, 1.5 * KT)) < 5
    # The whole distribution, of one frame: 9/2 degrees of freedom at the temperature shown.
    gamma = stats.gamma(4.5, scale=expected / 4.5)
    assert stats.kstest(kinetic[:N].sum(1), gamma.cdf).pvalue > 1e-6


def test_structures_of_water_follow_the_boltzmann_distribution(water, exact):
    lengths_OH, angles, energy = [], [], []
    for state in water_frames(water, dt_fs=0.5, n_frames=3):
        x = state.positions.reshape(N, 3, 3)
        bonds = x[:, 1:] - x[:, :1]
        lengths = np.linalg.norm(bonds, axis=2)
        lengths_OH.append(lengths[:, 0])
        angles.append(np.arccos(np.sum(bonds[:, 0] * bonds[:, 1], axis=1) / lengths.prod(1)))
        energy.append(state.energy / N)
    r, angle = np.concatenate(lengths_OH), np.concatenate(angles)
    assert abs(z_score(r, exact.r)) < 5
    assert abs(z_score((r - exact.r) ** 2, exact.r_variance)) < 5
    assert abs(z_score(angle, exact.angle)) < 5
    assert abs(z_score((angle - exact.angle) ** 2, exact.angle_variance)) < 5
    # Three nearly harmonic modes: U varies by sqrt(3/2) kT from molecule to molecule.
    error = math.sqrt(1.5 / (3 * N)) * KT
    assert abs(np.mean(energy) - exact.energy) < 5 * error


# --- dynamics, not only statics ---------------------------------------------------------------


def velocity_products(force, masses, dt, friction, times) -> Iterator[np.ndarray]:
    """v(0) v(t) m/kT of every component, from an equilibrated start, at each of `times`."""
    method = LangevinBAOAB(dt=dt, kT=KT, friction=friction)
    args = force, 1 / masses, Stream(11), unlimited()
    start = initial_state(force, np.zeros((len(masses), 3)), thermal(masses))
    start = method.advance(start, *args, round(20 / friction / dt)).state
    state = start
    for t in times:
        n_steps = round(t / dt) - (state.step - start.step)
        state = method.advance(state, *args, n_steps).state
        yield (start.velocities * state.velocities * masses[:, None]).ravel() / KT


def test_a_free_particle_forgets_its_velocity_at_the_rate_of_the_friction(harmonic):
    free, friction = harmonic._replace(workspace=np.zeros(1)), 0.3
    times = np.array([0.5, 1.0, 2.0, 5.0]) / friction
    products = velocity_products(free, np.full(N, 1.7), 0.05, friction, times)
    for t, product in zip(times, products, strict=True):
        assert abs(z_score(product, math.exp(-friction * t))) < 5


def test_a_free_particle_diffuses_as_einstein_said(harmonic):
    free, mass, friction, dt = harmonic._replace(workspace=np.zeros(1)), 1.7, 0.3, 0.05
    masses, n_steps = np.full(N, mass), 2_000
    method = LangevinBAOAB(dt=dt, kT=KT, friction=friction)
    start = initial_state(free, np.zeros((N, 3)), thermal(masses))
    end = method.advance(start, free, 1 / masses, Stream(11), unlimited(), n_steps).state
    t, diffusion = n_steps * dt, KT / (mass * friction)
    expected = 2 * diffusion * (t - (1 - math.exp(-friction * t)) / friction)
    assert abs(z_score((end.positions**2).ravel(), expected)) < 5


def test_an_oscillator_has_the_velocity_correlation_of_langevins_equation(harmonic):
    mass, friction = 1.7, 0.4
    omega = math.sqrt(2.0 / mass)  # k = 2 of the fixture
    damped = math.sqrt(omega**2 - friction**2 / 4)
    times = np.array([0.5, 1.5, 3.0, 6.0]) / omega
    products = velocity_products(harmonic, np.full(N, mass), 0.02 / omega, friction, times)
    for t, product in zip(times, products, strict=True):
        phase = damped * t
        shape = math.cos(phase) - friction / (2 * damped) * math.sin(phase)
        assert abs(z_score(product, math.exp(-friction * t / 2) * shape)) < 5
