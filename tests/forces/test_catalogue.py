"""Potentials by name: built-in ones, and those of other packages, found without being imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qmd.cli.cards import table
from qmd.errors import MismatchError, NumericalError
from qmd.forces import catalogue
from qmd.forces.catalogue import find_potential, load_package
from qmd.interop.ase_calculator import QmdCalculator
from qmd.io.structure import load_system
from qmd.potentials import External, MorseBonds, Package, spc_fw
from qmd.run import session
from qmd.run.config import load_config
from qmd.run.setup import set_up
from qmd.run.start import start_state

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "example-package"


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def write(folder: Path, potential: object, structure: str, **settings: object) -> Path:
    document = {
        "system": {"structure": structure, "temperature_K": 300},
        "potential": potential,
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 20,
        "output": {"log_every": 1},
    }
    path = folder / "input.yaml"
    path.write_text(json.dumps(document | settings))
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages with the example in it, as pip puts it there."""
    pytest.importorskip("wheel", reason="needs the extra test")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for file in EXAMPLE.iterdir():
        (source / file.name).write_bytes(file.read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *options, "--target", target, source],
        check=True, capture_output=True,
    )  # fmt: skip
    return target


def pretend(folder: Path, package: str, entries: str, source: str = "") -> None:
    """An installed package: its metadata, as pip writes them, and one module of its name."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[qmd.potentials]\n{entries}\n")
    if source:
        (folder / f"{package}.py").write_text(source)


def test_the_example_package_runs_by_its_names(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    listed = table()
    assert "morse-lih" in listed and "from qmd-example-potentials 1.0" in listed
    assert "qmd_example" not in sys.modules  # listing imports nothing
    finished = session.run(load_config(write(tmp_path, "morse-lih", "lih")))
    record = json.loads(finished.paths.record.read_text())
    assert record["potential"]["citation"].startswith("Huber")
    assert record["versions"]["qmd-example-potentials"] == "1.0"
    bond = np.linalg.norm(np.diff(finished.setup.system.positions, axis=0))
    expected = 2.515 * (1 - np.exp(-1.128 * (bond - 1.5957))) ** 2
    assert start_state(finished.setup).energy == pytest.approx(expected, rel=1e-12)

    springs = session.run(load_config(write(tmp_path, "springs", "h2o")), tmp_path / "springs")
    totals = np.loadtxt(springs.paths.log, delimiter=",", skiprows=1)[:, 4]
    # Verlet's error: (omega dt)^2/8 of what goes to and fro, 0.2 of about 0.1 eV for these springs.
    assert np.ptp(totals) < 2e-3
    water = springs.setup.system
    calculator = QmdCalculator("springs")
    from ase import Atoms

    atoms = Atoms(water.numbers, water.positions, calculator=calculator)
    assert atoms.get_potential_energy() == pytest.approx(start_state(springs.setup).energy)


def test_a_name_costs_no_look_at_other_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, "greedy", "spc-fw = greedy:x", "raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(catalogue, "entry_points", None)  # would fail if it were asked
    assert isinstance(find_potential("spc-fw", Path()).found, Package)
    assert find_potential("sivqlm-lih", Path()).needs == ()
    monkeypatch.undo()
    monkeypatch.syspath_prepend(tmp_path)
    assert "hidden by the one above" in table()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module", "cannot be imported from bad:x: ModuleNotFoundError: No mod"),
        ("1/0", "cannot be imported from bad:x: ZeroDivisionError"),
        ("y = 1", "cannot be imported from bad:x: AttributeError"),
        ("x = {'energy': 1}", "is a dict; expected a qmd.potentials.External or Package, or a fun"),
        ("class x: pass", "is a type; expected"),
        ("def x(symbols): return 1.0, 2.0", "is a tuple; expected"),
        ("def x(symbols): raise ValueError('not water')", "does not serve O H H: ValueError: not "),
        ("def x(symbols): return 1 / 0", "failed on O H H: ZeroDivisionError: division by zero"),
        (
            "import numpy as np\ndef x(symbols): np.linalg.inv(np.zeros((1, 1)))",
            "failed on O H H: LinAlgError: Singular matrix",
        ),
        (
            "from qmd.potentials import External\nx = External(('H',), lambda x: x, '')",
            "broken is for H; h2o has O,H,H",
        ),
    ],
)
def test_what_another_package_does_wrong_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    pretend(tmp_path, "bad", "broken = bad:x", source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad", raising=False)
    with pytest.raises(MismatchError) as error:
        set_up(load_config(write(tmp_path, "broken", "h2o")))
    assert message in error.value.message
    monkeypatch.delitem(sys.modules, "bad", raising=False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise OSError('no weights')", "broken failed: OSError: no weights"),
        ("return 1.0, x[1:]", r"must return forces of shape \(3, 3\), but returned \(2, 3\)"),
        ("return 1.0", "broken failed: TypeError"),
    ],
)
def test_a_function_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    source = f"from qmd.potentials import External\ndef f(x): {body}\ndef x(s):"
    pretend(tmp_path, "bad", "broken = bad:x", f"{source} return External(s, f, '')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad", raising=False)
    with pytest.raises(NumericalError, match=message):
        start_state(set_up(load_config(write(tmp_path, "broken", "h2o"))))
    monkeypatch.delitem(sys.modules, "bad", raising=False)


def test_two_packages_with_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("one", "two"):
        pretend(tmp_path, package, f"same = {package}:x")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MismatchError, match="'same' is claimed by one 1.0 and two 1.0"):
        find_potential("same", Path())
    assert "from one 1.0 and two 1.0, which both claim it" in table()


def test_an_edited_function_is_another_potential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from qmd.potentials import External\ndef x(s): return External(s, {}, '', '', '{}')\n"
    water, found = load_system("h2o", Path()), []
    for k, (function, weights) in enumerate([("abs", "1"), ("abs", "2"), ("max", "1")]):
        folder = tmp_path / str(k)
        pretend(folder, "edited", "e = edited:x", source.format(function, weights))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            patch.delitem(sys.modules, "edited", raising=False)
            found.append(find_potential("e", Path(), water).sha256)
            again = find_potential("e", Path(), water).sha256
            patch.delitem(sys.modules, "edited", raising=False)
        assert again == found[-1]
    assert len(set(found)) == 3


@pytest.mark.parametrize("structure", ["h2o", "h2o-dimer"])
def test_flexible_water_takes_any_number_of_molecules(structure: str) -> None:
    system = load_system(structure, Path())
    package = load_package("q-spc-fw", Path(), system=system)
    assert package.model == spc_fw.Q_SPC_FW.model(system.n_atoms // 3)
    assert package.species == system.symbols


def test_flexible_water_says_in_which_order_it_wants_atoms(tmp_path: Path) -> None:
    (tmp_path / "hoh.xyz").write_text("3\n\nH 0.97 0 0\nO 0 0 0\nH -0.24 0.94 0\n")
    with pytest.raises(MismatchError, match="spc-fw is for O,H,H; hoh.xyz has H,O,H") as error:
        set_up(load_config(write(tmp_path, "spc-fw", "hoh.xyz")))
    assert error.value.hint == "if it is the same molecule, reorder its atoms as 2,1,3"
    with pytest.raises(MismatchError, match="spc-fw is for O,H,H; lih has Li,H"):
        set_up(load_config(write(tmp_path, "spc-fw", "lih")))


def test_a_pinned_hash_holds_for_names_without_a_file(tmp_path: Path) -> None:
    potential = {"kind": "package", "name": "spc-fw", "sha256": "0" * 64}
    with pytest.raises(MismatchError, match="but the input asks for 000"):
        set_up(load_config(write(tmp_path, potential, "h2o")))


def test_a_molecule_that_a_potential_of_several_does_not_know_is_told_all_of_them(
    tmp_path: Path,
) -> None:
    (tmp_path / "hcn.xyz").write_text("3\n\nH 0 0 0\nC 0 0 1.07\nN 0 0 2.22\n")
    with pytest.raises(MismatchError) as error:
        set_up(load_config(write(tmp_path, "qnn-organic", "hcn.xyz")))
    served = load_package("qnn-organic", Path()).served
    assert len(served) == 3 and error.value.message.endswith("; hcn.xyz has H,C,N")
    assert all(",".join(symbols) in error.value.message for symbols in served)
    with pytest.raises(MismatchError, match="qnn-organic is for C,C,O,H.*, or C,C,C,O,O,H"):
        load_package("qnn-organic", Path(), system=load_system("lih", Path()))


def test_an_empty_package_says_that_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "mine.qmdp").touch()
    with pytest.raises(MismatchError, match="not a usable .qmdp package: it is empty"):
        set_up(load_config(write(tmp_path, "mine.qmdp", "h2o")))


def test_a_function_has_no_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from qmd.potentials import External\nx = External(('H',), abs, '')\n"
    pretend(tmp_path, "pure", "f = pure:x", source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MismatchError, match="f is a Python function of another package"):
        load_package("f", Path())


def test_a_tree_is_for_as_many_atoms_as_species() -> None:
    with pytest.raises(ValueError, match="for 2 atoms, but there are 3 species"):
        External(("O", "H", "H"), MorseBonds(2, ((0, 1),), 1.0, 1.0, 1.0), "")
