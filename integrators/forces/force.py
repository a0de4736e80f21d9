"""How a loop calls a potential: one type of compiled function for all of them.

A loop receives the *address* of that function. Two measured reasons: a loop that took the
function itself, as Numba's first-class function type, spent 17 us per call unpacking it (1 us
with the address), and one that took a jitted function was compiled anew in each process.
"""

import functools
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..state import FloatArray

FORCE_SIGNATURE = types.float64(
    types.float64[:, ::1], types.float64[:, ::1], types.int64[::1], types.float64[::1]
)
"""``energy = function(positions, forces_out, program, workspace)``, all in ASE's units."""


class Force(NamedTuple):
    """A potential as the integrators see it.

    Parameters
    ----------
    function : numba cfunc of `FORCE_SIGNATURE`
        Reads `positions` (angstrom), writes `forces_out` (eV/angstrom), both of shape
        (n_atoms, 3), and returns the potential energy (eV). Made by
        ``numba.cfunc(FORCE_SIGNATURE, cache=True)``.
    program : int64 array, shape (n,)
        Integer constants of the potential.
    workspace : float64 array, shape (m,)
        Real constants and scratch. Two threads must not share one.
    """

    function: Any
    program: npt.NDArray[np.int64]
    workspace: FloatArray


class ForcePointer(NamedTuple):
    """A `Force` as it enters a kernel; made by `pointer`, called by `compute`."""

    address: int
    program: npt.NDArray[np.int64]
    workspace: FloatArray


def pointer(force: Force) -> ForcePointer:
    """Return `force` in the form that `compute` takes; keep `force` alive while it is used.

    Raises
    ------
    TypeError
        If the function is not a cfunc of `FORCE_SIGNATURE`, or an array does not fit it.
    """
    _require_vector("program", force.program, np.dtype(np.int64))
    _require_vector("workspace", force.workspace, np.dtype(np.float64))
    return ForcePointer(_address(force.function), force.program, force.workspace)


def _require_vector(name: str, array: npt.NDArray[Any], dtype: np.dtype[Any]) -> None:
    if array.dtype != dtype or array.ndim != 1 or not array.flags.carray:
        raise TypeError(
            f"`{name}` of a force must be a writable contiguous {dtype} vector, but it is "
            f"{array.dtype} of shape {array.shape}, writable: {array.flags.writeable}."
        )


@functools.lru_cache
def _address(function: Any) -> int:
    # A call through an address is not type-checked: a wrong signature would crash the process.
    try:
        kind = numba.typeof(function)
    except ValueError:
        kind = type(function)
    if kind != types.FunctionType(FORCE_SIGNATURE):
        raise TypeError(
            f"`function` of a force must be a numba.cfunc of FORCE_SIGNATURE, but it is {kind}. "
            "Wrap a Python function with `python_force`."
        )
    return int(function.address)


@numba.njit(cache=True)
def compute(force, positions, forces_out):
    """Call `force` (a `ForcePointer`): write `forces_out`, return the energy (eV)."""
    return _call_force(  # type: ignore[call-arg]  # Numba passes the first argument itself
        force.address, positions, forces_out, force.program, force.workspace
    )


@intrinsic
def _call_force(typingctx, address, positions, forces_out, program, workspace):
    return FORCE_SIGNATURE.return_type(types.int64, *FORCE_SIGNATURE.args), call_address


def call_address(context, builder, signature, args):
    """Emit a call of the C function whose address is ``args[0]`` with the other arguments."""
    return_type = context.get_value_type(signature.return_type)
    function_type = ir.FunctionType(return_type, [a.type for a in args[1:]])
    return builder.call(builder.inttoptr(args[0], function_type.as_pointer()), args[1:])
