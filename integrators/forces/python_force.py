"""Python functions as forces.

The native side cannot hold a Python object. It holds a number (``program[1]``) under which the
function is registered here, and the address (``program[2]``) of the one ctypes callback that
serves all of them. Not `numba.objmode`: its cached code fails in the next process (Numba 0.68),
and compiling it anew takes 1.5 s. A call costs 8 us, copies and checks included.
"""

import ctypes
import functools
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from ..kernel_cache import cfunc
from ..state import FloatArray
from .force import ANY_NUMBER, FORCE_SIGNATURE, Force, call_address

EnergyAndForces = Callable[[FloatArray], tuple[Any, Any]]
EnergyInCell = Callable[[FloatArray, FloatArray, bool], tuple[Any, Any, Any]]

_functions: dict[int, EnergyInCell] = {}
_pending: dict[int, BaseException] = {}
_handles = itertools.count()
_HANDLE, _ADDRESS, _SIZE = 1, 2, 3  # of the program
_ENERGY, _ANSWERED = 0, 1  # places in the workspace


def _without_cell(function: EnergyAndForces) -> EnergyInCell:
    def energy_in_cell(x: FloatArray, cell: FloatArray, virial: bool) -> tuple[Any, Any, Any]:
        return *function(x), None

    return energy_in_cell


def python_force(function: EnergyAndForces) -> Force:
    """Wrap a Python function, such as a jitted JAX one, as a `Force`.

    Parameters
    ----------
    function : callable
        Takes positions (angstrom), a read-only float64 array of shape (n_atoms, 3) that it may
        keep, and returns the energy (eV), a scalar, and the forces (eV/angstrom), of the shape
        of the positions.

    Returns
    -------
    Force
        Of isolated systems. It keeps `function` alive for as long as its `program` array lives.

    Notes
    -----
    An exception cannot cross native code. The energy becomes NaN, so that the loop stops with
    `Status.NOT_FINITE`; `raise_pending` then raises it, KeyboardInterrupt included. Until then
    its traceback keeps the frames of the run alive.
    """
    return _registered(_without_cell(function), periodic=False)


def python_force_in_cell(function: EnergyInCell) -> Force:
    """Wrap a Python function that knows periodic cells as a `Force`.

    Parameters
    ----------
    function : callable
        Takes positions (angstrom), shape (n_atoms, 3), lattice vectors (angstrom) in rows, shape
        (3, 3), both read-only, and whether the virial is wanted. Returns the energy (eV), the
        forces (eV/angstrom), and the virial (eV), shape (3, 3), or None if it has none or is not
        asked for one.

    Returns
    -------
    Force
        Of isolated and periodic systems; see `python_force` for errors.
    """
    return _registered(function, periodic=True)


def _registered(function: EnergyInCell, periodic: bool) -> Force:
    handle = next(_handles)
    _functions[handle] = function
    program = np.array([ANY_NUMBER, handle, _ANSWER_ADDRESS], dtype=np.int64)
    weakref.finalize(program, _forget, handle).atexit = False
    return Force(_python_callback(), program, np.array([np.nan, 1.0]), periodic)


def raise_pending(force: Force) -> None:
    """Raise what the function behind a `python_force` has raised since the last look, if anything.

    Call it whenever `advance` ended with another status than `Status.OK`. For other forces it
    does nothing.

    Raises
    ------
    BaseException
        The original exception, with its traceback.
    KeyboardInterrupt
        Also if a signal's exception came before the first line of the callback, where Python
        cannot but print it and go on.
    """
    if force.program.size != _SIZE or force.program[_ADDRESS] != _ANSWER_ADDRESS:
        return
    error = _pending.pop(int(force.program[_HANDLE]), None)
    answered, force.workspace[_ANSWERED] = force.workspace[_ANSWERED], 1.0
    if error is not None:
        raise error
    if not answered:
        raise KeyboardInterrupt("A signal interrupted the call of a Python force.")


def _forget(handle: int) -> None:
    _functions.pop(handle, None)
    _pending.pop(handle, None)


@functools.cache
def _python_callback() -> Any:
    return cfunc(FORCE_SIGNATURE)(_ask)  # on first use: most runs need none


def _ask(positions, cell, forces_out, virial_out, program, workspace):
    """The native side of every Python force; a cfunc of `FORCE_SIGNATURE`."""
    workspace[_ENERGY] = np.nan  # this and the next two stay if Python does not answer
    workspace[_ANSWERED] = 0.0
    forces_out[:] = np.nan
    _call_python(  # type: ignore[call-arg]  # Numba passes the first argument itself
        program[_ADDRESS],
        program[_HANDLE],
        positions.shape[0],
        positions.ctypes.data,
        cell.ctypes.data,
        forces_out.ctypes.data,
        virial_out.shape[0],
        virial_out.ctypes.data,
        workspace.ctypes.data,
    )
    return workspace[_ENERGY]


def _answer(
    handle: int,
    n_atoms: int,
    positions: int,
    cell: int,
    forces: int,
    n_virial: int,
    virial: int,
    workspace: int,
) -> int:
    """The Python side; all but the two numbers are addresses of float64 arrays."""
    try:
        x = _view(positions, 3 * n_atoms).reshape(n_atoms, 3).copy()
        lattice = _view(cell, 9).reshape(3, 3).copy()
        x.flags.writeable = lattice.flags.writeable = False
        energy, result, stress = _functions[handle](x, lattice, n_virial > 0)
        energy = _real(energy, (), "energy")
        _view(forces, 3 * n_atoms)[:] = _real(result, x.shape, "forces").ravel()
        if n_virial and stress is not None:
            _view(virial, 9)[:] = _real(stress, (3, 3), "virial").ravel()
        _view(workspace, 2)[_ENERGY] = energy
    except BaseException as error:  # KeyboardInterrupt, too, would be printed and lost
        _pending[handle] = error
    _view(workspace, 2)[_ANSWERED] = 1.0
    return 0  # not used: when an exception escapes, ctypes returns no defined value


_ANSWER = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 8)(_answer)
_ANSWER_ADDRESS = ctypes.cast(_ANSWER, ctypes.c_void_p).value


@intrinsic
def _call_python(
    typingctx, address, handle, n_atoms, positions, cell, forces_out, n_virial, virial, workspace
):
    return types.int64(*[types.int64] * 9), call_address


def _view(address: int, size: int) -> FloatArray:
    return np.frombuffer(memoryview((ctypes.c_double * size).from_address(address)))


def _real(value: Any, shape: tuple[int, ...], name: str) -> npt.NDArray[Any]:
    array = np.asarray(value)
    if array.shape != shape or not np.can_cast(array.dtype, np.float64, "same_kind"):
        raise ValueError(
            f"A Python force must return real `{name}` of shape {shape}, but returned "
            f"{array.dtype} of shape {array.shape}."
        )
    return array
