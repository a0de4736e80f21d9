"""Packages of several molecules on others of their elements: allowed, bounded, and said so."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.data import covalent_radii
from ase.io import write

from qmd import units
from qmd.errors import MismatchError, NumericalError
from qmd.forces.build import build_potential, parse_potential
from qmd.forces.origin import domain_limits
from qmd.forces.other_molecules import BROKEN_MARGIN_A, on_atoms, warning
from qmd.integrators import evaluate, stray
from qmd.interop.ase_calculator import QmdCalculator
from qmd.io.structure import load_system
from qmd.potentials import BEYOND_A, find, load, read
from qmd.potentials.package.compositions import Molecule, have_met, kinds_of_elements, zero
from qmd.run import session
from qmd.run.config import load_config
from qmd.system import topology

ISOLATED = np.zeros((3, 3))
OTHERS = "CH3OH", "C2H6", "CH3OCH3", "C2H4", "H2O"
WARNING = "qnn-organic was not trained on CH4O, but on C2H6O, C3H4O2 and C6H6"


@pytest.fixture(scope="module")
def organic() -> Any:
    return load(find("qnn-organic"))


def served(package: Any, atoms: Atoms) -> Any:
    return on_atoms(package, atoms.numbers, atoms.positions)


@pytest.mark.parametrize("name", ["qnn-ethanol", "qnn-malonaldehyde", "qnn-benzene"])
def test_bonds_of_the_training_are_shorter_than_what_counts_as_broken(name: str) -> None:
    """The longest at 500 K are 1.24 sums of the radii; a run ends as far beyond as it does here."""
    package = read(find(name))
    numbers = Atoms(package.species).numbers
    bonds = {tuple(bond) for bond in topology.bonds(numbers, package.test_positions[0]).tolist()}
    domain = package.domain
    rows = [row for row, pair in enumerate(domain.pairs.tolist()) if tuple(sorted(pair)) in bonds]
    assert len(rows) == len(bonds)
    sums = covalent_radii[numbers[domain.pairs[rows]]].sum(axis=1)
    assert (domain.warn[rows, 1] < 1.25 * sums).all() and topology.BOND_FACTOR > 1.25
    margins = domain.stop[rows, 1] - domain.warn[rows, 1]
    np.testing.assert_allclose(margins, BROKEN_MARGIN_A, atol=1e-12)


def least_of(package: Any, pair: tuple[str, str]) -> tuple[float, float]:
    """Least distances of two elements in the domains of all molecules: to warn and to stop."""
    rows = [
        (warn[0], stop[0])
        for one in (package, *package.variants)
        for (i, j), warn, stop in zip(
            one.domain.pairs, one.domain.warn, one.domain.stop, strict=True
        )
        if tuple(sorted((one.species[i], one.species[j]))) == pair
    ]
    return min(warn for warn, _ in rows), min(stop for _, stop in rows)


@pytest.mark.parametrize("name", OTHERS)
def test_all_pairs_keep_the_least_distances_and_bonds_the_longest(organic: Any, name: str) -> None:
    atoms = molecule(name)
    symbols, n = atoms.get_chemical_symbols(), len(atoms)
    domain = served(organic, atoms).domain
    assert {tuple(pair) for pair in domain.pairs} == set(zip(*np.triu_indices(n, 1), strict=True))
    bonds = {tuple(bond) for bond in topology.bonds(atoms.numbers, atoms.positions).tolist()}
    assert len(bonds) >= n - 1
    for (i, j), warn, stop in zip(domain.pairs.tolist(), domain.warn, domain.stop, strict=True):
        pair = tuple(sorted((symbols[i], symbols[j])))
        assert (warn[0], stop[0]) == least_of(organic, pair)
        longest = 1.3 * covalent_radii[atoms.numbers[[i, j]]].sum() if (i, j) in bonds else BEYOND_A
        margin = BROKEN_MARGIN_A if (i, j) in bonds else 0.0
        assert warn[1] == longest and stop[1] == longest + margin
    assert stray(domain_limits(domain, symbols, False), atoms.positions, ISOLATED) is None


@pytest.mark.parametrize("name", ["qnn-ethanol", "qnn-malonaldehyde", "qnn-benzene"])
def test_no_bond_of_the_training_is_as_long_as_a_broken_one(name: str) -> None:
    package = load(find(name))
    ase_atoms = Atoms("".join(package.species), package.test_positions[0])
    bonds = topology.bonds(ase_atoms.numbers, ase_atoms.positions).tolist()
    assert len(bonds) >= len(ase_atoms) - 1
    for pair, warn in zip(package.domain.pairs.tolist(), package.domain.warn, strict=True):
        if pair in bonds:
            assert warn[1] < 1.3 * covalent_radii[ase_atoms.numbers[pair]].sum()


def test_molecules_of_the_training_are_as_before(organic: Any) -> None:
    for variant in (organic, *organic.variants):
        one = served(organic, Atoms("".join(variant.species), variant.test_positions[0]))
        np.testing.assert_array_equal(one.domain.stop, variant.domain.stop)
        np.testing.assert_array_equal(one.domain.pairs, variant.domain.pairs)
        assert one.reference_energy_eV == variant.reference_energy_eV
        assert warning(one) == "" and one.trained_on == ()


def test_the_zeros_of_three_molecules_tell_those_of_three_elements(organic: Any) -> None:
    molecules = [organic, *organic.variants]
    counts = np.array([[m.species.count(s) for s in "CHO"] for m in molecules], float)
    elements = np.linalg.solve(counts, [m.reference_energy_eV for m in molecules])
    for name in OTHERS:
        atoms = molecule(name)
        wanted = sum(dict(zip("CHO", elements, strict=True))[s] for s in atoms.symbols)
        # Roundings of energies of 7,000 eV, times the condition number 8.
        assert served(organic, atoms).reference_energy_eV == pytest.approx(wanted, rel=1e-12)


def of(symbols: str, energy: float, kinds: tuple[int, ...] = ()) -> Molecule:
    return Molecule(tuple(symbols), kinds, energy, load(find("qnn-ethanol")).domain)


def test_zeros_tell_sums_of_compositions_only() -> None:
    known = [of("OHH", -10.0), of("OOHH", -17.0)]
    assert zero("OO", known) == pytest.approx(-14.0, rel=1e-13)  # the difference is one oxygen
    assert zero("OOOHHHH", known) == pytest.approx(-27.0, rel=1e-13)
    assert math.isnan(zero("OC", known)) and math.isnan(zero("OH", known[:1]))
    assert zero("HHOOHH", known) == -20.0


def test_elements_that_have_not_met_and_kinds_that_differ_are_not_taken() -> None:
    known = [of("OHH", 0.0, (1, 0, 0)), of("CHHHH", 0.0, (2, 0, 0, 0, 0))]
    assert kinds_of_elements(known) == {"H": 0, "O": 1, "C": 2}
    assert have_met("OH", known) and have_met("CHOH"[:2] + "H", known)
    assert not have_met("CHHHOH", known)  # carbon and oxygen
    assert not have_met("CCHH", known) and not have_met("OO", known)
    assert kinds_of_elements([of("OHH", 0.0, (1, 0, 2))]) == {}


def test_atoms_of_a_molecule_in_another_order_are_told_the_order(organic: Any) -> None:
    ether = served(organic, molecule("CH3OCH3"))
    assert "trained on C2H6O with its atoms as C,C,O,H,H,H,H,H,H" in warning(ether)
    assert warning(served(organic, molecule("CH3OH"))).startswith(WARNING)


def test_water_on_a_package_of_liquid_water_needs_no_warning_and_its_fragments_do() -> None:
    water = load(find("qnn-water"))
    assert warning(water.on(tuple("OHH"))) == warning(water.on(tuple("OHHHHO"))) == ""
    assert "was not trained on HO, but on H128O64" in warning(water.on(("O", "H")))


def test_forces_are_minus_the_slope_of_the_energy(organic: Any) -> None:
    atoms = molecule("CH3OH")
    atoms.rattle(0.05, seed=1)
    kernel, x = served(organic, atoms).native(), atoms.positions
    _, forces = evaluate(kernel, x)
    h = 1e-4
    for a, k in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[a, k] = h
        slope = (evaluate(kernel, x + step)[0] - evaluate(kernel, x - step)[0]) / (2 * h)
        # h^2/6 of a third derivative of 1e3 eV/A^3.
        assert forces[a, k] == pytest.approx(-slope, abs=2e-6)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-10)


def input_of(folder: Path, atoms: Atoms, **changes: Any) -> Any:
    write(folder / "start.extxyz", atoms)
    document = {
        "system": {"structure": "start.extxyz", "velocities": "file"}, "potential": "qnn-organic",
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5}, "steps": 4,
    } | changes  # fmt: skip
    (folder / "input.yaml").write_text(json.dumps(document))
    return load_config(folder / "input.yaml")


def test_a_run_says_once_what_it_was_trained_on_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, organic: Any
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    atoms, lines = molecule("CH3OH"), []
    atoms.arrays["momenta"] = np.zeros((6, 3))
    finished = session.run(input_of(tmp_path, atoms), log=lines.append)
    assert [line for line in lines if "not trained" in line] == [
        f"warning: {WARNING}: the errors of its energies and forces are not known."
    ]
    session.run(input_of(tmp_path, atoms, steps=8), log=lines.append)
    assert sum("not trained" in line for line in lines) == 1  # that it goes on is said instead
    recorded = json.loads(finished.paths.record.read_text())["potential"]
    assert recorded["warning"].startswith(WARNING)
    wanted = served(organic, atoms).reference_energy_eV
    assert recorded["reference_energy_eV"] == wanted
    ethanol = Atoms("".join(organic.species), organic.test_positions[0])
    ethanol.arrays["momenta"] = np.zeros((9, 3))
    (tmp_path / "known").mkdir()
    lines.clear()
    known = session.run(input_of(tmp_path / "known", ethanol), log=lines.append)
    assert lines == [] and "warning" not in json.loads(known.paths.record.read_text())["potential"]


def test_a_hydrogen_that_leaves_ends_the_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    atoms = molecule("CH3OH")
    i, j = next(b for b in topology.bonds(atoms.numbers, atoms.positions).tolist() if b[0] == 1)
    arm = atoms.positions[j] - atoms.positions[i]
    # The length grows by 0.09 angstrom a step at first: beyond 1.26 + 0.2 within some steps.
    momenta = np.zeros((6, 3))
    momenta[j] = atoms.get_masses()[j] * arm / np.linalg.norm(arm) * 0.09 / (0.5 * units.fs)
    atoms.arrays["momenta"] = momenta
    with pytest.raises(NumericalError, match=rf"atoms {i + 1} and {j + 1} are 1\.[45]\d"):
        session.run(input_of(tmp_path, atoms, steps=40))


def test_oxygens_nearer_than_those_of_the_training_are_refused_at_the_start(tmp_path: Path) -> None:
    atoms = molecule("CO2")
    atoms.arrays["momenta"] = np.zeros((3, 3))
    with pytest.raises(MismatchError, match=r"atoms 2 and 3 are 2\.357 .* trained for 2\.42 and"):
        session.run(input_of(tmp_path, atoms))


def test_other_elements_are_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path / "hcn.xyz", molecule("HCN"))
    system = load_system("hcn.xyz", tmp_path)
    with pytest.raises(MismatchError, match="qnn-organic is for C,C,O.*hcn.xyz has C,N,H"):
        build_potential(parse_potential("qnn-organic"), system, tmp_path)


def test_the_calculator_warns_and_gives_absolute_energies(organic: Any) -> None:
    energies = []
    for absolute in (False, True):
        atoms = molecule("CH3OH")
        atoms.calc = QmdCalculator("qnn-organic", absolute=absolute)
        with pytest.warns(UserWarning, match=WARNING):
            energies.append(atoms.get_potential_energy())
    wanted = served(organic, molecule("CH3OH")).reference_energy_eV
    assert energies[1] - energies[0] == pytest.approx(wanted, rel=1e-13)


def test_sums_and_committees_say_it_once(tmp_path: Path) -> None:
    write(tmp_path / "methanol.xyz", molecule("CH3OH"))
    config = parse_potential({"kind": "committee", "members": ["qnn-organic", "qnn-organic"]})
    found = build_potential(config, load_system("methanol.xyz", tmp_path), tmp_path)
    assert found.source.warning.count("not trained on") == 1
