"""`qmd label` and `qmd reference`: what is labelled is kept, and goes on frame by frame."""

import json
import os
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from qmd.cli.app import app
from qmd.config.load import load
from qmd.data import compositions, datasets
from qmd.errors import InputError, MismatchError, NumericalError
from qmd.io import files, trajectory
from qmd.label import session as label_session
from qmd.label.config import LabelConfig

METHOD = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
WATER = np.array([[0.0, 0.0, 0.0], [0.97, 0.0, 0.0], [-0.24, 0.93, 0.0]])
RNG = np.random.default_rng(5)
FRAMES = WATER + 0.02 * RNG.standard_normal((7, 3, 3))
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def write(folder: Path, positions=FRAMES, numbers=(8, 1, 1), **settings) -> Path:
    np.savez(folder / "frames.npz", Z=np.array(numbers), R=positions)
    path = folder / "label.yaml"
    path.write_text(json.dumps({"structures": "frames.npz", "method": METHOD} | settings))
    return path


def label(path: Path, *changes: str) -> dict[str, np.ndarray]:
    with np.load(label_session.run(load(path, LabelConfig, changes))) as data:
        return dict(data)


def by_emt(numbers, positions) -> tuple[float, np.ndarray]:
    atoms = Atoms(numbers, positions, calculator=EMT())
    return atoms.get_potential_energy(), atoms.get_forces()


def test_labels_are_those_of_the_calculator_and_the_card_says_which(tmp_path):
    data = label(write(tmp_path))
    assert data.keys() == {"Z", "R", "E", "F"}
    np.testing.assert_array_equal(data["R"], FRAMES)
    for x, energy, forces in zip(data["R"], data["E"], data["F"], strict=True):
        expected = by_emt([8, 1, 1], x)
        assert energy == pytest.approx(expected[0], abs=1e-12)
        np.testing.assert_allclose(forces, expected[1], atol=1e-12)
    card = json.loads((tmp_path / "labels.json").read_text())
    assert card["frames"] == 7 and card["level_of_theory"] == "EMT"
    assert card["method"] == METHOD | {"arguments": {}} and "ase" in card["versions"]


def test_molecules_alone_and_their_interaction_are_labelled_too(tmp_path):
    pair = np.concatenate([FRAMES[:2], FRAMES[2:4] + [3.0, 0, 0]], axis=1)
    data = label(write(tmp_path, pair, [8, 1, 1] * 2, molecules=[[0, 1, 2], [3, 4, 5]]))
    for k, x in enumerate(pair):
        first, second, both = by_emt([8, 1, 1], x[:3]), by_emt([8, 1, 1], x[3:]), by_emt(
            [8, 1, 1] * 2, x)  # fmt: skip
        np.testing.assert_allclose(data["E1"][k], [first[0], second[0]], atol=1e-12)
        assert data["E2"][k] == pytest.approx(both[0] - first[0] - second[0], abs=1e-12)
        alone = np.concatenate([first[1], second[1]])
        np.testing.assert_allclose(data["F1"][k], alone, atol=1e-12)
        np.testing.assert_allclose(data["F2"][k], both[1] - alone, atol=1e-12)


@pytest.mark.usefixtures("trusting")
def test_a_frame_that_fails_ends_it_with_one_line_and_keeps_the_others(tmp_path):
    positions = FRAMES.copy()
    positions[4, 1] = [1.5, 0, 0]
    fragile = {"kind": "ase", "calculator": "bad_model.Fragile"}
    path = write(tmp_path, positions, method=fragile, save_every=100)
    with pytest.raises(NumericalError, match="bad_model.Fragile failed: RuntimeError: no conv"):
        label(path)
    with np.load(tmp_path / "labels.npz") as data:
        assert len(data["E"]) == 4
    assert json.loads((tmp_path / "labels.json").read_text())["frames"] == 4
    assert len(label(path, "first=4")["E"]) == 4


@pytest.mark.usefixtures("trusting")
def test_labels_of_two_methods_are_not_mixed_after_a_kill(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    written, write_text = [], files.write_text

    def killed_at_the_second_card(path, text):
        written.append(path.name)
        if written.count("labels.json") == 2:
            raise Killed
        write_text(path, text)

    path = write(tmp_path, save_every=1)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_text", killed_at_the_second_card)
        with pytest.raises(Killed):
            label(path)
    assert (tmp_path / "labels.npz").exists()
    other = {"kind": "ase", "calculator": "bad_model.Fragile"}
    with pytest.raises(MismatchError, match="was labelled with another method"):
        label(write(tmp_path, method=other))
    assert len(label(write(tmp_path))["E"]) == 7


def test_labelling_goes_on_where_it_stopped(tmp_path, monkeypatch):
    path = write(tmp_path)
    first = label(path, "first=3")
    marked = first | {"E": first["E"] + 1}  # kept, not computed again
    np.savez(tmp_path / "labels.npz", **marked)
    data = label(path, "workers=2")
    np.testing.assert_array_equal(data["E"][:3], marked["E"])
    assert len(data["E"]) == 7 and len(data["F"]) == 7
    again = label(path)  # all done: nothing changes
    np.testing.assert_array_equal(again["E"], data["E"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_labels_are_the_same_wherever_they_are_computed(tmp_path, kind):
    pytest.importorskip("distributed" if kind == "dask" else "numpy")
    here = label(write(tmp_path))
    (tmp_path / "labels.npz").unlink()
    there = label(write(tmp_path, executor={"kind": kind, "workers": 2}))
    for key, values in here.items():
        np.testing.assert_array_equal(there[key], values)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"structures": "none.npz"}, InputError, "structures 'none.npz' does not exist"),
        ({"structures": "labels.txt"}, InputError, "not in a format that qmd reads"),
        ({"structures": "empty.npz"}, InputError, "'.*empty.npz' is empty"),
        ({"structures": "empty.xyz"}, InputError, "'.*empty.xyz' is empty"),
        ({"molecules": [[0, 1], [1, 2]]}, InputError, "must name each of the atoms 0 to 2 once"),
        ({"molecule": [[0]]}, InputError, "molecules"),
        ({"method": {"kind": "dft", "basis": 3}}, InputError, "method"),
        ({"method": {"kind": "ase", "calculator": "no.Such"}}, MismatchError, "cannot be imported"),
    ],
)
def test_bad_inputs_are_one_clear_line_and_leave_nothing(tmp_path, settings, error, message):
    (tmp_path / "labels.txt").write_text("nothing")
    for name in ("empty.npz", "empty.xyz"):
        (tmp_path / name).touch()
    path = write(tmp_path, **settings)
    with pytest.raises(error, match=message):
        label(path)
    assert not (tmp_path / "labels.npz").exists()


def test_a_matrix_that_a_method_cannot_solve_is_no_wrong_option(tmp_path, monkeypatch):
    # numpy's LinAlgError is a ValueError, as many errors of options are.
    def singular(self, *args):
        np.linalg.inv(np.zeros((1, 1)))

    monkeypatch.setattr(EMT, "calculate", singular)
    with pytest.raises(NumericalError, match="frame 0 of 7.*EMT failed: LinAlgError: Singular"):
        label(write(tmp_path))
    dft = {"kind": "dft", "functional": "lda", "basis": "sto-3g"}
    monkeypatch.setattr("qmd.forces.reference._require", lambda *packages: None)
    monkeypatch.setattr("qmd.label.session.versions", lambda *packages: {})
    monkeypatch.setattr("qmd.forces.dft.DFT.energy_and_forces", singular)
    with pytest.raises(NumericalError, match="frame 0 of 7.*lda.* failed: LinAlgError: Singular"):
        label(write(tmp_path, method=dft))


def test_a_file_of_other_labels_is_not_touched(tmp_path):
    path = write(tmp_path)
    label(path, "first=2")
    before = (tmp_path / "labels.npz").read_bytes()
    write(tmp_path, method=METHOD | {"arguments": {"asap_cutoff": True}})
    with pytest.raises(MismatchError, match="was labelled with another method"):
        label(path)
    write(tmp_path, FRAMES + 0.1)
    with pytest.raises(MismatchError, match="holds other geometries"):
        label(path)
    assert (tmp_path / "labels.npz").read_bytes() == before


def test_structures_may_be_what_ase_reads(tmp_path, capsys):
    from ase.io import write as save

    path = write(tmp_path, structures="frames.extxyz")
    save(tmp_path / "frames.extxyz", [Atoms("OHH", x) for x in FRAMES[:2]])
    with pytest.raises(SystemExit) as end:
        app(["label", str(path), "--output", str(tmp_path / "mine.npz")])
    assert not end.value.code and "mine.json" in capsys.readouterr().out
    with np.load(tmp_path / "mine.npz") as data:
        np.testing.assert_allclose(data["R"], FRAMES[:2], atol=1e-7)


def test_reference_dynamics_keeps_every_step_unless_told_otherwise(tmp_path):
    document = {
        "system": {"structure": "h2o", "temperature_K": 300},
        "potential": METHOD,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 4,
        "output": {"log_every": 2},
    }
    path = tmp_path / "input.yaml"
    path.write_text(json.dumps(document))
    with pytest.raises(SystemExit) as end:
        app(["reference", str(path), "--quiet"])
    assert not end.value.code
    assert len(trajectory.read_scalars(tmp_path / "output" / "trajectory.nc")["step"]) == 5
    assert len((tmp_path / "output" / "log.csv").read_text().splitlines()) == 4


def test_a_packaged_potential_is_no_reference(tmp_path, capsys):
    path = tmp_path / "input.yaml"
    path.write_text(
        "system: {structure: h2o, temperature_K: 300}\npotential: sivqlm-h2o\n"
        "integrator: {kind: velocity_verlet, timestep_fs: 0.5}\nsteps: 4\n"
    )
    with pytest.raises(SystemExit) as end:
        app(["reference", str(path)])
    assert end.value.code == 2 and "is no reference method" in capsys.readouterr().err


def test_dft_labels_are_those_of_pyscf(tmp_path):
    pytest.importorskip("pyscf", reason="needs the extra reference")
    method = {"kind": "fci"}
    hydride = np.array([[[0.0, 0, 0], [0, 0, 1.6]], [[0.0, 0, 0], [0, 0, 1.9]]])
    data = label(write(tmp_path, hydride, (3, 1), method=method))
    assert data["E"][1] > data["E"][0]  # beyond the minimum, 1.55 A in this basis
    step = 1e-4
    shifted = hydride[1:].repeat(2, axis=0)
    shifted[:, 1, 2] += [step, -step]
    (tmp_path / "b").mkdir()
    plus, minus = label(write(tmp_path / "b", shifted, (3, 1), method=method))["E"]
    assert data["F"][1, 1, 2] == pytest.approx((minus - plus) / (2 * step), abs=1e-6)


# Periodic frames


def crystals(n: int = 3) -> list[Atoms]:
    """Return rattled copper in tilted cells, each strained in another way."""
    frames = []
    for k in range(n):
        atoms = bulk("Cu").repeat(2)
        atoms.rattle(0.05, seed=k)
        atoms.set_cell(atoms.cell * (1 + 0.01 * k), scale_atoms=True)
        frames.append(atoms)
    return frames


def write_cells(folder: Path, frames: list[Atoms], **settings) -> Path:
    ase.io.write(folder / "cells.extxyz", frames)
    path = folder / "label.yaml"
    path.write_text(json.dumps({"structures": "cells.extxyz", "method": METHOD} | settings))
    return path


@pytest.mark.parametrize("workers", [1, 2])
def test_periodic_frames_get_cells_and_stress(tmp_path, workers):
    data = label(write_cells(tmp_path, crystals(), workers=workers))
    assert data.keys() == {"Z", "R", "E", "F", "cell", "stress"}
    for k, atoms in enumerate(ase.io.read(tmp_path / "cells.extxyz", ":")):
        atoms.calc = EMT()
        np.testing.assert_array_equal(data["cell"][k], atoms.cell)
        assert data["E"][k] == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
        np.testing.assert_allclose(data["F"][k], atoms.get_forces(), atol=1e-12)
        np.testing.assert_allclose(data["stress"][k], atoms.get_stress(voigt=False), atol=1e-14)
    assert "eV/angstrom^3" in json.loads((tmp_path / "labels.json").read_text())["arrays"]["stress"]
    found = datasets.read(tmp_path / "labels.npz", periodic=True)
    np.testing.assert_array_equal(found.cells, data["cell"])
    with pytest.raises(InputError, match="labels.npz' has periodic frames; expected isolated"):
        datasets.read(tmp_path / "labels.npz")


def test_labels_of_the_same_positions_in_another_cell_are_refused(tmp_path):
    frames = crystals(2)
    label(write_cells(tmp_path, frames))
    for atoms in frames:
        atoms.set_cell(atoms.cell * 1.001)
    with pytest.raises(MismatchError, match="other geometries"):
        label(write_cells(tmp_path, frames))


def test_a_wrong_stress_is_refused_before_a_label_is_saved(tmp_path, monkeypatch):
    right = EMT.calculate

    def wrong(self, *args, **settings):
        right(self, *args, **settings)
        self.results["stress"] = 0.28 * self.results["stress"]

    monkeypatch.setattr(EMT, "calculate", wrong)
    with pytest.raises(NumericalError, match="The virial of EMT is wrong: its element"):
        label(write_cells(tmp_path, crystals()))
    assert not (tmp_path / "labels.npz").exists()


def test_what_labels_cannot_have_in_a_cell_is_refused(tmp_path):
    with pytest.raises(InputError, match="labelled by `molecules`, has periodic frames"):
        label(write_cells(tmp_path, crystals(), molecules=[[0, 1, 2, 3], [4, 5, 6, 7]]))
    with pytest.raises(MismatchError, match="`kind: fci` is for isolated molecules"):
        label(write_cells(tmp_path, crystals(), method={"kind": "fci"}))
    mixed = crystals(2)
    mixed[1].pbc = True, True, False
    with pytest.raises(InputError, match="frames 0 and 1 are periodic in other directions"):
        label(write_cells(tmp_path, mixed))


@pytest.mark.parametrize("suffix", ["extxyz", "db", "json"])
def test_datasets_of_periodic_frames_keep_their_cells(tmp_path, suffix):
    frames = crystals(2)
    for atoms in frames:
        atoms.calc = EMT()
        atoms.get_forces()
    path = tmp_path / f"frames.{suffix}"
    ase.io.write(path, frames)
    found = datasets.read(path, periodic=True)
    np.testing.assert_allclose(found.cells, [np.array(a.cell) for a in frames], atol=1e-7)
    with pytest.raises(InputError, match="periodic frames"):
        datasets.read(path)


def test_arrays_of_cells_are_checked(tmp_path):
    arrays = {"Z": [29], "R": np.zeros((2, 1, 3)), "E": [0.0, 0.0], "F": np.zeros((2, 1, 3))}
    for more, reason in (
        ({"pbc": [True] * 3}, "says pbc, but has no array cell"),
        ({"cell": np.eye(2)}, r"expected cell of shape \(3, 3\) or \(2, 3, 3\)"),
        ({"cell": np.diag([3.0, 3.0, -3.0])}, "left-handed"),
        ({"cell": np.eye(3) * 3, "pbc": [1, 1]}, "expected pbc as three times"),
        ({"cell": np.diag([3.0, 3.0, 0.0]), "pbc": [True] * 3}, "lattice vector 3, which is zero"),
    ):
        np.savez(tmp_path / "a.npz", **arrays, **more)
        with pytest.raises(InputError, match=reason):
            datasets.read(tmp_path / "a.npz", periodic=True)
    np.savez(tmp_path / "a.npz", **arrays, cell=np.eye(3) * 3, pbc=[True, True, False])
    found = datasets.read(tmp_path / "a.npz", periodic=True)
    np.testing.assert_array_equal(found.cells, [np.diag([3.0, 3.0, 0.0])] * 2)
    np.savez(tmp_path / "a.npz", **arrays, cell=np.eye(3) * 3, pbc=False)
    assert datasets.read(tmp_path / "a.npz").cells is None


def mixed(folder: Path, frames, **settings) -> Path:
    """Frames of different atoms, as extended XYZ."""
    for atoms in frames:
        atoms.info.clear()
    ase.io.write(folder / "frames.extxyz", frames)
    path = folder / "label.yaml"
    path.write_text(json.dumps({"structures": "frames.extxyz", "method": METHOD} | settings))
    return path


def test_frames_of_different_atoms_are_labelled_and_read_back(tmp_path):
    frames = [Atoms(s, x) for s, x in zip(["OHH", "NHH", "OHH"], FRAMES, strict=False)]
    frames.insert(1, Atoms("CO", [[0, 0, 0], [0, 0, 1.2]]))
    data = label(mixed(tmp_path, frames))
    assert data["Z"].tolist() == [[8, 1, 1], [6, 8, 0], [7, 1, 1], [8, 1, 1]]
    for atoms, energy, forces in zip(frames, data["E"], data["F"], strict=True):
        expected = by_emt(atoms.numbers, np.round(atoms.positions, 8))
        assert energy == pytest.approx(expected[0], abs=1e-12)
        np.testing.assert_allclose(forces[: len(atoms)], expected[1], atol=1e-12)
        assert not forces[len(atoms) :].any()
    card = json.loads((tmp_path / "labels.json").read_text())
    assert card["system"] == "different atoms: H, C, N, O"
    found = compositions.read(tmp_path / "labels.npz")
    np.testing.assert_array_equal(found.forces, data["F"])
    assert found.elements == ("H", "C", "N", "O")


def test_a_stop_among_different_atoms_resumes_and_other_atoms_are_refused(tmp_path):
    frames = [Atoms(s, x) for s, x in zip(["OHH", "NHH", "OHH"], FRAMES, strict=False)]
    path = mixed(tmp_path, frames)
    whole = label(path)
    (tmp_path / "labels.npz").unlink()
    assert len(label(path, "first=2")["E"]) == 2
    resumed = label(path)
    for key, array in whole.items():
        np.testing.assert_array_equal(resumed[key], array)
    frames[1].numbers[0] = 8  # of the same size, at the same places
    with pytest.raises(MismatchError, match="holds other geometries"):
        label(mixed(tmp_path, [frames[0], frames[1], Atoms("CO", FRAMES[2, :2])]))


def test_crystals_of_different_atoms_have_stresses(tmp_path):
    crystals = [bulk("Cu", cubic=True), bulk("Ag"), bulk("Al", cubic=True)]
    for seed, atoms in enumerate(crystals):
        atoms.rattle(0.05, seed=seed)
    data = label(mixed(tmp_path, crystals))
    assert data["stress"].shape == (3, 3, 3) and data["Z"].shape == (3, 4)
    for atoms, found in zip(crystals, data["stress"], strict=True):
        atoms.calc = EMT()
        # Extended XYZ keeps eight decimals of positions.
        np.testing.assert_allclose(found, atoms.get_stress(voigt=False), atol=1e-7)


def test_energies_alone_are_those_of_the_labels_with_forces(tmp_path, monkeypatch):
    both = label(write(tmp_path))
    (tmp_path / "labels.npz").unlink()
    monkeypatch.setattr(EMT, "get_forces", None)
    alone = label(write(tmp_path, forces=False))
    assert alone.keys() == {"Z", "R", "E"}
    np.testing.assert_array_equal(alone["E"], both["E"])
    assert json.loads((tmp_path / "labels.json").read_text())["arrays"]["E"] == "eV"
    with pytest.raises(MismatchError, match="was labelled with another forces: False"):
        label(write(tmp_path))


def test_energies_alone_of_molecules_and_their_interaction(tmp_path):
    pair = np.concatenate([FRAMES[:2], FRAMES[2:4] + [3.0, 0, 0]], axis=1)
    settings = {"molecules": [[0, 1, 2], [3, 4, 5]], "forces": False}
    data = label(write(tmp_path, pair, [8, 1, 1] * 2, **settings))
    assert data.keys() == {"Z", "R", "E", "E1", "E2"}
    np.testing.assert_allclose(data["E2"], data["E"] - data["E1"].sum(axis=1), atol=1e-12)


def test_electrons_of_every_composition_are_checked_before_any_is_labelled(tmp_path):
    pytest.importorskip("pyscf")
    frames = [Atoms("OHH", WATER), Atoms("NHH", WATER)]
    method = {"kind": "dft", "dispersion": None}
    with pytest.raises(MismatchError, match="frame 1 with charge 0 has an odd number of electrons"):
        label(mixed(tmp_path, frames, method=method))
    assert not (tmp_path / "labels.npz").exists()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([[8, 0, 1]], "frame 1 has an atomic number 0 before an atom"),
        ([[0, 0, 0]], "frame 1 has no atoms"),
        ([[8, 1, 0]], "frame 1 has positions beyond its 2 atoms"),
        ([8, 0, 1], "has atomic numbers that no element has"),
    ],
)
def test_padded_arrays_that_do_not_fit_are_refused(tmp_path, numbers, message):
    with pytest.raises(InputError, match=message):
        label(write(tmp_path, FRAMES[:1], numbers))


def test_molecules_of_frames_of_different_atoms_are_refused(tmp_path):
    frames = [Atoms("OHH", WATER), Atoms("NHH", WATER)]
    with pytest.raises(InputError, match="labelled by `molecules`, has frames of different atoms"):
        label(mixed(tmp_path, frames, molecules=[[0], [1, 2]]))
