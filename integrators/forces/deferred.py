"""A force that is asked first and answered later.

A compiled loop calls its force in the middle of a step. To compute the forces of many replicas
in one call, a step is made with a force that only notes the positions, and made again, from the
same start, with one that hands out the answers in the same order. The two are equal up to the
force, so that the positions are those of the real step, to the last bit.
"""

import functools
from typing import Any

import numpy as np

from ..kernel_cache import cfunc
from ..state import FloatArray
from .force import ANY_NUMBER, FORCE_SIGNATURE, Force

_SLOT_COUNT = 1  # place in the program
_CURSOR, _SLOTS = 0, 1  # places in the workspace


class DeferredForce:
    """Room for the questions, and then the answers, of `n` calls of a force.

    Parameters
    ----------
    n : int
        Number of calls: replicas times steps.
    n_atoms : int
    """

    def __init__(self, n: int, n_atoms: int) -> None:
        self._shape = (n, n_atoms, 3)
        self._program = np.array([ANY_NUMBER, n], np.int64)
        self._workspace = np.zeros(_SLOTS + n * (1 + 3 * n_atoms))

    def recorder(self) -> Force:
        """A force that notes positions; energy and forces are zero."""
        return self._force(_recorder())

    def player(self) -> Force:
        """A force that hands out what `put` was given."""
        return self._force(_player())

    def _force(self, function: Any) -> Force:
        self._workspace[_CURSOR] = 0
        return Force(function, self._program, self._workspace)

    def positions(self) -> FloatArray:
        """Return the positions where the force was asked for, shape (n, n_atoms, 3), in angstrom.

        Raises
        ------
        RuntimeError
            If it was not asked `n` times: the integrator needs more than one force a step.
        """
        asked, n = int(self._workspace[_CURSOR]), self._shape[0]
        if asked != n:
            raise RuntimeError(
                f"The integrator asked for {asked} forces in a step of {n} replicas; batched "
                "forces need a method that asks for one of each."
            )
        return self._slots()[:, 1:].reshape(self._shape).copy()

    def put(self, energies: FloatArray, forces: FloatArray) -> None:
        """Energies (eV), shape (n,), and forces (eV/angstrom), shape (n, n_atoms, 3)."""
        slots = self._slots()
        slots[:, 0], slots[:, 1:] = energies, forces.reshape(len(slots), slots.shape[1] - 1)

    def _slots(self) -> FloatArray:
        n, n_atoms, _ = self._shape
        return self._workspace[_SLOTS:].reshape(n, 1 + 3 * n_atoms)


@functools.cache
def _recorder() -> Any:
    return cfunc(FORCE_SIGNATURE)(_record)  # on first use: most runs need none


@functools.cache
def _player() -> Any:
    return cfunc(FORCE_SIGNATURE)(_play_back)


def _record(positions, cell, forces_out, virial_out, program, workspace):
    call, size = int(workspace[_CURSOR]), 3 * positions.shape[0]
    workspace[_CURSOR] += 1
    forces_out[:] = 0.0
    if call < program[_SLOT_COUNT]:
        slot = _SLOTS + call * (1 + size)
        for i in range(positions.shape[0]):
            for k in range(3):
                workspace[slot + 1 + 3 * i + k] = positions[i, k]
    return 0.0


def _play_back(positions, cell, forces_out, virial_out, program, workspace):
    call, size = int(workspace[_CURSOR]), 3 * positions.shape[0]
    workspace[_CURSOR] += 1
    if call >= program[_SLOT_COUNT]:
        forces_out[:] = np.nan
        return np.nan
    slot = _SLOTS + call * (1 + size)
    for i in range(positions.shape[0]):
        for k in range(3):
            forces_out[i, k] = workspace[slot + 1 + 3 * i + k]
    return workspace[slot]
