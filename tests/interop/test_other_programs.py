"""Where qmd meets what other programs do that one would not guess: `docs/beside.md`."""

import re
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from run_files import DIMER, NUMBERS, WATER, make_run

from qmd.data import datasets
from qmd.errors import InputError
from qmd.interop.ase_calculator import QmdCalculator
from qmd.io.structure import load_system
from qmd.run.config import load_config
from qmd.run.setup import set_up
from qmd.run.start import start_state

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "beside.md"


def test_the_page_and_the_list_have_every_script() -> None:
    scripts = {path.stem for path in (ROOT / "findings").glob("*.sh")}
    table = (ROOT / "findings" / "README.md").read_text()
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.M)) == scripts
    cells = [row.rsplit("|", 2)[1] for row in PAGE.read_text().splitlines() if row[:1] == "|"]
    assert {name for cell in cells for name in re.findall("`([^`]+)`", cell)} == scripts


@pytest.mark.parametrize("name", ["fixed.extxyz", "fixed.db", "fixed.json"])
def test_labels_of_fixed_atoms_are_the_forces_and_not_zero(tmp_path: Path, name: str) -> None:
    """ASE stores the constraint, and `get_forces()` of a frame that is read back is zero on it."""
    path, forces = tmp_path / name, np.random.default_rng(1).normal(size=(4, 3, 3))
    frames = []
    for k, force in enumerate(forces):
        frames.append(Atoms("OHH", WATER + [[0, 0, 0], [0.01 * k, 0, 0], [0, 0, 0]]))
        frames[-1].set_constraint(FixAtoms([0]))
        frames[-1].calc = SinglePointCalculator(frames[-1], energy=-1.0 * k, forces=force)
    if path.suffix == ".extxyz":
        ase.io.write(path, frames)
        assert (ase.io.read(path).get_forces()[0] == 0).all()
    else:
        with ase.db.connect(path) as database:
            for atoms in frames:
                database.write(atoms)
    # Extended XYZ has eight decimals.
    np.testing.assert_allclose(datasets.read(path).forces, forces, atol=1e-8)


@pytest.mark.parametrize("column", ["vel", "velo", "velocities"])
def test_columns_of_velocities_that_ase_drops_are_no_start_at_rest(
    tmp_path: Path, column: str
) -> None:
    rows = "\n".join(f"{s} {x} {y} {z} 1 0 0" for s, (x, y, z) in zip("OHH", WATER, strict=True))
    title = f'Properties=species:S:1:pos:R:3:{column}:R:3 pbc="F F F"'
    (tmp_path / "dump.extxyz").write_text(f"3\n{title}\n{rows}\n")
    (tmp_path / "input.yaml").write_text(
        "system: {structure: dump.extxyz, velocities: file}\npotential: sivqlm-h2o\n"
        "integrator: {kind: velocity_verlet, timestep_fs: 0.5}\nsteps: 10\n"
    )
    with pytest.raises(InputError, match="dump.extxyz has no velocities") as error:
        start_state(set_up(load_config(tmp_path / "input.yaml")))
    assert "momenta" in error.value.hint


def test_the_topology_of_a_molecule_has_no_cell(tmp_path: Path) -> None:
    """MDAnalysis writes CRYST1 1 1 1 there, which ASE takes for a crystal of 1 angstrom."""
    topology = make_run(tmp_path / "run") / "output" / "topology.pdb"
    assert "CRYST1" not in topology.read_text()
    assert not ase.io.read(topology).pbc.any()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_the_cell_that_mdanalysis_makes_up_is_none(tmp_path: Path) -> None:
    import qmd

    universe = qmd.load(make_run(tmp_path / "run", np.array([8, 1, 1]), WATER))
    universe.atoms.write(tmp_path / "water.pdb")
    assert "CRYST1    1.000    1.000    1.000" in (tmp_path / "water.pdb").read_text()
    assert load_system("water.pdb", tmp_path).n_atoms == 3


def test_kernels_have_no_single_precision() -> None:
    """Numba adds float32 one by one, and a long sum loses its last digits, then its first."""
    sources = [*(ROOT / "integrators").rglob("*.py"), *(ROOT / "potentials").rglob("*.py")]
    assert len(sources) > 50
    assert [path.name for path in sources if "float32" in path.read_text()] == []


def test_the_free_energy_of_our_calculator_is_its_energy() -> None:
    """Programs that ask for the energy of the forces must not fail, as they do with tblite."""
    atoms = Atoms("OHH", WATER, calculator=QmdCalculator("sivqlm-h2o"))
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_a_stretched_hydrogen_bond_is_found_by_the_bonds_of_our_topology(tmp_path: Path) -> None:
    from MDAnalysis.analysis.hydrogenbonds import HydrogenBondAnalysis

    import qmd

    stretched = DIMER.copy()
    stretched[1] = stretched[0] + [1.25, 0, 0]
    found = []
    for n, positions in enumerate((DIMER, stretched)):
        universe = qmd.load(make_run(tmp_path / f"{n}", NUMBERS, positions, n_frames=1))
        assert len(universe.bonds) == 4
        analysis = HydrogenBondAnalysis(
            universe, hydrogens_sel="element H", acceptors_sel="element O"
        ).run()
        found.append([bond[1:4].astype(int).tolist() for bond in analysis.results.hbonds])
    assert found == [[[0, 1, 3]]] * 2
