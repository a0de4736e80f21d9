"""Compiled code that shares the centres of a network with the helpers of a `team`.

The thread that calls a force offers its groups of centres; whoever is free claims the next one. The
caller claims, too, and at the end waits only for groups that were claimed, never for a thread that
has not come: on a busy machine helpers that get no core cost nothing. The OpenMP of Numba waits
for all threads in each loop, with two of them on two busy cores 1.4 times as long as one alone.

Who computes a group changes no bit of it, and the sums are made afterwards in the order of the
centres. A helper without work looks for some for a while, then sleeps until the caller writes a
byte into its pipe.
"""
# mypy: disable-error-code="call-arg"
# Numba passes the first argument of an intrinsic itself.

from typing import Any

from llvmlite import ir
from numba import int32, int64, types, uint64
from numba.core import cgutils
from numba.extending import intrinsic

from qmd.integrators import neighbours, njit

from ..compilation import inner
from ..parts import call_centres
from .lanes import LANES

LINE = 16
"""Words between those that different threads write: two lines of a cache."""
CLAIM, DONE, FIXED = 0, LINE, 2 * LINE
# fmt: off
(STOP, N_GROUPS, N_HELPERS, FUNCTION, PROGRAM, PROGRAM_SIZE, NUMBERS,
 NUMBERS_SIZE) = range(FIXED, FIXED + 8)
# fmt: on
"""Words of a team. `CLAIM` holds the number of the call in its upper half, so that a claim of an
earlier one fails, and the next group in its lower half; `DONE` counts the finished groups."""
HELPERS = 3 * LINE
ASLEEP, READ, WRITE, BYTE = range(4)
"""Words of a helper, from `HELPERS` on, `LINE` apart: the ends of its pipe."""
_HALF, _CALLS = 32, 2**31 - 1
NEXT = 2**_HALF - 1
_LOOKS = 2000
"""Looks for work before a helper sleeps: about half a millisecond, longer than what comes between
two calls of a run. Each yields the core to whoever wants it."""

_yield = types.ExternalFunction("sched_yield", int32())
_read = types.ExternalFunction("read", int64(int32, int64, uint64))
_write = types.ExternalFunction("write", int64(int32, int64, uint64))


@intrinsic
def load(typingctx: Any, address: Any) -> Any:
    """Return the word at an address that other threads write."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(builder, args[0]), "seq_cst", 8)

    return int64(int64), codegen


@intrinsic
def store(typingctx: Any, address: Any, value: Any) -> Any:
    """Write the word at an address that other threads read."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _pointer(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(int64, int64), codegen


@intrinsic
def add(typingctx: Any, address: Any, value: Any) -> Any:
    """Add to the word at an address; return what it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], "seq_cst")

    return int64(int64, int64), codegen


@intrinsic
def replace(typingctx: Any, address: Any, old: Any, new: Any) -> Any:
    """Write `new` to the word at an address if it is `old`; tell if it was."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0])
        found = builder.cmpxchg(pointer, args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(int64, int64, int64), codegen


@intrinsic
def address_of(typingctx: Any, array: Any) -> Any:
    """Return the address of an array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        made = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0])
        return builder.ptrtoint(made.data, ir.IntType(64))

    return int64(array), codegen


def _pointer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(64).as_pointer())


@inner
def share(team, function, n_groups, program, workspace):
    """Compute all groups of centres, with the helpers that have time.

    The results are those of ``call_centres(function, workspace, first, slot, program)``.
    `n_groups` is the same at all calls.
    """
    words = neighbours.integers(team, HELPERS)
    words[N_GROUPS], words[FUNCTION] = n_groups, function
    words[PROGRAM], words[PROGRAM_SIZE] = address_of(program), program.shape[0]
    words[NUMBERS], words[NUMBERS_SIZE] = address_of(workspace), workspace.shape[0]
    store(team + 8 * DONE, 0)
    number = ((load(team + 8 * CLAIM) >> _HALF) + 1) & _CALLS
    store(team + 8 * CLAIM, number << _HALF)
    for helper in range(words[N_HELPERS]):
        own = team + 8 * (HELPERS + LINE * helper)
        if load(own + 8 * ASLEEP) != 0 and replace(own + 8 * ASLEEP, 1, 0):
            _write(int32(load(own + 8 * WRITE)), own + 8 * BYTE, uint64(1))
    _take(team, 0)
    while load(team + 8 * DONE) < n_groups:
        _yield()


@inner
def _take(team, slot):
    """Compute groups of centres until all are claimed; return how many."""
    taken = 0
    group = _claimed(team)
    while group >= 0:
        words = neighbours.integers(team, HELPERS)
        program = neighbours.integers(words[PROGRAM], words[PROGRAM_SIZE])
        numbers = neighbours.floats(words[NUMBERS], words[NUMBERS_SIZE])
        call_centres(words[FUNCTION], numbers, LANES * group, slot, program)
        add(team + 8 * DONE, 1)
        taken += 1
        group = _claimed(team)
    return taken


@inner
def _claimed(team):
    """Return the next group of centres, now the caller's, or -1."""
    while True:
        word: Any = load(team + 8 * CLAIM)
        if word & NEXT >= load(team + 8 * N_GROUPS):
            return -1
        if replace(team + 8 * CLAIM, word, word + 1):
            return word & NEXT


@njit(nogil=True, error_model="numpy")
def help_with(team, helper):
    """Compute what is offered until the team is told to stop."""
    own, looks = team + 8 * (HELPERS + LINE * helper), 0
    while load(team + 8 * STOP) == 0:
        if _take(team, helper + 1) > 0:
            looks = 0
        elif looks < _LOOKS:
            looks += 1
            _yield()
        else:
            store(own + 8 * ASLEEP, 1)
            # Looks again: whoever offered work before may not have seen the helper asleep.
            word = load(team + 8 * CLAIM)
            idle = word & NEXT >= load(team + 8 * N_GROUPS)
            if idle and load(team + 8 * STOP) == 0:
                _read(int32(load(own + 8 * READ)), own + 8 * BYTE, uint64(1))
            store(own + 8 * ASLEEP, 0)
            looks = 0
