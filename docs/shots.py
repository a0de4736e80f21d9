"""Measure the effect of finite shots on a run of water.

    python docs/shots.py

Writes docs/shots.md: the temperature with and without compensation, and the heating of a run at
constant energy, each beside its prediction. It takes some minutes on one core.
"""

from pathlib import Path

import numpy as np

from qmd import units
from qmd.analysis.statistics import mean
from qmd.integrators import (
    NoisyLangevinBAOAB,
    Status,
    Stream,
    initial_state,
    kinetic_energy,
    unlimited,
    with_noise,
)
from qmd.io.structure import load_system
from qmd.potentials import find, load, shot_covariance

TARGET = Path(__file__).parent / "shots.md"
SHOTS = 2_000, 4_000, 20_000, 200_000
TIMESTEP_FS, TEMPERATURE_K, FRICTION_PER_PS = 0.5, 300, 50
STEPS, EVERY = 60_000, 20
REPLICAS, HEAT_EV, MOST_STEPS = 100, 0.1, 300
"""Number, largest predicted heating and largest length of the runs without a thermostat."""
HEAD = """\
| shots | fraction of the thermostat noise | T, K | T without compensation, K | predicted | \
heating without thermostat, eV/ps | predicted |
| --: | --: | --: | --: | --: | --: | --: |
"""


class Water:
    """Shipped water potential with finite shots."""

    def __init__(self, shots):
        package, system = load(find("sivqlm-h2o")), load_system("h2o", Path())
        self.positions, self.masses = system.positions, system.masses
        self.force = package.native()
        self.covariance = shot_covariance(package.model, shots)

    def method(self, friction_per_ps, *, compensate):
        dt, kT = TIMESTEP_FS * units.fs, TEMPERATURE_K * units.kB
        friction = friction_per_ps / units.ps
        return NoisyLangevinBAOAB(dt, kT, friction, self.covariance, compensate)

    def at_rest(self, stream):
        exact = initial_state(self.force, self.positions, np.zeros_like(self.positions))
        return with_noise(exact, self.covariance, stream)

    def advance(self, method, state, stream, n_steps):
        inverse = 1 / self.masses
        done = method.advance(state, self.force, inverse, stream, unlimited(), n_steps)
        assert done.status == Status.OK, Status(done.status).name
        return done.state

    def heating(self, method, state):
        """Return the mean heating by noise, ``dt/2 tr(M^-1 C)``, eV per internal time."""
        variances = np.diag(method.noise(state.positions)).reshape(-1, 3)
        return method.dt / 2 * np.sum(variances / self.masses[:, None])

    def temperature(self, method, state):
        """Return the temperature, K, with on-step velocities corrected as in `qmd analyze`."""
        correction = method.dt**2 / 8 * np.sum(state.forces**2 / self.masses[:, None])
        n = state.positions.size
        return 2 / n / units.kB * (kinetic_energy(state.velocities, self.masses) + correction)


def with_thermostat(water, stream, *, compensate):
    """Measure the mean and error of the temperature (K), and the heating (eV per internal time)."""
    method = water.method(FRICTION_PER_PS, compensate=compensate)
    state, found = water.at_rest(stream), []
    for _ in range(STEPS // EVERY):
        state = water.advance(method, state, stream, EVERY)
        found.append((water.temperature(method, state), water.heating(method, state)))
    temperatures, heating = np.array(found).T
    measured = mean(temperatures)
    return measured, heating[measured.begin :].mean()


def without_thermostat(water, shots):
    """Return the heating (eV/ps) of REPLICAS short runs: measured, its error, and predicted."""
    bath = water.method(FRICTION_PER_PS, compensate=True)
    free = water.method(1e-9, compensate=False)
    state, rises, predicted = water.at_rest(Stream(shots, 2)), [], []
    n_steps = int(min(MOST_STEPS, HEAT_EV / water.heating(free, state) / free.dt))
    for replica in range(REPLICAS):
        state = water.advance(bath, state, Stream(shots, 2), 100)  # another start of the ensemble
        stream = Stream(shots, 3 + replica)
        exact = initial_state(water.force, state.positions, state.velocities)
        run = with_noise(exact, water.covariance, stream)
        first = run.energy + kinetic_energy(run.velocities, water.masses)
        predicted.append(water.heating(free, run))
        run = water.advance(free, run, stream, n_steps)
        predicted[-1] = (predicted[-1] + water.heating(free, run)) / 2
        last = run.energy + kinetic_energy(run.velocities, water.masses)
        rises.append((last - first) / (n_steps * free.dt))
    error = np.std(rises, ddof=1) / np.sqrt(REPLICAS)
    return units.ps * np.array([np.mean(rises), error, np.mean(predicted)])


def row(shots):
    """Return the row of the table for a number of shots."""
    water = Water(shots)
    method = water.method(FRICTION_PER_PS, compensate=True)
    right, _ = with_thermostat(water, Stream(shots, 0), compensate=True)
    hot, heating = with_thermostat(water, Stream(shots, 1), compensate=False)
    # The thermostat removes 2 gamma (K - K_0); with steps, 2/dt tanh(gamma dt/2) replaces gamma.
    friction = 2 / method.dt * np.tanh(method.friction * method.dt / 2)
    predicted = TEMPERATURE_K + heating / friction / units.kB / water.positions.size
    rise, error, expected = without_thermostat(water, shots)
    share = method.share(water.positions, 1 / water.masses)
    return (
        f"| {shots:,} | {share:.3f} | {right.value:.0f} +- {right.error:.0f} "
        f"| {hot.value:.0f} +- {hot.error:.0f} | {predicted:.0f} "
        f"| {rise:.3f} +- {error:.3f} | {expected:.3f} |"
    )


def main():
    rows = [row(shots) for shots in SHOTS]
    settings = (
        f"Water (`sivqlm-h2o`), {TEMPERATURE_K} K, {TIMESTEP_FS} fs, friction "
        f"{FRICTION_PER_PS}/ps, {STEPS * TIMESTEP_FS / 1000:g} ps each; heating over at most "
        f"{MOST_STEPS * TIMESTEP_FS:g} fs of {REPLICAS} runs. Written by `python docs/shots.py`."
    )
    TARGET.write_text(HEAD + "\n".join(rows) + f"\n\n{settings}\n")
    print(TARGET.read_text(), end="")


if __name__ == "__main__":
    main()
