"""Code that the native kernels of all families share.

Each is a `qmd.integrators.Force`: that class states the contract. Word 0 of its program is the
number of atoms. None reads a cell or computes a virial yet: they leave the virial as it is, which
is NaN, and `Force.periodic` is false, so that a system with a cell is refused.
"""

import math
from typing import Any

from qmd.integrators import N_ATOMS, evaluate, evaluate_all

from .compilation import inner

__all__ = ["MAX_BYTES", "N_ATOMS", "check_bytes", "clear", "evaluate", "evaluate_all", "fill"]

MAX_BYTES = 2**28
"""Largest size of a workspace; 12 spins, 30 layers and six gates across pairs take 97 MiB."""


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


def check_bytes(n_bytes: int) -> None:
    """Raise ValueError if a workspace would be larger than `MAX_BYTES`."""
    if n_bytes > MAX_BYTES:
        raise ValueError(
            f"The native kernel would need {n_bytes / 2**30:.1f} GiB for this circuit, but may use "
            f"{MAX_BYTES / 2**30:.2f}. Use the JAX backend."
        )
