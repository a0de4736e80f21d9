"""Compilation of functions that only compiled loops call."""

from typing import Any

from numba.extending import register_jitable

NO_REFERENCES: Any = {"_nrt": False}
"""No counts of references to arrays: for a function that neither makes an array nor returns one."""
INNER: Any = NO_REFERENCES | {"no_cfunc_wrapper": True}

inner = register_jitable(**INNER)
"""Decorates a function that compiled loops call; in Python it stays a Python function.

The wrappers by which Python would call it, and counts of references to arrays, cost a third of
the time that a loop takes to compile. So it may neither make an array nor return one.
"""

quiet = register_jitable(error_model="numpy", **INNER)
"""The same, where a division by zero gives infinity or NaN and raises nothing."""
