"""One package for several molecules: trained together, stored, chosen by the atoms it meets."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import CalculatorSetupError
from network_fits import NETWORK, PEROXIDE, frames_of

from qmd.cli.app import app
from qmd.config import load as inputs
from qmd.interop.ase_calculator import QmdCalculator
from qmd.potentials import Scaled, evaluate, load, native_model, on_atoms, vqlm
from qmd.train import session as train_session
from qmd.train.config import TrainConfig
from qmd.train.problem import Frames

MOLECULES = {"water": ("O", "H", "H"), "peroxide": ("O", "O", "H", "H")}
INPUT = """\
name: two-molecules
dataset: water.npz
other_molecules:
  - {species: [O, O, H, H], dataset: peroxide.npz}
model: {kind: qnn-revised, species: [O, H, H], qubits: 2, layers: 1, radial: 4, cutoff_A: 3}
split: {train: 20, validation: 5}
stages:
  - {kind: gauss_newton, steps: 60, batch: 20, damping: 1.0e-5, patience: 20, report_every: 5}
workers: 1
"""


def labels(model) -> Frames:
    return frames_of(model, 40, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    numbers = {"O": 8, "H": 1}
    for model, (name, species) in zip((NETWORK, PEROXIDE), MOLECULES.items(), strict=True):
        x, e, f, *_ = labels(model)
        z = np.array([numbers[s] for s in species])
        np.savez(folder / f"{name}.npz", R=x, E=e, F=f, Z=z)
    (folder / "train.yaml").write_text(INPUT)
    prepared = train_session.prepare(inputs.load(folder / "train.yaml", TrainConfig))
    train_session.run(prepared, folder / "two.qmdp")
    return folder


@pytest.fixture(scope="module")
def package(folder):
    return load(folder / "two.qmdp")


def test_both_molecules_are_learnt_and_their_errors_are_in_the_card(package):
    assert package.served == tuple(MOLECULES.values())
    own = package.training["errors"]["test"]["all"]
    other = package.training["errors_of_the_others"]["H2O2"]["test"]["all"]
    for errors, model in ((own, NETWORK), (other, PEROXIDE)):
        spread = 1000 * np.sqrt(np.mean(labels(model).forces ** 2))
        # Without the other molecule's numbers, forces would be wrong by their size.
        assert errors["forces_rmse_meV_per_A"] < 0.1 * spread


def test_a_variant_is_the_same_network_on_other_atoms(package):
    peroxide = package.on(MOLECULES["peroxide"])
    x = labels(PEROXIDE).positions[0]
    by_hand = on_atoms(package.model, PEROXIDE.kinds)
    assert evaluate(peroxide.native(), x)[0] == evaluate(native_model(by_hand), x)[0]
    assert peroxide.domain.pairs.max() == 3 and not peroxide.variants
    with pytest.raises(ValueError, match="does not serve O O C"):
        package.on(("O", "O", "C"))
    with pytest.raises(ValueError, match="named twice"):
        replace(package, variants=(*package.variants, *package.variants))
    for other in (vqlm.water(), Scaled(package.model, 2.0)):
        with pytest.raises(ValueError, match="Only atom-centred networks"):
            on_atoms(other, (0, 1))


def test_commands_take_the_molecule_they_are_given(folder, capsys):
    package, offset = str(folder / "two.qmdp"), "--fit-offset"
    for name, n in (("water", 3), ("peroxide", 4)):
        app(["potential", "evaluate", package, str(folder / f"{name}.npz"), offset, "--json"],
            standalone_mode=False)  # fmt: skip
        found = json.loads(capsys.readouterr().out)
        assert found["n"] == 40 and found["mae_forces_meV_per_A"] < 10  # of 86 and 162
        x = labels(NETWORK if n == 3 else PEROXIDE).positions[0]
        Atoms(MOLECULES[name], x).write(folder / f"{name}.xyz")
    (folder / "input.yaml").write_text(
        "system: {structure: peroxide.xyz, temperature_K: 50}\npotential: two.qmdp\n"
        "integrator: {kind: velocity_verlet, timestep_fs: 0.25}\nsteps: 4\nseed: 1\n"
    )
    assert app(["run", str(folder / "input.yaml")], standalone_mode=False) in (0, None)


def test_the_calculator_changes_with_its_atoms(folder, package, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    calculator = QmdCalculator("two.qmdp")
    monkeypatch.chdir(tmp_path)  # what was read is kept
    for model, (name, species) in zip((NETWORK, PEROXIDE), MOLECULES.items(), strict=True):
        atoms = Atoms(species, labels(model).positions[0])
        atoms.calc = calculator
        expected = evaluate(package.on(MOLECULES[name]).native(), atoms.positions)[0]
        assert atoms.get_potential_energy() == pytest.approx(expected, abs=1e-12)
    with pytest.warns(UserWarning, match="not trained on HO, but on H2O and H2O2"):
        Atoms("OH", [[0, 0, 0], [1, 0, 0]], calculator=calculator).get_potential_energy()
    with pytest.raises(CalculatorSetupError, match="O H H, or O O H H in this order"):
        Atoms("CH", [[0, 0, 0], [1, 0, 0]], calculator=calculator).get_potential_energy()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("kind: gauss_newton, steps: 60, batch: 20, damping: 1.0e-5, patience: 20",
         "kind: adam, steps: 60", "stages of kind gauss_newton"),
        ("species: [O, O, H, H]", "species: [O, C, H, H]", "needs C in model.elements"),
        ("species: [O, O, H, H]", "species: [O, H, H]", "names a molecule twice"),
    ],
)  # fmt: skip
def test_what_cannot_be_together_is_refused(folder, tmp_path, old, new, words):
    (tmp_path / "train.yaml").write_text(INPUT.replace(old, new))
    with pytest.raises(Exception, match=words):
        inputs.load(tmp_path / "train.yaml", TrainConfig)
