"""The shadow energy of velocity Verlet is constant to fourth order in the time step."""

from typing import Any

import numpy as np
import pytest

from qmd.analysis.shadow import shadow_energy
from qmd.integrators import State

STIFFNESS = 2.0  # of the fixture `harmonic`
MASSES = np.array([1.0, 3.0])


def path(dt: float, n: int) -> list[State]:
    """States of velocity Verlet, by NumPy."""
    rng = np.random.default_rng(2)
    x, v = rng.standard_normal((2, 2, 3))
    states = []
    for step in range(n):
        f = -STIFFNESS * x
        states.append(State(x, v, f, STIFFNESS / 2 * float((x**2).sum()), step))
        half = v + dt / 2 * f / MASSES[:, None]
        x = x + dt * half
        v = half - dt / 2 * STIFFNESS * x / MASSES[:, None]
    return states


def spread(harmonic: Any, dt: float, of_the_shadow: bool = True) -> float:
    """Largest change of the energy within four units of time."""
    energies = [
        shadow_energy(harmonic, state, MASSES, dt if of_the_shadow else 0.0)
        for state in path(dt, round(4 / dt))
    ]
    return float(np.ptp(energies))


def test_it_is_constant_to_fourth_order(harmonic: Any) -> None:
    # The next order is (w dt)^2/10 of the leading one: 0.2 % at dt = 0.1 and w^2 = 2.
    ratio = spread(harmonic, 0.1) / spread(harmonic, 0.05)
    assert ratio == pytest.approx(16, rel=0.02)


def test_the_energy_itself_is_of_second_order(harmonic: Any) -> None:
    ratio = spread(harmonic, 0.1, False) / spread(harmonic, 0.05, False)
    assert ratio == pytest.approx(4, rel=0.02)


def test_in_a_harmonic_well_it_is_the_closed_form(harmonic: Any) -> None:
    # dt^2 (v.U''.v / 12 - F^2/m / 24), with U'' = k and F = -k x.
    state, dt = path(0.1, 5)[-1], 0.3
    kinetic = float((MASSES[:, None] * state.velocities**2).sum()) / 2
    squares = float((state.forces**2 / MASSES[:, None]).sum())
    change = dt**2 * (STIFFNESS * float((state.velocities**2).sum()) / 12 - squares / 24)
    found = shadow_energy(harmonic, state, MASSES, dt)
    # Differences over 1e-4 amplify rounding of forces of a few eV/angstrom to 1e-11.
    assert found == pytest.approx(state.energy + kinetic + change, abs=1e-10)
