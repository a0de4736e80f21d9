"""What a step of dynamics starts from and ends with."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


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
    """

    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray
    energy: float
    step: int


class Advanced(NamedTuple):
    """What `advance` of an integrator returns.

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
        If the three arrays do not share one shape (n_atoms, 3), or `step` is negative.
    """
    x, v, f = (np.array(a, dtype=np.float64, order="C") for a in state[:3])
    if x.ndim != 2 or x.shape[1] != 3 or v.shape != x.shape or f.shape != x.shape:
        raise ValueError(
            "`positions`, `velocities` and `forces` must share one shape (n_atoms, 3), but have "
            f"{x.shape}, {v.shape} and {f.shape}."
        )
    if state.step < 0:
        raise ValueError(f"`step` must not be negative, but step={state.step}.")
    return State(x, v, f, float(state.energy), int(state.step))
