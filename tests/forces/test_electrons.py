"""Charge and multiplicity: of the input, of the structure, and not of both in different ways."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pytest

from qmd.config.load import load
from qmd.errors import InputError, MismatchError
from qmd.forces.config import ASEConfig, DFTConfig, FCIConfig
from qmd.forces.electrons import with_electrons
from qmd.forces.reference import reference_method, settings_sha256
from qmd.label import session as label_session
from qmd.label.config import LabelConfig
from qmd.run import session
from qmd.run.config import load_config
from qmd.run.setup import set_up
from qmd.system.system import System

pytestmark = pytest.mark.usefixtures("trusting")

TAKES = "charged_calculator.Charged"
EMT = "ase.calculators.emt.EMT"
DFT = DFTConfig(kind="dft", functional="pbe", basis="sto-3g", dispersion=None, grid_level=3)


def oh(charge: int | None = None, multiplicity: int | None = None) -> System:
    positions = np.array([[0, 0, 0], [0, 0, 0.97]])
    return System([8, 1], positions, [15.999, 1.008], None, "oh.xyz", charge, multiplicity)


def hydrogen(r: float | None, **stated: int) -> System:
    n = 1 if r is None else 2
    places = np.array([[0, 0, 0.0], [0, 0, r or 0.0]])[:n]
    return System([1] * n, places, [1.008] * n, None, "h.xyz", **stated)


@pytest.mark.parametrize("kind", [DFTConfig, FCIConfig])
@pytest.mark.parametrize(
    ("key", "stated", "expected"),
    [
        ({"charge": -1}, {}, (-1, 1)),
        ({}, {"charge": -1}, (-1, 1)),
        ({"charge": -1}, {"charge": -1, "multiplicity": 1}, (-1, 1)),
        ({"multiplicity": 2}, {}, (0, 2)),
        ({}, {"charge": 0, "multiplicity": 4}, (0, 4)),
        ({"charge": 1, "multiplicity": 3}, {}, (1, 3)),
        ({"charge": 1}, {"multiplicity": 3}, (1, 3)),
    ],
)
def test_input_and_structure_state_the_electrons(kind, key, stated, expected):
    tag = "dft" if kind is DFTConfig else "fci"
    found = with_electrons(kind(kind=tag, **key), oh(**stated))
    assert (found.charge, found.multiplicity) == expected
    assert with_electrons(found, oh(**stated)) == found


@pytest.mark.parametrize(
    ("key", "stated", "message"),
    [
        ({}, {}, "oh.xyz with charge 0 has an odd number of electrons, 9"),
        ({"charge": 0}, {"charge": -1}, "input states charge 0, but oh.xyz states -1"),
        ({"multiplicity": 2}, {"multiplicity": 4}, "input states multiplicity 2, but oh.xyz"),
        ({"multiplicity": 1}, {}, "multiplicity 1 does not fit the 9 electrons of oh.xyz"),
        ({"multiplicity": 11}, {"charge": 1}, "multiplicity 11 does not fit the 8 electrons"),
        ({"charge": 9}, {}, "has no electrons"),
    ],
)
def test_what_cannot_be_is_refused(key, stated, message):
    with pytest.raises(MismatchError, match=message):
        with_electrons(FCIConfig(kind="fci", **key), oh(**stated))


def test_neutral_closed_shells_keep_the_digest_of_earlier_versions():
    import hashlib

    plain = FCIConfig(kind="fci")
    digest = hashlib.sha256(b'{"kind":"fci","basis":"sto-3g"}').hexdigest()
    assert settings_sha256(plain) == digest
    for charge, multiplicity, same in ((0, 1, True), (2, 1, False), (0, 3, False)):
        other = with_electrons(plain, hydrogen(0.7, charge=0, multiplicity=1))
        other = other.model_copy(update={"charge": charge, "multiplicity": multiplicity})
        assert (settings_sha256(other) == digest) == same


def test_a_calculator_gets_what_it_takes():
    config = ASEConfig(kind="ase", calculator=TAKES)
    method = reference_method(config, oh(-1, 3))[1]
    assert method(oh().positions)[0] == -7.0
    given = ASEConfig(kind="ase", calculator=TAKES, arguments={"charge": -1})
    assert with_electrons(given, oh(-1)).arguments == {"charge": -1}
    assert with_electrons(given, oh()) == given
    with pytest.raises(MismatchError, match="input states charge -1, but oh.xyz states 1"):
        with_electrons(given, oh(1))
    with pytest.raises(MismatchError, match="states charge -1, which .*EMT does not take"):
        with_electrons(ASEConfig(kind="ase", calculator=EMT), oh(-1))
    neutral = ASEConfig(kind="ase", calculator=EMT)
    assert with_electrons(neutral, oh(0, 1)) == neutral


def write(folder: Path, potential: object, comment: str = "charge=-1 multiplicity=3") -> Path:
    (folder / "oh.extxyz").write_text(
        f'2\nProperties=species:S:1:pos:R:3 {comment} pbc="F F F"\nO 0 0 0\nH 0 0 0.97\n'
    )
    document = {
        "system": {"structure": "oh.extxyz", "temperature_K": 0},
        "potential": potential,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 2,
        "output": {"trajectory_every": 1, "log_every": 1},
    }
    (folder / "input.yaml").write_text(json.dumps(document))
    return folder / "input.yaml"


def test_a_run_honours_the_structure_and_its_last_frame_states_it(tmp_path):
    finished = session.run(load_config(write(tmp_path, {"kind": "ase", "calculator": TAKES})))
    log = np.loadtxt(finished.paths.log, delimiter=",", skiprows=1)
    assert (log[:, 2] == -7.0).all()
    record = json.loads(finished.paths.record.read_text())
    assert (record["charge"], record["multiplicity"]) == (-1, 3)
    for path in (finished.paths.final, finished.paths.trajectory):
        info = ase.io.read(path).info
        assert (info["charge"], info["multiplicity"]) == (-1, 3)
    from qmd.analysis import series
    from qmd.analysis.potential_of_run import potential_of_run

    energy, _ = potential_of_run(series.read(tmp_path)).energy_and_forces(oh().positions)
    assert energy == -7.0


@pytest.mark.parametrize(
    "potential",
    [
        "spc-fw",
        {"kind": "harmonic_bond", "bonds": [[0, 1]], "stiffness_eV_per_A2": 50, "length_A": 0.97},
        {"kind": "ase", "calculator": EMT},
        {"kind": "sum", "terms": [{"kind": "ase", "calculator": TAKES}, "spc-fw"]},
    ],
)
def test_other_potentials_refuse_it_by_name(tmp_path, potential):
    with pytest.raises(MismatchError, match="oh.extxyz states charge -1, which .* does not take"):
        set_up(load_config(write(tmp_path, potential)))
    with pytest.raises(MismatchError, match="oh.extxyz states multiplicity 3, which"):
        set_up(load_config(write(tmp_path, potential, "multiplicity=3")))


def label(folder: Path, **settings: object) -> dict[str, np.ndarray]:
    write(folder, None)
    method = {"kind": "ase", "calculator": TAKES}
    path = folder / "label.yaml"
    path.write_text(json.dumps({"structures": "oh.extxyz", "method": method} | settings))
    with np.load(label_session.run(load(path, LabelConfig))) as data:
        return dict(data)


def test_labels_honour_the_structures(tmp_path):
    assert label(tmp_path)["E"].tolist() == [-7.0]
    card = json.loads((tmp_path / "labels.json").read_text())
    assert card["method"]["arguments"] == {"charge": -1, "multiplicity": 3}


def test_single_molecules_of_a_charged_whole_are_not_guessed(tmp_path):
    with pytest.raises(InputError, match="but the whole has charge -1"):
        label(tmp_path, molecules=[[0], [1]])


# With PySCF.


def fci(system: System, basis: str = "sto-3g", **settings: int) -> tuple[float, np.ndarray]:
    pytest.importorskip("pyscf", reason="needs the extra reference")
    config = FCIConfig(kind="fci", basis=basis, **settings)
    return reference_method(config, system)[1](system.positions)


def test_a_hydrogen_atom_is_a_doublet():
    energy, _ = fci(hydrogen(None), multiplicity=2)
    assert energy / 27.211386 == pytest.approx(-0.46658185, abs=1e-6)  # in STO-3G


def test_a_triplet_and_a_cation_come_apart_into_their_atoms():
    atom, _ = fci(hydrogen(None, multiplicity=2))
    apart = hydrogen(20.0)
    # 20 angstrom: the overlap is below 1e-10; the cation's electron polarises nothing in one s
    # function, and its energy has the two nuclei's 1/R less the electron's.
    assert fci(apart, multiplicity=3)[0] == pytest.approx(2 * atom, abs=1e-6)
    assert fci(apart, charge=1, multiplicity=2)[0] == pytest.approx(atom, abs=1e-3)
    near = hydrogen(0.74)
    assert fci(near, multiplicity=3)[0] > fci(near)[0] + 5  # the antibonding state


@pytest.mark.parametrize("electrons", [{"charge": 1, "multiplicity": 2}, {"multiplicity": 3}])
def test_fci_forces_are_the_slope_of_the_state(electrons):
    x = np.array([[0, 0, 0], [0.8, 0.1, 0], [0.2, 0.9, 0.3], [1.1, 0.7, 0.9]])
    system = System([1, 1, 1, 1], x, [1.008] * 4, None, "h4.xyz")
    forces = fci(system, **electrons)[1]
    slope = numerical(lambda y: fci(_moved(system, y), **electrons)[0], x)
    # Differences: error h^2/6 E''' < 1e-6 x 300 / 6 = 5e-5 eV/A.
    np.testing.assert_allclose(forces, -slope, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("electrons", [{"charge": -1}, {"multiplicity": 2}, {"charge": 1}])
def test_dft_forces_are_the_slope_of_the_state(electrons):
    pytest.importorskip("pyscf", reason="needs the extra reference")
    pytest.importorskip("dftd3", reason="needs the extra reference")
    if electrons.get("charge") == 1:
        electrons = electrons | {"multiplicity": 3}  # OH+ is a triplet
    config = DFT.model_copy(update=electrons)
    system = oh()
    method = reference_method(config, system)[1]
    energy, forces = method(system.positions)
    assert np.isfinite(energy)
    # One method for all geometries, which begins with the last density: the hole of the radical may
    # lie in any plane, and the grid tells these planes apart by 1e-5 eV.
    slope = numerical(lambda y: method(y)[0], system.positions, atoms=(1,))
    # As above, and the SCF converges to 1e-10 hartree: 3e-9 eV over 2e-3 angstrom.
    np.testing.assert_allclose(forces[1], -slope[1], atol=2e-4)


def _moved(system: System, positions: np.ndarray) -> System:
    return System(system.numbers, positions, system.masses, None, system.name)


def numerical(energy, x: np.ndarray, atoms=None, h: float = 1e-3) -> np.ndarray:
    slope = np.zeros_like(x)
    for i in range(len(x)) if atoms is None else atoms:
        for k in range(3):
            ends = []
            for sign in (1, -1):
                y = x.copy()
                y[i, k] += sign * h
                ends.append(energy(y))
            slope[i, k] = (ends[0] - ends[1]) / (2 * h)
    return slope
