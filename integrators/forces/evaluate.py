"""A force called once from Python, outside a loop."""

import numpy as np
import numpy.typing as npt

from ..state import FloatArray, State
from .force import Force, compute, pointer
from .python_force import raise_pending


def evaluate(force: Force, positions: npt.ArrayLike) -> tuple[float, FloatArray]:
    """Energy and forces of one geometry.

    Parameters
    ----------
    force : Force
    positions : array, shape (n_atoms, 3)
        In angstrom.

    Returns
    -------
    energy : float
        Potential energy (eV).
    forces : float64 array, shape (n_atoms, 3)
        In eV/angstrom.

    Raises
    ------
    ValueError
        If `positions` has another shape.
    Exception
        What the function behind a `python_force` raised.
    """
    x = np.array(positions, dtype=np.float64, order="C")
    if x.ndim != 2 or x.shape[1] != 3:
        raise ValueError(f"`positions` must have shape (n_atoms, 3), but have {x.shape}.")
    forces = np.zeros_like(x)
    energy = compute(pointer(force), x, forces)
    raise_pending(force)
    return energy, forces


def initial_state(force: Force, positions: npt.ArrayLike, velocities: npt.ArrayLike) -> State:
    """State at step 0, with the energy and forces that `advance` expects to find in it.

    Parameters
    ----------
    force : Force
    positions, velocities : array, shape (n_atoms, 3)
        In angstrom and sqrt(eV/u).

    Raises
    ------
    ValueError
        If the shapes differ from (n_atoms, 3) or from each other.
    """
    energy, forces = evaluate(force, positions)
    x, v = (np.array(a, dtype=np.float64, order="C") for a in (positions, velocities))
    if v.shape != x.shape:
        raise ValueError(f"`velocities` must have shape {x.shape}, but have {v.shape}.")
    return State(x, v, forces, energy, 0)
