"""Potentials of qmd in LAMMPS, on any number of MPI ranks, by its `fix external` [1]_.

The first rank collects the atoms of all ranks, in the order of their IDs, evaluates the potential,
and hands the forces back. So the potential takes as long as on one rank, and what LAMMPS computes
itself is shared between the ranks.

References
----------
.. [1] A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022): LAMMPS.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers, chemical_symbols

from qmd import units
from qmd.errors import InputError, MismatchError, QmdError, of_exit_code, one_line
from qmd.forces.build import build_potential, parse_potential
from qmd.forces.config import PotentialConfig
from qmd.forces.results import checked
from qmd.forces.virial_check import check_virial
from qmd.interop.ipi_client import isolated_virial
from qmd.system.cell import is_full
from qmd.system.system import System
from qmd.typing import Array

ENERGY_UNITS = {"metal": 1.0, "real": units.kcal_per_mol}
"""Energy (eV) of one unit of energy of LAMMPS, for the units that have angstrom."""
SAME_MASS = 0.02
"""Largest difference (u) of the mass of an atom type from that of the element that it is."""
ORDER = (0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)
"""Rows and columns of the six elements of a virial in LAMMPS: xx, yy, zz, xy, xz, yz."""
_THIS_RANK, _ALL_RANKS = 1, 2
"""Kinds of errors of LAMMPS: one that this rank has and the others wait for, or that all have."""
_ID, _TYPE, _PLACE = 0, 1, slice(2, 5)
"""Columns of the row of an atom: its ID, its type, its position (angstrom)."""


def attach(
    lmp: Any,
    potential: str | PathLike[str] | Mapping[str, Any],
    *,
    elements: Sequence[str] | None = None,
    fix: str = "qmd",
) -> None:
    """Let a potential of qmd act on all atoms of a LAMMPS instance.

    It adds a `fix external`, which sets forces, energy and virial. Call it on every rank, after the
    atoms and their masses are defined and before the first run. An error in a later step ends
    LAMMPS, and Python, on all ranks with one line. The trained domain is not watched.

    Parameters
    ----------
    lmp : lammps.lammps
        With units `metal` or `real`, and atoms that have IDs.
    potential : str, path or mapping
        The potential, as for `qmd.interop.ase_calculator.QmdCalculator`. If it is made for one
        molecule, the atoms must have its order by their IDs.
    elements : sequence of str, optional
        Chemical symbol of each atom type; default: the elements with the masses of the types.
    fix : str
        ID of the fix.

    Raises
    ------
    InputError
        If a mapping does not describe a potential, or the elements are not those of the types.
    MismatchError
        If LAMMPS has other units or no atoms, runs on several ranks without mpi4py, or the
        potential does not serve these atoms.
    """
    unit, ranks = _energy_unit(lmp), _Ranks(lmp)
    engine = _Engine(parse_potential(potential))
    rows, species, cell = ranks.collect(_rows(lmp)), _species(lmp, elements), _lattice(lmp)
    ranks.on_first(lambda: engine.build(rows, species, cell))
    lmp.command(f"fix {fix} all external pf/callback 1 1")
    lmp.command(f"fix_modify {fix} energy yes virial yes")

    def callback(caller: Any, step: int, n: int, ids: Any, x: Any, forces: Any) -> None:
        try:
            rows, cell = ranks.collect(_rows(lmp)), _lattice(lmp)
            changes = bool(lmp.extract_box()[6])
            energy, virial = ranks.on_first(lambda: engine.evaluate(rows, cell, changes))
            forces[:] = ranks.hand_out(engine.forces) / unit
            lmp.fix_external_set_energy_global(fix, energy / unit)
            lmp.fix_external_set_virial_global(fix, virial[ORDER] / unit)
        except QmdError as error:
            lmp.error(_ALL_RANKS, _text(error))
        except BaseException as error:  # an interrupt, too: ctypes would drop it, and LAMMPS go on
            lmp.error(_THIS_RANK if ranks.many else _ALL_RANKS, _text(error))

    lmp.set_fix_external_callback(fix, callback, None)


class _Engine:
    """The potential, as rank 0 evaluates it; the other ranks have nothing in it."""

    def __init__(self, config: PotentialConfig) -> None:
        self._config = config
        self._virial_is_right = False
        self.forces = np.empty((0, 3))
        """On all atoms (eV/angstrom), in the order of the ranks."""

    def build(self, rows: Array, species: Array, cell: Array) -> None:
        """Build the potential for the atoms of all ranks."""
        order = _by_id(rows)
        self._atoms = rows[order, : _TYPE + 1]
        numbers = species[self._atoms[:, _TYPE].astype(int)]
        masses = atomic_masses[numbers]
        system = System(numbers, rows[order, _PLACE], masses, None, "LAMMPS", cell=cell)
        self._potential = build_potential(self._config, system, Path())
        if self._potential.source.warning:
            warnings.warn(f"{self._potential.source.warning}.", stacklevel=2)
        if cell.any() and not self._potential.is_periodic:
            raise MismatchError(
                f"{self._potential.source.name} is for isolated molecules, but the box of LAMMPS "
                "is periodic",
                "Set `boundary f f f` before the box is made.",
            )

    def evaluate(self, rows: Array, cell: Array, changes: bool) -> tuple[float, Array]:
        """Return energy (eV) and virial (eV, shape (3, 3)), and keep the forces.

        Parameters
        ----------
        rows : array, shape (n_atoms, 5)
            Of the atoms of all ranks.
        cell : array, shape (3, 3)
            Lattice vectors (angstrom) in rows.
        changes : bool
            True if a barostat believes the virial.
        """
        order = _by_id(rows)
        if not np.array_equal(rows[order, : _TYPE + 1], self._atoms):
            raise MismatchError(
                "atoms of LAMMPS were lost, added or changed since the potential was attached",
                "Attach it again after commands that do so; a lost atom has left the box.",
            )
        positions = np.ascontiguousarray(rows[order, _PLACE])
        name, in_cell = self._potential.source.name, self._potential.energy_in_cell
        if changes and is_full(cell) and not self._virial_is_right:
            check_virial(in_cell, positions, cell, name)
            self._virial_is_right = True
        energy, forces, virial = in_cell(positions, cell, bool(cell.any()))
        energy, forces = checked(name, energy, forces, positions.shape)
        if not cell.any():
            virial = isolated_virial(positions, forces)
        self.forces = np.empty_like(forces)
        self.forces[order] = forces
        return energy, np.full((3, 3), np.nan) if virial is None else virial


class _Ranks:
    """The ranks of MPI that LAMMPS runs on; the first one evaluates."""

    def __init__(self, lmp: Any) -> None:
        self.many = lmp.extract_setting("world_size") > 1
        self._comm = lmp.get_mpi_comm() if self.many else None
        if self.many and self._comm is None:
            raise MismatchError(
                "LAMMPS runs on several ranks, and mpi4py is not installed",
                "pip install 'qmd-dynamics[lammps]'",
            )
        self._is_first = self._comm is None or self._comm.rank == 0
        self._counts: list[int] = []

    def collect(self, rows: Array) -> Array:
        """Return on the first rank the rows of all ranks, shape (n_atoms, 5)."""
        if self._comm is None:
            return rows
        self._counts = self._comm.allgather(len(rows))
        everything = np.empty((sum(self._counts), 5))
        into = [everything, [5 * n for n in self._counts]] if self._is_first else None
        self._comm.Gatherv(rows, into)
        return everything

    def on_first(self, work: Callable[[], Any]) -> Any:
        """Return on all ranks what `work` returns on the first, or raise what it raises."""
        if self._comm is None:
            return work()
        answer: Any = None
        failure: tuple[int, str, str | None] | None = None
        if self._is_first:
            try:
                answer = work()
            except QmdError as error:
                failure = error.exit_code, error.message, error.hint
            except BaseException as error:  # the others wait
                failure = QmdError.exit_code, f"{type(error).__name__}: {error}", None
        answer, failure = self._comm.bcast((answer, failure))
        if failure is not None:
            raise of_exit_code(*failure)
        return answer

    def hand_out(self, vectors: Array) -> Array:
        """Return to each rank the rows of its atoms, of an array that the first rank has."""
        if self._comm is None:
            return vectors
        own = np.empty((self._counts[self._comm.rank], 3))
        every = [vectors, [3 * n for n in self._counts]] if self._is_first else None
        self._comm.Scatterv(every, own)
        return own


def _rows(lmp: Any) -> Array:
    """Return ID, type and unwrapped position (angstrom) of the atoms of this rank."""
    n = lmp.extract_setting("nlocal")
    rows = np.empty((n, 5))
    if n:
        get = lmp.numpy.extract_atom
        rows[:, _ID], rows[:, _TYPE] = get("id")[:n], get("type")[:n]
        rows[:, _PLACE] = get("x")[:n] + _images(lmp, get("image")[:n]) @ _lattice(lmp)
    return rows


def _images(lmp: Any, packed: Any) -> Array:
    """Return the whole lattice vectors, shape (n, 3), in the image flags of atoms."""
    bits = 10 if lmp.extract_setting("imageint") == 4 else 21
    shifts, zero = np.array([0, bits, 2 * bits]), 1 << (bits - 1)
    fields = (np.asarray(packed).reshape(-1, 1) >> shifts) & ((1 << bits) - 1)
    return np.asarray(fields - zero, float)


def _lattice(lmp: Any) -> Array:
    """Return the lattice vectors (angstrom) in rows, zeros for a direction that is not periodic."""
    low, high, xy, yz, xz, periodic, _ = lmp.extract_box()
    x, y, z = np.subtract(high, low)
    vectors = np.array([[x, 0, 0], [xy, y, 0], [xz, yz, z]])
    return np.where(np.array(periodic, bool)[:, None], vectors, 0.0)


def _by_id(rows: Array) -> Any:
    """Return the order of the atoms by their IDs, which have to differ."""
    order = rows[:, _ID].argsort(kind="stable")
    if not len(rows) or not (np.diff(rows[order, _ID]) > 0).all() or rows[order[0], _ID] <= 0:
        raise MismatchError(
            "LAMMPS has no atoms, or they have no IDs",
            "Make atoms before the potential is attached, without `atom_modify id no`.",
        )
    return order


def _species(lmp: Any, elements: Sequence[str] | None) -> Array:
    """Return the atomic number of each type of atoms; types are counted from 1."""
    n_types = lmp.extract_global("ntypes")
    if elements is None:
        masses = lmp.numpy.extract_atom("mass")
        symbols = [_of_mass(kind, masses) for kind in range(1, n_types + 1)]
    else:
        symbols = list(elements)
    unknown = [symbol for symbol in symbols if symbol not in chemical_symbols[1:]]
    if unknown or len(symbols) != n_types:
        raise InputError(
            f"`elements` are {', '.join(map(str, symbols))}; expected the chemical symbols of the "
            f"{n_types} atom types of LAMMPS"
        )
    return np.array([0, *(atomic_numbers[symbol] for symbol in symbols)])


def _of_mass(kind: int, masses: Any) -> str:
    mass = 0.0 if masses is None else float(np.ravel(masses)[kind])
    near = np.flatnonzero(np.abs(atomic_masses[1:] - mass) < SAME_MASS) + 1
    if len(near) != 1:
        raise InputError(
            f"atom type {kind} of LAMMPS has mass {mass:g}, which is that of no element",
            hint="Name the elements: attach(lmp, potential, elements=[...]).",
        )
    return str(chemical_symbols[near[0]])


def _energy_unit(lmp: Any) -> float:
    name = lmp.extract_global("units")
    if name not in ENERGY_UNITS:
        raise MismatchError(
            f"LAMMPS has units {name}; expected {' or '.join(ENERGY_UNITS)}",
            "Begin its input with `units metal`.",
        )
    return ENERGY_UNITS[name]


def _text(error: BaseException) -> str:
    kind = "" if isinstance(error, QmdError) else f"{type(error).__name__}: "
    hint = getattr(error, "hint", None)
    return one_line(f"qmd: {kind}{error}" + (f" ({hint})" if hint else ""))
