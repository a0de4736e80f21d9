"""`qnn-water`, the shipped potential of liquid water."""

from pathlib import Path

import numpy as np
import pytest

from qmd.integrators import evaluate, evaluate_virial
from qmd.io.boxes import Box, make_box
from qmd.io.structure import load_system
from qmd.potentials import find, load

FRAMES = Path(__file__).parents[4] / "shared" / "data" / "water-pbe0" / "water64_train.npz"
WATER = "O", "H", "H"


def test_errors_on_frames_of_the_liquid():
    if not FRAMES.exists():
        pytest.skip(f"needs {FRAMES.name}, frames of DeePMD-kit's example of water")
    package = load(find("qnn-water"))
    with np.load(FRAMES) as data:
        chosen = slice(None, None, 40)  # seven frames of both pieces of the trajectory
        symbols = [{1: "H", 8: "O"}[int(z)] for z in data["Z"]]
        frames = [np.asarray(data[key][chosen], float) for key in "REF"]
        cell = np.asarray(data["cell"], float).reshape(-1, 3, 3)[0]
    served = package.on(tuple(symbols))
    force = served.native()
    found = [evaluate(force, x, cell) for x in frames[0]]
    energies = np.array([energy for energy, _ in found]) + served.reference_energy_eV
    per_atom = 1000 * np.sqrt(np.mean((energies - frames[1]) ** 2)) / len(symbols)
    forces = 1000 * np.sqrt(np.mean((np.array([f for _, f in found]) - frames[2]) ** 2))
    print(f"{per_atom:.3f} meV/atom, {forces:.1f} meV/A")
    assert per_atom <= 0.4 and forces <= 35.0  # the bars of frames that are not fitted


def test_molecules_far_apart_add_up():
    package = load(find("qnn-water"))
    one = load_system("h2o", ".").positions
    single, _ = evaluate(package.on(WATER).native(), one)
    # Two molecules whose atoms are farther apart than the cut-off of 5 A do not feel each other;
    # sums of six energies of some eV round at 1e-14.
    both, _ = evaluate(package.on(WATER * 2).native(), np.concatenate([one, one + [9.0, 0, 0]]))
    assert both == pytest.approx(2 * single, abs=1e-12)


def test_the_pressure_of_a_box_is_a_derivative():
    package = load(find("qnn-water"))
    box = make_box(Box("h2o", 8, 0.95), lambda name: load_system(name, "."))
    force = package.on(tuple(box.symbols)).native()
    _, _, virial = evaluate_virial(force, box.positions, box.cell)
    h = 3e-5
    wide, narrow = (
        evaluate(force, box.positions * (1 + s), box.cell * (1 + s))[0] for s in (h, -h)
    )
    # The error of a central difference is h^2/6 of a third derivative, here about 1e4 eV.
    assert np.trace(virial) == pytest.approx(-(wide - narrow) / (2 * h), abs=3e-6)
