"""Width of the vectors of compiled kernels: eight doubles with AVX-512, else four.

It is decided once for a process, for the processor that Numba compiles for, and is part of the key
of every kernel that is kept on the disk. `QMD_VECTOR_WIDTH` (4 or 8) overrides it: LLVM makes two
instructions of one where a vector is too long for the processor, so that both widths run anywhere.
"""

import os
from typing import Any

from numba.core import codegen, config

VARIABLE = "QMD_VECTOR_WIDTH"
WIDTHS = 4, 8


def decided() -> int:
    """Return the width for this process.

    Raises
    ------
    ValueError
        If the environment variable is neither 4 nor 8.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked:
        if asked not in [str(width) for width in WIDTHS]:
            raise ValueError(f"{VARIABLE} must be 4 or 8, but is {asked!r}.")
        return int(asked)
    settings: Any = config  # filled when Numba is imported
    features = settings.CPU_FEATURES
    if features is None:
        features = codegen.get_host_cpu_features()
    return 8 if "+avx512f" in features.split(",") else 4


VECTOR_WIDTH = decided()
"""Number of doubles in a vector."""
