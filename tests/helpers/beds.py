"""A system to try integrators on."""

from typing import Any, NamedTuple

import numpy as np


class Bed(NamedTuple):
    """A system with a known potential: its force, masses (u) and minimum (angstrom)."""

    force: Any
    masses: np.ndarray
    positions: np.ndarray
