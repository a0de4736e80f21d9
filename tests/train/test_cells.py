"""Training on frames in cells: Lennard-Jones argon as the teacher, with its stress."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]
from jax.flatten_util import ravel_pytree

from qmd.audit.evaluation import evaluate, load_labels, table
from qmd.config import load as inputs
from qmd.data import datasets
from qmd.data.padded import pairs_of
from qmd.errors import InputError, MismatchError
from qmd.integrators import evaluate_virial, neighbour_pairs
from qmd.potentials import TruncatedLennardJones, cell_gradient, load, native_model
from qmd.potentials.models import atom_centred
from qmd.train import session
from qmd.train.cells import CellProblem, NativeFrames, virials
from qmd.train.config import TrainConfig
from qmd.train.problem import Frames, Loss

ROOT = Path(__file__).parents[2]
N_ATOMS, N_FRAMES, CUTOFF = 4, 30, 4.5
WATER = ROOT.parent / "shared" / "data" / "water-pbe0" / "water64_train.npz"
"""Labels that are not part of the repository."""
INPUT = """\
name: argon-test
dataset: argon.npz
model: {kind: qnn-revised, qubits: 2, layers: 1, radial: 6, cutoff_A: 4.5}
split: {train: 20, validation: 4, groups_key: piece, test_groups: [7]}
loss: {energy_weight_per_A: 1}
stages:
  - {kind: adam, steps: 2, batch: 2, learning_rate: 0.001, report_every: 2}
  - {kind: gauss_newton, steps: 30, batch: 4, slopes: 6, report_every: 10}
workers: 1
licence: CC0-1.0
"""
LOSS = Loss(energy_weight=1.3, virial_weight=0.2)


@cache
def argon() -> dict[str, np.ndarray]:
    """Return frames of a strained crystal, each in a cell of its own, smaller than the cut-off."""
    rng = np.random.default_rng(2)
    kernel = native_model(TruncatedLennardJones(N_ATOMS, 0.0104, 3.4, CUTOFF, "force_shift"))
    fcc = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    rows: dict[str, list[Any]] = {key: [] for key in ("R", "E", "F", "cell", "stress")}
    for _ in range(N_FRAMES):
        cell = 5.3 * (np.eye(3) + 0.03 * rng.standard_normal((3, 3)))
        x = (fcc + 0.03 * rng.standard_normal(fcc.shape)) @ cell
        energy, forces, virial = evaluate_virial(kernel, x, cell)
        both = -(virial + virial.T) / (2 * np.linalg.det(cell))
        stress = both[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
        for key, value in zip(rows, (x, energy, forces, cell, stress), strict=True):
            rows[key].append(value)
    arrays = {key: np.array(values) for key, values in rows.items()}
    piece = np.where(np.arange(N_FRAMES) < 24, 3, 7)
    return arrays | {"Z": np.full(N_ATOMS, 18), "pbc": np.array([True] * 3), "piece": piece}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.savez(tmp_path / "argon.npz", **argon())
    (tmp_path / "train.yaml").write_text(INPUT)
    return tmp_path / "train.yaml"


def prepare(path: Path, *changes: str) -> session.TrainingJob:
    return session.prepare(inputs.load(path, TrainConfig, changes))


def frames(n: int = 3) -> Frames:
    a = argon()
    return Frames(*(a[key][:n] for key in ("R", "E", "F", "cell", "stress")))


def network() -> Any:
    return atom_centred.revised(
        ("Ar",) * N_ATOMS, 1, n_qubits=2, n_layers=1, n_radial=6, cutoff=CUTOFF
    )


def test_virials_of_stresses_are_those_of_the_teacher() -> None:
    kernel = native_model(TruncatedLennardJones(N_ATOMS, 0.0104, 3.4, CUTOFF, "force_shift"))
    found = frames(1)
    _, _, virial = evaluate_virial(kernel, found.positions[0], found.cells[0])
    wanted = virial[(0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
    np.testing.assert_allclose(virials(found.stresses, found.cells)[0], wanted, atol=1e-12)


def test_pairs_are_filled_up_and_none_is_left_out() -> None:
    a = argon()
    i, j, shifts = pairs_of(a["R"], a["cell"], CUTOFF)
    each = zip(a["R"], a["cell"], strict=True)
    counts = [len(neighbour_pairs(x, cell, CUTOFF)[0]) for x, cell in each]
    assert i.shape == j.shape == (N_FRAMES, max(counts)) and len(set(counts)) > 1
    real = (i != j) | shifts.any(axis=2)
    np.testing.assert_array_equal(real.sum(axis=1), counts)


def test_loss_and_slope_of_both_engines_are_the_same() -> None:
    model, some = network(), frames()
    theta = np.asarray(ravel_pytree(model)[0])
    native, by_jax = (CellProblem(model, some, LOSS, native=native) for native in (True, False))
    loss, slope = native.loss_and_slope(theta, native.frames)
    with jax.enable_x64(True):
        function = jax.value_and_grad(by_jax.engine.sum_of_losses)
        other, by_other = function(theta, by_jax.frames)
    assert loss == pytest.approx(float(other), rel=1e-12)  # sums of a hundred squares
    # The native one has a central difference in it, with an error of the square of 1e-4.
    np.testing.assert_allclose(slope, by_other, rtol=0, atol=1e-8 * np.abs(slope).max())


def test_the_slope_is_that_of_the_loss_and_of_all_rows() -> None:
    model, some, rng = network(), frames(), np.random.default_rng(1)
    theta = np.asarray(ravel_pytree(model)[0])
    problem = CellProblem(model, some, LOSS, native=True)
    loss, slope = problem.loss_and_slope(theta, problem.frames)
    step = 1e-6 * rng.standard_normal(theta.size)
    ends = [problem.loss_and_slope(theta + side * step, problem.frames)[0] for side in (1, -1)]
    # The error of the difference is the square of the step, 1e-12 of third derivatives.
    assert (ends[0] - ends[1]) / 2 == pytest.approx(float(slope @ step), rel=1e-6)
    residuals, rows = problem.sampled(theta, np.arange(3), None, rng)
    assert len(residuals) == 3 * (1 + 3 * N_ATOMS + 6)
    assert 0.5 * residuals @ residuals == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(rows.T @ residuals, slope, atol=1e-7 * np.abs(slope).max())


def test_a_sample_has_the_same_squares_on_average() -> None:
    model, some, rng = network(), frames(1), np.random.default_rng(1)
    theta = np.asarray(ravel_pytree(model)[0])
    problem = CellProblem(model, some, LOSS, native=True)
    loss, _ = problem.loss_and_slope(theta, problem.frames)
    n_draws = 400
    draws = [problem.sampled(theta, np.arange(1), 6, rng)[0] for _ in range(n_draws)]
    halves = np.array([0.5 * residuals @ residuals for residuals in draws])
    assert len(np.unique(halves.round(12))) > n_draws / 2
    assert abs(halves.mean() - loss) < 5 * halves.std() / np.sqrt(n_draws)


def test_offsets_are_found_from_the_energies() -> None:
    model, some = network(), frames()
    theta = np.asarray(ravel_pytree(model)[0])
    problem = CellProblem(model, some, LOSS, native=True)
    step = np.zeros_like(theta)
    step[-1] = 0.5  # the offset of the only element, last in the order of the parameters
    residuals, columns = problem.of_offsets(theta, step[None])
    moved, _ = problem.of_offsets(theta + step, step[None])
    np.testing.assert_allclose(columns[:, 0], 1.3 * 0.5 * N_ATOMS, rtol=1e-12)
    np.testing.assert_allclose(moved - residuals, columns[:, 0], rtol=1e-9)


def test_training_fits_energies_forces_and_stresses(path: Path) -> None:
    job = prepare(path)
    assert "Ar4 in cells" in job.summary() and "20 train, 4 validation, 6 test" in job.summary()
    result = session.run(job)
    a, found = argon(), result.errors["test"]["all"]
    assert found["frames"] == 6
    # Thirty steps take an untrained network to a tenth of the scatter of the labels.
    assert found["forces_rmse_meV_per_A"] < 1000 * a["F"].std() / 10
    assert found["stress_rmse_meV_per_A3"] < 1000 * a["stress"].std() / 10
    assert found["energy_rmse_meV_per_atom"] == found["energy_rmse_meV"] / N_ATOMS
    package = load(result.package)
    assert package.elements == ("Ar",) and package.test_cells.shape == (5, 3, 3)
    x, cell = a["R"][0], a["cell"][0]
    double, both = cell * [[2], [1], [1]], np.concatenate([x, x + cell[0]])
    one, two = (
        cell_gradient(each.model) for each in (package, package.on(("Ar",) * (2 * N_ATOMS)))
    )
    energy = one.evaluate(one.surroundings(x, cell)).energy
    twice = two.evaluate(two.surroundings(both, double)).energy
    assert twice == pytest.approx(2 * energy, abs=1e-10)  # sums in another order
    evaluation = evaluate(package, load_labels(package, path.parent / "argon.npz"))
    card = package.training["errors"]
    shares = {part: errors["all"]["frames"] for part, errors in card.items()}
    for mine, theirs in (
        (evaluation.mse_forces_eV2_per_A2, "forces_rmse_meV_per_A"),
        (evaluation.mse_energy_eV2, "energy_rmse_meV"),
        (evaluation.mse_stress_eV2_per_A6, "stress_rmse_meV_per_A3"),
    ):
        squares = [n * (card[part]["all"][theirs] / 1000) ** 2 for part, n in shares.items()]
        assert mine == pytest.approx(sum(squares) / N_FRAMES, rel=1e-6)
    shown = table(evaluation)
    assert "stress" in shown and "energy, RMSE of an atom" in shown
    assert json.loads((path.parent / "output" / "card.json").read_text())["parameters"] > 20


def test_the_test_is_the_named_pieces(path: Path) -> None:
    data = prepare(path).data
    np.testing.assert_array_equal(np.sort(data.test_places), np.arange(24, N_FRAMES))


QNN = "kind: qnn-revised, qubits: 2, layers: 1, radial: 6, cutoff_A: 4.5"
ADAM = "kind: adam, steps: 2, batch: 2, learning_rate: 0.001, report_every: 2"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("[7]", "[8]", "chooses 0 of 30 frames; the groups are 3, 7"),
        ("piece", "what", "has no 'what'"),
        (QNN, f"{QNN}, elements: [H, O]", "atoms of Ar, which are not among"),
        ("loss:", "labels: {stress_key: tension}\nloss:", "has no 'tension'"),
        (ADAM, "kind: least_squares", "a stage of kind least_squares cannot fit"),
        (
            QNN,
            "kind: qnn-initial, species: [Ar, Ar, Ar, Ar], qubits: 2, layers: 1",
            "periodic frames, which a model of kind qnn-initial",
        ),
        (
            f"{QNN}}}",
            "kind: perceptron, hidden: 2}\nbackend: native",
            "has model.kind: perceptron, which needs backend: jax",
        ),
    ],
)
def test_what_does_not_fit_is_refused(path: Path, old: str, new: str, text: str) -> None:
    assert old in INPUT
    path.write_text(INPUT.replace(old, new))
    with pytest.raises((InputError, MismatchError), match=text):
        prepare(path)


@pytest.mark.parametrize(
    ("stress", "text"),
    [
        (np.zeros((N_FRAMES, 5)), "expected"),
        (np.full((N_FRAMES, 6), np.nan), "not finite"),
        (np.arange(9.0 * N_FRAMES).reshape(-1, 3, 3), "not a symmetric matrix"),
    ],
)
def test_a_stress_that_is_none_is_refused(tmp_path: Path, stress: np.ndarray, text: str) -> None:
    np.savez(tmp_path / "argon.npz", **argon() | {"stress": stress})
    with pytest.raises(InputError, match=text):
        datasets.read(tmp_path / "argon.npz", periodic=True)


def test_extended_xyz_has_the_same_frames(tmp_path: Path) -> None:
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    a = argon()
    atoms = [
        Atoms("Ar4", positions=x, cell=cell, pbc=True, info={"piece": int(piece)})
        for x, cell, piece in zip(a["R"], a["cell"], a["piece"], strict=True)
    ]
    for each, energy, forces, stress in zip(atoms, a["E"], a["F"], a["stress"], strict=True):
        each.calc = SinglePointCalculator(each, energy=energy, forces=forces, stress=stress)
    write(tmp_path / "argon.extxyz", atoms)
    labels = datasets.Labels(groups_key="piece")
    found = datasets.read(tmp_path / "argon.extxyz", labels, periodic=True)
    np.savez(tmp_path / "argon.npz", **a)
    expected = datasets.read(tmp_path / "argon.npz", labels, periodic=True)
    for name in ("positions", "energies", "forces", "cells", "stresses", "groups"):  # 8 digits
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-7)


def test_water_is_read_and_split_by_its_pieces() -> None:
    if not WATER.exists():
        pytest.skip(f"needs {WATER.name}, which is not part of the repository")
    job = prepare(ROOT / "runs" / "train-water" / "train.yaml")
    sizes = [len(part.energies) for part in job.data.parts.values()]
    assert sizes == [132, 10, 124] and job.elements == ("H", "O")
    engine = CellProblem(
        job.config.model.first_model(Path(), job.data.train, 0), job.data.train.take(slice(2)),
        Loss(), native=True,
    ).engine  # fmt: skip
    assert isinstance(engine, NativeFrames)


def test_the_study_of_water_has_inputs_that_are_valid_and_a_power_law() -> None:
    folder = ROOT / "runs" / "train-water"
    spec = importlib.util.spec_from_file_location("water_study", folder / "study.py")
    assert spec is not None and spec.loader is not None
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    written = yaml.safe_load((folder / "train.yaml").read_text())
    results = {}
    for row in study.ROWS:
        changed = study.changed(written, row, 0, 2, 5)
        config = TrainConfig.model_validate(changed)
        assert config.split.test_groups == [0] and config.starts.seed == 2
        assert {stage.steps for stage in config.stages} == {5}
        n = study.ROWS[row].get("frames")
        assert {stage.frames for stage in config.stages} == {n}
        power = -0.25 if row.startswith("perceptron") else -0.5
        errors = {study.FORCES: 100 * (n or 132) ** power, study.ENERGY: 1.0, "fitted_frames": n}
        results[f"{row}-tested-0-seed-2"] = errors
    lines = study.table(results)
    assert len(lines) == len(study.ROWS) + 5  # two lines of the head, an empty one, two curves
    assert lines[-2].endswith("to the power -0.50 +- 0.00")
    assert lines[-1].endswith("to the power -0.25 +- 0.00")


def test_the_error_of_an_exponent_is_that_of_least_squares() -> None:
    spec = importlib.util.spec_from_file_location(
        "water_study", ROOT / "runs" / "train-water" / "study.py"
    )
    assert spec is not None and spec.loader is not None
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    frames, errors = np.array([10.0, 20, 40, 80, 10]), np.array([90.0, 70, 40, 35, 99])
    by_numpy, covariance = np.polyfit(np.log(frames), np.log(errors), 1, cov=True)
    slope, error = study.power(frames, errors)
    assert slope == pytest.approx(by_numpy[0], rel=1e-12)
    assert error == pytest.approx(covariance[0, 0] ** 0.5, rel=1e-12)
