"""Start-up of the command line: measures that make `qmd run` begin at once.

A run of ten steps must take at most three times as long as importing NumPy, Numba and netCDF4;
`tests/cli/test_startup.py` checks the imports.
"""

import os
import sys

_BLAS = "scipy.linalg.cython_blas"


def numba_without_blas() -> None:
    """Load Numba's array functions without SciPy, in this process.

    Numba imports all of `scipy.linalg` (0.2 s of a start of 1.2 s) to provide `np.dot` in compiled
    code, which no kernel of this program uses. It must be called only in a process of the command
    line: compiled code that calls `np.dot` would not compile in it.
    """
    if "numba.np.arraymath" in sys.modules or _BLAS in sys.modules:
        return
    sys.modules[_BLAS] = None  # type: ignore[assignment]  # makes the import fail
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        del sys.modules[_BLAS]


def no_pydantic_plugins() -> None:
    """Keep pydantic from searching all installed packages for plugins (30 ms), and running them."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
