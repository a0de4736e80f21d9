"""Stochastic cell rescaling: closed forms of the volume and the shape, and what must not change."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from qmd import units
from qmd.integrators import (
    FORCE_SIGNATURE,
    VELOCITIES,
    AdvancedBatch,
    Batch,
    CellRescaling,
    Force,
    LangevinBAOAB,
    NativeReplicas,
    NoseHooverChain,
    State,
    Status,
    Stream,
    VelocityRescaling,
    VelocityVerlet,
    cfunc,
    evaluate_virial,
    gaussian,
    initial_state,
    kinetic_energies,
    python_force,
    unlimited,
)

KT, FS = 300 * units.kB, units.fs
PRESSURE = 1e-3
"""In eV/angstrom^3: 1.6 kbar."""
N = 12
MASSES = np.linspace(10, 30, N)


@pytest.fixture(scope="module")
def gas() -> Force:
    """Atoms that do not interact, in a cell that is a spring.

    ``U = a/2 (V - V0)^2 + b/2 |h h^T - L^2|^2``, for the lattice vectors h in rows: it depends on
    volume and shape, and not on how the cell is turned. Workspace: a, V0, b, L^2.
    """

    @cfunc(FORCE_SIGNATURE)
    def function(positions, cell, forces_out, virial_out, program, workspace):
        a, v0, b, square = workspace
        forces_out[:, :] = 0.0
        volume = (
            cell[0, 0] * (cell[1, 1] * cell[2, 2] - cell[1, 2] * cell[2, 1])
            - cell[0, 1] * (cell[1, 0] * cell[2, 2] - cell[1, 2] * cell[2, 0])
            + cell[0, 2] * (cell[1, 0] * cell[2, 1] - cell[1, 1] * cell[2, 0])
        )
        energy = 0.5 * a * (volume - v0) ** 2
        for i in range(virial_out.shape[0]):
            for k in range(3):
                virial_out[i, k] = -a * (volume - v0) * volume if i == k else 0.0
        for i in range(3):
            for j in range(3):
                metric = -square if i == j else 0.0
                for k in range(3):
                    metric += cell[i, k] * cell[j, k]
                energy += 0.5 * b * metric**2
                for m in range(virial_out.shape[0]):
                    for k in range(3):
                        virial_out[m, k] -= 2.0 * b * metric * cell[i, m] * cell[j, k]
        return energy

    return Force(function, np.zeros(1, np.int64), np.zeros(4), periodic=True)


def barostat(
    dt_fs: float = 2.0, *, anisotropic: bool = False, tau_fs: float = 1000
) -> CellRescaling:
    return CellRescaling(
        dt_fs * FS, KT, 50 * FS, PRESSURE, tau_fs * FS, 1 / PRESSURE, anisotropic
    )  # fmt: skip


def start(method: CellRescaling, force: Force, cell: np.ndarray, seed: int = 1) -> State:
    velocities = np.empty((N, 3))
    gaussian(velocities, Stream(seed), 0, VELOCITIES)
    velocities *= np.sqrt(KT / MASSES)[:, None]
    velocities -= MASSES @ velocities / MASSES.sum()
    positions = np.linspace(-5, 9, 3 * N).reshape(N, 3)
    return method.start(initial_state(force, positions, velocities, cell), Stream(0), force)


def replicas(method: CellRescaling, force: Force, cell: np.ndarray, n: int, steps: int) -> Batch:
    """Independent ends of `n` replicas, with velocities of their own."""
    begin = Batch.of([start(method, force, cell, seed) for seed in range(n)], range(n))
    advanced = loop(method, force).advance(begin, steps)
    assert not advanced.status.any()
    return advanced.batch


def loop(method: CellRescaling, force: Force) -> NativeReplicas:
    return NativeReplicas(method, force, 1 / MASSES, 5, unlimited(), 1)


def spring(gas: Force, a: float = 0.0, v0: float = 0.0, b: float = 0.0, side: float = 0.0) -> Force:
    return gas._replace(workspace=np.array([a, v0, b, side**2]))


def cubic(volume: float) -> np.ndarray:
    return np.eye(3) * volume ** (1 / 3)


MEAN = (N + 1) * KT / PRESSURE


@pytest.mark.parametrize("anisotropic", [False, True])
def test_an_ideal_gas_has_its_distribution_of_volumes(gas: Force, anisotropic: bool) -> None:
    # V^N exp(-P V/kT): N + 1 in the gamma distribution. A centre of mass that did not count would
    # give N (LAMMPS counts 3 N - 3 degrees of freedom), a density of states of dV/V likewise.
    # 4 ps: the slowest memory, of the volume, is that of tau = 0.6 ps.
    method = barostat(anisotropic=anisotropic, tau_fs=600)
    end = replicas(method, spring(gas), cubic(MEAN), n=800, steps=2_000)
    volumes = PRESSURE * np.linalg.det(end.cells) / KT
    assert stats.kstest(volumes, stats.gamma(N + 1).cdf).pvalue > 1e-3
    for wrong in (N, N + 2):
        assert stats.kstest(volumes, stats.gamma(wrong).cdf).pvalue < 1e-6
    # The volume does not change what the thermostat does: 3 N - 3 degrees of freedom.
    kinetic = kinetic_energies(end.velocities, MASSES) / KT
    assert stats.kstest(kinetic, stats.gamma((3 * N - 3) / 2).cdf).pvalue > 1e-3
    # The pressure of a log, 2 K/(3 V), lacks the share of the centre of mass: kT <1/V> = P/N.
    logged = 2 * kinetic / (3 * volumes) - (1 - 1 / N)
    assert abs(logged.mean()) < 4 * logged.std() / math.sqrt(len(logged)) < 0.8 / N


def test_a_stiff_cell_has_the_volumes_of_its_energy(gas: Force) -> None:
    # V^N exp(-(P V + a/2 (V - V0)^2)/kT), by quadrature: the virial works with its sign.
    a, v0 = KT / 15**2, 1.2 * MEAN
    end = replicas(barostat(tau_fs=300), spring(gas, a, v0), cubic(v0), n=600, steps=1_000)
    grid = np.linspace(v0 - 150, v0 + 150, 20_001)
    logarithm = N * np.log(grid) - (PRESSURE * grid + a / 2 * (grid - v0) ** 2) / KT
    density = np.exp(logarithm - logarithm.max())
    integral = integrate.cumulative_trapezoid(density, grid, initial=0)
    volumes = np.linalg.det(end.cells)
    wanted = lambda v: np.interp(v, grid, integral / integral[-1])  # noqa: E731
    assert stats.kstest(volumes, wanted).pvalue > 1e-3
    assert stats.kstest(volumes - 2, wanted).pvalue < 1e-3


def test_a_soft_crystal_has_the_shapes_of_its_energy(gas: Force) -> None:
    # The density over metrics G = h h^T is det G^((N - 3)/2) exp(-(U + P V)/kT); an independent
    # sampler draws from it. b is such that a length varies by 4 %, 300 times less than by pressure
    # alone: with tau = 3 ps a step takes a hundredth of a strain back, which makes it too wide by
    # half a per cent.
    side = MEAN ** (1 / 3)
    b = KT / (0.08 * side**2) ** 2
    force = spring(gas, b=b, side=side)
    end = replicas(barostat(anisotropic=True, tau_fs=3_000), force, cubic(MEAN), 600, 1_000)
    ours = end.cells @ end.cells.transpose(0, 2, 1)
    other = metrics_by_metropolis(b, side, n=2_000)
    for name, function in SHAPES.items():
        assert stats.ks_2samp(function(ours), function(other)).pvalue > 1e-3, name
    # By the symmetry of the cube the three angles have one distribution, and so have the lengths.
    assert np.ptp([np.std(ours[:, i, j]) for i, j in ((0, 1), (0, 2), (1, 2))]) < 0.15 * side
    # The cell did not turn: strains are symmetric.
    assert np.abs(end.cells - end.cells.transpose(0, 2, 1)).max() < 0.2 * side


SHAPES: dict[str, Any] = {
    "volume": lambda g: np.sqrt(np.linalg.det(g)),
    "length": lambda g: g[:, 0, 0],
    "angle": lambda g: g[:, 1, 2],
    "quotient": lambda g: g[:, 0, 0] / g[:, 1, 1],
}


def metrics_by_metropolis(b: float, side: float, n: int) -> np.ndarray:
    rng = np.random.default_rng(1)

    def logarithm(g: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            root = np.sqrt(np.linalg.det(g))
        energy = b / 2 * ((g - side**2 * np.eye(3)) ** 2).sum(axis=(1, 2)) + PRESSURE * root
        return np.where(root > 0, (N - 3) * np.log(np.maximum(root, 1e-9)) - energy / KT, -np.inf)

    g = np.tile(side**2 * np.eye(3), (n, 1, 1))
    now = logarithm(g)
    for _ in range(600):
        move = rng.normal(size=(n, 3, 3)) * 0.04 * side**2
        moved = g + move + move.transpose(0, 2, 1)
        new = logarithm(moved)
        accepted = np.log(rng.random(n)) < new - now
        g[accepted], now[accepted] = moved[accepted], new[accepted]
    return g


@pytest.mark.parametrize("anisotropic", [False, True])
def test_the_conserved_energy_is_kept_to_first_order(gas: Force, anisotropic: bool) -> None:
    force, errors = spring(gas, KT / 30**2, MEAN), []
    for dt_fs in (2.0, 0.5):
        method = barostat(dt_fs, anisotropic=anisotropic)
        begin = Batch.of(
            [start(method, force, cubic(MEAN), seed) for seed in range(200)], range(200)
        )
        end = loop(method, force).advance(begin, round(1000 / dt_fs)).batch
        before, after = (
            method.conserved_energies(each, kinetic_energies(each.velocities, MASSES))
            for each in (begin, end)
        )
        assert np.std(end.baths[:, 0]) > KT  # the heat is of another size
        errors.append(np.sqrt(np.mean((after - before) ** 2)))
    # A quarter; each root is known to 5 %.
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.3)
    assert errors[0] < 0.05 * KT


def test_the_bath_holds_the_virial_of_the_positions(gas: Force) -> None:
    force = spring(gas, KT / 30**2, MEAN, 1e-6, 6.0)
    method = barostat(anisotropic=True)
    end = method.advance(
        start(method, force, cubic(MEAN)), force, 1 / MASSES, Stream(2), unlimited(), 20
    ).state
    energy, _, virial = evaluate_virial(force, end.positions, end.cell)
    assert energy == end.energy
    found = [virial[0, 0], virial[1, 1], virial[2, 2], virial[1, 2], virial[0, 2], virial[0, 1]]
    # Both triangles of the sum differ by rounding.
    np.testing.assert_allclose(end.bath[1:], found, rtol=1e-12, atol=1e-14)


TILTED = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [-1.0, 1.5, 8.5]])


def test_an_isotropic_step_keeps_the_shape_and_every_direction(gas: Force) -> None:
    method, force = barostat(), spring(gas)
    begin = start(method, force, TILTED)
    begin = begin._replace(velocities=begin.velocities * [1, 0, 0])
    end = method.advance(begin, force, 1 / MASSES, Stream(2), unlimited(), 200).state
    scale = end.cell[0, 0] / 9
    assert abs(scale - 1) > 0.01
    np.testing.assert_allclose(end.cell, scale * TILTED, rtol=1e-12, atol=1e-12)
    # Velocities along x stay along x under a full cell.
    np.testing.assert_array_equal(end.velocities[:, 1:], 0)
    # Without forces fractional places move by velocity over scale, which is finite: y and z stay.
    assert np.abs(end.positions[:, 1:] - scale * begin.positions[:, 1:]).max() < 1e-12


@pytest.mark.parametrize(
    "method",
    [VelocityVerlet(FS), VelocityRescaling(FS, KT, 50 * FS), NoseHooverChain(FS, KT, 50 * FS)],
)
def test_methods_without_barostat_keep_every_direction(gas: Force, method: Any) -> None:
    force = spring(gas)
    begin = start(barostat(), force, TILTED)._replace(bath=np.zeros(0))
    begin = begin._replace(velocities=begin.velocities * [1, 0, 0])
    begin = method.start(begin, Stream(0), force)
    end = method.advance(begin, force, 1 / MASSES, Stream(2), unlimited(), 200).state
    changed = np.abs(end.velocities[:, 0] / begin.velocities[:, 0] - 1)
    assert (changed.min() > 1e-3) == (not isinstance(method, VelocityVerlet))
    np.testing.assert_array_equal(end.velocities[:, 1:], 0)
    np.testing.assert_array_equal(end.positions[:, 1:], begin.positions[:, 1:])


def test_the_drift_is_left_alone(gas: Force) -> None:
    method, force, drift = barostat(anisotropic=True), spring(gas), np.array([0.01, 0.02, -0.03])
    begin = start(method, force, TILTED)
    begin = begin._replace(velocities=begin.velocities + drift)
    end = method.advance(begin, force, 1 / MASSES, Stream(2), unlimited(), 200).state
    np.testing.assert_allclose(MASSES @ end.velocities / MASSES.sum(), drift, rtol=0, atol=1e-13)


def test_chunks_do_not_change_a_bit(gas: Force) -> None:
    method, force = barostat(anisotropic=True), spring(gas, KT / 30**2, MEAN)
    args = force, 1 / MASSES, Stream(5, 3), unlimited()
    state = start(method, force, TILTED)
    whole = method.advance(state, *args, 100).state
    while state.step < 100:
        state = method.advance(state, *args, min(7, 100 - state.step)).state
    np.testing.assert_equal(state, whole)
    assert np.abs(whole.cell - TILTED).max() > 0.1


@pytest.mark.parametrize("method", [VelocityVerlet(FS), LangevinBAOAB(FS, KT, 1 / units.ps)])
def test_other_methods_leave_the_cell_as_it_is(gas: Force, method: Any) -> None:
    force = spring(gas)
    state = start(barostat(), force, TILTED)._replace(bath=np.zeros(0))
    end = method.advance(state, force, 1 / MASSES, Stream(5), unlimited(), 10).state
    np.testing.assert_array_equal(end.cell, TILTED)


def test_a_cell_that_leaps_stops_the_run(gas: Force) -> None:
    method = CellRescaling(2 * FS, KT, 50 * FS, PRESSURE, 5 * FS, 1 / PRESSURE)
    ended: AdvancedBatch = loop(method, spring(gas)).advance(
        Batch.of([start(method, spring(gas), cubic(MEAN))], [0]), 50
    )
    assert ended.status[0] == Status.CELL


def test_what_a_barostat_needs_is_asked_for(gas: Force, harmonic: Force) -> None:
    method, x = barostat(), np.eye(3)
    for cell in (np.zeros((3, 3)), np.diag([9.0, 9.0, 0.0])):
        state = initial_state(spring(gas), x, x, cell)
        with pytest.raises(ValueError, match="periodic in all three directions"):
            method.start(state, Stream(0), spring(gas))
    state = initial_state(python_force(lambda x: (0.0, 0 * x)), x, x)._replace(cell=TILTED)
    blind = harmonic._replace(periodic=True)
    with pytest.raises(ValueError, match="has no virial"):
        method.start(state, Stream(0), blind)
    with pytest.raises(ValueError, match="needs the force"):
        method.start(state, Stream(0))
    with pytest.raises(ValueError, match="none is fixed or held"):
        method.of_motion(9, about_centre=False)


@pytest.mark.parametrize("changed", [
    {"dt": 0.0}, {"relaxation": -1.0}, {"pressure": math.nan}, {"kT": 0.0},
    {"barostat_relaxation": 0.0}, {"compressibility": 0.0},
])  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(changed: dict[str, float]) -> None:
    (name,) = changed
    good = {
        "dt": 0.1, "kT": KT, "relaxation": 1.0, "pressure": 0.0, "barostat_relaxation": 1.0,
        "compressibility": 1.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        CellRescaling(**(good | changed))
