"""A force called from Python, outside a loop."""

import numpy as np
import numpy.typing as npt

from ..kernel_cache import njit
from ..state import ISOLATED, FloatArray, State
from .force import (
    LOST_PAIR,
    N_ATOMS,
    Force,
    ForcePointer,
    compute,
    compute_virial,
    pointer,
    require_fits,
)
from .python_force import raise_pending


def evaluate(
    force: Force, positions: npt.ArrayLike, cell: npt.ArrayLike = ISOLATED
) -> tuple[float, FloatArray]:
    """Energy and forces of one geometry.

    Parameters
    ----------
    force : Force
    positions : array, shape (n_atoms, 3)
        In angstrom.
    cell : array, shape (3, 3)
        Lattice vectors (angstrom) in rows; default: an isolated system.

    Returns
    -------
    energy : float
        Potential energy (eV).
    forces : float64 array, shape (n_atoms, 3)
        In eV/angstrom.

    Raises
    ------
    ValueError
        If `positions` or `cell` have another shape, or are not what the force is made for.
    Exception
        What the function behind a `python_force` raised.
    """
    called, x, lattice = _checked(force, positions, cell)
    forces = np.zeros_like(x)
    energy = compute(called, x, lattice, forces)
    while again(force):
        energy = compute(called, x, lattice, forces)
    return energy, forces


def evaluate_virial(
    force: Force, positions: npt.ArrayLike, cell: npt.ArrayLike
) -> tuple[float, FloatArray, FloatArray]:
    """Energy, forces and virial of one geometry; parameters and errors as in `evaluate`.

    Returns
    -------
    energy : float
        Potential energy (eV).
    forces : float64 array, shape (n_atoms, 3)
        In eV/angstrom.
    virial : float64 array, shape (3, 3)
        Negative derivative of the energy by a strain of positions and cell (eV).

    Raises
    ------
    ValueError
        Also if the force has no virial.
    """
    called, x, lattice = _checked(force, positions, cell)
    forces, virial = np.zeros_like(x), np.empty((3, 3))
    energy = compute_virial(called, x, lattice, forces, virial)
    while again(force):
        energy = compute_virial(called, x, lattice, forces, virial)
    if np.isnan(virial).any() and np.isfinite(energy):
        raise ValueError("The force has no virial: its function leaves `virial_out` as it is.")
    return energy, forces, virial


def again(force: Force) -> bool:
    """Tell whether the calls since the last look have to be repeated, now that there is room.

    Raises
    ------
    Exception
        What the function behind a `python_force` raised.
    ValueError
        If a list cannot grow, or an audit has found that one has lost a pair.
    """
    raise_pending(force)
    if force.lost:
        raise ValueError(f"The forces are wrong: {LOST_PAIR}.")
    return force.grown()


def has_virial(force: Force, positions: npt.ArrayLike, cell: npt.ArrayLike) -> bool:
    """Return True if `force` has a virial at this geometry; parameters as in `evaluate`.

    Raises
    ------
    ValueError, Exception
        As `evaluate`.
    """
    called, x, lattice = _checked(force, positions, cell)
    forces, virial = np.zeros_like(x), np.empty((3, 3))
    compute_virial(called, x, lattice, forces, virial)
    while again(force):
        compute_virial(called, x, lattice, forces, virial)
    return not bool(np.isnan(virial).any())


def _checked(
    force: Force, positions: npt.ArrayLike, cell: npt.ArrayLike
) -> tuple[ForcePointer, FloatArray, FloatArray]:
    called = pointer(force)
    x, lattice = (np.array(a, dtype=np.float64, order="C") for a in (positions, cell))
    if x.ndim != 2 or x.shape[1] != 3:
        n_atoms = force.program[N_ATOMS] or "n_atoms"
        raise ValueError(f"`positions` must have shape ({n_atoms}, 3), but have {x.shape}.")
    if lattice.shape != (3, 3):
        raise ValueError(f"`cell` must have shape (3, 3), but has {lattice.shape}.")
    require_fits(force, len(x), lattice)
    return called, x, lattice


def evaluate_all(force: Force, positions: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Energies and forces of many geometries of an isolated system, one after the other.

    Parameters
    ----------
    force : Force
    positions : array, shape (n, n_atoms, 3)
        In angstrom.

    Returns
    -------
    energies : float64 array, shape (n,)
        Potential energies (eV).
    forces : float64 array, shape (n, n_atoms, 3)
        In eV/angstrom.

    Raises
    ------
    ValueError, Exception
        As `evaluate`.
    """
    called, x = pointer(force), np.array(positions, dtype=np.float64, order="C")
    if x.ndim != 3 or x.shape[2] != 3:
        raise ValueError(f"`positions` must have shape (n, n_atoms, 3), but have {x.shape}.")
    require_fits(force, x.shape[1], ISOLATED)
    energies, forces = np.empty(len(x)), np.empty_like(x)
    _compute_all(called, x, np.array(ISOLATED), energies, forces)
    while again(force):
        _compute_all(called, x, np.array(ISOLATED), energies, forces)
    return energies, forces


@njit(nogil=True)
def _compute_all(force, positions, cell, energies, forces):
    for i in range(len(positions)):
        energies[i] = compute(force, positions[i], cell, forces[i])


def initial_state(
    force: Force,
    positions: npt.ArrayLike,
    velocities: npt.ArrayLike,
    cell: npt.ArrayLike = ISOLATED,
) -> State:
    """State at step 0, with the energy and forces that `advance` expects to find in it.

    Parameters
    ----------
    force : Force
    positions, velocities : array, shape (n_atoms, 3)
        In angstrom and sqrt(eV/u).
    cell : array, shape (3, 3)
        Lattice vectors (angstrom) in rows; default: an isolated system.

    Raises
    ------
    ValueError
        As `evaluate`, or if `velocities` have another shape than `positions`.
    """
    energy, forces = evaluate(force, positions, cell)
    given = positions, velocities, cell
    x, v, lattice = (np.array(a, dtype=np.float64, order="C") for a in given)
    if v.shape != x.shape:
        raise ValueError(f"`velocities` must have shape {x.shape}, but have {v.shape}.")
    return State(x, v, forces, energy, 0, lattice)
