"""The molecule: numbers, positions, masses and first velocities, in internal units.

From here on everything is in eV, angstrom, u and angstrom sqrt(u/eV).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from qmd import units
from qmd.errors import InputError, MismatchError
from qmd.run.config import SystemConfig

Array = NDArray[np.float64]


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
