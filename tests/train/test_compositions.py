"""Trainings on many compositions: filling up changes nothing, and the loss is that of its words."""

import functools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from ase.data import chemical_symbols
from jax.flatten_util import ravel_pytree
from pydantic import ValidationError

from qmd.audit import of_compositions
from qmd.config.load import load
from qmd.data import compositions
from qmd.errors import InputError, MismatchError
from qmd.forces.catalogue import load_package
from qmd.integrators import neighbour_pairs
from qmd.potentials import jax_model
from qmd.train.architectures.allegro import AllegroConfig
from qmd.train.compositions import data as many
from qmd.train.compositions.fit import CompositionFrames, CompositionPredictor
from qmd.train.config import TrainConfig
from qmd.train.problem import Frames, Loss
from qmd.train.session import prepare, run
from qmd.train.trainer import errors

SMALL: dict[str, Any] = {
    "kind": "allegro", "cutoff_A": 3.0, "order": 1, "layers": 1, "scalars": 4, "tensors": 2,
    "radial": 3, "two_body": [4], "latent": [], "readout": [4],
}  # fmt: skip
QDI = {"kind": "qdi", "features": 2, "qubits": 2, "hidden": []}
ATOMS = {"H": -13.0, "C": -1030.0, "O": -2040.0}
MOLECULES = {
    (1, 1): [[0, 0, 0], [0.74, 0, 0]],
    (8, 1, 1): [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]],
    (6, 8): [[0, 0, 0], [1.13, 0, 0]],
    (6, 8, 8): [[0, 0, 0], [1.16, 0, 0], [-1.16, 0, 0]],
}


@pytest.fixture(autouse=True)
def _double() -> Any:
    with jax.enable_x64(True):
        yield


def frames(*, cells: bool = False) -> Frames:
    """Return a water and a carbon monoxide, with random labels; the elements are C, H and O."""
    rng = np.random.default_rng(1)
    place = {1: 1, 6: 0, 8: 2}
    x, kinds = np.zeros((2, 3, 3)), np.full((2, 3), -1)
    for f, numbers in enumerate([(8, 1, 1), (6, 8)]):
        positions = MOLECULES[numbers]
        n = len(numbers)
        x[f, :n] = positions + 0.1 * rng.standard_normal((n, 3))
        kinds[f, :n] = [place[z] for z in numbers]
    forces = rng.standard_normal(x.shape) * (kinds >= 0)[..., None]
    box = 3.5 * np.eye(3) + 0.1 * rng.standard_normal((2, 3, 3)) if cells else None
    return Frames(x, rng.standard_normal(2), forces, box, None, kinds)


def model(**keys: Any) -> Any:
    config = AllegroConfig(elements=["C", "H", "O"], species=["O", "H", "H"], **(SMALL | keys))
    return config.first_model(Path(), frames(), 1)


def theta_of(of: Any) -> Any:
    return np.asarray(ravel_pytree(of)[0])


@functools.cache
def one_by_one(cells: bool, circuit: bool) -> tuple[Any, list[tuple[float, np.ndarray]]]:
    """Return a model, and energy and forces of each frame as those of its own atoms alone."""
    of, given, found = model(head=QDI if circuit else None), frames(cells=cells), []
    for f, n in enumerate(given.n_atoms):
        own, x = of.on(tuple(given.kinds[f, :n].tolist())), given.positions[f, :n]
        if given.cells is None:
            function = jax.jit(jax.value_and_grad(lambda y, own=own: jax_model.energy(own, y)))
            value, slopes = function(x)
        else:
            cell = given.cells[f]
            i, j, shifts = neighbour_pairs(x, cell, own.cutoff)
            pairs = i, j, shifts.astype(float)
            energy = functools.partial(jax_model.energy_in_cell, own, cell=cell, pairs=pairs)
            value, slopes = jax.jit(jax.value_and_grad(energy))(x)
        found.append((float(value), -np.asarray(slopes)))
    return of, found


@pytest.mark.parametrize(("cells", "circuit"), [(False, True), (True, False)])
def test_filling_up_changes_nothing(cells: bool, circuit: bool) -> None:
    """The sums are the same but for their order: 1e-12 of energies of some eV."""
    given = frames(cells=cells)
    of, expected = one_by_one(cells, circuit)
    wider = given._replace(
        positions=np.pad(given.positions, ((0, 0), (0, 2), (0, 0))),
        forces=np.pad(given.forces, ((0, 0), (0, 2), (0, 0))),
        kinds=np.pad(given.kinds, ((0, 0), (0, 2)), constant_values=-1),
    )
    energies, forces = CompositionPredictor(of, wider)(theta_of(of))
    for f, (energy, alone) in enumerate(expected):
        n = len(alone)
        assert energies[f] == pytest.approx(energy, abs=1e-12)
        np.testing.assert_allclose(forces[f, :n], alone, atol=1e-12)
        assert not forces[f, n:].any()


def test_the_order_of_the_atoms_does_not_matter() -> None:
    given = frames()
    of, expected = one_by_one(False, True)
    order = np.array([[2, 0, 1], [1, 0, 2]])  # zeros stay behind the atoms
    rows = np.arange(2)[:, None]
    turned = given._replace(positions=given.positions[rows, order], kinds=given.kinds[rows, order])
    energies, forces = CompositionPredictor(of, turned)(theta_of(of))
    for f, (energy, alone) in enumerate(expected):
        n = len(alone)
        assert energies[f] == pytest.approx(energy, abs=1e-12)
        np.testing.assert_allclose(forces[f, :n], alone[order[f, :n]], atol=1e-12)


@pytest.mark.parametrize(("cells", "fits_forces"), [(False, False), (True, True)])
def test_the_loss_is_half_the_sum_of_squares_computed_by_hand(
    cells: bool, fits_forces: bool
) -> None:
    given, weight = frames(cells=cells), 3.0
    of, expected = one_by_one(cells, not cells)
    loss = Loss(energy_weight=weight, forces=fits_forces)
    fit = CompositionFrames(of, given, loss)
    batch = fit.arrays
    found = float(jax.jit(fit.sum_of_losses)(theta_of(of), batch))
    by_hand = 0.0
    for f, (energy, forces) in enumerate(expected):
        by_hand += (weight * (energy - given.energies[f])) ** 2
        if fits_forces:
            by_hand += float(np.sum((forces - given.forces[f, : len(forces)]) ** 2))
    assert found == pytest.approx(0.5 * by_hand, rel=1e-12)


def test_errors_do_not_count_missing_atoms() -> None:
    given = frames()
    off = given.forces + (given.kinds >= 0)[..., None] * 0.25
    found = errors(given.energies, off, given)
    assert found.forces_rmse_meV_per_A == pytest.approx(250)
    assert found.forces_mae_meV_per_A == pytest.approx(250)


def write_labels(path: Path) -> None:
    """Write 24 molecules: energies of their atoms, and of springs between them."""
    rng = np.random.default_rng(2)
    numbers, x, energies = [], [], []
    for numbers_of, positions in 6 * list(MOLECULES.items()):
        n = len(numbers_of)
        moved = np.array(positions) + 0.05 * rng.standard_normal((n, 3))
        springs = sum(float(np.sum((moved[:i] - moved[i]) ** 2)) for i in range(n)) / 2
        numbers.append(np.pad(numbers_of, (0, 3 - n)))
        x.append(np.pad(moved, ((0, 3 - n), (0, 0))))
        energies.append(springs + sum(ATOMS[chemical_symbols[z]] for z in numbers_of))
    np.savez(path, Z=np.array(numbers), R=np.array(x), E=np.array(energies))


def written(folder: Path, **keys: Any) -> Path:
    text = {
        "name": "many", "dataset": "labels.npz", "labels": {"zero": "elements"}, "model": SMALL,
        "split": {"train": 14, "validation": 4, "test": 6}, "loss": {"forces": False},
        "stages": [{"kind": "adam", "steps": 4, "batch": 4, "report_every": 2}],
    } | keys  # fmt: skip
    (folder / "train.yaml").write_text(json.dumps(text))
    return folder / "train.yaml"


def test_energies_of_many_compositions_become_a_package(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.npz")
    job = prepare(load(written(tmp_path), TrainConfig))
    assert job.elements == ("C", "H", "O")
    assert "C H O, many compositions" in job.summary()
    references = dict(job.data.references.energies)
    # Springs add a few eV to some hundred: the elements are told apart, not exact.
    assert all(abs(references[symbol] - ATOMS[symbol]) < 5 for symbol in ATOMS)
    made = run(job)
    package = load_package(str(made.package), Path())
    assert package.elements == ("C", "H", "O")
    assert dict(package.reference_energies_eV) == pytest.approx(references)
    other = package.on(("O", "C", "O", "H", "H"))
    sums = 2 * references["O"] + references["C"] + 2 * references["H"]
    assert other.reference_energy_eV == pytest.approx(sums)
    assert made.errors["test"]["all"]["frames"] == 6
    # The evaluation of the test frames gives the errors of the card, by other code.
    labels = compositions.read(tmp_path / "labels.npz")
    found = of_compositions.evaluate(package, labels.take(job.data.test_places))
    card = made.errors["test"]["all"]
    assert found.mae_energy_meV == pytest.approx(card["energy_mae_meV"], rel=1e-9)
    assert found.mae_forces_meV_per_A is None
    assert card["forces_mae_meV_per_A"] is None
    np.savez(tmp_path / "other.npz", Z=[[7, 7]], R=[[[0, 0, 0], [1.1, 0, 0]]], E=[0.0])
    with pytest.raises(MismatchError, match=r"atoms of N, which many was not trained on"):
        of_compositions.load_labels(package, tmp_path / "other.npz")


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    keys: dict[str, Any] = {
        "name": "x", "dataset": "x.npz", "labels": {"zero": "elements"}, "model": SMALL,
        "stages": [{"kind": "adam"}],
    }  # fmt: skip
    TrainConfig.model_validate(keys)
    for change, words in (
        ({"model": SMALL | {"species": ["H", "H"]}}, "allegro without species"),
        ({"model": {"kind": "perceptron", "vectors": 2}}, "needs model.kind: allegro"),
        ({"stages": [{"kind": "gauss_newton"}]}, "needs stages of kind adam"),
        ({"split": {"method": "even"}}, "excludes split.method: even"),
        ({"split": {"groups_key": "g", "test_groups": [1]}}, "excludes split.groups_key"),
    ):  # fmt: skip
        with pytest.raises(ValidationError, match=words):
            TrainConfig.model_validate(keys | change)
    write_labels(tmp_path / "labels.npz")
    with pytest.raises(InputError, match=r"has no forces"):
        prepare(load(written(tmp_path, loss={"forces": True}), TrainConfig))
    with pytest.raises(MismatchError, match=r"atoms of C, which are not among model.elements"):
        changed = SMALL | {"elements": ["H", "O"]}
        prepare(load(written(tmp_path, model=changed), TrainConfig))


def test_an_element_of_the_test_alone_is_refused(tmp_path: Path) -> None:
    write_labels(tmp_path / "test.npz")
    rng = np.random.default_rng(3)
    x = np.array(MOLECULES[1, 1]) + 0.05 * rng.standard_normal((20, 2, 3))
    np.savez(tmp_path / "labels.npz", Z=np.full((20, 2), 1), R=x, E=rng.standard_normal(20))
    split = {"train": 14, "validation": 4, "test": 6}
    path = written(tmp_path, test_dataset="test.npz", split=split)
    with pytest.raises(InputError, match=r"no reference energy of C, O, which no training frame"):
        prepare(load(path, TrainConfig))


def test_species_of_the_package_have_the_most_pairs_of_elements(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.npz")
    config = load(written(tmp_path), TrainConfig).config
    _, species = many.load(config, tmp_path, ("C", "H", "O"))
    assert species in (("O", "H", "H"), ("C", "O", "O"))  # two kinds of pairs, where H2 has one
