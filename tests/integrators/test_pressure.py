"""Argon at two temperatures and two pressures: ensembles and kinetic energies are consistent.

The judge is `physical_validation` (Merz and Shirts, 2018), which knows nothing of how the samples
were made: ratios of distributions at two states have a slope that the states alone give.
"""

from typing import Any

import numpy as np
import pytest

from qmd import units
from qmd.integrators import (
    VELOCITIES,
    Batch,
    CellRescaling,
    Force,
    LangevinBAOAB,
    NoseHooverChain,
    Status,
    Stream,
    VelocityRescaling,
    gaussian,
    initial_state,
    kinetic_energies,
    unlimited,
)
from qmd.potentials import TruncatedLennardJones, native_model

pytestmark = pytest.mark.physics
validation: Any = pytest.importorskip("physical_validation")

N, MASS = 32, 39.948
LIQUID, CRYSTAL = 11.6, 10.7
"""Edges of the cube, angstrom."""
CUTOFF = 6.0
"""In angstrom: more than half of the cell, so that some pairs have two images."""
TEMPERATURES = 100.0, 112.0
PRESSURES = 600.0, 750.0
"""In K and bar. Means of the two distributions are a standard deviation apart: volumes of 1936 and
1808 angstrom^3, with standard deviations of 110 and 93."""
COLD, HIGH = (40.0, 46.0), (500.0, 1000.0)
"""The same for the crystal."""
EVERY, SAMPLES = 200, 1_000
"""Steps of 4 fs between samples, and their number; one in three or more is independent."""


@pytest.fixture(scope="module")
def argon() -> Force:
    """Lennard-Jones with neighbour lists, force and energy shifted to zero at 6 angstrom."""
    return native_model(TruncatedLennardJones(N, 0.0103, 3.4, CUTOFF, "force_shift", skin=0.6))


class Samples:
    """Energies (eV) and volumes (angstrom^3) of a run of 0.8 ns."""

    def __init__(self, method: Any, argon: Force, kT: float, seed: int, edge: float) -> None:
        steps = np.arange(32) // 4
        corners = np.stack([steps % 2, steps // 2 % 2, steps // 4], axis=1)
        faces = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        x = (corners + np.tile(faces, (8, 1))) * edge / 2
        v, masses = np.empty((N, 3)), np.full(N, MASS)
        gaussian(v, Stream(seed), 0, VELOCITIES)
        v *= np.sqrt(kT / MASS)
        v -= v.mean(axis=0)
        free_centre = isinstance(method, LangevinBAOAB)
        self.still = 0 if free_centre else 3
        method = method.of_motion(3 * N - self.still, about_centre=not free_centre)
        state = method.start(initial_state(argon, x, v, edge * np.eye(3)), Stream(seed), argon)
        args = argon, 1 / masses, Stream(seed), unlimited()
        state = method.advance(state, *args, 10_000).state  # the liquid melts
        rows = []
        for _ in range(SAMPLES):
            end = method.advance(state, *args, EVERY)
            assert end.status == Status.OK
            state = end.state
            batch = Batch.of_one(state, 0)
            kinetic = kinetic_energies(batch.velocities, masses)
            rows.append((state.energy, kinetic[0], np.linalg.det(state.cell)))
        self.potential, self.kinetic, self.volume = np.array(rows).T

    def data(self, ensemble: str, temperature: float, pressure_bar: float | None) -> Any:
        npt = pressure_bar is not None
        return validation.data.SimulationData(
            units=validation.data.UnitData(  # to those of GROMACS, in which it forms P V
                kb=units.kB, energy_conversion=1 / units.kJ_per_mol, length_conversion=0.1,
                volume_conversion=1e-3, temperature_conversion=1, pressure_conversion=1,
                time_conversion=1 / units.ps, energy_str="eV", length_str="A", volume_str="A^3",
                temperature_str="K", pressure_str="bar", time_str="internal",
            ),
            ensemble=validation.data.EnsembleData(
                ensemble, natoms=N, temperature=temperature,
                **({"pressure": pressure_bar} if npt else {"volume": LIQUID**3}),
            ),
            system=validation.data.SystemData(
                natoms=N, nconstraints=0, ndof_reduction_tra=self.still, ndof_reduction_rot=0,
                mass=np.full(N, MASS),
            ),
            observables=validation.data.ObservableData(
                kinetic_energy=self.kinetic, potential_energy=self.potential,
                total_energy=self.kinetic + self.potential, volume=self.volume,
            ),
        )  # fmt: skip


METHODS: dict[str, Any] = {
    "langevin": lambda kT: LangevinBAOAB(4 * units.fs, kT, 1 / units.ps),
    "rescaling": lambda kT: VelocityRescaling(4 * units.fs, kT, 100 * units.fs),
    "chain": lambda kT: NoseHooverChain(4 * units.fs, kT, 100 * units.fs),
}


def barostat(kT: float, pressure_bar: float, anisotropic: bool = False) -> CellRescaling:
    return CellRescaling(
        4 * units.fs, kT, 100 * units.fs, pressure_bar * units.bar, 500 * units.fs,
        (5e-5 if anisotropic else 2e-4) / units.bar, anisotropic,
    )  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_two_temperatures(argon: Force, name: str) -> None:
    data = []
    for seed, temperature in enumerate(TEMPERATURES):
        kT = temperature * units.kB
        samples = Samples(METHODS[name](kT), argon, kT, seed, LIQUID)
        data.append(samples.data("NVT", temperature, None))
        are_of_maxwell_and_boltzmann(data[-1])
    (sigmas,) = validation.ensemble.check(*data, verbosity=0)
    print(name, "standard errors from the slope of the states:", sigmas)
    assert abs(sigmas) < 3
    # The judge is able to tell: a temperature said to be a tenth higher is refused.
    data[1].ensemble = validation.data.EnsembleData(
        "NVT", natoms=N, temperature=1.1 * TEMPERATURES[1], volume=LIQUID**3
    )
    assert abs(validation.ensemble.check(*data, verbosity=0)[0]) > 3


@pytest.mark.parametrize("phase", ["liquid", "crystal"])
def test_two_temperatures_and_two_pressures(argon: Force, phase: str) -> None:
    # A cell of any shape needs a crystal: nothing in a liquid resists a change of shape.
    anisotropic = phase == "crystal"
    edge = CRYSTAL if anisotropic else LIQUID
    temperatures, pressures = (COLD, HIGH) if anisotropic else (TEMPERATURES, PRESSURES)
    states = [(temperatures[0], p) for p in pressures] + [(temperatures[1], pressures[0])]
    data = []
    for seed, (temperature, pressure) in enumerate(states):
        kT = temperature * units.kB
        samples = Samples(barostat(kT, pressure, anisotropic), argon, kT, seed, edge)
        data.append(samples.data("NPT", temperature, pressure))
        are_of_maxwell_and_boltzmann(data[-1])
    at_two_pressures = validation.ensemble.check(data[0], data[1], verbosity=0)
    at_two_temperatures = validation.ensemble.check(data[0], data[2], verbosity=0)
    print("standard errors from the slopes of the states:", at_two_pressures, at_two_temperatures)
    assert np.abs([*at_two_pressures, *at_two_temperatures]).max() < 3
    # The judge is able to tell: pressures said to be twice as far apart are refused.
    data[1].ensemble = validation.data.EnsembleData(
        "NPT", natoms=N, temperature=temperatures[0], pressure=2 * pressures[1] - pressures[0]
    )
    assert np.abs(validation.ensemble.check(data[0], data[1], verbosity=0)).max() > 3


def are_of_maxwell_and_boltzmann(data: Any) -> None:
    """Check the distribution of kinetic energies.

    Velocities at the end of a step are too cold by ``(w dt)^2 / 4``, 0.3 % for argon at 4 fs; the
    distribution of 1,000 samples of 93 degrees of freedom shows 0.5 %.
    """
    p = validation.kinetic_energy.distribution(data, strict=True, verbosity=0)
    print("kinetic energies: p =", p)
    assert p > 1e-3
