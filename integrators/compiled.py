"""How functions that only compiled loops call are compiled."""

from numba.extending import register_jitable

inner = register_jitable(no_cfunc_wrapper=True, _nrt=False)
"""Decorates a function that compiled loops call; in Python it stays a Python function.

The wrappers by which Python would call it, and counts of references to arrays, cost a third of
the time that a loop takes to compile. So it may neither make an array nor return one.
"""
