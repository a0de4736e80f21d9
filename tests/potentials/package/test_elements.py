"""Packages of elements: any atoms of them, in cells, and what is kept in the file."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from qmd.audit import evaluation, in_cells
from qmd.audit.audit import audit, failed
from qmd.errors import MismatchError
from qmd.forces.build import build_potential, parse_potential
from qmd.forces.origin import UNBOUNDED_DOMAIN, domain_limits
from qmd.integrators import evaluate, stray
from qmd.interop.ase_calculator import QmdCalculator
from qmd.io.structure import load_system
from qmd.potentials import BEYOND_A, Domain, Package, find, load, native_model, save
from qmd.potentials.models import atom_centred
from qmd.potentials.tree.potential import compiled, compiled_in_cell

jax.config.update("jax_enable_x64", True)
WATER = ("O", "H", "H")
POSITIONS = np.array([[[0, 0, 0], [0.97, 0, 0], [-0.24, 0.94, 0]]], float)
CELL = np.diag([3.0, 3.5, 3.2])[None]


def package(**changed) -> Package:
    model = atom_centred.revised(WATER, 1, n_qubits=2, n_layers=1, n_radial=4, cutoff=4.0, rank=2)
    parts = {
        "name": "trial", "description": "", "species": WATER, "model": model,
        "reference_energy_eV": 0.0, "domain": UNBOUNDED_DOMAIN, "training": {}, "citation": "",
        "licence": "", "test_positions": POSITIONS, "elements": ("H", "O"),
    }  # fmt: skip
    return Package(**(parts | changed))


def test_a_cell_of_64_waters_runs_on_a_package_of_one(tmp_path):
    """As `potential: FILE.qmdp` with `structure: water-64`: atoms that no test vector has."""
    made = package()
    save(tmp_path / "trial.qmdp", made, compiled(made.potential()))
    found = build_potential(
        parse_potential("trial.qmdp"), load_system("water-64", tmp_path, periodic=True), tmp_path
    )
    system = load_system("water-64", tmp_path, periodic=True)
    energy, forces, virial = found.energy_in_cell(system.positions, system.cell, True)
    model = made.on(system.symbols).model
    by_jax, slopes, strained = compiled_in_cell(model)(system.positions, system.cell)
    # 192 centres: some hundred roundings of energies below 1 eV each.
    assert energy == pytest.approx(by_jax, rel=1e-11)
    np.testing.assert_allclose(forces, slopes, rtol=0, atol=1e-11)
    np.testing.assert_allclose(virial, strained, rtol=0, atol=1e-10)
    assert np.abs(forces).max() > 1e-3


def test_cells_of_test_vectors_are_kept_and_checked(tmp_path):
    made = package(test_cells=CELL)
    function = compiled_in_cell(made.model)
    save(tmp_path / "cells.qmdp", made, lambda x, cell: function(x, cell)[:2])
    again = load(tmp_path / "cells.qmdp")
    assert again.elements == ("H", "O")
    np.testing.assert_array_equal(again.test_cells, CELL)
    energy, _ = evaluate(again.native(), POSITIONS[0], CELL[0])
    assert energy == evaluate(native_model(made.model), POSITIONS[0], CELL[0])[0]


def test_other_atoms_have_the_least_distances_of_their_elements():
    domain = Domain(
        np.array([[0, 1], [0, 2], [1, 2]]),
        np.array([[0.8, 1.2], [0.9, 1.3], [1.3, 1.8]]),
        np.array([[0.7, 1.3], [0.8, 1.4], [1.2, 1.9]]),
    )
    made = package(domain=domain)
    assert made.on(WATER) is made
    other = made.on(("H", "O", "O")).domain
    assert other.pairs.tolist() == [[0, 1], [0, 2]]  # no data of O-O
    assert other.warn[:, 0].tolist() == [0.8, 0.8]
    assert other.stop[:, 0].tolist() == [0.7, 0.7]
    assert other.warn[:, 1].min() > 1e5
    many = made.on(("O",) * 300 + ("H",) * 300).domain
    assert many.pairs.tolist() == [[300, 301], [0, 300]]
    assert many.stop[:, 0].tolist() == [1.2, 0.7]


def test_own_atoms_in_vacuum_keep_the_least_distances_of_their_elements_in_all_pairs():
    """A cluster of as many atoms as the cells of the training is watched as any other."""
    least = np.array([[0.8, BEYOND_A], [1.3, BEYOND_A]])
    made = package(domain=Domain(np.array([[0, 1], [1, 2]]), least, least - [0.15, 0.0]))
    own = made.on(WATER)
    assert own.domain.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert own.domain.warn[:, 0].tolist() == [0.8, 0.8, 1.3]
    np.testing.assert_allclose(own.domain.stop[:, 0], [0.65, 0.65, 1.15], rtol=1e-15)
    assert not own.domain.bounded.any() and own.model is made.model
    np.testing.assert_array_equal(own.test_positions, made.test_positions)
    again = own.on(WATER)
    np.testing.assert_array_equal(again.domain.stop, own.domain.stop)


def test_the_waters_of_a_cell_are_all_watched_in_vacuum(tmp_path):
    water = load(find("qnn-water"))
    system = load_system("water-64", tmp_path, periodic=True)
    assert system.symbols == water.species
    far = replace(system, positions=system.positions * 3.0, cell=np.zeros((3, 3)))
    found = build_potential(parse_potential("qnn-water"), far, tmp_path)
    fewer = water.on(water.species[:-3]).domain  # another number of waters
    n = far.n_atoms - 3
    inside = (found.source.domain.pairs < n).all(axis=1)
    np.testing.assert_array_equal(found.source.domain.pairs[inside], fewer.pairs)
    np.testing.assert_array_equal(found.source.domain.stop[inside], fewer.stop)
    assert len(found.source.domain.pairs) == 192 * 191 // 2
    in_cell, own = (
        domain_limits(domain, system.symbols, in_cell=True)
        for domain in (found.source.domain, water.domain)
    )
    np.testing.assert_array_equal(in_cell.least, own.least)  # of images, as before
    assert not len(in_cell.pairs)
    limits, met = domain_limits(found.source.domain, system.symbols, False), far.positions.copy()
    assert stray(limits, met, far.cell) is None
    met[90] = met[30] + [2.0, 0.0, 0.0]  # two oxygens that no pair of the package names
    beyond = stray(limits, met, far.cell)
    assert beyond is not None and (beyond.i, beyond.j) == (30, 90)


def test_what_images_must_keep_are_the_least_distances_of_their_elements():
    domain = Domain(
        np.array([[0, 1], [0, 2], [1, 2]]),
        np.array([[0.8, 1.2], [0.9, 1e6], [1.3, 1.8]]),
        np.array([[0.7, 1.3], [0.6, 1e6], [1.2, 1.9]]),
    )
    kinds, least = domain.least(WATER)
    assert kinds.tolist() == [1, 0, 0]  # H before O
    assert least[..., 0].tolist() == [[1.3, 0.8], [0.8, 0.0]]  # no data of O-O
    assert least[..., 1].tolist() == [[1.2, 0.6], [0.6, 0.0]]
    limits = domain_limits(domain, WATER, in_cell=True)
    assert limits.pairs.tolist() == [[0, 1], [1, 2]] and limits.kinds.tolist() == [1, 0, 0]
    alone = domain_limits(domain, WATER, in_cell=False)
    assert alone.pairs.tolist() == domain.pairs.tolist() and not alone.kinds.size


def test_absolute_energies_go_with_the_number_of_waters_and_others_have_none(tmp_path):
    from ase import Atoms
    from ase.calculators.calculator import CalculatorSetupError

    made = package(reference_energy_eV=-2000.0)
    assert made.on(WATER + WATER).reference_energy_eV == -4000.0
    assert made.on(("H", "H", "O")).reference_energy_eV == -2000.0
    assert np.isnan(made.on(("O", "H")).reference_energy_eV)
    save(tmp_path / "trial.qmdp", made, compiled(made.potential()))
    far = np.concatenate([POSITIONS[0], POSITIONS[0] + 50.0])
    energies = {}
    for symbols, x in (("OHH", POSITIONS[0]), ("OHHOHH", far), ("OH", POSITIONS[0, :2])):
        atoms = Atoms(symbols, x)
        atoms.calc = QmdCalculator(str(tmp_path / "trial.qmdp"), absolute=True)
        if symbols == "OH":
            with (
                pytest.warns(UserWarning, match="not trained on HO, but on H2O"),
                pytest.raises(CalculatorSetupError, match="absolute energy of these atoms"),
            ):
                atoms.get_potential_energy()
        else:
            energies[symbols] = atoms.get_potential_energy()
    assert energies["OHHOHH"] == pytest.approx(2 * energies["OHH"], rel=1e-14)


def test_labels_of_another_composition_need_a_fitted_offset(tmp_path):
    made = package()
    save(tmp_path / "trial.qmdp", made, compiled(made.potential()))
    two = POSITIONS[:, :2] * np.array([1.0, 1.1])[:, None, None]
    np.savez(tmp_path / "oh.npz", Z=[8, 1], R=two, E=[3.0, 3.0], F=np.zeros((2, 2, 3)))
    labels = evaluation.load_labels(load(tmp_path / "trial.qmdp"), tmp_path / "oh.npz")
    other = evaluation.for_labels(load(tmp_path / "trial.qmdp"), labels)
    with pytest.raises(MismatchError, match="another composition"):
        evaluation.evaluate(other, labels)
    assert np.isfinite(evaluation.evaluate(other, labels, fit_offset=True).mse_energy_eV2)


def test_other_elements_are_refused(tmp_path):
    made = package()
    assert not made.serves(("O", "H", "C"))
    with pytest.raises(ValueError, match="does not serve O H C"):
        made.on(("O", "H", "C"))
    save(tmp_path / "trial.qmdp", made, compiled(made.potential()))
    with pytest.raises(MismatchError, match="is for O,H,H"):
        build_potential(
            parse_potential("trial.qmdp"),
            load_system("argon-108", tmp_path, periodic=True),
            tmp_path,
        )


@pytest.mark.parametrize("rank", [1, 2])
def test_the_audit_in_cells_passes_and_finds_a_wrong_virial(rank, monkeypatch):
    model = atom_centred.revised(
        WATER, 1, n_qubits=2, n_layers=1, n_radial=4, cutoff=4.0, rank=rank
    )
    made = package(model=model, test_cells=CELL)
    found = audit(made, n_geometries=2)
    assert not failed(found), found
    assert {f.what for f in found} > {"virial against differences", "rotation: forces"}

    native = in_cells._native

    def wrong(package):
        function = native(package)
        return lambda x, cell: (a := function(x, cell))._replace(virial=1.01 * a.virial)

    monkeypatch.setattr(in_cells, "_native", wrong)
    names = [f.what for f in failed(audit(made, n_geometries=2))]
    assert "virial against differences" in names
    assert "native against JAX: virial" in names
