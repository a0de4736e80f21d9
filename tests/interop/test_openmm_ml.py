"""Potentials in OpenMM through the factory that OpenMM-ML finds by its entry point."""

import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.data import atomic_masses, atomic_numbers

from qmd.errors import MismatchError
from qmd.forces.build import build_potential, parse_potential
from qmd.io.structure import load_system

ROOT = Path(__file__).parents[2]
KJ_PER_MOL = 1 / 96.4853321233
"""eV"""


@pytest.fixture(scope="module")
def potentials() -> Any:
    """`MLPotential` that knows ours, by the class that the entry point names."""
    pytest.importorskip("openmm", minversion="8.6", reason="needs the extra test")
    mlpotential = pytest.importorskip("openmmml.mlpotential", reason="needs the extra test")
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (entry,) = pyproject["project"]["entry-points"]["openmmml.potentials"].values()
    module, _, name = entry.partition(":")
    mlpotential.MLPotential.registerImplFactory("qmd", getattr(import_module(module), name)())
    return mlpotential.MLPotential


def topology(symbols: tuple[str, ...], periodic: bool = False) -> Any:
    from openmm import Vec3, app

    made = app.Topology()
    chain = made.addChain()
    residue = made.addResidue("MOL", chain)
    for symbol in symbols:
        made.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
    if periodic:
        made.setPeriodicBoxVectors((Vec3(3, 0, 0), Vec3(0, 3, 0), Vec3(0, 0, 3)))
    return made


def context_of(system: Any, positions: np.ndarray) -> Any:
    import openmm

    integrator = openmm.VerletIntegrator(0.0005)  # ps
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, integrator, platform)
    context.setPositions(positions / 10)
    return context


def energy_and_forces(context: Any) -> tuple[float, np.ndarray]:
    from openmm import unit

    state = context.getState(energy=True, forces=True)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return energy * KJ_PER_MOL, forces * KJ_PER_MOL / 10


@pytest.mark.parametrize(
    ("potential", "structure"),
    [
        ("sivqlm-h2o", "h2o"),
        ("spc-fw", "h2o-dimer"),
        ({"kind": "sum", "terms": ["spc-fw", "sivqlm-h2o"]}, "h2o"),
    ],
)
def test_energies_and_forces_are_ours(potentials: Any, potential: Any, structure: str) -> None:
    water = load_system(structure, Path())
    system = potentials("qmd", potential=potential).createSystem(topology(water.symbols))
    energy, forces = energy_and_forces(context_of(system, water.positions))
    ours = build_potential(parse_potential(potential), water, Path())
    expected, expected_forces = ours.energy_and_forces(water.positions)
    # Two conversions of units; positions in nm and back move by 1e-16 angstrom times 100 eV/A.
    assert energy == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(forces, expected_forces, atol=1e-7)


def test_dynamics_of_openmm_conserves_energy(potentials: Any) -> None:
    from openmm import unit

    water = load_system("h2o", Path())
    system = potentials("qmd", potential="sivqlm-h2o").createSystem(topology(water.symbols))
    context = context_of(system, water.positions * 1.02)
    totals, kinetic = [], []
    for _ in range(20):
        context.getIntegrator().step(1)
        state = context.getState(energy=True)
        parts = (state.getKineticEnergy(), state.getPotentialEnergy())
        kinetic.append(parts[0].value_in_unit(unit.kilojoule_per_mole))
        totals.append(kinetic[-1] + parts[1].value_in_unit(unit.kilojoule_per_mole))
    # (omega dt)^2/8 of a stretch, 1.5 %, twice for what has become kinetic.
    assert np.ptp(totals) < 0.05 * np.ptp(kinetic)


def test_an_atom_that_openmm_holds_is_seen_where_openmm_has_it(potentials: Any) -> None:
    """With OpenMM-ML's ASE potential and FixAtoms the two see different geometries."""
    from openmm import unit

    water = load_system("h2o", Path())
    system = potentials("qmd", potential="sivqlm-h2o").createSystem(topology(water.symbols))
    system.setParticleMass(0, 0.0)
    context = context_of(system, water.positions * 1.02)
    context.getIntegrator().step(20)
    state = context.getState(positions=True)
    moved = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    # Nanometres and back: two roundings.
    np.testing.assert_allclose(moved[0], water.positions[0] * 1.02, atol=1e-14)
    assert np.abs(moved[1:] - water.positions[1:] * 1.02).max() > 1e-3
    energy, forces = energy_and_forces(context)
    ours = build_potential(parse_potential("sivqlm-h2o"), water, Path())
    expected, expected_forces = ours.energy_and_forces(np.ascontiguousarray(moved))
    assert energy == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(forces, expected_forces, atol=1e-7)


def test_a_mixed_system_has_the_potential_on_its_atoms(potentials: Any) -> None:
    import openmm

    water = load_system("h2o", Path())
    symbols = ("Ar", *water.symbols)
    positions = np.concatenate([[[0, 0, 9.0]], water.positions])
    classical = openmm.System()
    for mass in atomic_masses[[atomic_numbers[s] for s in symbols]]:
        classical.addParticle(mass)
    mixed = potentials("qmd", potential="spc-fw").createMixedSystem(
        topology(symbols), classical, [1, 2, 3]
    )
    energy, forces = energy_and_forces(context_of(mixed, positions))
    alone = build_potential(parse_potential("spc-fw"), water, Path()).energy_and_forces(
        water.positions
    )
    assert energy == pytest.approx(alone[0], abs=1e-9)
    np.testing.assert_allclose(forces, [[0, 0, 0], *alone[1]], atol=1e-7)


def test_other_and_periodic_atoms_are_refused(potentials: Any) -> None:
    water = potentials("qmd", potential="sivqlm-h2o")
    with pytest.raises(MismatchError, match="sivqlm-h2o is for O,H,H; the topology has H,O,H"):
        water.createSystem(topology(("H", "O", "H")))
    with pytest.raises(MismatchError, match="periodic"):
        water.createSystem(topology(("O", "H", "H"), periodic=True))
