"""Structures in, thermal velocities out: exact laws, and files that must be refused."""

import subprocess
import sys

import ase
import ase.io
import numpy as np
import pytest

from qmd import units
from qmd.errors import InputError, MismatchError
from qmd.io.structure import BUILT_IN, MAX_ATOMS, MAX_FILE_BYTES, load_system
from qmd.run.config import SystemConfig
from qmd.run.velocities import start_velocities
from qmd.system.system import System, check_species
from qmd.system.velocities import (
    degrees_of_freedom,
    kinetic_temperature,
    n_rotations,
    thermal_velocities,
)


def system(symbols, positions, masses=None, name="test.xyz"):
    atoms = ase.Atoms(symbols, positions)
    masses = atoms.get_masses() if masses is None else np.array(masses)
    return System(atoms.numbers, atoms.positions, masses, None, name)


WATER = load_system("h2o", ".")
LINEAR = system("OCO", [[0, 0, -1.16], [0, 0, 0], [0, 0, 1.16]])
TILTED = system("OCO", np.outer([-1.16, 0, 1.16], [0.48, 0.6, 0.64]) + [1, 2, 3])
LIH = load_system("lih", ".")
DIMER = load_system("h2o-dimer", ".")
MOLECULES = {"h2o": WATER, "co2": LINEAR, "tilted co2": TILTED, "lih": LIH, "dimer": DIMER}

every_molecule = pytest.mark.parametrize("molecule", MOLECULES.values(), ids=MOLECULES)


def kinetic_energy(system, velocities):
    return 0.5 * float((system.masses[:, None] * velocities**2).sum())


def angular_momentum(system, velocities):
    return np.cross(system.positions, system.masses[:, None] * velocities).sum(axis=0)


def normals(molecule, seed=0):
    return np.random.default_rng(seed).standard_normal(molecule.positions.shape)


def covariance(molecule, **options):
    """Of the mass-weighted thermal velocities in units of kT; exact, for the map is linear."""
    size = 3 * molecule.n_atoms
    unit = np.eye(size).reshape(size, molecule.n_atoms, 3)
    columns = [thermal_velocities(molecule, 1.0, xi, **options) for xi in unit]
    weighted = np.array(columns) * np.sqrt(molecule.masses / units.kB)[:, None]
    weighted = weighted.reshape(size, size)
    return weighted.T @ weighted


# --- Built-in molecules -------------------------------------------------------------------------


def test_built_in_molecules_are_near_their_minima():
    bonds = WATER.positions[1:]
    np.testing.assert_allclose(np.linalg.norm(bonds, axis=1), 0.972, atol=1e-3)
    cosine = bonds[0] @ bonds[1] / np.prod(np.linalg.norm(bonds, axis=1))
    assert np.degrees(np.arccos(cosine)) == pytest.approx(104.0, abs=0.1)
    assert LIH.symbols == ("Li", "H")
    assert np.linalg.norm(LIH.positions[1] - LIH.positions[0]) == 1.6
    assert DIMER.symbols == ("O", "H", "H", "O", "H", "H")
    assert np.linalg.norm(DIMER.positions[3] - DIMER.positions[0]) == pytest.approx(3.009, abs=1e-3)
    for o, h in [(0, 1), (0, 2), (3, 4), (3, 5)]:
        assert 0.97 < np.linalg.norm(DIMER.positions[h] - DIMER.positions[o]) < 0.98


def test_masses_are_those_of_ase():
    np.testing.assert_array_equal(DIMER.masses, ase.Atoms("OH2OH2").get_masses())


def test_built_in_molecules_do_not_import_the_readers_of_ase():
    code = "import sys, qmd.io.structure as s; s.load_system('h2o', '.')"
    code += "; print('ase.io' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_system_cannot_be_changed_and_does_not_share_its_arrays():
    positions = np.array(BUILT_IN["lih"][1])
    molecule = system("LiH", positions)
    positions[0, 0] = 9.0
    assert molecule.positions[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        molecule.positions[0, 0] = 1.0


@pytest.mark.parametrize(
    "field, value, reason",
    [
        ("positions", np.zeros((2, 3)), "shape"),
        ("positions", np.full((3, 3), np.nan), "positions of atom 1 are not finite"),
        ("velocities", np.full((3, 3), np.inf), "velocities of atom 1 are not finite"),
        ("masses", np.array([16.0, 1.0, 0.0]), "mass"),
        ("masses", np.array([16.0, 1.0, -1.0]), "mass"),
    ],
)
def test_a_system_is_checked_where_it_is_made(field, value, reason):
    fields = {f: getattr(WATER, f) for f in ("numbers", "positions", "masses", "velocities")}
    with pytest.raises(InputError, match=reason):
        System(**{**fields, field: value}, name="bad")


# --- Files --------------------------------------------------------------------------------------


def xyz(positions=WATER.positions, symbols=WATER.symbols, title=""):
    rows = [f"{s} {x:.9f} {y:.9f} {z:.9f}" for s, (x, y, z) in zip(symbols, positions, strict=True)]
    return "\n".join([str(len(rows)), title, *rows]) + "\n"


@pytest.fixture
def load(tmp_path):
    """Load a structure from the text of a file."""

    def _load(text, name="h2o.xyz"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_system(name, tmp_path)

    return _load


@pytest.mark.parametrize("name", ["a.xyz", "a.extxyz", "a.pdb", "a.mol", "a.gen", "coord"])
def test_a_molecule_written_by_ase_is_read_back(name, tmp_path):
    ase.io.write(tmp_path / name, ase.Atoms("OH2", WATER.positions))
    read = load_system(name, tmp_path)
    assert read.symbols == ("O", "H", "H")
    np.testing.assert_array_equal(read.masses, WATER.masses)
    # PDB has three decimals, mol four; Turbomole is in bohr with a constant of its own year.
    tolerance = 1e-3 if name == "a.pdb" else 1e-4 if name == "a.mol" else 1e-6
    np.testing.assert_allclose(read.positions, WATER.positions, atol=tolerance)


def test_momenta_and_isotopes_of_a_file_are_kept(tmp_path):
    atoms = ase.Atoms("OH2", WATER.positions, masses=[15.999, 2.014, 1.008])
    velocities = normals(WATER) * 0.01
    atoms.set_velocities(velocities)
    ase.io.write(tmp_path / "hdo.xyz", atoms)
    read = load_system("hdo.xyz", tmp_path)
    assert read.masses[1] == pytest.approx(2.014, abs=1e-6)
    # extxyz has eight decimals of the momenta.
    np.testing.assert_allclose(read.velocities, velocities, atol=1e-8)
    config = SystemConfig(structure="hdo.xyz", temperature_K=None, velocities="file")
    np.testing.assert_array_equal(start_velocities(read, config, None), read.velocities)


def test_a_pdb_file_with_the_unit_cube_is_no_crystal(load):
    cell = "CRYST1{0:9.3f}{0:9.3f}{0:9.3f}  90.00  90.00  90.00 P 1           1\n"
    atom = "HETATM    1  O   HOH     1       0.000   0.000   0.000  1.00  0.00           O\nEND\n"
    assert load(cell.format(1.0) + atom, "o.pdb").n_atoms == 1
    with pytest.raises(InputError, match="periodic"):
        load(cell.format(12.0) + atom, "o.pdb")


# A title that would clear the terminal and forge a line, in a file that is refused below.
EVIL = "\x1b[2J\x1b]0;owned\x07 Properties=species:S:1:pos:R:3"

REFUSED = {
    "periodic": (xyz(title='Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T"'), "is periodic"),
    "slab": (xyz(title='Lattice="9 0 0 0 9 0 0 0 9" pbc="T F F"'), "is periodic"),
    "fixed": (
        "1\nProperties=species:S:1:pos:R:3:move_mask:L:1\nO 0 0 0 F\n",
        "constraints",
    ),
    "nan": (xyz(np.where(np.eye(3), np.nan, 1.0)), "positions of atom 1 are not finite"),
    "inf": ("1\n\nO 0 0 1e999\n", "not finite"),
    "complex": ("1\n\nO 0 0 1j\n", "not a valid extxyz file"),
    "two atoms at one place": (xyz(np.zeros((3, 3)), "HHH"), "H 1 and H 2 are 0.000 angstrom"),
    "close": (xyz([[0, 0, 0], [0.45, 0, 0]], "CN"), "C 1 and N 2 are 0.450 angstrom apart"),
    "close hydrogens": (xyz([[0, 0, 0], [0.29, 0, 0]], "HH"), "expected at least 0.3"),
    "frames": (xyz() * 2, "goes on after 3 atoms"),
    "PDB named XYZ": ("MODEL 1\nENDMDL\n", "number of atoms on line 1, got 'MODEL 1'"),
    "short": ("3\n\nO 0 0 0\n", "promises 3 atoms, but has 1"),
    "billion": ("999999999\n\nO 0 0 0\n", "promises 999999999 atoms, but has 1"),
    "none": ("0\n\n", "expected the number of atoms on line 1, got '0'"),
    "words": ("water\n\nO 0 0 0\n", "expected the number of atoms on line 1, got 'water'"),
    "unknown": (xyz(symbols="OHX"), "atom 3 is of an unknown element"),
    "no element": (xyz(symbols=["O", "H", "Qq"]), "atom 3 is of an unknown element, 'Qq'"),
    "many": (
        xyz(np.arange(3.0 * MAX_ATOMS + 3).reshape(-1, 3), "O" * (MAX_ATOMS + 1)),
        f"{MAX_ATOMS + 1} at",
    ),
    "long line": (xyz(title="x" * 20_000), "line of more than"),
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff", "not in a format"),
    "large": ("\n" * (MAX_FILE_BYTES + 1), "bytes"),
    "evil title": (xyz(np.zeros((3, 3)), title=EVIL), "overlapping"),
}


@pytest.mark.parametrize("text, reason", REFUSED.values(), ids=REFUSED)
def test_unusable_structure_files_are_refused_in_one_printable_line(text, reason, load):
    with pytest.raises(InputError, match=reason) as error:
        load(text)
    assert error.value.message.isprintable()
    assert "owned" not in error.value.message


@pytest.mark.parametrize("name", ["a.traj", "a.py", "a.xyz.gz", "a.npz"])
def test_formats_that_are_more_than_text_are_refused(name, load):
    with pytest.raises(InputError, match="not in a format"):
        load("{}", name)


@pytest.mark.parametrize("name", ["a.json", "a.db"])
def test_text_is_no_database(name, load):
    with pytest.raises(InputError, match="not a usable ASE database"):
        load("{}", name)


@pytest.mark.parametrize("name", ["POSCAR", "a.vasp", "a.cif", "a.pdb", "a.extxyz"])
def test_a_cell_is_refused_for_molecules_with_a_way_out_that_works(name, tmp_path):
    import ase.io
    from ase import Atoms

    crystal = Atoms("OHH", WATER.positions + 4, cell=[9, 9, 9], pbc=True)
    ase.io.write(tmp_path / name, crystal, format="vasp" if "." not in name else None)
    with pytest.raises(InputError, match="is periodic; potentials are for isolated") as e:
        load_system(name, tmp_path)
    assert load_system(name, tmp_path, periodic=True).cell.tolist() == np.diag([9.0] * 3).tolist()
    assert "`ase convert -o xyz FILE molecule.xyz`" in e.value.hint
    ase.io.write(tmp_path / "molecule.xyz", ase.io.read(tmp_path / name), format="xyz")
    assert load_system("molecule.xyz", tmp_path).symbols == ("O", "H", "H")


def test_control_characters_of_a_file_name_are_escaped(load):
    molecule = load(xyz(), "a\x1b[2J\n.xyz")
    assert molecule.name == r"a\x1b[2J\n.xyz"


@pytest.mark.parametrize(
    "structure, reason, hint",
    [
        ("h20", "neither a built-in name nor a file", "did you mean h2o?"),
        (
            "absent.xyz",
            "neither a built-in name nor a file",
            "built in: h2o, lih, h2o-dimer, water-64, argon-108",
        ),
        ("postgresql://host/x", "neither a built-in name nor a file", None),
        ("nul\0", "neither a built-in name nor a file", None),
        ("x" * 300, "neither a built-in name nor a file", None),
        ("/dev/zero", "not a regular file", None),
        (".", "is a directory", None),
    ],
)
def test_what_is_no_file_is_refused(structure, reason, hint, tmp_path):
    with pytest.raises(InputError, match=reason) as error:
        load_system(structure, tmp_path)
    assert hint is None or error.value.hint == hint


@pytest.mark.parametrize("symbols, positions", [BUILT_IN["h2o"], BUILT_IN["h2o-dimer"]])
@pytest.mark.parametrize(
    "factor, unit",
    [
        (0.529, "converted from bohr though it was in angstrom"),
        (1 / 0.529, "in bohr"),
        (0.1, "in nm"),
        (10, "converted from nm though"),
        (100, "in pm"),
    ],
)
def test_a_file_in_other_units_is_refused_with_the_likely_unit(
    symbols, positions, factor, unit, load
):
    with pytest.raises(InputError, match="the O-H distance is .* expected about 0.97") as error:
        load(xyz(factor * np.array(positions), symbols))
    assert unit in error.value.hint


@pytest.mark.parametrize("r", [0.75, 1.5])
def test_stretched_and_compressed_bonds_are_no_question_of_units(r, load):
    load(xyz(WATER.positions * r / 0.972))
    load(xyz([[0, 0, 0], [0, 0, 0.9 if r < 1 else 4.5]], ("Li", "H")), "lih.xyz")


# --- Velocities ---------------------------------------------------------------------------------


@every_molecule
def test_thermal_velocities_have_the_exact_covariance_at_zero_momentum(molecule):
    # Without the centre of mass, <v_i v_j> = kT (delta_ij / m_i - 1 / M): mass-weighted, the
    # projector on what is orthogonal to sqrt(m). Rounding of a sum of 18 terms: below 1e-14.
    root = np.sqrt(molecule.masses / molecule.masses.sum())
    expected = np.kron(np.eye(molecule.n_atoms) - np.outer(root, root), np.eye(3))
    np.testing.assert_allclose(covariance(molecule), expected, atol=1e-14)


@every_molecule
def test_without_rotation_the_covariance_is_a_projector_of_rank_dof(molecule):
    projector = covariance(molecule, remove_rotation=True)
    dof = degrees_of_freedom(molecule.n_atoms, n_rotations(molecule))
    np.testing.assert_allclose(projector @ projector, projector, atol=1e-13)
    assert np.trace(projector) == pytest.approx(dof, abs=1e-13)


@every_molecule
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("remove_rotation", [False, True])
def test_momentum_is_zero_and_so_is_angular_momentum_on_request(molecule, exact, remove_rotation):
    v = thermal_velocities(
        molecule, 300.0, normals(molecule), exact=exact, remove_rotation=remove_rotation
    )
    np.testing.assert_allclose(molecule.masses @ v, 0, atol=1e-14)
    # Terms m r v are about 1 u angstrom^2 per unit time: rounding of their sum, 1e-14.
    turning = np.abs(angular_momentum(molecule, v)).max()
    assert (turning < 1e-13) == remove_rotation


@every_molecule
@pytest.mark.parametrize("remove_rotation", [False, True])
def test_an_exact_start_has_exactly_its_temperature(molecule, remove_rotation):
    v = thermal_velocities(
        molecule, 300.0, normals(molecule), exact=True, remove_rotation=remove_rotation
    )
    rotations = n_rotations(molecule) if remove_rotation else 0
    dof = degrees_of_freedom(molecule.n_atoms, rotations)
    assert kinetic_temperature(kinetic_energy(molecule, v), dof) == pytest.approx(300, rel=1e-13)


@every_molecule
@pytest.mark.parametrize("remove_rotation", [False, True])
def test_the_mean_kinetic_energy_is_half_kT_per_degree_of_freedom(molecule, remove_rotation):
    kT, n = 300 * units.kB, 2000
    deviates = np.random.default_rng(1).standard_normal((n, molecule.n_atoms, 3))
    energies = [
        kinetic_energy(
            molecule, thermal_velocities(molecule, 300.0, xi, remove_rotation=remove_rotation)
        )
        for xi in deviates
    ]
    rotations = n_rotations(molecule) if remove_rotation else 0
    dof = degrees_of_freedom(molecule.n_atoms, rotations)
    # K = kT/2 chi^2(dof) has the variance dof/2 kT^2: five standard errors of the mean.
    error = np.sqrt(dof / 2 / n) * kT
    assert np.mean(energies) == pytest.approx(dof / 2 * kT, abs=5 * error)


def test_degrees_of_freedom_of_small_molecules():
    assert degrees_of_freedom(3) == 6
    for molecule, vibrations in [(WATER, 3), (LINEAR, 4), (TILTED, 4), (LIH, 1), (DIMER, 12)]:
        rotations = n_rotations(molecule)
        n_atoms = molecule.n_atoms
        assert degrees_of_freedom(n_atoms, rotations) == vibrations


def test_a_single_atom_has_no_temperature_and_does_not_move():
    atom = system("Ar", [[1.0, 2.0, 3.0]])
    for exact in (False, True):
        v = thermal_velocities(atom, 300.0, normals(atom), exact=exact, remove_rotation=True)
        np.testing.assert_allclose(v, 0, atol=1e-16)
    assert n_rotations(atom) == 0
    assert kinetic_temperature(0.0, degrees_of_freedom(1)) == 0.0


def test_absolute_zero_is_at_rest():
    for exact in (False, True):
        assert not thermal_velocities(WATER, 0.0, normals(WATER), exact=exact).any()


def test_normals_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 3\), not \(3, 3\)"):
        thermal_velocities(WATER, 300.0, np.zeros((1, 3)))


def test_start_velocities_follow_the_input():
    xi = normals(WATER)
    zero = start_velocities(
        WATER, SystemConfig(structure="h2o", temperature_K=None, velocities="zero"), xi
    )
    assert not zero.any()
    thermal = SystemConfig(
        structure="h2o", temperature_K=500, exact_temperature=True, remove_rotation=True
    )
    v = start_velocities(WATER, thermal, xi)
    assert kinetic_temperature(kinetic_energy(WATER, v), 3) == pytest.approx(500, rel=1e-13)
    with pytest.raises(InputError, match="h2o has no velocities"):
        start_velocities(
            WATER, SystemConfig(structure="h2o", temperature_K=None, velocities="file"), xi
        )


# --- Species ------------------------------------------------------------------------------------


def test_the_right_species_are_accepted():
    check_species(WATER, ("O", "H", "H"))
    check_species(DIMER, ["O", "H", "H"] * 2)


def test_another_order_is_refused_with_the_permutation_that_mends_it():
    hoh = system("HOH", WATER.positions[[1, 0, 2]], name="h2o.xyz")
    with pytest.raises(MismatchError) as error:
        check_species(hoh, ("O", "H", "H"), name="sivqlm-h2o")
    assert error.value.message == "sivqlm-h2o is for O,H,H; h2o.xyz has H,O,H"
    assert error.value.hint == "if it is the same molecule, reorder its atoms as 2,1,3"
    assert error.value.exit_code == 3


def test_the_permutation_keeps_each_hydrogen_at_its_oxygen():
    shuffled = [3, 0, 1, 5, 2, 4]  # O of the second molecule first, hydrogens mixed
    mixed = system("OOHHHH", DIMER.positions[shuffled])
    with pytest.raises(MismatchError) as error:
        check_species(mixed, DIMER.symbols)
    order = [int(atom) - 1 for atom in error.value.hint.rpartition(" ")[2].split(",")]
    mended = mixed.positions[order]
    for o, h in [(0, 1), (0, 2), (3, 4), (3, 5)]:
        assert np.linalg.norm(mended[h] - mended[o]) < 1.0


@pytest.mark.parametrize("species", [("O", "H"), ("O", "H", "H", "H"), ("S", "H", "H"), ()])
def test_other_species_are_refused_without_a_permutation(species):
    with pytest.raises(MismatchError, match="h2o has O,H,H") as error:
        check_species(WATER, species)
    assert "reorder" not in error.value.hint


def test_every_molecule_that_is_served_is_named_and_its_order_given():
    served = [("C", "O", "O"), ("H", "H", "O"), ("Li", "H")]
    check_species(system("LiH", [[0, 0, 0], [0, 0, 1.6]]), *served)
    with pytest.raises(MismatchError, match="is for C,O,O, or H,H,O, or Li,H; h2o has O") as error:
        check_species(WATER, *served)
    assert error.value.hint.endswith("reorder its atoms as 2,3,1")
