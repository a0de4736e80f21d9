"""Native kernels: their signature, and calls from Python."""

import math
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import float64, int64, types
from numba.extending import intrinsic

from .compilation import call_address, inner

N_ATOMS = 0
"""Place of the number of atoms in `program`, in the layout of every family."""
SIGNATURE = float64(float64[:, ::1], float64[:, ::1], int64[::1], float64[::1])
"""(positions, forces written, program, workspace) -> energy; eV and angstrom."""


def _call(
    typing: Any, address: Any, positions: Any, forces: Any, program: Any, workspace: Any
) -> Any:
    return SIGNATURE.return_type(types.int64, *SIGNATURE.args), call_address


call: Any = intrinsic(_call)
"""Energy from the function of `SIGNATURE` at an address: (address, positions, ..., workspace)."""


@inner
def fill(forces: Any, value: Any) -> None:
    """``forces[:, :] = value``, which as such takes Numba 0.3 s to compile."""
    for i in range(forces.shape[0]):
        for axis in range(forces.shape[1]):
            forces[i, axis] = value


@inner
def clear(positions: Any, forces: Any, program: Any) -> Any:
    """Set `forces` to 0; to NaN, and return False, if the atoms are not as many as the program's.

    Every kernel begins with ``if not clear(positions, forces, program): return math.nan``.
    """
    n_atoms = program[N_ATOMS]
    fits = positions.shape[0] == n_atoms and forces.shape[0] == n_atoms
    fill(forces, 0.0 if fits else math.nan)
    return fits


MAX_BYTES = 2**28
"""Largest size of a workspace; 12 spins, 30 layers and six gates across pairs take 97 MiB."""


class NativeKernel(NamedTuple):
    """Potential in the form that the integrators use: a compiled function and its two arrays."""

    function: Any
    program: np.ndarray
    workspace: np.ndarray


def check_bytes(n_bytes: int) -> None:
    """Raise ValueError if a workspace would be larger than `MAX_BYTES`."""
    if n_bytes > MAX_BYTES:
        raise ValueError(
            f"The native kernel would need {n_bytes / 2**30:.1f} GiB for this circuit, but may use "
            f"{MAX_BYTES / 2**30:.2f}. Use the JAX backend."
        )


def _writable(positions: np.ndarray) -> np.ndarray:
    """Return an array of the type of the compiled functions, which is writable."""
    array = np.ascontiguousarray(positions, np.float64)
    return array if array.flags.writeable else array.copy()


def evaluate(kernel: NativeKernel, positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Energy (eV) and forces (eV/angstrom), (n_atoms, 3), at `positions` (angstrom).

    Raises
    ------
    ValueError
        If the shape of `positions` is not that of the model's atoms.
    """
    positions = _writable(positions)
    n_atoms = int(kernel.program[N_ATOMS])
    if positions.shape != (n_atoms, 3):
        raise ValueError(f"`positions` must have shape ({n_atoms}, 3), but got {positions.shape}.")
    energies, forces = evaluate_all(kernel, positions[None])
    return float(energies[0]), forces[0]


def evaluate_all(kernel: NativeKernel, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return energies (eV), (n,), and forces (eV/angstrom), (n, n_atoms, 3), of many geometries."""
    positions = _writable(positions)
    energies, forces = np.empty(len(positions)), np.empty_like(positions)
    address = int(kernel.function.address)
    _call_all(address, positions, energies, forces, kernel.program, kernel.workspace)
    return energies, forces


@numba.njit(cache=True, nogil=True)
def _call_all(
    address: int,
    positions: np.ndarray,
    energies: np.ndarray,
    forces: np.ndarray,
    program: np.ndarray,
    workspace: np.ndarray,
) -> None:
    for i in range(len(positions)):
        energies[i] = call(address, positions[i], forces[i], program, workspace)
