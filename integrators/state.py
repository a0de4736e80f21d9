"""States of dynamics: the start and the end of a step."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def _frozen(*shape: int) -> FloatArray:
    array = np.zeros(shape)
    array.flags.writeable = False
    return array


ISOLATED = _frozen(3, 3)
"""Cell of a system that is not periodic."""
NO_BATH = _frozen(0)
"""Variables of an integrator that has none of its own."""


class State(NamedTuple):
    """A point of phase space; with the noise stream it is all that a restart needs.

    Parameters
    ----------
    positions, velocities, forces : float64 array, shape (n_atoms, 3), C-contiguous
        In angstrom, sqrt(eV/u) and eV/angstrom (ASE's units). The forces, and the energy, are
        those at `positions`: stored, because another process may compute other last bits.
    energy : float
        Potential energy (eV).
    step : int
        Number of steps made since the start of the run; the noise depends on it.
    cell : float64 array, shape (3, 3), C-contiguous
        Lattice vectors (angstrom) in rows; zeros, the default, for an isolated system.
    bath : float64 array, shape (n_bath,)
        Variables of a thermostat or barostat, in the order of
        `AbstractIntegrator.bath_variables`; default: none.
    """

    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray
    energy: float
    step: int
    cell: FloatArray = ISOLATED
    bath: FloatArray = NO_BATH


class Advanced(NamedTuple):
    """State after some steps, and how the steps ended.

    Parameters
    ----------
    state : State
        The state after the last step made. Unless `status` is `Status.OK` it is the one that
        broke a limit: good for a post-mortem, not for a trajectory or a checkpoint.
    status : int
        A member of `Status`.
    warned : int
        Number of steps made in which some pair distance was outside `Limits.warn`.
    """

    state: State
    status: int
    warned: int


def owned_copy(state: State) -> State:
    """Copy `state` into new writable C-contiguous float64 arrays, for a kernel to work in.

    Raises
    ------
    ValueError
        If the three vectors do not share one shape (n_atoms, 3), the cell is not of shape (3, 3),
        the bath is not a vector, or `step` is negative.
    """
    x, v, f = (np.array(a, dtype=np.float64, order="C") for a in state[:3])
    if x.ndim != 2 or x.shape[1] != 3 or v.shape != x.shape or f.shape != x.shape:
        raise ValueError(
            "`positions`, `velocities` and `forces` must share one shape (n_atoms, 3), but have "
            f"{x.shape}, {v.shape} and {f.shape}."
        )
    cell, bath = (np.array(a, dtype=np.float64, order="C") for a in (state.cell, state.bath))
    if cell.shape != (3, 3) or bath.ndim != 1:
        raise ValueError(
            "`cell` must have shape (3, 3) and `bath` shape (n_bath,), but they have "
            f"{cell.shape} and {bath.shape}."
        )
    if state.step < 0:
        raise ValueError(f"`step` must not be negative, but step={state.step}.")
    return State(x, v, f, float(state.energy), int(state.step), cell, bath)
