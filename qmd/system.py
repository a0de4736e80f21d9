"""The molecule: numbers, positions, masses and first velocities, in internal units.

From here on everything is in eV, angstrom, u and angstrom sqrt(u/eV). A structure file is data:
it is read into memory first, and only by ASE's text parsers listed below, because other formats
open further files, databases or pickles.
"""

import difflib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols, covalent_radii
from numpy.typing import NDArray

from qmd import units
from qmd.config import SystemConfig, read_regular_file
from qmd.errors import InputError, MismatchError, one_line, quoted

Array = NDArray[np.float64]

MAX_FILE_BYTES = 4 << 20
MAX_LINE = 10_000
MAX_ATOMS = 1000
"""Interactions are between all pairs of atoms; there is no neighbour list to go further."""

FORMATS = frozenset({"extxyz", "xyz", "proteindatabank", "mol", "gen", "turbomole"})
"""ASE's names of the formats that are read."""

# H2O and its dimer: minima of RPBE-D3(0)/def2-TZVPD, forces below 5 meV/angstrom, rounded.
BUILT_IN: dict[str, tuple[tuple[str, ...], list[list[float]]]] = {
    "h2o": (
        ("O", "H", "H"),  # r_OH 0.972 angstrom, HOH 104.0 degrees
        [[0.0, 0.0, 0.0], [0.766, 0.5985, 0.0], [-0.766, 0.5985, 0.0]],
    ),
    "lih": (("Li", "H"), [[0.0, 0.0, 0.0], [0.0, 0.0, 1.6]]),
    "h2o-dimer": (
        ("O", "H", "H", "O", "H", "H"),  # the first molecule donates the hydrogen bond
        [
            [-1.5746, -0.1196, 0.0],
            [-1.9948, 0.7564, 0.0],
            [-0.6147, 0.0741, 0.0],
            [1.4232, 0.1359, 0.0],
            [1.6936, -0.3970, -0.7680],
            [1.6936, -0.3970, 0.7680],
        ],
    ),
}

MIN_DISTANCE, MIN_DISTANCE_HH = 0.5, 0.3
"""Closest approach (angstrom) of two atoms, and of two hydrogens."""

# A bond X-H is as long as the covalent radii say within 10 %. Thermal and stretched bonds stay
# within these factors; all of them beyond says that the file is not in angstrom. Hydrides of
# metals, with wells from 0.9 to 4.5 angstrom, say nothing.
NONMETALS = [5, 6, 7, 8, 9, 14, 15, 16, 17, 34, 35, 53]
SHORTEST, LONGEST = 0.6, 1.7
WRONG_UNITS = {
    1 / 0.529: "the file seems to be in bohr",
    0.529: "the file seems to have been converted from bohr though it was in angstrom",
    0.1: "the file seems to be in nm",
    10.0: "the file seems to have been converted from nm though it was in angstrom",
    100.0: "the file seems to be in pm",
}
"""Guess for each ratio of the distances found to those expected; rough values will do."""


@dataclass(frozen=True, eq=False)
class System:
    """An isolated molecule or cluster; the arrays are read-only.

    Attributes
    ----------
    numbers : int64 array, shape (n_atoms,)
        Atomic numbers.
    positions : float64 array, shape (n_atoms, 3)
        Positions (angstrom).
    masses : float64 array, shape (n_atoms,)
        Masses (u).
    velocities : float64 array, shape (n_atoms, 3), or None
        Velocities (internal units) that came with the structure.
    name : str
        Built-in name or file name, safe to print.

    Raises
    ------
    InputError
        If a shape does not fit, a value is not finite or a mass is not positive.
    """

    numbers: NDArray[np.int64]
    positions: Array
    masses: Array
    velocities: Array | None
    name: str

    def __post_init__(self) -> None:
        n_atoms = len(self.numbers)
        shapes = {"numbers": (n_atoms,), "masses": (n_atoms,), "positions": (n_atoms, 3)}
        if self.velocities is not None:
            shapes["velocities"] = (n_atoms, 3)
        for field, shape in shapes.items():
            dtype = np.int64 if field == "numbers" else np.float64
            array = np.array(getattr(self, field), dtype=dtype, order="C")
            if array.shape != shape:
                raise InputError(f"{self.name}: {field} of shape {array.shape}, expected {shape}")
            if not np.isfinite(array).all():
                atom = int(np.argwhere(~np.isfinite(array))[0, 0])
                raise InputError(f"{self.name}: {field} of atom {atom + 1} are not finite")
            array.setflags(write=False)
            object.__setattr__(self, field, array)
        if not (self.masses > 0).all():
            raise InputError(f"{self.name}: a mass is not positive")

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.numbers)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Chemical symbols, in order."""
        return tuple(chemical_symbols[number] for number in self.numbers)


def load_system(structure: str, base_dir: str | Path) -> System:
    """A built-in molecule, or the one in a structure file.

    Parameters
    ----------
    structure : str
        A name in `BUILT_IN`, or the path of a file with one isolated molecule. Write ``./h2o``
        for a file whose name is that of a built-in one.
    base_dir : str or Path
        Folder that a relative path starts from.

    Raises
    ------
    InputError
        If there is no such file, ASE cannot read it, it is periodic, or its coordinates cannot
        be those of a molecule in angstrom.
    """
    if structure in BUILT_IN:
        symbols, positions = BUILT_IN[structure]
        numbers = np.array([atomic_numbers[symbol] for symbol in symbols])
        return System(numbers, np.array(positions), atomic_masses[numbers], None, structure)
    path = Path(base_dir, structure)
    if not os.path.exists(path):
        close = difflib.get_close_matches(structure, BUILT_IN, n=1)
        raise InputError(
            f"structure {quoted(structure)}: neither a built-in name nor a file",
            hint=f"did you mean {close[0]}?" if close else f"built in: {', '.join(BUILT_IN)}",
        )
    system = _system(_read_atoms(path), one_line(path.name))
    _check_units(system)
    _check_overlap(system)
    return system


def start_velocities(system: System, config: SystemConfig, normals: Array) -> Array:
    """The velocities a run starts with, as `config` asks.

    Parameters
    ----------
    system : System
    config : SystemConfig
    normals : array, shape (n_atoms, 3)
        Unit normal deviates, used for ``velocities: thermal`` only.

    Returns
    -------
    array, shape (n_atoms, 3)
        Internal units. Those of a file are kept as they are, with any overall motion.

    Raises
    ------
    InputError
        If the velocities of a file are asked for and it has none.
    """
    if config.velocities == "zero":
        return np.zeros((system.n_atoms, 3))
    if config.velocities == "file":
        if system.velocities is None:
            raise InputError(
                f"{system.name} has no velocities",
                hint="use `velocities: thermal`, or an extxyz file with a momenta column",
            )
        return system.velocities.copy()
    assert config.temperature_K is not None  # the schema asks for it
    return thermal_velocities(
        system,
        config.temperature_K,
        normals,
        exact=config.exact_temperature,
        remove_rotation=config.remove_rotation,
    )


def thermal_velocities(
    system: System,
    temperature_K: float,
    normals: Array,
    *,
    exact: bool = False,
    remove_rotation: bool = False,
) -> Array:
    """Maxwell-Boltzmann velocities without overall translation.

    ``v = sqrt(kT/m) xi``; then the velocity of the centre of mass is subtracted, which leaves the
    exact distribution at fixed total momentum, and so is the rotation if asked for.

    Parameters
    ----------
    system : System
    temperature_K : float
        Temperature (K).
    normals : array, shape (n_atoms, 3)
        Unit normal deviates xi.
    exact : bool
        Rescale so that the kinetic temperature is `temperature_K` to rounding.
    remove_rotation : bool
        Also make the angular momentum zero.

    Returns
    -------
    array, shape (n_atoms, 3)
        Internal units.
    """
    if normals.shape != system.positions.shape:
        raise ValueError(f"normals have shape {normals.shape}, not {system.positions.shape}")
    masses = system.masses[:, None]
    velocities = np.sqrt(temperature_K * units.kB / masses) * normals
    velocities -= (masses * velocities).sum(axis=0) / masses.sum()
    if remove_rotation:
        velocities -= _rigid_rotation(system, velocities)
    if exact:
        rotations = n_rotations(system) if remove_rotation else 0
        dof = degrees_of_freedom(system.n_atoms, thermostatted=False, n_rotations=rotations)
        now = kinetic_temperature(0.5 * float((masses * velocities**2).sum()), dof)
        velocities *= np.sqrt(temperature_K / now) if now > 0 else 0.0
    return velocities


def degrees_of_freedom(n_atoms: int, *, thermostatted: bool, n_rotations: int = 0) -> int:
    """Number of kinetic degrees of freedom.

    Parameters
    ----------
    n_atoms : int
    thermostatted : bool
        Langevin noise reaches all 3N, whatever the start was. Otherwise the total momentum, zero
        from the start on, does not count: 3N-3.
    n_rotations : int
        Overall rotations removed at the start as well, see `n_rotations`: 3N-6, or 3N-5 for a
        linear molecule.
    """
    return 3 * n_atoms if thermostatted else 3 * n_atoms - 3 - n_rotations


def kinetic_temperature(kinetic_energy: float, dof: int) -> float:
    """``2 K / (dof k)`` in K, of a kinetic energy in eV; 0 without degrees of freedom."""
    return 2 * kinetic_energy / (dof * units.kB) if dof > 0 else 0.0


def n_rotations(system: System) -> int:
    """Independent overall rotations: 3, of a linear molecule 2, of an atom 0."""
    return int(np.count_nonzero(_inertia(system)[2]))


def check_species(system: System, species: Sequence[str]) -> None:
    """Refuse a system that is not, atom by atom, what a model is for.

    Parameters
    ----------
    system : System
    species : sequence of str
        Chemical symbols in the order of the model.

    Raises
    ------
    MismatchError
        With the order to put the atoms into, where there is one.
    """
    wanted, found = tuple(species), system.symbols
    if wanted == found:
        return
    message = f"model is for {_listed(wanted)}; {system.name} has {_listed(found)}"
    if sorted(wanted) != sorted(found):
        raise MismatchError(message)
    order = ",".join(str(atom + 1) for atom in _reordered(system, wanted))
    raise MismatchError(message, hint=f"reorder the atoms as {order}")


def _reordered(system: System, wanted: Sequence[str]) -> list[int]:
    """Atoms of `system` in the order `wanted`, each hydrogen after the atom it is bound to.

    Of the atoms of the right species the one closest to the last heavy atom is taken: by
    species alone, O O H H H H would hand the hydrogens of one molecule to the other.
    """
    order: list[int] = []
    anchor: int | None = None
    for symbol in wanted:
        left = [i for i, s in enumerate(system.symbols) if s == symbol and i not in order]
        if anchor is not None and symbol == "H":
            arms = system.positions[left] - system.positions[anchor]
            left = [left[int(np.argmin((arms**2).sum(axis=1)))]]
        order.append(left[0])
        anchor = anchor if symbol == "H" else order[-1]
    return order


def _listed(symbols: Sequence[str], limit: int = 12) -> str:
    shown = ",".join(symbols[:limit])
    return shown if len(symbols) <= limit else f"{shown},... ({len(symbols)} atoms)"


def _inertia(system: System) -> tuple[Array, Array, Array]:
    """Arms from the centre of mass, principal axes (columns), and inverse moments of inertia.

    The inverse is 0 about the axis of a linear molecule (within 1e-4 rad) and for an atom.
    """
    masses = system.masses[:, None]
    arms = system.positions - (masses * system.positions).sum(axis=0) / masses.sum()
    second = (masses * arms).T @ arms
    moments, axes = np.linalg.eigh(np.trace(second) * np.eye(3) - second)
    turns = moments > 1e-8 * moments.max()
    return arms, axes, np.where(turns, 1 / np.where(turns, moments, 1.0), 0.0)


def _rigid_rotation(system: System, velocities: Array) -> Array:
    """The part ``omega x r`` of `velocities` that carries the angular momentum."""
    arms, axes, inverse_moments = _inertia(system)
    angular_momentum = np.cross(arms, system.masses[:, None] * velocities).sum(axis=0)
    omega = axes @ (inverse_moments * (axes.T @ angular_momentum))
    return np.cross(omega, arms)


def _read_atoms(path: Path) -> Any:
    """The one `ase.Atoms` in a text file."""
    import ase.io  # 0.8 s that the built-in molecules do not need
    from ase.io.formats import filetype

    name = quoted(path.name)
    content = read_regular_file(path, MAX_FILE_BYTES)
    try:
        text, kind = content.decode(), filetype(str(path))
    except Exception:  # not text, or nothing that the name or the first bytes tell
        kind = ""
    if kind not in FORMATS:
        raise InputError(
            f"{name} is not in a format that qmd reads (xyz, pdb, mol, gen, Turbomole coord)",
            hint="`ase convert FILE molecule.xyz` converts others",
        )
    lines = text.splitlines()
    if max(map(len, lines)) > MAX_LINE:
        raise InputError(f"{name} has a line of more than {MAX_LINE} characters")
    if kind in ("xyz", "extxyz"):
        _check_xyz_lines(lines, name)
    try:
        frames: Any = ase.io.read(io.StringIO(text), index=slice(0, 2), format=kind)
    except Exception as error:  # each parser of ASE fails in its own way
        raise InputError(f"{name} is not a valid {kind} file ({type(error).__name__})") from None
    if len(frames) != 1:
        raise InputError(f"{name} has {'more than one frame' if frames else 'no atoms'}", _ONE)
    # PDB files of molecules carry a unit cube, by convention.
    cube = kind == "proteindatabank" and np.array_equal(frames[0].cell, np.eye(3))
    if frames[0].pbc.any() and frames[0].cell.rank > 0 and not cube:
        raise InputError(
            f"{name} is periodic; potentials are for isolated molecules",
            hint="remove the cell (Lattice, CRYST1) from the file",
        )
    return frames[0]


_ONE = "write the one structure you mean to a file of its own"


def _check_xyz_lines(lines: list[str], name: str) -> None:
    """One frame of as many atoms as it says; ASE spends 37 s on a file that promises 1e9."""
    n_lines = 1 + max((i for i, line in enumerate(lines) if line.strip()), default=0)
    count = lines[0].strip()
    if not count.isdecimal() or len(count) > 9 or int(count) == 0:
        raise InputError(f"{name}: expected the number of atoms on line 1, got {quoted(count)}")
    if int(count) + 2 < n_lines:
        raise InputError(f"{name} goes on after {count} atoms; expected one frame", _ONE)
    if int(count) + 2 > n_lines:
        raise InputError(f"{name} promises {count} atoms, but has {max(n_lines - 2, 0)}")


def _system(atoms: Any, name: str) -> System:
    if not 1 <= len(atoms) <= MAX_ATOMS:
        raise InputError(f"{name} has {len(atoms)} atoms; expected 1 to {MAX_ATOMS}")
    if not (atoms.numbers > 0).all():
        atom = int(np.argmin(atoms.numbers > 0)) + 1
        raise InputError(f"{name}: atom {atom} is of an unknown element")
    if any(len(getattr(constraint, "index", (0,))) for constraint in atoms.constraints):
        raise InputError(f"{name}: constraints (fixed atoms) are not supported; remove them")
    velocities = atoms.get_velocities() if atoms.has("momenta") else None
    return System(atoms.numbers, atoms.positions, atoms.get_masses(), velocities, name)


def _distances(system: System) -> Array:
    """All distances (angstrom), shape (n_atoms, n_atoms), infinite on the diagonal."""
    arms = system.positions[:, None] - system.positions
    distances: Array = np.sqrt((arms**2).sum(axis=-1))
    np.fill_diagonal(distances, np.inf)
    return distances


def _check_overlap(system: System) -> None:
    hydrogen = system.numbers == 1
    limits = np.where(hydrogen[:, None] & hydrogen, MIN_DISTANCE_HH, MIN_DISTANCE)
    distances = _distances(system)
    i, j = np.unravel_index(np.argmin(distances / limits), distances.shape)
    if not distances[i, j] >= limits[i, j]:
        first, second = (f"{system.symbols[atom]} {atom + 1}" for atom in (int(i), int(j)))
        raise InputError(
            f"{system.name}: overlapping atoms: {first} and {second} are {distances[i, j]:.3f} "
            f"angstrom apart; expected at least {limits[i, j]}"
        )


def _check_units(system: System) -> None:
    """Refuse a molecule all of whose X-H bonds are too long, or too short, by a unit."""
    hydrogens = np.flatnonzero(system.numbers == 1)
    heavy = np.flatnonzero(np.isin(system.numbers, NONMETALS))
    if len(hydrogens) == 0 or len(heavy) == 0:
        return
    distances = _distances(system)[np.ix_(hydrogens, heavy)]
    nearest = distances.argmin(axis=1)
    found = distances.min(axis=1)
    expected = covalent_radii[1] + covalent_radii[system.numbers[heavy[nearest]]]
    ratios = found / expected
    if ratios.min() <= LONGEST and ratios.max() >= SHORTEST:
        return
    ratio = max(float(np.median(ratios)), 1e-9)
    factor = min(WRONG_UNITS, key=lambda f: abs(np.log(ratio / f)))
    fits = abs(np.log(ratio / factor)) < 0.25
    if ratio < 1 and not fits:
        return  # too close for any unit: overlapping atoms
    element = chemical_symbols[system.numbers[heavy[nearest[0]]]]
    raise InputError(
        f"{system.name}: the {element}-H distance is {found[0]:.3f} angstrom; "
        f"expected about {expected[0]:.2f}",
        hint=f"{WRONG_UNITS[factor]}; qmd reads angstrom" if fits else "qmd reads angstrom",
    )
