"""Analysis in cells, against closed forms, and against other programs where they are right."""

import numpy as np
import pytest
from ase.build import bulk as crystal
from made_series import made
from pair_lists import brute_force, random_box

from qmd.analysis import internal
from qmd.analysis.condensed import bulk, displacement, hydrogen_bonds, pairs, radial
from qmd.analysis.series import Log, Series
from qmd.system.cell import heights

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)
TILTED = np.array([[9.0, 0.0, 0.0], [2.0, 8.5, 0.0], [-1.5, 1.0, 9.5]])


def in_cell(positions, cells, species, **changes) -> Series:
    """A run in a cell, or in a cell for each frame, without velocities."""
    n, n_atoms = positions.shape[:2]
    settings = dict(
        species=tuple(species), masses=np.ones(n_atoms), bonds=(),
        cells=np.broadcast_to(cells, (n, 3, 3)).copy(),
    )  # fmt: skip
    times = changes.pop("times_ps", np.arange(n) * 0.1)
    return made(positions, np.zeros_like(positions), times, **(settings | changes))


def gas(n_frames, n_atoms, cells, seed=0):
    """Positions without any correlation, (n_frames, n_atoms, 3)."""
    fractions = np.random.default_rng(seed).random((n_frames, n_atoms, 3))
    return fractions @ cells


def test_no_pair_is_lost_below_half_of_the_smallest_height():
    # MDAnalysis' tree loses pairs beyond it; the oracle looks at every image of every pair.
    checked = 0
    for seed in range(120):
        positions, cell, _ = random_box(seed)
        if not cell.any():
            continue
        cutoff = 0.499 * heights(cell).min()
        i, j, distances = pairs.near(positions, cell, cutoff)
        expected = [(a, b) for a, b, *_ in brute_force(positions, cell, cutoff)]
        assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == expected
        assert (distances < cutoff * (1 + 1e-6)).all()
        with pytest.raises(ValueError, match="loses images"):
            pairs.near(positions, cell, 0.501 * heights(cell).min())
        checked += len(expected)
    assert checked > 500


def test_a_grid_finds_the_pairs_of_many_atoms(monkeypatch):
    rng = np.random.default_rng(1)
    positions = rng.random((300, 3)) @ (3 * TILTED) + 100
    found = []
    for most in (1000, 100):
        monkeypatch.setattr(pairs, "MAX_ALL_PAIRS", most)
        i, j, _ = pairs.near(positions, 3 * TILTED, 6.0)
        found.append(sorted(zip(i.tolist(), j.tolist(), strict=True)))
    assert found[0] == found[1] and len(found[0]) > 1000


@pytest.mark.parametrize("changes", [False, True])
def test_an_ideal_gas_has_g_1_in_a_tilted_cell_that_changes(changes):
    n_frames, n_atoms = 400, 60
    scale = np.exp(np.random.default_rng(2).normal(0, 0.05 * changes, n_frames))
    cells = TILTED * scale[:, None, None]
    positions = gas(n_frames, n_atoms, cells)
    run = in_cell(positions, cells, ["Ar"] * 40 + ["Ne"] * 20)
    found = radial.radial_distributions(run)
    assert [f.name for f in found] == ["Ar-Ar", "Ar-Ne", "Ne-Ne"]
    for f in found:
        assert f.radii[-1] + radial.BIN_A / 2 <= 0.5 * min(heights(cell).min() for cell in cells)
        far = f.radii > 1.0
        # Counts of independent pairs have Poisson errors. Over the 50 bins or so, the mean of
        # squared deviations is off by sqrt(2/50) = 0.2; that of squared errors, which come from
        # five blocks each, by sqrt(2/4/50) = 0.1.
        mean_error = np.sqrt(np.mean(f.errors[far] ** 2) / far.sum())
        assert abs(np.mean(f.values[far]) - 1) < 5 * mean_error
        n_pairs = {"Ar-Ar": 780, "Ar-Ne": 800, "Ne-Ne": 190}[f.name]
        shells = 4 * np.pi * f.radii[far] ** 2 * radial.BIN_A
        poisson = 1 / np.sqrt(n_frames * n_pairs * shells * np.mean(1 / np.linalg.det(cells)))
        assert np.mean(((f.values[far] - 1) / poisson) ** 2) == pytest.approx(1, abs=0.6)
        assert np.mean(f.errors[far] ** 2 / poisson**2) == pytest.approx(1, abs=0.5)


def test_an_ideal_gas_in_a_slab_has_g_1():
    # It fills 8 of 30 angstrom only: with the whole volume, g would be 3.75 nearby, and less far.
    cell = np.diag([20.0, 21.0, 0.0])
    positions = np.random.default_rng(3).random((300, 80, 3)) * [20.0, 21.0, 8.0] + [0, 0, 50.0]
    found = radial.radial_distributions(in_cell(positions, cell, ["Ar"] * 80))[0]
    assert found.radii[-1] > 9.8  # half of 20 angstrom
    for low, high in ((1, 4), (4, 7), (7, 10)):
        part = (found.radii > low) & (found.radii < high)
        assert np.mean(found.values[part]) == pytest.approx(1, abs=0.02)  # 1e4 pairs or more


def test_a_distribution_is_that_of_mdtraj():
    mdtraj = pytest.importorskip("mdtraj")
    rng = np.random.default_rng(4)
    lengths = 10 + rng.normal(0, 0.2, (50, 1))
    cells = lengths[:, :, None] * np.eye(3)
    positions = gas(50, 30, cells, seed=5)
    run = in_cell(positions, cells, ["O"] * 30)
    found = radial.radial_distributions(run)[0]
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in range(30):
        topology.add_atom("O", mdtraj.element.oxygen, topology.add_residue("X", chain))
    traj = mdtraj.Trajectory(
        positions / 10, topology, unitcell_lengths=np.repeat(lengths, 3, axis=1) / 10,
        unitcell_angles=np.full((50, 3), 90.0),
    )  # fmt: skip
    n = len(found.radii)
    _, g = mdtraj.compute_rdf(
        traj, topology.select_pairs("all", "all"), r_range=(0, n * radial.BIN_A / 10), n_bins=n
    )
    # Single precision moves pairs at the edges of a bin: 2e-6 of 0.05 angstrom, none or one.
    assert np.sum(np.abs(found.values - g) > 1e-4 * (1 + g)) <= 2


def test_a_crystal_has_its_shells():
    atoms = crystal("Cu", a=3.6, cubic=True).repeat(3)
    rng = np.random.default_rng(6)
    positions = atoms.positions + rng.normal(0, 0.05, (40, len(atoms), 3))
    found = radial.radial_distributions(in_cell(positions, np.array(atoms.cell), ["Cu"] * 108))[0]
    # The first shell of fcc: 12 neighbours at a/sqrt(2), the second one at a.
    assert found.peak_A == pytest.approx(3.6 / np.sqrt(2), abs=radial.BIN_A)
    assert 2.8 < found.minimum_A < 3.4
    assert found.coordination.value == pytest.approx(12) and found.coordination.error < 1e-9
    density = 4 / 3.6**3
    until = found.radii < 4.0
    shells = 4 / 3 * np.pi * ((found.radii + 0.025) ** 3 - (found.radii - 0.025) ** 3)
    # All of both shells lie inside 4 angstrom; g counts pairs over N - 1, not N.
    inside = density * np.sum(found.values[until] * shells[until]) * 107 / 108
    assert inside == pytest.approx(18, rel=1e-6)


def test_coordination_numbers_of_two_elements_are_of_each():
    atoms = crystal("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)
    species = atoms.get_chemical_symbols()
    positions = atoms.positions + np.random.default_rng(7).normal(0, 0.05, (20, len(atoms), 3))
    keep = [i for i in range(64) if species[i] == "Na" or i % 4 != 1]  # half of the Cl
    run = in_cell(positions[:, keep], np.array(atoms.cell), [species[i] for i in keep])
    n_cl = run.species.count("Cl")
    found = {f.name: f for f in radial.radial_distributions(run)}["Na-Cl"]
    assert 0 < n_cl < 32
    assert found.coordination_of_second.value == pytest.approx(6)  # Na about a Cl
    assert found.coordination.value == pytest.approx(6 * n_cl / 32)


def test_what_has_no_density_has_no_distribution():
    positions = np.random.default_rng(8).random((10, 4, 3))
    wire = in_cell(positions, np.diag([9.0, 0.0, 0.0]), ["Ar"] * 4)
    assert "one direction only" in radial.missing(wire)
    assert radial.radial_distributions(wire) == []
    assert "isolated" in radial.missing(made(positions, positions, np.arange(10) * 0.1))


def walk(n_frames, n_atoms, dimensions=3, seed=9):
    """Positions of random walkers that diffuse with 0.5 angstrom^2/ps, frames every 0.1 ps."""
    steps = np.random.default_rng(seed).normal(0, np.sqrt(2 * 0.5 * 0.1), (n_frames, n_atoms, 3))
    steps[..., dimensions:] = 0
    return np.cumsum(steps, axis=0)


def wrap(positions, cell):
    fractions = positions @ np.linalg.inv(cell)
    return (fractions - np.floor(fractions)) @ cell


def test_mean_square_displacements_are_sums_over_all_starts():
    x = walk(40, 70)  # two chunks
    direct = [
        np.mean(np.sum((x[k:] - x[: len(x) - k]) ** 2, axis=2)) if k else 0.0 for k in range(20)
    ]
    np.testing.assert_allclose(displacement.mean_square_displacement(x, 20), direct, atol=1e-10)


def test_random_walkers_diffuse_as_they_step():
    cell = np.eye(3) * 12.0
    run = in_cell(walk(2000, 50), cell, ["Li"] * 30 + ["Cl"] * 20)
    found = {d.name: d for d in displacement.displacements(run)}
    assert list(found) == ["Li", "Cl"]
    for d, n in ((found["Li"], 30), (found["Cl"], 20)):
        # About the common centre of 50 walkers, 1/50 less.
        assert abs(d.coefficient - 0.5 * 49 / 50) < 5 * d.error
        # Slopes up to half of the blocks: relative errors of some 1/sqrt(4 x 2 x n) at n walkers.
        assert 0.2 / np.sqrt(8 * n) < d.error / 0.5 < 5 / np.sqrt(8 * n)
        assert d.diffuses and d.corrected is None
        np.testing.assert_allclose(d.values[1:40], 6 * 0.49 * d.lags_ps[1:40], rtol=0.1)


def test_wrapped_positions_are_unwrapped_first():
    x = walk(200, 20) + np.random.default_rng(1).random((20, 3)) * 9
    wrapped = np.array([wrap(frame, TILTED) for frame in x])
    moved = [displacement.paths(p, np.broadcast_to(TILTED, (200, 3, 3))) for p in (x, wrapped)]
    np.testing.assert_allclose(moved[0], x - x[0], atol=1e-9)
    np.testing.assert_allclose(moved[1], moved[0], atol=1e-9)
    straight = np.arange(30)[:, None, None] * np.array([[[1.0, 0, 0]], [[0, 0, 0]]]).swapaxes(0, 1)
    found = displacement.paths(
        np.array([wrap(frame, np.eye(3) * 10) for frame in straight]),
        np.broadcast_to(np.eye(3) * 10, (30, 3, 3)),
    )
    np.testing.assert_allclose(found[:, 0, 0], np.arange(30), atol=1e-9)


def test_fast_atoms_of_an_unwrapped_track_are_left_as_they_are():
    x = np.arange(30)[:, None, None] * np.array([[7.0, 0, 0]])
    moved = displacement.paths(x, np.broadcast_to(np.eye(3) * 10, (30, 3, 3)))
    np.testing.assert_allclose(moved[:, 0, 0], 7.0 * np.arange(30), atol=1e-9)


def test_atoms_that_move_with_the_cell_only_do_not_diffuse():
    scale = np.exp(np.random.default_rng(2).normal(0, 0.02, 200))
    cells = 10 * scale[:, None, None] * np.eye(3)
    fractions = np.random.default_rng(3).random((20, 3)) + 5 * np.arange(20)[:, None]
    moved = displacement.paths(fractions @ cells, cells)
    np.testing.assert_allclose(moved, 0, atol=1e-9)


def test_molecules_diffuse_by_their_centres_and_drift_does_not_count():
    centres = walk(1000, 12)
    drift = np.arange(1000)[:, None, None] * np.array([0.3, 0.0, 0.1])
    arms = np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    turned = np.random.default_rng(4).permuted(np.tile(arms, (1000, 12, 1, 1)), axis=3)
    mass = np.array([15.999, 1.008, 1.008])
    turned = turned - np.einsum("a,fmax->fmx", mass / mass.sum(), turned)[:, :, None]
    x = (centres[:, :, None] + turned + drift[:, :, None]).reshape(1000, 36, 3)
    bonds = tuple((3 * m, 3 * m + k) for m in range(12) for k in (1, 2))
    run = in_cell(
        x, np.eye(3) * 9.0, ["O", "H", "H"] * 12, masses=np.tile(mass, 12), bonds=bonds
    )  # fmt: skip
    found = {d.name: d for d in displacement.displacements(run)}
    assert list(found) == ["O", "H", "H2O"]
    expected = displacement.mean_square_displacement(
        centres - centres.mean(axis=1)[:, None], len(found["H2O"].values)
    )
    np.testing.assert_allclose(found["H2O"].values, expected, rtol=1e-9, atol=1e-9)


def test_walkers_in_a_plane_diffuse_in_two_dimensions():
    run = in_cell(walk(2000, 60, dimensions=2), np.diag([12.0, 12.0, 0.0]), ["Li"] * 60)
    found = displacement.displacements(run)[0]
    assert abs(found.coefficient - 0.5 * 59 / 60) < 5 * found.error


def test_the_finite_size_correction_is_that_of_yeh_and_hummer():
    # Water at 298 K: kT = 4.114e-21 J; xi kT / (6 pi 0.89e-3 Pa s 1.244e-9 m) = 5.59e-10 m^2/s.
    kelvin = np.full(200, 298.0)
    log = Log(np.arange(200) * 0.1, 0 * kelvin, 0 * kelvin, kelvin, 0.0)
    run = in_cell(walk(200, 6), np.eye(3) * 12.44, ["O"] * 6, log=log)
    expected = 2.837297 * 1.380649e-23 * 298 / (6 * np.pi * 0.89e-3 * 12.44e-10) * 1e8
    assert displacement.finite_size_correction(run, 0.89) == pytest.approx(expected, rel=1e-6)
    plain, corrected = (displacement.displacements(run, eta)[0] for eta in (None, 0.89))
    assert corrected.corrected - plain.coefficient == pytest.approx(expected, rel=1e-6)
    assert "--viscosity" in displacement.notes(run)[0] and displacement.notes(run, 0.89) == []
    run = in_cell(walk(200, 6), TILTED, ["O"] * 6, log=log)
    assert displacement.finite_size_correction(run, 0.89) is None
    assert "cubic" in displacement.notes(run, 0.89)[0]


def test_langevin_dynamics_and_vibrations_are_flagged():
    bath = {"kind": "langevin_baoab", "temperature_K": 300.0, "friction_per_ps": 1.0}
    run = in_cell(walk(200, 6), np.eye(3) * 12, ["O"] * 6, integrator=bath)
    assert "no physical diffusion" in displacement.notes(run)[0]
    assert displacement.displacements(run, 0.9)[0].corrected is not None
    rattling = np.random.default_rng(5).normal(0, 0.1, (200, 6, 3))
    solid = displacement.displacements(in_cell(rattling, np.eye(3) * 12, ["Cu"] * 6), 0.9)[0]
    assert not solid.diffuses and solid.corrected is None
    still = displacement.displacements(in_cell(0 * rattling, np.eye(3) * 12, ["Cu"] * 6))[0]
    assert still.coefficient == 0 and still.exponent is None and not still.diffuses
    short = in_cell(walk(79, 6), np.eye(3) * 12, ["O"] * 6)
    assert "79 frames" in displacement.missing(short)


@pytest.mark.parametrize("atoms, name", [("OHH", "H2O"), ("HCHHOH", "CH4O"), ("NaCl", "ClNa")])
def test_formulas_are_in_the_order_of_hill(atoms, name):
    symbols = ["Na", "Cl"] if atoms == "NaCl" else list(atoms)
    assert displacement.formula(symbols) == name


def test_volume_density_and_pressure_have_their_errors():
    rng, n = np.random.default_rng(6), 4000
    volume, pressure = 1000 + rng.normal(0, 10, n), rng.normal(1.0, 300, n)
    zeros, times = np.zeros(n), np.arange(n) * 0.1
    log = Log(times, zeros, zeros, zeros, 0.0, volume, pressure)
    run = in_cell(np.zeros((2, 30, 3)), np.eye(3) * 10, ["O"] * 30, log=log)
    found = {b.name: b for b in bulk.bulk(run)}
    assert found["volume"].mean.error == pytest.approx(10 / np.sqrt(n), rel=0.2)
    assert abs(found["pressure"].mean.value - 1) < 5 * 300 / np.sqrt(n)
    density = 30 / 6.02214076e23 / 1e-21  # u in g over A^3 in cm^3, of 1000 A^3
    assert found["density"].mean.value == pytest.approx(density, rel=1e-3)
    without = bulk.bulk(in_cell(np.zeros((9, 30, 3)), np.eye(3) * 10, ["O"] * 30))
    assert [b.name for b in without] == ["density", "volume"]
    assert without[1].mean.value == pytest.approx(1000) and without[1].mean.error == 0
    assert bulk.bulk(in_cell(np.zeros((9, 30, 3)), np.diag([9.0, 9.0, 0]), ["O"] * 30)) == []


def test_hydrogen_bonds_and_bond_lengths_reach_across_the_faces_of_a_cell():
    water = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    dimer = np.concatenate([water, water + [2.9, 0.0, 0.0]])
    bonds = (0, 1), (0, 2), (3, 4), (3, 5)
    for cell in (TILTED, np.diag([9.0, 9.0, 0.0])):
        found, lengths = [], []
        for start in np.random.default_rng(7).random((5, 3)) * 9:
            x = dimer + start
            if cell is TILTED:
                x = wrap(x, cell)
            x = np.repeat(x[None], 8, axis=0)
            x[4:, 1] += [0.29, 0, 0]  # a stretched O-H keeps its donor, 1.25 angstrom away
            run = in_cell(x, cell, ["O", "H", "H"] * 2, bonds=bonds)
            counted = hydrogen_bonds.hydrogen_bonds(run)
            assert counted is not None
            found.append(counted.counts.tolist())
            lengths.append(internal.coordinates(run)[0].values)
            assert [c.name for c in internal.coordinates(run)] == ["O-H", "H-O-H"]
        assert found == [[1.0] * 8] * 5
        np.testing.assert_allclose(lengths[0][0], [0.96, np.hypot(0.24, 0.93)] * 2, rtol=1e-6)
        np.testing.assert_allclose(lengths, [lengths[0]] * 5, rtol=1e-6)
    small = in_cell(np.repeat(dimer[None], 8, axis=0), np.eye(3) * 6.9, ["O", "H", "H"] * 2,
                    bonds=bonds)  # fmt: skip
    assert hydrogen_bonds.hydrogen_bonds(small) is None  # two images of an O may be near enough


def test_hydrogen_bonds_are_those_of_mdanalysis():
    import MDAnalysis
    from MDAnalysis.analysis.hydrogenbonds import HydrogenBondAnalysis

    rng, n = np.random.default_rng(8), 40
    water = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    x = np.empty((5, 3 * n, 3))
    for frame in x:
        for m in range(n):
            turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
            frame[3 * m : 3 * m + 3] = water @ turn + rng.random(3) @ TILTED
    bonds = tuple((3 * m, 3 * m + k) for m in range(n) for k in (1, 2))
    run = in_cell(x, TILTED, ["O", "H", "H"] * n, bonds=bonds)
    universe = MDAnalysis.Universe.empty(3 * n, trajectory=True)
    universe.add_TopologyAttr("elements", list(run.species))
    universe.add_TopologyAttr("bonds", bonds)
    box = MDAnalysis.lib.mdamath.triclinic_box(*TILTED)
    universe.load_new(x.astype(np.float32), dimensions=np.tile(box, (5, 1)))
    theirs = HydrogenBondAnalysis(
        universe, donors_sel=None, hydrogens_sel="element H", acceptors_sel="element O",
        d_a_cutoff=3.5, d_h_a_angle_cutoff=150,
    ).run()  # fmt: skip
    found = hydrogen_bonds.hydrogen_bonds(run)
    assert found is not None and found.counts.sum() > 20
    assert found.counts.tolist() == theirs.count_by_time().tolist()
