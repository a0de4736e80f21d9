"""`masses_u` of an input: by atom or by symbol, beside what the structure file states."""

import json
from pathlib import Path

import ase.io
import MDAnalysis
import numpy as np
import pytest

import qmd
from qmd import units
from qmd.errors import InputError
from qmd.io.structure import load_system
from qmd.run import session
from qmd.run.config import load_config
from qmd.run.setup import RunSetup, set_up
from qmd.system.isotopes import HEAVY_HYDROGEN_U, with_masses

D = HEAVY_HYDROGEN_U["D"]
ATOMS = "3\n{comment}\nO 0 0 0{o}\n{first} 0.79 0.57 0{h}\nH -0.79 0.57 0{h}\n"
PLAIN = {"comment": "", "o": "", "h": "", "first": "H"}
HEAVY_COLUMN = PLAIN | {
    "comment": 'Properties=species:S:1:pos:R:3:masses:R:1 pbc="F F F"', "o": " 15.999",
    "h": " 2.014",
}  # fmt: skip


def setup(folder: Path, masses_u: object, structure: dict[str, str] = PLAIN) -> RunSetup:
    (folder / "water.xyz").write_text(ATOMS.format(**structure))
    document = {
        "system": {"structure": "water.xyz", "temperature_K": 300, "masses_u": masses_u},
        "potential": "sivqlm-h2o",
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.25},
        "steps": 40,
        "output": {"trajectory_every": 10, "log_every": 10},
    }
    (folder / "input.yaml").write_text(json.dumps(document))
    return set_up(load_config(folder / "input.yaml"))


@pytest.mark.parametrize(
    ("masses_u", "structure", "expected"),
    [
        (None, PLAIN, [15.999, 1.008, 1.008]),
        ([18, 2.014, 1.008], PLAIN, [18, 2.014, 1.008]),
        ({"H": 2.014}, PLAIN, [15.999, 2.014, 2.014]),
        ({"O": 17.999, "H": 3}, PLAIN, [17.999, 3, 3]),
        ({"H": 1.00794}, PLAIN | {"first": "D"}, [15.999, D, 1.00794]),
        ({"D": 2.01355}, PLAIN | {"first": "D"}, [15.999, 2.01355, 1.008]),
        ([15.999, 2.0141, 1.008], PLAIN | {"first": "D"}, [15.999, 2.0141, 1.008]),
        ({"O": 17.999}, HEAVY_COLUMN, [17.999, 2.014, 2.014]),
        ({"H": 2.01410178}, HEAVY_COLUMN, [15.999, 2.01410178, 2.01410178]),
    ],
)
def test_masses_by_atom_and_by_symbol(tmp_path, masses_u, structure, expected):
    assert setup(tmp_path, masses_u, structure).system.masses.tolist() == expected


@pytest.mark.parametrize(
    ("masses_u", "structure", "message"),
    [
        ([2.014, 2.014], PLAIN, "masses_u has 2 masses, but water.xyz has 3 atoms"),
        ({"D": 2.014}, PLAIN, "masses_u names D, but water.xyz has O, H"),
        ({"C": 13.003}, PLAIN, "masses_u names C, but water.xyz has O, H"),
        ({"Qq": 2.0}, PLAIN, "names Qq, which is no element"),
        ({"H": 1837}, PLAIN, "has a mass of 1837; expected 0.1 to 1000"),
        ({"H": 1.67e-27}, PLAIN, "has a mass of 1.67e-27; expected"),
        ([15.999, -1, 1], PLAIN, "has a mass of -1; expected"),
        ([15.999, True, 1], PLAIN, "has True for a mass"),
        ([15.999, "2.014", 1], PLAIN, "has '2.014' for a mass"),
        ([], PLAIN, "is empty"),
        (2.014, PLAIN, "must be a list"),
        ({"H": 3.016}, HEAVY_COLUMN, "gives atom 2 .H. 3.016 u, but water.xyz states 2.014 u"),
        ([15.999, 1.008, 1.008], PLAIN | {"first": "D"}, "gives atom 2 .H. 1.008 u, but .* states"),
    ],
)
def test_masses_that_cannot_be_meant_are_refused(tmp_path, masses_u, structure, message):
    with pytest.raises(InputError, match=message):
        setup(tmp_path, masses_u, structure)


def test_other_masses_are_another_run(tmp_path):
    identities = {setup(tmp_path, masses).identity for masses in (None, {"H": 2.014}, {"H": 2.0})}
    assert len(identities) == 3


def test_momenta_of_a_file_stay(tmp_path):
    atoms = ase.Atoms("OHH", [[0, 0, 0], [0.79, 0.57, 0], [-0.79, 0.57, 0]])
    momenta = np.random.default_rng(2).standard_normal((3, 3))
    atoms.set_momenta(momenta)
    ase.io.write(tmp_path / "start.extxyz", atoms)
    system = with_masses(load_system("start.extxyz", tmp_path), {"H": 2.014})
    # The file has eight digits.
    np.testing.assert_allclose(system.masses[:, None] * system.velocities, momenta, atol=1e-7)


@pytest.mark.parametrize(
    ("masses_u", "structure"),
    [
        ({"H": 2.014}, PLAIN),
        (None, HEAVY_COLUMN),
        ({"D": 2.014, "H": 2.014}, PLAIN | {"first": "D"}),
    ],
    ids=["key", "column", "symbol"],
)
def test_heavy_water_has_one_kinetic_energy_everywhere(tmp_path, masses_u, structure):
    """Must show: run, continuation, `qmd.load`, MDAnalysis and ASE, to 1e-10 eV."""
    heavy, again = tmp_path / "heavy", tmp_path / "again"
    heavy.mkdir()
    again.mkdir()
    setup(heavy, masses_u, structure)
    finished = session.run(load_config(heavy / "input.yaml"))
    log = np.loadtxt(finished.paths.log, delimiter=",", skiprows=1)
    expected = log[-1, 3]  # 12 decimals
    assert ase.io.read(finished.paths.final).get_kinetic_energy() == pytest.approx(
        expected, abs=1e-10
    )

    document = json.loads((heavy / "input.yaml").read_text())
    document["system"] = {"structure": str(finished.paths.final), "velocities": "file"}
    (again / "input.yaml").write_text(json.dumps(document))
    continued = session.run(load_config(again / "input.yaml"))
    rows = np.loadtxt(continued.paths.log, delimiter=",", skiprows=1)
    assert rows[0, 3] == pytest.approx(expected, abs=1e-10)
    assert continued.setup.system.masses.tolist() == [15.999, 2.014, 2.014]

    universe = qmd.load(heavy)
    frame = universe.trajectory[-1]
    assert isinstance(universe, MDAnalysis.Universe)
    assert universe.atoms.masses.tolist() == [15.999, 2.014, 2.014]
    assert frame.data["kinetic_energy_eV"] == pytest.approx(expected, abs=1e-10)
    velocities = universe.atoms.velocities.astype(float) / units.ps
    kinetic = 0.5 * (universe.atoms.masses[:, None] * velocities**2).sum()
    # Velocities of a trajectory are in single precision: 2 x 6e-8 of each term, at most.
    assert kinetic == pytest.approx(expected, rel=1.2e-7)
    atoms = ase.Atoms(universe.atoms.elements, universe.atoms.positions)
    atoms.set_masses(universe.atoms.masses)
    atoms.set_velocities(velocities)
    assert atoms.get_kinetic_energy() == pytest.approx(expected, rel=1.2e-7)
