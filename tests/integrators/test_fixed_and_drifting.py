"""Fixed atoms, the drift of the centre of mass, temperatures that change: all methods alike."""

from typing import Any

import numpy as np
import pytest
from beds import Bed
from scipy import stats

from qmd import units
from qmd.integrators import (
    Batch,
    Driftless,
    Force,
    LangevinBAOAB,
    NativeReplicas,
    NoseHooverChain,
    Ramp,
    State,
    Status,
    Stream,
    VelocityRescaling,
    VelocityVerlet,
    initial_state,
    kinetic_energies,
    unlimited,
)

KT, DT = 300 * units.kB, 0.5 * units.fs
METHODS: dict[str, Any] = {
    "verlet": lambda dof, centre: VelocityVerlet(DT),
    "langevin": lambda dof, centre: LangevinBAOAB(DT, KT, 0.01 / units.fs),
    "rescaling": lambda dof, centre: VelocityRescaling(DT, KT, 50 * units.fs, dof, centre),
    "chain": lambda dof, centre: NoseHooverChain(DT, KT, 50 * units.fs, 3, dof, centre),
}


def start(method: Any, water: Bed, fixed: int | None = 0) -> State:
    v = np.array([[0.01, 0.0, 0.02], [0.0, 0.05, 0.1], [-0.07, 0.03, 0.0]])
    if fixed is not None:
        v[fixed] = 0
    return method.start(initial_state(water.force, 1.03 * water.positions, v), Stream(2))


def inverse(water: Bed, fixed: int) -> np.ndarray:
    inverses = 1 / water.masses
    inverses[fixed] = 0
    return inverses


@pytest.mark.parametrize("name", METHODS)
def test_a_fixed_atom_does_not_move_by_a_bit(water: Bed, name: str) -> None:
    method = METHODS[name](6, False)
    begin = start(method, water)
    end = method.advance(begin, water.force, inverse(water, 0), Stream(2), unlimited(), 500)
    assert end.status == Status.OK
    assert end.state.positions[0].tobytes() == begin.positions[0].tobytes()
    assert not end.state.velocities[0].any()
    assert np.abs(end.state.positions[1:] - begin.positions[1:]).max() > 0.05
    assert np.abs(end.state.forces[0]).max() > 0.01  # its force is told as it is


@pytest.mark.parametrize("name", ["rescaling", "chain"])
def test_the_conserved_energy_is_kept_with_a_fixed_atom(water: Bed, name: str) -> None:
    # ASE's chains drift there, and run at half the temperature.
    method = METHODS[name](6, False)
    begin, masses = start(method, water), water.masses

    def conserved(state: State) -> float:
        batch = Batch.of_one(state, 0)
        return float(
            method.conserved_energies(batch, kinetic_energies(batch.velocities, masses))[0]
        )

    state, found = begin, []
    for _ in range(50):
        args = water.force, inverse(water, 0), Stream(2), unlimited(), 100
        state = method.advance(state, *args).state
        found.append(conserved(state) - conserved(begin))
    # Fluctuations of Verlet at 0.5 fs: 1e-3 eV for an energy of 0.3 eV in bonds of 10 fs.
    assert max(map(abs, found)) < 3e-3
    assert abs(np.mean(found[25:]) - np.mean(found[:25])) < 5e-4


@pytest.mark.parametrize("name", ["langevin", "rescaling"])
def test_the_free_atoms_have_the_temperature_of_the_bath(harmonic: Force, name: str) -> None:
    # One of three atoms is fixed: six degrees of freedom.
    method, free = METHODS[name](6, False), harmonic._replace(workspace=np.zeros(1))
    v = np.array([[0.0, 0, 0], [0.1, -0.1, 0.05], [0.02, 0.1, -0.1]])
    begin = method.start(initial_state(free, np.zeros((3, 3)), v), Stream(0))
    masses, n = np.array([5.0, 10.0, 20.0]), 1_000
    loop = NativeReplicas(method, free, np.array([0.0, 0.1, 0.05]), 5, unlimited(), 1)
    end = loop.advance(Batch.of([begin] * n, range(n)), 2_000).batch
    kinetic = kinetic_energies(end.velocities, masses)
    # After 1 ps, of 100 fs of memory or less.
    assert stats.kstest(kinetic / KT, stats.gamma(3).cdf).pvalue > 1e-3
    assert stats.kstest(kinetic / KT, stats.gamma(4.5).cdf).pvalue < 1e-9


@pytest.mark.parametrize("name", METHODS)
def test_a_drift_is_taken_away_where_it_is_due(water: Bed, name: str) -> None:
    method = Driftless(METHODS[name](6, True), every=5)
    state, masses = start(method, water, fixed=None), water.masses
    for _ in range(10):
        args = water.force, 1 / masses, Stream(2), unlimited(), 1
        state = method.advance(state, *args).state
        momentum = np.abs(masses @ state.velocities).max()
        if state.step % 5 == 0:
            assert momentum < 1e-14
        elif state.step < 5 or name == "langevin":
            assert momentum > 1e-3
    args = water.force, 1 / masses, Stream(2), unlimited(), 10
    whole = method.advance(start(method, water, fixed=None), *args).state
    np.testing.assert_equal(whole, state)


def test_langevin_without_drift_has_three_degrees_of_freedom_less(harmonic: Force) -> None:
    method = Driftless(LangevinBAOAB(0.2, KT, 0.5), every=3)
    free, masses, n = harmonic._replace(workspace=np.zeros(1)), np.array([1.0, 2.0, 5.0]), 1_000
    begin = method.start(initial_state(free, np.zeros((3, 3)), np.zeros((3, 3))), Stream(0))
    loop = NativeReplicas(method, free, 1 / masses, 5, unlimited(), 1)
    end = loop.advance(Batch.of([begin] * n, range(n)), 99).batch
    kinetic = kinetic_energies(end.velocities, masses) / KT
    assert stats.kstest(kinetic, stats.gamma(3).cdf).pvalue > 1e-3
    assert stats.kstest(kinetic, stats.gamma(4.5).cdf).pvalue < 1e-9


def test_a_drift_needs_atoms_that_are_free() -> None:
    with pytest.raises(ValueError, match="without fixed or held atoms can drift"):
        Driftless(VelocityVerlet(DT), 1).of_motion(3, about_centre=False)
    with pytest.raises(ValueError, match="`every` must be at least 1"):
        Driftless(VelocityVerlet(DT), 0)


# --- ramps ------------------------------------------------------------------------------------


def test_a_ramp_is_the_constant_bath_of_each_of_its_steps(water: Bed) -> None:
    # Each step of the ramp is a step of a method whose temperature is that of this step.
    ramp, n = Ramp(KT, 3 * KT, 8), 10
    for make in (
        lambda kT: LangevinBAOAB(DT, kT, 0.01 / units.fs),
        lambda kT: VelocityRescaling(DT, kT, 50 * units.fs),
    ):
        state = whole = start(make(KT), water, fixed=None)
        for step in range(n):
            kT = KT + (3 * KT - KT) * min(step / 8, 1)
            args = water.force, 1 / water.masses, Stream(2), unlimited()
            state = make(kT).advance(state, *args, 1).state
        whole = make(ramp).advance(whole, *args, n).state
        np.testing.assert_equal(whole, state)
        assert make(ramp).target_kT is None and make(ramp).highest_kT == 3 * KT


@pytest.mark.parametrize("bad", [Ramp(-1.0, KT, 5), Ramp(KT, np.inf, 5), Ramp(KT, KT, 0)])
def test_ramps_that_make_no_sense_are_refused(bad: Ramp) -> None:
    with pytest.raises(ValueError, match=r"`kT` must be|`steps` of a ramp must be at least 1"):
        LangevinBAOAB(DT, bad, 0.1)


def test_noise_of_forces_needs_a_constant_bath(harmonic: Force) -> None:
    with pytest.raises(ValueError, match="temperature that does not change"):
        LangevinBAOAB(DT, Ramp(KT, 2 * KT, 5), 0.1).on_noisy_forces(harmonic, True)
