"""A potential against labels: closed-form errors, refusals, and batches that change nothing."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from qmd.audit import evaluation
from qmd.audit.evaluation import CHUNK, batched, evaluate, load_labels
from qmd.data.datasets import Dataset
from qmd.data.domains import outside
from qmd.errors import InputError, MismatchError, NumericalError
from qmd.forces.catalogue import load_package
from qmd.potentials import SHIPPED, Package


@pytest.fixture(scope="module")
def package() -> Package:
    return load_package("sivqlm-h2o", SHIPPED)


@pytest.fixture(scope="module", autouse=True)
def compiled_once(package: Package) -> Iterator[None]:
    """One program for all tests."""
    program = batched(package)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "batched", lambda other: program)
        yield


def labels(package: Package, **changes: Any) -> Dataset:
    """What the model itself says at its test vectors."""
    positions = package.test_positions
    energies, forces = evaluation.batched(package)(positions)
    exact = Dataset(
        numbers=np.array([8, 1, 1]),
        positions=positions,
        energies=energies + package.reference_energy_eV,
        forces=forces,
        sha256="",
        name="labels.npz",
    )
    return dataclasses.replace(exact, **changes)


def test_errors_are_those_put_in(package):
    exact = labels(package)
    assert exact.forces is not None
    n = len(exact.energies)
    noise = np.where(np.arange(n) % 2, 0.003, -0.001)
    result = evaluate(
        package,
        labels(package, energies=exact.energies + noise, forces=exact.forces + 0.02),
    )
    # Energies of -2e3 eV are rounded to 2e-13; 1e-9 is far above that and far below the noise.
    assert result.n == n
    assert result.mse_energy_eV2 == pytest.approx(np.mean(noise**2), rel=1e-9)
    assert result.mae_energy_meV == pytest.approx(1000 * np.abs(noise).mean(), rel=1e-9)
    assert result.mse_forces_eV2_per_A2 == pytest.approx(0.02**2, rel=1e-9)
    assert result.mae_forces_meV_per_A == pytest.approx(20, rel=1e-9)
    assert result.energy_offset_eV == 0


def test_an_offset_is_found_only_when_asked_for(package):
    shifted = labels(package, energies=labels(package).energies + 7.25)
    assert evaluate(package, shifted).mae_energy_meV == pytest.approx(7250, rel=1e-9)
    fitted = evaluate(package, shifted, fit_offset=True)
    assert fitted.energy_offset_eV == pytest.approx(7.25, abs=1e-11)
    assert fitted.mae_energy_meV < 1e-8


def test_labels_without_forces_have_no_force_errors(package):
    result = evaluate(package, labels(package, forces=None))
    assert result.mse_forces_eV2_per_A2 is None and result.mae_forces_meV_per_A is None
    assert "no labels of forces" in evaluation.table(result)
    assert json.loads(evaluation.as_json(result))["mse_forces_eV2_per_A2"] is None


def test_chunks_of_any_size_give_the_same(package, monkeypatch):
    rng = np.random.default_rng(0)
    vectors = package.test_positions
    positions = vectors[rng.integers(len(vectors), size=CHUNK + 3)]
    positions = positions + 0.01 * rng.standard_normal(positions.shape)
    energies, forces = evaluation.batched(package)(positions)
    monkeypatch.setattr(evaluation, "CHUNK", 7)
    again, forces_again = batched(package)(positions[-10:])
    # The same operations on the same numbers; the compiler may order sums of 1e0 eV otherwise.
    np.testing.assert_allclose(again, energies[-10:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(forces_again, forces[-10:], rtol=0, atol=1e-11)


def test_frames_outside_the_domain_are_counted(package):
    positions = package.test_positions.copy()
    low, high = package.domain.warn[0]
    bond = positions[0, 1] - positions[0, 0]
    bond /= np.linalg.norm(bond)
    for k, length in enumerate((low - 1e-3, low + 1e-3, high + 1e-3)):
        positions[k] = positions[0]
        positions[k, 1] = positions[0, 0] + length * bond
    assert outside(package.domain, positions)[[0, 2]].all()
    frames = labels(package, positions=positions)
    expected = outside(package.domain, positions).sum()
    assert 2 <= expected < len(positions)
    assert evaluate(package, frames).n_outside_domain == expected


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([1, 8, 1], "reorder"),
        ([8, 1, 9], "O H F"),
    ],
)
def test_labels_of_other_atoms_are_refused(package, numbers, words):
    with pytest.raises(MismatchError) as caught:
        evaluate(package, labels(package, numbers=np.array(numbers)))
    assert words in f"{caught.value} {caught.value.hint}"


def test_labels_without_atoms_are_taken_if_their_number_fits(package):
    assert evaluate(package, labels(package, numbers=None)).mae_energy_meV < 1e-8
    with pytest.raises(MismatchError, match="2 atoms"):
        evaluate(package, labels(package, numbers=None, positions=package.test_positions[:, :2]))


def test_results_that_are_not_finite_are_an_error(package, monkeypatch):
    frames = labels(package)
    nan = np.full(len(frames.energies), np.nan)
    monkeypatch.setattr(evaluation, "batched", lambda p: lambda x: (nan, frames.forces))
    with pytest.raises(NumericalError, match="not finite"):
        evaluate(package, frames)


def test_keys_of_the_training_card_are_used_and_can_be_overridden(package, tmp_path):
    frames = labels(package)
    assert frames.forces is not None
    path = tmp_path / "labels.npz"
    np.savez(
        path, Z=frames.numbers, R=frames.positions, E=frames.energies, F=frames.forces,
        E2=frames.energies + 1, F2=frames.forces * 2,
    )  # fmt: skip
    two_body = dataclasses.replace(
        package, training={"labels_keys": {"energy": "E2", "forces": "F2"}}
    )
    np.testing.assert_array_equal(load_labels(package, path).energies, frames.energies)
    np.testing.assert_array_equal(load_labels(two_body, path).energies, frames.energies + 1)
    np.testing.assert_array_equal(load_labels(two_body, path).forces, frames.forces * 2)
    asked = load_labels(two_body, path, energy_key="E", forces_key="F")
    np.testing.assert_array_equal(asked.energies, frames.energies)
    with pytest.raises(InputError, match="E3"):
        load_labels(package, path, energy_key="E3")


def test_labels_in_other_units_are_the_same_labels(package, tmp_path):
    from ase.units import Bohr, Hartree

    frames, path = labels(package), tmp_path / "atomic.npz"
    assert frames.forces is not None
    np.savez(
        path, Z=frames.numbers, R=frames.positions / Bohr, E=frames.energies / Hartree,
        F=frames.forces * Bohr / Hartree,
    )  # fmt: skip
    read = load_labels(package, path, energy_unit="Hartree", length_unit="bohr")
    for name in ("positions", "energies", "forces"):
        np.testing.assert_allclose(getattr(read, name), getattr(frames, name), rtol=1e-12)
    with pytest.raises(InputError, match="unknown unit"):
        load_labels(package, path, energy_unit="Hartree", forces_unit="Hartree/furlong")


def test_the_command_says_which_energies_it_took(package, tmp_path, capsys):
    import ase
    import ase.io
    from ase.calculators.singlepoint import SinglePointCalculator

    from qmd.cli.app import app

    exact = labels(package)
    frames = []
    for i, (x, e, f) in enumerate(zip(exact.positions, exact.energies, exact.forces, strict=True)):
        frames.append(ase.Atoms("OHH", x))
        results = {"energy": e + 0.1 * i, "free_energy": e, "forces": f}
        frames[-1].calc = SinglePointCalculator(frames[-1], **results)
    path = tmp_path / "smeared.extxyz"
    ase.io.write(path, frames, format="extxyz")
    with pytest.raises(SystemExit) as end:
        app(["potential", "evaluate", "sivqlm-h2o", str(path), "--json"])
    assert end.value.code == 0
    out = capsys.readouterr()
    assert "`free_energy` is taken, whose slopes the forces are" in out.err
    # Energies and positions of eight digits, slopes of at most 10 eV/angstrom.
    assert json.loads(out.out)["mae_energy_meV"] < 1e-3
