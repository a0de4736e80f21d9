"""The contract of a force: how a loop calls a potential, one type of compiled function for all.

A loop receives the *address* of that function. Two measured reasons: a loop that took the
function itself, as Numba's first-class function type, spent 17 us per call unpacking it (1 us
with the address), and one that took a jitted function was compiled anew in each process.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..kernel_cache import njit
from ..state import FloatArray

_MATRIX, _INTEGERS, _NUMBERS = types.float64[:, ::1], types.int64[::1], types.float64[::1]
FORCE_SIGNATURE = types.float64(_MATRIX, _MATRIX, _MATRIX, _MATRIX, _INTEGERS, _NUMBERS)
"""``energy = function(positions, cell, forces_out, virial_out, program, workspace)``, all in ASE's
units; see `Force`."""
BESIDE_SIGNATURE = types.float64(_MATRIX, _MATRIX, _NUMBERS, _INTEGERS, _NUMBERS)
"""``function(positions, forces_out, energies_out, program, workspace)``, 0; see `Force.beside`."""
N_ATOMS = 0
"""Word of every program that holds the number of atoms."""
ANY_NUMBER = 0
"""Value of that word for a function that takes any number of atoms."""

ALARM = -1
"""In place of a word: the list is that of `neighbours.watched`, for the limits of a loop."""

LOST_PAIR = "a neighbour list has lost a pair of atoms"
"""Words for what an audit of the lists has found."""


_LINE = 64


def aligned(numbers: FloatArray) -> FloatArray:
    """Return a copy that begins at a line of the cache: vectors across two lines take longer."""
    room = np.empty(numbers.size + _LINE // 8)
    skip = (-room.ctypes.data % _LINE) // 8
    found = room[skip : skip + numbers.size]
    found[:] = numbers
    return found


class Grows(Protocol):
    """Arrays that a compiled function finds by their address, and that may have to grow."""

    @property
    def address(self) -> int:
        """Word for a program."""

    @property
    def lost(self) -> bool:
        """True if an audit has found them wrong."""

    def grow(self) -> bool:
        """Make more room if a call ran out of it, and tell so."""

    def for_thread(self) -> Self:
        """Return the like for another thread."""

    def audit(self) -> bool:
        """Return False if what they hold after the last call is wrong."""


class Force(NamedTuple):
    """A potential as the integrators see it: a compiled function and its two arrays.

    Parameters
    ----------
    function : numba cfunc of `FORCE_SIGNATURE`
        Returns the potential energy (eV) and writes the forces. Made by
        ``qmd.integrators.cfunc(FORCE_SIGNATURE)``. Its arguments are

        positions : shape (n_atoms, 3), angstrom
        cell : shape (3, 3), angstrom
            Lattice vectors in rows; zeros for an isolated system.
        forces_out : shape (n_atoms, 3), eV/angstrom
        virial_out : shape (3, 3), or (0, 3) where nobody asks for it, eV
            The negative derivative of the energy by a strain of positions and cell. Its elements
            are NaN at the call, so that a function without a virial leaves it alone, and no
            caller can take zeros for one.
    program : int64 array, shape (n,)
        Integer constants of the potential. Word `N_ATOMS` is the number of atoms that it is made
        for, or `ANY_NUMBER`; other numbers of atoms are refused before the first call.
    workspace : float64 array, shape (m,)
        Real constants and scratch. Two threads must not share one.
    periodic : bool
        Whether the function reads `cell`. Otherwise a system with a cell is refused.
    lists : sequence of (int, Grows)
        Neighbour lists, each with the word of the program that holds its address, or `ALARM`; see
        `qmd.integrators.neighbours`. The function returns NaN if one has no room. `evaluate`, an
        integrator and the replicas then let it grow (`grown`), and begin again with the state
        before; whoever calls the function otherwise does the same. Whoever packs a program into
        another one hands its lists on, with the words where their addresses are then.
    beside : function without arguments, or None
        Returns the cfunc of `BESIDE_SIGNATURE` of the same force, for `VECTOR_WIDTH` isolated
        geometries at once, which are the last index of all arrays: positions and forces (angstrom,
        eV/angstrom) of shape (3 n_atoms, geometries), energies (eV) of shape (geometries,). Each
        has the bits that `function` gives it alone. Compiled when first called.
    """

    function: Any
    program: npt.NDArray[np.int64]
    workspace: FloatArray
    periodic: bool = False
    lists: Sequence[tuple[int, Grows]] = ()
    beside: Callable[[], Any] | None = None

    def for_thread(self) -> "Force":
        """Return an equal force with a workspace, and lists, of its own."""
        program, workspace = self.program, aligned(self.workspace)
        lists = [(word, held.for_thread()) for word, held in self.lists]
        read = [(word, held) for word, held in lists if word != ALARM]
        if read:  # else the program of a `python_force` is what keeps its function alive
            program = program.copy()
        for word, held in read:
            program[word] = held.address
        return self._replace(program=program, workspace=workspace, lists=tuple(lists))

    def grown(self) -> bool:
        """Let the lists grow that ran out of room since the last look; tell if any has.

        Raises
        ------
        ValueError
            If one cannot.
        """
        return any([held.grow() for _, held in self.lists])

    @property
    def lost(self) -> bool:
        """True if an audit has found a list without one of its pairs."""
        return any(held.lost for _, held in self.lists)

    def audit(self) -> bool:
        """Count the pairs of the last call without the lists; True if the lists have them all."""
        return all([held.audit() for _, held in self.lists])


class ForcePointer(NamedTuple):
    """A `Force` as it enters a kernel; made by `pointer`, called by `compute`."""

    address: int
    program: npt.NDArray[np.int64]
    workspace: FloatArray
    alarm: int
    """Address of the list that the limits of a loop need; 0 without one."""
    beside: int = 0
    """Address of the function for geometries side by side; 0 without one."""


def pointer(force: Force, *, beside: bool = False) -> ForcePointer:
    """Return `force` in the form that `compute` takes; keep `force` alive while it is used.

    With `beside` it has the function for geometries side by side, if there is one.

    Raises
    ------
    TypeError
        If the function is not a cfunc of `FORCE_SIGNATURE`, or an array does not fit it.
    """
    _require_vector("program", force.program, np.dtype(np.int64))
    _require_vector("workspace", force.workspace, np.dtype(np.float64))
    if not len(force.program):
        raise TypeError("`program` of a force must begin with the number of atoms.")
    alarm = next((held.address for word, held in force.lists if word == ALARM), 0)
    together = int(force.beside().address) if beside and force.beside else 0
    return ForcePointer(_address(force.function), force.program, force.workspace, alarm, together)


def require_fits(force: Force, n_atoms: int, cell: FloatArray) -> None:
    """Raise ValueError unless `force` is made for `n_atoms` atoms and for such a cell."""
    expected = int(force.program[N_ATOMS])
    if expected not in (ANY_NUMBER, n_atoms):
        raise ValueError(
            f"`positions` must have shape ({expected}, 3), but have ({n_atoms}, 3): the force is "
            "made for this number of atoms."
        )
    if not force.periodic and cell.any():
        raise ValueError("The system has a cell, but its force is for isolated systems.")


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


def _call(typingctx, address, positions, cell, forces_out, virial_out, program, workspace):
    return FORCE_SIGNATURE.return_type(types.int64, *FORCE_SIGNATURE.args), call_address


def call_address(context, builder, signature, args):
    """Emit a call of the C function whose address is ``args[0]`` with the other arguments."""
    return_type = context.get_value_type(signature.return_type)
    function_type = ir.FunctionType(return_type, [a.type for a in args[1:]])
    return builder.call(builder.inttoptr(args[0], function_type.as_pointer()), args[1:])


call: Any = intrinsic(_call)
"""Energy (eV) from the function of `FORCE_SIGNATURE` at an address:
``call(address, positions, cell, forces_out, virial_out, program, workspace)``."""


@njit()
def compute(force, positions, cell, forces_out):
    """Call `force` (a `ForcePointer`): write `forces_out`, return the energy (eV)."""
    return call(
        force.address, positions, cell, forces_out, forces_out[:0], force.program, force.workspace
    )


@njit()
def compute_virial(force, positions, cell, forces_out, virial_out):
    """Call `force` as `compute` does, and ask for `virial_out`: NaN where it has none."""
    for i in range(3):
        for k in range(3):
            virial_out[i, k] = np.nan
    return call(
        force.address, positions, cell, forces_out, virial_out, force.program, force.workspace
    )
