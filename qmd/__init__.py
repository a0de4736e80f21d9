"""Molecular dynamics driven by quantum force fields."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

_checkout = Path(__file__).parents[1]  # here `integrators/` and `potentials/` lie beside `qmd/`
if (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))

__version__ = "0.2.0"
__all__ = ["load"]

if TYPE_CHECKING:
    from qmd.io.universe import load


def __getattr__(name: str) -> Any:
    if name == "load":  # imports MDAnalysis, which `qmd run` does not need
        from qmd.io.universe import load

        return load
    raise AttributeError(f"module 'qmd' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of this module, with those that are imported when first used."""
    return sorted({*globals(), *__all__})
