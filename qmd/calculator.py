"""Deprecated name of `qmd.interop.ase_calculator`; to be removed in release 0.3."""

import warnings

from qmd.interop.ase_calculator import QmdCalculator

__all__ = ["QmdCalculator"]

warnings.warn(
    "qmd.calculator is now qmd.interop.ase_calculator; the old name will be removed in release 0.3",
    DeprecationWarning,
    stacklevel=2,
)
