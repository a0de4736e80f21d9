"""Start-up of the command line: measures that make `qmd run` begin at once.

A run of ten steps must take at most three times as long as importing NumPy, Numba and netCDF4;
`tests/cli/test_startup.py` checks the imports.
"""

import os
import sys

_NEEDLESS = ("scipy.linalg.cython_blas", "cffi", "coverage")
_NUMBA_SETTINGS = ".numba_config.yaml"  # Numba imports `yaml` to read it, and for nothing else


def numba_without_extras() -> None:
    """Load Numba without the packages that it imports for code that no kernel here has.

    These are `scipy.linalg` for `np.dot` (0.2 s of a start of 1.2 s), `cffi` for functions of C,
    `coverage` for lines that are being compiled (together 0.06 s) and `yaml` for a file of
    settings, unless there is one. It must be called only in a process of the command line:
    compiled code that calls `np.dot` would not compile in it. What is imported already stays.
    """
    if "numba.np.arraymath" in sys.modules:
        return
    names = [*_NEEDLESS, *(() if os.path.exists(_NUMBA_SETTINGS) else ("yaml",))]
    absent = [name for name in names if name not in sys.modules]
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # makes the import fail
    try:
        import numba.core.typing.cffi_utils
        import numba.np.arraymath  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]


def no_pydantic_plugins() -> None:
    """Keep pydantic from searching all installed packages for plugins (30 ms), and running them."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
