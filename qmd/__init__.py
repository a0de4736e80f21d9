"""Molecular dynamics driven by quantum force fields."""

from importlib import import_module as _import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

_checkout = Path(__file__).parents[1]  # here `integrators/` and `potentials/` lie beside `qmd/`
if (_checkout / "pyproject.toml").is_file():
    __path__.append(str(_checkout))

__version__ = "0.2.0"
__all__ = [
    "analyze",
    "analyze_circuit",
    "benchmark",
    "compare",
    "convert",
    "ensemble",
    "label",
    "load",
    "modes",
    "relax",
    "run",
    "train",
    "trusting",
    "tune",
]

if TYPE_CHECKING:
    from qmd.commands.analyses import analyze, compare
    from qmd.commands.benchmarks import benchmark
    from qmd.commands.circuits import analyze_circuit
    from qmd.commands.conversion import convert
    from qmd.commands.dynamics import run
    from qmd.commands.ensembles import ensemble
    from qmd.commands.labels import label
    from qmd.commands.statics import modes, relax
    from qmd.commands.training import train
    from qmd.commands.tunings import tune
    from qmd.config.trust import trusting
    from qmd.io.universe import load

_PACKAGES = "benchmark", "ensemble", "label", "run", "train", "tune"
"""Commands whose functions have packages of the same name; see `qmd._command_package`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'qmd' has no attribute {name!r}")
    if name == "load":  # imports MDAnalysis, which `qmd run` does not need
        from qmd.io.universe import load

        return load
    if name == "trusting":
        from qmd.config.trust import trusting

        return trusting
    if name in _PACKAGES:
        return _import_module(f"qmd.{name}")
    from qmd.commands import command

    return command(name)


def __dir__() -> list[str]:
    """Return the names of this module, with those that are imported when first used."""
    return sorted({*globals(), *__all__})
