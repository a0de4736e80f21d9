"""Compilation of the kernels: once, and only those that are called.

Numba compiles a function, with all that it calls, down to machine code wherever it is called from
another one, so that a kernel of forty functions is compiled several times over. Two remedies:
`inner` functions get none of the wrappers by which Python would call them (the kernel of a circuit
compiles in three quarters of the time), and parts that not every model needs are functions of
their own, compiled when a model with them is packed and called through its address.
"""

import functools
from collections.abc import Callable
from typing import Any

from numba.extending import register_jitable

from qmd.integrators import cfunc

_COUNTED: Any = {"error_model": "numpy"}
_OPTIONS: Any = _COUNTED | {"_nrt": False}

inner = register_jitable(no_cfunc_wrapper=True, **_OPTIONS)
"""Decorates a function that kernels call; in Python it stays a Python function.

It cannot allocate arrays: without reference counts the compiler has less to do.
"""


def when_needed(
    signature: Any, *, allocates: bool = False
) -> Callable[[Callable[..., Any]], Callable[[], Any]]:
    """Make a function a cfunc of `signature` that is compiled, or read, when first needed.

    The name of the decorated function then stands for a function without arguments that returns
    the cfunc, always the same one. Only one that `allocates` may make arrays.
    """

    def decorate(function: Callable[..., Any]) -> Callable[[], Any]:
        options = _COUNTED if allocates else _OPTIONS
        compiled = cfunc(signature, **options)
        return functools.cache(functools.wraps(function)(lambda: compiled(function)))

    return decorate
